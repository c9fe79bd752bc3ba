"""The calculators that come with the package: alone, pooled, node-aware, linear, and the usual outcome."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from fingerpost.fingerprint import sketch_values
from fingerpost.synthesis import _search
from fingerpost.synthesis._site_kernel import fit_sites
from fingerpost.synthesis.calculators import ALONE, Forecast, Questions
from fingerpost.synthesis.kernel import KernelSettings, fit, left_out_near

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fingerpost.synthesis._site_kernel import Base, SiteKernel
    from fingerpost.synthesis.calculators import Calculator, FittedCalculator, Pool
    from fingerpost.synthesis.kernel import FittedKernel

USUAL_RECORDS = 4.0  # what the pool's usual outcome is worth beside the asker's own records


@dataclass(frozen=True, slots=True)
class PooledKernel:
    """Kernel ridge on all packets alike: today's answer."""

    name: str = "pooled"

    def fit(self, pool: Pool) -> FittedCalculator:
        """Take the kernel that is fitted already."""
        return _Kernel(pool=pool, fitted=pool.fitted, is_own=False)


@dataclass(frozen=True, slots=True)
class OwnKernel:
    """Kernel ridge on the asker's own packets: what it would forecast alone, in situations of its own kind."""

    name: str = ALONE

    def fit(self, pool: Pool) -> FittedCalculator | None:
        """Fit to own packets; None where there are too few."""
        rows = pool.own_rows
        if not pool.has_own:
            return None
        evidence = pool.evidence.subset(rows)
        sketches = pool.fitted.settings.family == "sketch"
        values = sketch_values(evidence.sketches) if sketches and evidence.sketches is not None else None
        known = pool.known.get(self.name)
        settings = known if isinstance(known, KernelSettings) else None
        fitted = fit(evidence, day=pool.day, options=pool.options, sketches=values, settings=settings)
        return _Kernel(pool=pool, fitted=fitted, is_own=True)


@dataclass(frozen=True, slots=True)
class NodeAwareKernel:
    """Kernel ridge in which the asker's own packets say what is special about it."""

    name: str = "node-aware"

    def fit(self, pool: Pool) -> SiteKernel | None:
        """Fit; None where the asker has too few packets, or nobody else has any."""
        if not pool.own_judges or pool.own.all():
            return None
        return fit_sites(pool, "near", known=pool.known.get(self.name))


@dataclass(frozen=True, slots=True)
class LinearKernel:
    """Ridge on the sketch coordinates, or on the fingerprint's bits where packets carry no sketch."""

    name: str = "linear"
    base: Base = "linear"

    def fit(self, pool: Pool) -> SiteKernel:
        """Fit to a pool."""
        return fit_sites(pool, self.base, known=pool.known.get(self.name))


@dataclass(frozen=True, slots=True)
class UsualOutcome:
    """The usual outcome, whatever the situation: the asker's own shares or mean, the pool's where it has few."""

    name: str = "usual"

    def fit(self, pool: Pool) -> FittedCalculator:
        """Count."""
        return _Usual(pool=pool)


def shipped_calculators() -> tuple[Calculator, ...]:
    """Return the calculators that every installation has, in the order in which answers list them."""
    return OwnKernel(), PooledKernel(), NodeAwareKernel(), LinearKernel(), UsualOutcome()


@dataclass(frozen=True, kw_only=True, eq=False)
class _Kernel:
    """Kernel ridge on all packets, or on own ones."""

    pool: Pool
    fitted: FittedKernel
    is_own: bool

    @property
    def found(self) -> KernelSettings | None:
        """What another process need not seek."""
        return self.fitted.settings if self.is_own else None

    def forecast(self, questions: Questions) -> Forecast:
        """Return what is expected; an asker's own packets alone speak only about situations of their own kind."""
        known = None if self.is_own else questions.pooled
        scores, variance = self._smoothed(questions) if known is None else known
        awake = self.pool.at_home(questions) if self.is_own else np.ones(len(questions), bool)
        return self._forecast(scores, variance, awake)

    def left_out(self) -> Forecast:
        """Return what was expected of judged packets, without their nodes where the asker is none of these."""
        judged = self.pool.judged
        if not self.is_own:
            scores, variance = self._without(judged)
            return self._forecast(scores, variance, np.ones(len(judged), bool))
        own = self.pool.own[judged]
        evidence, family = self.pool.evidence, self.fitted.settings.family
        strangers = judged[~own]
        others = Questions(
            fingerprints=evidence.fingerprints[strangers],
            sketches=np.asarray(self.pool.features[strangers], np.float64) if family == "sketch" else None,
        )
        scores, variance = np.empty((len(judged), self.fitted.targets.shape[1])), np.empty(len(judged))
        scores[own], variance[own] = self._without(np.searchsorted(self.pool.own_rows, judged[own]))
        awake = np.ones(len(judged), bool)
        if len(strangers):
            scores[~own], variance[~own] = self._smoothed(others)
            awake[~own] = self.pool.left_out_at_home(strangers)
        return self._forecast(scores, variance, awake)

    def _without(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return scores and variances of rows of the evidence that was fitted to, each left out."""
        found = self.fitted.residuals
        if self.fitted.solution is None:
            return left_out_near(self.fitted, rows, with_node=self.pool.nodes_judge)
        places = np.empty(len(self.fitted.evidence), np.int64)
        places[found.rows] = np.arange(len(found.rows))
        predicted = found.by_node if self.pool.nodes_judge and found.by_node is not None else found.predicted
        return predicted[places[rows]], found.variance[places[rows]]

    def _smoothed(self, questions: Questions) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        features = self.pool.features_of(questions)
        if self._dual is not None:
            mean, dual = self._dual
            cross = self.fitted.cross(features)
            return mean + cross @ dual, np.zeros(len(cross))  # The variance is a number's business alone.
        blocks = list(self.fitted.smooth(features))
        scores = np.vstack([block.weights @ self.fitted.targets[block.rows] for block in blocks])
        return scores, np.concatenate([block.variance for block in blocks])

    @cached_property
    def _dual(self) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """The mean (c,) and the coefficients (n, c) of shares of levels, where all packets are solved together."""
        solution, targets = self.fitted.solution, self.fitted.targets[self.fitted.order]
        if solution is None or not self.fitted.evidence.levels:
            return None
        return solution.mean(targets), solution.dual(targets)

    def _forecast(
        self, scores: NDArray[np.float64], variance: NDArray[np.float64], awake: NDArray[np.bool_]
    ) -> Forecast:
        values = self.fitted.estimate(scores)
        if self.fitted.evidence.levels:
            return Forecast(values=values, deviations=None, awake=awake)
        found, ridge = self.fitted.residuals, self.fitted.settings.ridge
        scaled = (found.observed - found.predicted)[:, 0] ** 2 / (found.variance + ridge / found.weights)
        unit = max(float(found.weights @ scaled) / float(found.weights.sum()), _search.PROBABILITY_MIN)
        return Forecast(values=values, deviations=np.sqrt(unit * (variance + ridge)), awake=awake)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Usual:
    pool: Pool

    def forecast(self, questions: Questions) -> Forecast:
        """Return the same for all."""
        count = len(questions)
        without = np.zeros((count, self.pool.targets.shape[1]))
        return self._forecast(without, np.zeros(count), np.zeros(count, bool))

    def left_out(self) -> Forecast:
        """Return the usual outcome without each judged packet."""
        judged = self.pool.judged
        return self._forecast(self.pool.targets[judged], self.pool.weights[judged], self.pool.own[judged])

    @cached_property
    def _sums(self) -> _Sums:
        pool = self.pool
        mine = pool.weights * pool.own * pool.own_judges
        total, targets = pool.weights @ pool.targets, pool.targets
        spread = 0.0
        if not pool.evidence.levels:
            mean = total[0] / pool.weights.sum()
            spread = float(pool.weights @ (targets[:, 0] - mean) ** 2) / float(pool.weights.sum())
        return _Sums(
            weight=float(pool.weights.sum()),
            targets=total,
            own_weight=float(mine.sum()),
            own_targets=mine @ targets,
            spread=spread,
        )

    def _forecast(self, without: NDArray[np.float64], weight: NDArray[np.float64], own: NDArray[np.bool_]) -> Forecast:
        """Return the usual outcome for each question without a packet of these targets (q, c) and weights (q,).

        ``own`` (q,) says which of these packets are the asker's.
        """
        pool, sums = self.pool, self._sums
        rest = np.maximum(sums.weight - weight, 1e-9)[:, None]
        usual = (sums.targets - weight[:, None] * without) / rest
        total = np.maximum(sums.own_weight - weight * own, 0)[:, None]
        values = (sums.own_targets - (weight * own)[:, None] * without + USUAL_RECORDS * usual) / (
            total + USUAL_RECORDS
        )
        awake = np.ones(len(values), bool)
        if pool.evidence.levels:
            values = np.maximum(values, 1e-9)
            values /= values.sum(axis=1, keepdims=True)
            return Forecast(values=pool.fitted.shrunk(values), deviations=None, awake=awake)
        floor = (1e-6 * (pool.high - pool.low)) ** 2
        return Forecast(values=values, deviations=np.full(len(values), np.sqrt(max(sums.spread, floor))), awake=awake)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sums:
    """Over the whole pool: weights, and targets times weights (c,); the same of own packets; the spread of numbers."""

    weight: float
    targets: NDArray[np.float64]
    own_weight: float
    own_targets: NDArray[np.float64]
    spread: float
