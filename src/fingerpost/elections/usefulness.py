"""Whether a node's packets help to foresee the asker's own outcomes: what is asked before a node is refused.

A model that is wrong about the world finds honest claims unlikely too. So a node is refused only if, besides, the
asker's own outcomes, each left out in turn, are foreseen worse with its packets than without. The model is that of
``ridge`` in its dual form, (K + ridge / w)^-1 with K = x x', which costs little for a handful of packets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fingerpost.elections.ridge import RIDGE, TEMPERATURES, softmax

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fingerpost.elections.claims import Coding
    from fingerpost.synthesis.evidence import Evidence

DEVIATIONS = 1.645  # one-sided, 5 %
PROBABILITY_MIN = 1e-6
PACKETS_MAX = 256  # of a node, and of the asker: those that stand first, so in order of their ids


def misleads(
    evidence: Evidence, own: NDArray[np.int64], rows: NDArray[np.int64], coding: Coding, *, weight: float
) -> bool:
    """Return whether the outcomes ``own``, each of ``weight``, are foreseen worse with the packets ``rows``.

    The difference has to be more than chance: above ``DEVIATIONS`` standard errors of its mean, outcomes being pairs.
    """
    own, rows = own[:PACKETS_MAX], rows[:PACKETS_MAX]
    worse = _losses(evidence, own, rows, coding, weight) - _losses(evidence, own, own[:0], coding, weight)
    return bool(worse.mean() > DEVIATIONS * worse.std(ddof=1) / np.sqrt(len(worse)))


def _losses(
    evidence: Evidence, own: NDArray[np.int64], rows: NDArray[np.int64], coding: Coding, weight: float
) -> NDArray[np.float64]:
    """Return the log-loss (k,) of each own outcome, left out, in nats; at the temperature that is best for all."""
    every = np.concatenate([own, rows])
    x, y = coding.features(evidence, every).astype(np.float64), coding.shares(evidence, every)
    weights = np.concatenate([np.full(len(own), weight), np.ones(len(rows))])
    prior = (weights @ y + 1) / (weights.sum() + coding.levels)
    inverse = np.linalg.inv(x @ x.T + np.diag(RIDGE / weights))
    left_out = y - (inverse @ (y - prior)) / inverse.diagonal()[:, None]
    said = [softmax(left_out[: len(own)], temperature) for temperature in TEMPERATURES]
    losses = [-np.log(np.maximum((each * y[: len(own)]).sum(axis=1), PROBABILITY_MIN)) for each in said]
    return min(losses, key=np.mean)
