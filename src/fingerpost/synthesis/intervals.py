"""How sure an estimate is: 90 % intervals and effective sample sizes that know which packets share a node.

Packets of one node resemble each other beyond what their situations explain. With an intra-node correlation rho, the
noise of an estimate sum_i h_i y_i is, in units of one record's noise variance,

    (1 - rho) sum_i h_i^2 / w_i + rho sum_nodes (sum_{i of node} h_i)^2

(Kish's design effect, written for unequal weights), and its inverse is the effective sample size: the number of
independent records whose plain average would be as precise. Rho is the ANOVA estimate from left-out residuals, shrunk
to a conservative prior that only many nodes outweigh: a hundred packets of one node are never worth more than
1 / rho = 10 independent records, a hundred nodes with one packet each are worth nearly a hundred.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fingerpost.synthesis import _search

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fingerpost.synthesis.kernel import FittedKernel, Residuals, Smoothing

LEVEL = 0.90  # of every interval
NORMAL_95 = 1.6448536269514722  # the 95 % quantile of the standard normal: both ends of a 90 % interval
CORRELATION_USUAL = 0.10  # clinical outcomes and processes: .01 to .15 (Campbell, Fayers, Grimshaw 2005)
CORRELATION_NODES = 4  # what that prior is worth, in nodes
SCALE_WIDTH = 0.5  # of the smoother of residual size over predicted values, in standard deviations of these
SCALE_PRIOR = 5.0  # packets of usual residual size that it starts with
QUANTILE_PACKETS_MIN = 19  # below, the 5 % quantile of left-out residuals does not exist
PROBABILITY_EDGE = 1e-12
USUAL_SHARE = 0.9  # of the packets' own situations are as well known as a question needs to be for an unlowered claim


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncertainty:
    """What the left-out residuals of a fitted kernel say about any answer. Made by ``uncertainty``."""

    fitted: FittedKernel
    correlation: float  # rho
    covariance: NDArray[np.float64]  # (c, c) of residuals, per unit of predictive variance
    temperature_variance: float
    low_quantile: float  # of scaled left-out residuals, numbers only
    high_quantile: float
    usual_size: float
    usual_variance: float  # of nine of ten left-out packets, at most
    pool_size: float  # effective number of records in the whole pool, each packet counting by its weight

    def effective_sizes(self, smoothing: Smoothing) -> NDArray[np.float64]:
        """Return (q,) effective sample sizes, clustered by node."""
        noise = self.fitted.settings.ridge
        sizes: NDArray[np.float64] = noise / np.maximum(self._noise(smoothing), PROBABILITY_EDGE)
        return sizes

    def probability_intervals(
        self, smoothing: Smoothing, scores: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the ends (q, L) of 90 % credible intervals of every level's probability, for scores (q, L).

        The posterior variance of the scores (its noise part clustered by node) and that of the temperature are carried
        through the softmax to the log-odds of each level; what no evidence would say is mixed in afterwards, as for the
        estimate. No end is finer than one record in the pool.
        """
        temperature = self.fitted.settings.temperature
        shares = _search.softmax(scores, temperature)
        variance = self.total_variance(smoothing)
        low, high = np.empty_like(shares), np.empty_like(shares)
        for level in range(shares.shape[1]):
            odds, slope = _log_odds(shares, np.full(len(shares), level))
            spread = temperature**2 * variance * ((slope @ self.covariance) * slope).sum(axis=1)
            spread += self.temperature_variance * (slope * scores).sum(axis=1) ** 2
            reach = NORMAL_95 * np.sqrt(spread)
            low[:, level] = _logistic(odds - reach)
            high[:, level] = _logistic(odds + reach)
        finest = self.fitted.settings.spread
        low, high = self.fitted.shrunk(low) - finest, self.fitted.shrunk(high) + finest
        return np.clip(low, 0, 1), np.clip(high, 0, 1)

    def moderated(self, smoothing: Smoothing, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (q,) probabilities that the likeliest level is right, lowered where the situation is unusual.

        Temperature already calibrates the packets' own population, so only the variance beyond what nine of ten
        left-out packets have counts: averaging over it pulls a probability towards one half, log-odds /
        sqrt(1 + pi / 8 variance) (MacKay 1992, The evidence framework applied to classification networks, section 2).
        """
        estimate = self.fitted.estimate(scores)
        odds, slope = _log_odds(estimate, estimate.argmax(axis=1))
        excess = np.maximum(smoothing.variance - self.usual_variance, 0)
        spread = self.fitted.settings.temperature**2 * ((slope @ self.covariance) * slope).sum(axis=1) * excess
        return _logistic(odds / np.sqrt(1 + np.pi / 8 * spread))

    def mean_intervals(
        self, smoothing: Smoothing, means: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the ends (q,) of 90 % credible intervals of the mean outcome in such situations."""
        reach = NORMAL_95 * np.sqrt(float(self.covariance[0, 0]) * self.total_variance(smoothing))
        return means - reach, means + reach

    def predictive_intervals(
        self, smoothing: Smoothing, means: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the ends (q,) of intervals that hold 90 % of the outcomes of single records.

        They are quantiles of left-out residuals over their expected size, scaled to the size expected at the query.
        """
        size = np.sqrt(self.total_variance(smoothing) + self.fitted.settings.ridge) * self._local_size(means)
        return means + self.low_quantile * size, means + self.high_quantile * size

    def total_variance(self, smoothing: Smoothing) -> NDArray[np.float64]:
        """Return (q,) posterior variances of the noise-free outcome with their noise part clustered by node."""
        independent = smoothing.weights**2 @ smoothing.noise
        variance: NDArray[np.float64] = smoothing.variance + np.maximum(self._noise(smoothing) - independent, 0)
        return variance

    def node_weights(self, smoothing: Smoothing) -> NDArray[np.float64]:
        """Return (q, V): the summed weight of every node's packets."""
        return _by_node(smoothing.weights, self.fitted.evidence.node_index[smoothing.rows], self._nodes)

    @property
    def _nodes(self) -> int:
        return len(self.fitted.evidence.node_ids)

    def _noise(self, smoothing: Smoothing) -> NDArray[np.float64]:
        nodes = self.node_weights(smoothing)
        independent = smoothing.weights**2 @ smoothing.noise
        clustered = self.fitted.settings.ridge * (nodes**2).sum(axis=1)
        noise: NDArray[np.float64] = (1 - self.correlation) * independent + self.correlation * clustered
        return noise

    def _local_size(self, means: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (q,) mean absolute scaled residuals of packets with similar predictions, shrunk to the usual one."""
        found = self.fitted.residuals
        return _smoothed_sizes(found, _scaled(self.fitted), self.usual_size, means)


def uncertainty(fitted: FittedKernel) -> Uncertainty:
    """Summarise the left-out residuals of ``fitted``: by packet, and by node where three nodes or more allow it."""
    found = fitted.residuals
    residuals = found.observed - found.predicted
    predictive = found.variance + fitted.settings.ridge / found.weights
    covariance = (residuals / predictive[:, None]).T @ residuals / max(len(residuals), 1)
    apart = residuals if found.by_node is None else found.observed - found.by_node
    correlation = node_correlation(apart, fitted.evidence.node_index[found.rows])
    scaled = _scaled(fitted)
    usual = float(np.abs(scaled).mean()) if len(scaled) else 1.0
    low, high = -NORMAL_95, NORMAL_95
    temperature_variance = 0.0
    if fitted.evidence.kind == "number":
        low, high = _quantiles(scaled / _smoothed_sizes(found, scaled, usual, found.predicted[:, 0]))
    else:
        temperature_variance = _temperature_variance(fitted)
    return Uncertainty(
        fitted=fitted,
        correlation=correlation,
        covariance=np.atleast_2d(covariance),
        temperature_variance=temperature_variance,
        low_quantile=low,
        high_quantile=high,
        usual_size=usual,
        usual_variance=float(np.quantile(fitted.residuals.variance, USUAL_SHARE)),
        pool_size=_pool_size(fitted, correlation),
    )


def node_correlation(residuals: NDArray[np.float64], nodes: NDArray[np.int64]) -> float:
    """Return the intra-node correlation of residuals (r, c): one-way ANOVA, shrunk to its conservative prior."""
    used, index, sizes = np.unique(nodes, return_inverse=True, return_counts=True)
    groups, n = len(used), len(nodes)
    if groups < 2 or n == groups:
        return CORRELATION_USUAL
    centred = residuals - residuals.mean(axis=0)
    means = _by_node(centred.T, index.reshape(-1), groups).T / sizes[:, None]
    between = float(sizes @ (means**2).sum(axis=1))
    within = float((centred**2).sum()) - between
    size = (n - float((sizes**2).sum()) / n) / (groups - 1)
    between, within = between / (groups - 1), max(within, 0) / (n - groups)
    total = between + (size - 1) * within
    estimate = min(max((between - within) / total, 0.0), 1.0) if total > 0 else 0.0
    return (CORRELATION_NODES * CORRELATION_USUAL + (groups - 1) * estimate) / (CORRELATION_NODES + groups - 1)


def _pool_size(fitted: FittedKernel, correlation: float) -> float:
    weights = fitted.weights
    share = weights / weights.sum()
    nodes = _by_node(share[None], fitted.evidence.node_index, len(fitted.evidence.node_ids))[0]
    noise = (1 - correlation) * float((share**2 / weights).sum()) + correlation * float((nodes**2).sum())
    return 1 / noise


def _by_node(weights: NDArray[np.float64], nodes: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """Return (q, count): sums of the columns of ``weights`` (q, k) by the node (k,) that each belongs to."""
    totals = np.zeros((weights.shape[0], count))
    for row, values in enumerate(weights):
        totals[row] = np.bincount(nodes, weights=values, minlength=count)
    return totals


def _scaled(fitted: FittedKernel) -> NDArray[np.float64]:
    """Return (r,) left-out residuals over the standard deviation that the kernel expects; by node where possible."""
    found = fitted.residuals
    predicted = found.predicted if found.by_node is None else found.by_node
    expected = np.sqrt(found.variance + fitted.settings.ridge / found.weights)
    scaled: NDArray[np.float64] = (found.observed - predicted)[:, 0] / expected
    return scaled


def _smoothed_sizes(
    found: Residuals, scaled: NDArray[np.float64], usual: float, means: NDArray[np.float64]
) -> NDArray[np.float64]:
    predicted = found.predicted[:, 0]
    width = SCALE_WIDTH * float(predicted.std()) if len(predicted) else 0.0
    if width <= 0 or usual <= 0:
        return np.ones(len(means))
    near = np.exp(-(((means[:, None] - predicted) / width) ** 2))
    sizes = (near @ np.abs(scaled) + SCALE_PRIOR * usual) / (near.sum(axis=1) + SCALE_PRIOR)
    return np.asarray(sizes / usual, np.float64)


def _quantiles(scaled: NDArray[np.float64]) -> tuple[float, float]:
    """Return the ends that hold 90 %: order statistics as in conformal prediction, Student's t when there are few."""
    n = len(scaled)
    if n < QUANTILE_PACKETS_MIN:
        spread = float(np.sqrt((scaled**2).mean())) if n else 1.0
        reach = spread * student_95(max(n - 1, 1)) * float(np.sqrt(1 + 1 / max(n, 1)))
        return -reach, reach
    ordered = np.sort(scaled)
    outside = int(np.floor((n + 1) * (1 - LEVEL) / 2))
    return float(ordered[outside - 1]), float(ordered[n - outside])


def student_95(degrees: int) -> float:
    """Return about the 95 % quantile of Student's t: exact for 1 and 2 degrees, else within 1 %.

    Source: Abramowitz and Stegun 1964, 26.7.5.
    """
    if degrees <= 2:
        return 6.313751514675 if degrees == 1 else 2.919985580353
    z = NORMAL_95
    first, second = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return float(z + first / degrees + second / degrees**2 + third / degrees**3)


def _temperature_variance(fitted: FittedKernel) -> float:
    """Return the inverse curvature of the penalised leave-one-out log-loss at the fitted temperature."""
    found, temperature = fitted.residuals, fitted.settings.temperature
    shares = _search.softmax(found.predicted, temperature)
    spread = (shares * found.predicted**2).sum(axis=1) - (shares * found.predicted).sum(axis=1) ** 2
    curvature = float(found.weights @ spread) + 1 / (_search.TEMPERATURE_SPREAD * temperature) ** 2
    return 1 / curvature


def _log_odds(
    estimate: NDArray[np.float64], levels: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the log-odds (q,) of ``levels`` (q,), and their slopes (q, L) in the log-weights of all levels."""
    rows = np.arange(len(estimate))
    others = np.maximum(1 - estimate[rows, levels], PROBABILITY_EDGE)
    slope = -estimate / others[:, None]
    slope[rows, levels] = 1
    odds = np.log(np.maximum(estimate[rows, levels], PROBABILITY_EDGE) / others)
    return np.asarray(odds, np.float64), slope


def _logistic(odds: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-np.clip(odds, -500, 500))), np.float64)
