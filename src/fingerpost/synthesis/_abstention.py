"""When to say nothing, and what to warn of. Thresholds follow from what they promise, not from taste.

* ``too-few``: the pool is worth fewer than ln(.05) / ln(.5) = 4.3 independent records. Below that even unanimous
  outcomes cannot rule out a coin toss at 95 %.
* ``too-far``: the nearest packet is farther than all but 2 % of the packets are from their own nearest neighbour. A
  situation that comes from the same population is turned away one time in fifty, however distances are distributed
  (a conformal p-value; Vovk, Gammerman and Shafer 2005); with fewer than 49 packets one time in n + 1.
* warning ``prior-only``: leaving packets out, the estimate does not beat the overall shares of outcomes at 95 %
  (paired by packet): the situation says nothing yet.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from fingerpost.synthesis.answer import Notice
from fingerpost.synthesis.intervals import NORMAL_95

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fingerpost.synthesis.kernel import FittedKernel

RECORDS_MIN = math.log(0.05) / math.log(0.5)
STRANGE_SHARE = 0.02

NO_EVIDENCE = Notice(code="no-evidence", text="no live packet matches the question.")
ONE_NODE = Notice(code="one-node", text="every packet comes from one node, so nobody else confirms it.")
PRIOR_ONLY = Notice(
    code="prior-only",
    text="situations do not predict outcomes better than the overall shares do; read this as the usual outcome.",
)
CONTRADICTION = Notice(
    code="nodes-contradict",
    text="some nodes report opposite outcomes in similar situations.",
)
ACTION_OVERLAP = Notice(
    code="action-overlap",
    text="the actions were tried in different situations, so their outcomes are associations, not effects.",
)


def too_few(pool_size: float) -> Notice | None:
    """Return the reason to abstain when the pool is worth too few independent records."""
    if pool_size >= RECORDS_MIN:
        return None
    return Notice(
        code="too-few",
        text=f"all packets together are worth {pool_size:.1f} independent records, and {RECORDS_MIN:.1f} are needed.",
    )


def familiarity(fitted: FittedKernel, nearest: float) -> float:
    """Return the share of situations of the pool's own population that are at least as far from their nearest packet.

    In (0, 1]; uniform for a new situation of that population, up to ties.
    """
    distances = fitted.residuals.nearest
    return (1 + int((distances >= nearest).sum())) / (1 + len(distances))


def too_far(fitted: FittedKernel, nearest: float) -> Notice | None:
    """Return the reason to abstain when the nearest packet is stranger than 98 % of the pool are to each other."""
    p, n = familiarity(fitted, nearest), len(fitted.residuals.nearest)
    if n < 2 or p > max(STRANGE_SHARE, 1 / (n + 1)):
        return None
    return Notice(
        code="too-far",
        text=f"the nearest packet is at distance {nearest:.3g}; of {n:,} packets, {p:.1%} are as far from all others.",
    )


def prior_only(fitted: FittedKernel) -> bool:
    """Say whether left-out estimates fail to beat the left-out overall shares (or mean) at 95 %, paired by packet."""
    found, n = fitted.residuals, len(fitted.residuals.rows)
    if n < RECORDS_MIN:
        return True
    weights = found.weights
    others = (weights @ found.observed - weights[:, None] * found.observed) / (weights.sum() - weights)[:, None]
    if fitted.evidence.kind == "number":
        gain = ((found.observed - others) ** 2 - (found.observed - found.predicted) ** 2)[:, 0]
    else:
        smallest = 1 / (1 + float(weights.sum()))
        usual = (1 - smallest) * others + smallest / others.shape[1]
        gain = (found.observed * (_log(fitted.estimate(found.predicted)) - _log(usual))).sum(axis=1)
    share = weights / weights.sum()
    mean = float(share @ gain)
    error = math.sqrt(float(share**2 @ (gain - mean) ** 2))
    return mean <= NORMAL_95 * error


def _log(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.log(np.maximum(shares, 1e-300)), np.float64)
