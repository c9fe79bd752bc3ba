"""From noisy counts to shares: cells near a situation are added up, and shrunk, coarse to fine, by what noise leaves.

Let T be the counts of all live releases added up, (cells, levels), and u the variance that their noise adds to each
entry, which is known exactly. For a situation at distances d from the cells, cell k counts with the weight

    w_k = exp(-(d_k - min d) / (scale x median distance between cells))

so that S = sum_k w_k T_k is an unbiased count of outcomes nearby, with noise of variance u sum_k w_k^2 on each level.
Nothing is clipped before it is added up: clipped noise would pile up in empty cells.

From the coarsest scale (all cells alike) to the finest, the shares p of one scale are the prior of the next. With n = S
added up over levels, the shares S / n differ from the truth by a variance of p (1 - p) / n for the draw of the records
and u sum w^2 / n^2 for noise. A Dirichlet prior worth ``PRIOR_RECORDS`` records varies by p (1 - p) / (1 + that);
the new shares are the mean of both, each by its precision (the linear Bayes rule of beta-binomial shrinkage; Bühlmann
1967 calls it credibility). Noise makes a scale count less, and where it drowns the counts, the coarser scale stays.

The remaining variance of a share is p (1 - p) x ``spread``; 1 / spread is the number of independent records that would
tell as much.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SCALES = (0.3, 0.2, 0.1)  # of the median distance between cells; before them, all cells count alike
PRIOR_RECORDS = 2.0
SHARE_MIN = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Counts added up over releases: ``totals`` (cells, levels) with noise of variance ``noise`` on each entry.

    ``records_known`` says that their sum is the number of records, and has no noise.
    """

    totals: NDArray[np.float64]
    noise: float
    records_known: bool = False

    @property
    def records(self) -> float:
        """Return the estimated number of records; noise may make it negative."""
        return float(self.totals.sum())

    @property
    def records_error(self) -> float:
        """Return the standard deviation that noise gives to ``records``."""
        return 0.0 if self.records_known else float(np.sqrt(self.noise * self.totals.size))


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """The shares of each level (q, levels), their ``spread`` (q,), and how many records lie nearby (q,)."""

    shares: NDArray[np.float64]
    spread: NDArray[np.float64]
    nearby: NDArray[np.float64]
    nearby_error: NDArray[np.float64]


def laplace_variance(epsilon: float) -> float:
    """Return the variance of discrete Laplace noise of scale 1 / epsilon: 2 a / (1 - a)^2 with a = exp(-epsilon)."""
    ratio = math.exp(-epsilon)
    return 2 * ratio / (1 - ratio) ** 2


def cell_weights(distances: NDArray[np.float64], *, scale: float, usual: float) -> NDArray[np.float64]:
    """Return how much each cell counts (q, cells) for situations at these distances; the nearest cell counts 1."""
    beyond = distances - distances.min(axis=1, keepdims=True)
    weights: NDArray[np.float64] = np.exp(-beyond / (scale * usual)) if usual > 0 else np.ones_like(distances)
    return weights


def usual_distance(between: NDArray[np.float64]) -> float:
    """Return the median distance between two different cells (cells, cells); 0 for a single cell."""
    apart = between[~np.eye(len(between), dtype=bool)]
    return float(np.median(apart)) if len(apart) else 0.0


def estimate_shares(table: Table, distances: NDArray[np.float64], *, usual: float) -> Shares:
    """Return the shares of outcomes for situations at ``distances`` (q, cells) from the cells of ``table``."""
    levels = table.totals.shape[1]
    shares = np.full((len(distances), levels), 1 / levels)
    spread = np.full(len(distances), 1 / (PRIOR_RECORDS + 1))
    nearby = nearby_error = np.zeros(len(distances))
    for scale in (np.inf, *SCALES):
        weights = cell_weights(distances, scale=scale, usual=usual)
        sums = weights @ table.totals
        noise = table.noise * (weights**2).sum(axis=1)
        nearby, nearby_error = sums.sum(axis=1), np.sqrt(noise * levels)
        shares, spread = _refined(shares, sums, noise)
    return Shares(shares=shares, spread=spread, nearby=nearby, nearby_error=nearby_error)


def _refined(
    prior: NDArray[np.float64], sums: NDArray[np.float64], noise: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the shares and spreads that a finer scale's ``sums`` (q, levels) make of ``prior``."""
    records = sums.sum(axis=1)
    known = records > 0
    safe = np.where(known, records, 1.0)
    diversity = np.maximum(1 - (prior**2).sum(axis=1), SHARE_MIN)
    before = diversity / (PRIOR_RECORDS + 1)
    error = diversity / safe + noise * prior.shape[1] / safe**2
    trust = np.where(known, before / (before + error), 0.0)[:, None]
    shares = prior + trust * (sums / safe[:, None] - prior)
    shares = np.maximum(shares, SHARE_MIN)
    shares /= shares.sum(axis=1, keepdims=True)
    return shares, (1 - trust[:, 0]) / (PRIOR_RECORDS + 1)
