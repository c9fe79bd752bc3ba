"""Evidence that a node's claims are more than luck: factors whose product is an e-value.

An e-value is a number that is at most 1 on average where the null hypothesis holds, so that it reaches 1/a with
probability a at most (Markov). With q the outcomes that a model expects, which was made before the packet was read:

* *dependence*, "what the node claims does not depend on the situation": q(claim | situation) over the mean of q(claim)
  over situations. That mean is the larger of two: over the situations of all peers that the node has not told yet (a
  draw without replacement), and over the asker's own situations, which no peer can move.
* *truth*, "no more than half of the claims are right": with L_r(y) = r q(y) + (1 - r)(1 - q(y)) / (C - 1), the
  probability of a claim of a node that is right with probability r, the smaller of two products: L_.95 / L_.5, and
  L_.95 over its mean as above. It holds as far as q is calibrated.

Situations that the model does not know contribute the factor 1, whatever is claimed. A summary is one draw: its factor
is the average over its records. (Vovk and Wang 2021, E-values: calibration, combination and applications.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Null = Literal["dependence", "truth"]

MIX = 0.02  # of every expectation is uniform, so that no single claim is impossible
TRUE_SHARE, HALF_SHARE = 0.95, 0.5
FACTOR_MIN = 1e-300


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sight:
    """What a model expects in some situations.

    ``expected`` (k, C) is how likely each claim is from a node that tells what happens, ``halves`` (truth only) from
    one that does so half the time, ``usual`` (C,) what is expected on average in the asker's own situations.
    """

    expected: NDArray[np.float64]
    halves: NDArray[np.float64] | None
    familiar: NDArray[np.bool_]
    usual: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Told:
    """Sums (V, C) of what was expected in the familiar situations of each node, and their counts (V,)."""

    sums: NDArray[np.float64]
    counts: NDArray[np.int64]

    @classmethod
    def nothing(cls, nodes: int, levels: int) -> Told:
        """Return what nodes have told that told nothing."""
        return cls(sums=np.zeros((nodes, levels)), counts=np.zeros(nodes, np.int64))


def sight_of(
    probabilities: NDArray[np.float64], familiar: NDArray[np.bool_], *, usual: NDArray[np.float64], null: Null
) -> Sight:
    """Return the probabilities (k, C) of a model as what it expects to be told."""
    expected, at_home = mixed(probabilities), mixed(usual[None])
    if null == "dependence":
        return Sight(expected=expected, halves=None, familiar=familiar, usual=at_home[0])
    return Sight(
        expected=told_by(expected, TRUE_SHARE),
        halves=told_by(expected, HALF_SHARE),
        familiar=familiar,
        usual=told_by(at_home, TRUE_SHARE)[0],
    )


def mixed(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return probabilities (k, C) of which ``MIX`` is uniform."""
    blurred: NDArray[np.float64] = (1 - MIX) * probabilities + MIX / probabilities.shape[1]
    return blurred


def told_by(probabilities: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    """Return how likely each claim is from a node that is right with probability ``share``."""
    others = max(probabilities.shape[1] - 1, 1)
    told: NDArray[np.float64] = share * probabilities + (1 - share) * (1 - probabilities) / others
    return told


def log_factors(
    sight: Sight, shares: NDArray[np.float64], nodes: NDArray[np.int64], *, before: Told
) -> NDArray[np.float64]:
    """Return (t, k) logarithms of the factors of claims ``shares`` (k, C), t being 1 for dependence and 2 for truth.

    ``nodes`` (k,) index the rows of ``before``, what was read earlier; packets of a node stand in the order in which
    they are read.
    """
    told, count = _told_before(sight, nodes, before)
    total = before.sums.sum(axis=0) + sight.expected[sight.familiar].sum(axis=0)
    number = int(before.counts.sum()) + int(sight.familiar.sum())
    left = (total - told) / np.maximum(number - count, 1)[:, None]
    usual = np.maximum(left, sight.usual)
    factors = [(shares * sight.expected / usual).sum(axis=1)]
    if sight.halves is not None:
        factors.append((shares * sight.expected / sight.halves).sum(axis=1))
    logs = np.log(np.maximum(np.stack(factors), FACTOR_MIN))
    return np.where(sight.familiar, logs, 0.0)


def by_node(logs: NDArray[np.float64], nodes: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """Return (t, V): the log e-values of the nodes, sums over their packets."""
    return np.stack([np.bincount(nodes, weights=each, minlength=count) for each in logs])


def told_of(sight: Sight, nodes: NDArray[np.int64], count: int) -> Told:
    """Return what is expected in the situations of each node."""
    mass = sight.expected * sight.familiar[:, None]
    columns = [np.bincount(nodes, weights=column, minlength=count) for column in mass.T]
    sums = np.stack(columns, axis=1).astype(np.float64)
    return Told(sums=sums, counts=np.bincount(nodes[sight.familiar], minlength=count).astype(np.int64))


def _told_before(sight: Sight, nodes: NDArray[np.int64], before: Told) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return what each packet's node had told when it was read: sums (k, C) of expectations, and counts (k,)."""
    order = np.argsort(nodes, kind="stable")
    counted = sight.familiar[order].astype(np.int64)
    mass = sight.expected[order] * counted[:, None]
    running, seen = np.cumsum(mass, axis=0) - mass, np.cumsum(counted) - counted
    ordered = nodes[order]
    first = np.searchsorted(ordered, ordered, side="left")
    told, count = np.empty_like(running), np.empty_like(seen)
    told[order] = running - running[first] + before.sums[ordered]
    count[order] = seen - seen[first] + before.counts[ordered]
    return told, count
