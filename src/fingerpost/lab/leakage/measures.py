"""How much an attack learns, as numbers with intervals: membership, and shares of names."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import beta, rankdata

if TYPE_CHECKING:
    from numpy.typing import NDArray

RESAMPLES = 200
TAIL = 0.025  # of each end of a 95 % interval
FALSE_POSITIVES = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """Who can tell members from strangers: ``auc`` with its 95 % interval, and true positives at 1 % false ones.

    ``true_positive_rate`` is that of the threshold which 1 % of strangers pass (Carlini et al. 2022, section IV).
    """

    auc: float
    low: float
    high: float
    true_positive_rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A share of ``trials`` with its exact 95 % interval (Clopper and Pearson 1934)."""

    value: float
    low: float
    high: float
    trials: int


def membership(
    members: NDArray[np.float64], strangers: NDArray[np.float64], *, seed: int, resamples: int = RESAMPLES
) -> Membership:
    """Return how well scores (n, releases) of members and of strangers (k, releases) are told apart.

    Persons and releases are resampled. Persons who share an entry share its noise, so few releases give intervals that
    are too narrow.
    """
    chance = np.random.default_rng([seed, 13])
    aucs = []
    for _ in range(resamples):
        one = members[chance.integers(len(members), size=len(members))]
        other = strangers[chance.integers(len(strangers), size=len(strangers))]
        releases = chance.integers(members.shape[1], size=members.shape[1])
        aucs.append(_mean_auc(one[:, releases], other[:, releases]))
    low, high = np.quantile(aucs, [TAIL, 1 - TAIL])
    rates = [_rate(members[:, turn], strangers[:, turn]) for turn in range(members.shape[1])]
    return Membership(
        auc=_mean_auc(members, strangers), low=float(low), high=float(high), true_positive_rate=float(np.mean(rates))
    )


def auc_bound(epsilon: float) -> float:
    """Return the AUC that no attack on an epsilon-private release exceeds: e^epsilon / (1 + e^epsilon).

    It is weak by itself: a mechanism with half the noise may stay below it on a given table.
    """
    return math.exp(epsilon) / (1 + math.exp(epsilon))


def share(hits: float, trials: int) -> Share:
    """Return ``hits`` of ``trials`` as a share; expected hits, of draws among equals, need not be whole."""
    least, most = math.floor(hits + 1e-9), math.ceil(hits - 1e-9)
    return Share(
        value=hits / trials,
        low=float(beta.ppf(TAIL, least, trials - least + 1)) if least else 0.0,
        high=float(beta.ppf(1 - TAIL, most + 1, trials - most)) if most < trials else 1.0,
        trials=trials,
    )


def _mean_auc(members: NDArray[np.float64], strangers: NDArray[np.float64]) -> float:
    """Return the mean over releases of the chance that a member scores higher; equal scores count half."""
    ranks = rankdata(np.vstack([members, strangers]), axis=0)[: len(members)]
    wins = ranks.sum(axis=0) - len(members) * (len(members) + 1) / 2
    return float((wins / (len(members) * len(strangers))).mean())


def _rate(members: NDArray[np.float64], strangers: NDArray[np.float64]) -> float:
    """Return the share of members above the threshold; at equal scores as many are let through as 1 % takes."""
    threshold = float(np.quantile(strangers, 1 - FALSE_POSITIVES, method="higher"))
    above = float((strangers > threshold).mean())
    level = float((strangers == threshold).mean())
    part = (FALSE_POSITIVES - above) / level if level else 0.0
    return float((members > threshold).mean() + min(max(part, 0.0), 1.0) * (members == threshold).mean())
