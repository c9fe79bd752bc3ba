"""Kernel ridge that knows which packets share a node: what is special about the asker is learnt from its own packets.

The kernel between packets is a coregionalisation (Bonilla, Chai and Williams 2008, Multi-task Gaussian process
prediction, for two kinds of task: the same node or another one),

    (k(x, x') (1 + rho s) + c s) / (1 + rho),    s = 1 for two packets of one node, else 0,

so that rho says how much of the relation between situation and outcome belongs to each node alone, and c how far nodes
differ in their usual outcomes. k is the kernel exp(-distance / length) of the pooled calculator, or for the linear one
the product of the features, scaled to one on average. Ridge, rho and c minimise the loss of the judged packets, each
left out, in closed form; weak priors keep them usual where there are few.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from fingerpost.synthesis import _search
from fingerpost.synthesis._solution import Solution
from fingerpost.synthesis.calculators import Forecast
from fingerpost.synthesis.distances import bit_distances, kernel
from fingerpost.synthesis.kernel import feature_distances

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fingerpost.synthesis.calculators import Pool, Questions

Base = Literal["near", "linear"]

SOLVED_MAX = 1_024  # packets that one system is solved for
SEARCHED_MAX = 512
OWN_SHARE_MAX = 0.5  # of those packets are the asker's own
RHOS = (0.0, 0.5, 2.0)
OFFSETS = (0.0, 0.1, 0.5, 2.0)
RIDGE_FACTORS = (0.25, 4.0)
ROUNDS = 2
RIDGE_LINEAR = 0.3
SPECIAL_NATS = 3.0  # that a rho or a c above zero has to gain: twenty to one before the asker counts as special


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteSettings:
    """What the search found."""

    ridge: float
    rho: float = 0.0
    offset: float = 0.0

    @property
    def is_special(self) -> bool:
        """Whether the asker differs from the others."""
        return self.rho > 0 or self.offset > 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SiteFindings:
    """What a fit found beside the solution of its system: see ``SiteKernel``."""

    settings: SiteSettings
    rows: NDArray[np.int64]
    judged: NDArray[np.int64]
    temperature: float
    unit_variance: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SiteKernel:
    """The solved system. ``rows`` (s,) are the packets of it; ``judged`` (j,) the places of judged packets in them."""

    pool: Pool
    base: Base
    rows: NDArray[np.int64]
    judged: NDArray[np.int64]
    settings: SiteSettings
    solution: Solution
    temperature: float
    unit_variance: float  # of outcomes, per unit of predictive variance; numbers only
    residuals: NDArray[np.float64]  # (s, c) of packets left out
    mean: NDArray[np.float64]  # (c,)
    dual: NDArray[np.float64]  # (s, c), the coefficients of the kernels in a forecast

    @property
    def found(self) -> SiteFindings:
        """What another process need not seek."""
        return SiteFindings(
            settings=self.settings,
            rows=self.rows,
            judged=self.judged,
            temperature=self.temperature,
            unit_variance=self.unit_variance,
        )

    def forecast(self, questions: Questions) -> Forecast:
        """Return what is expected; where the asker has seen nothing alike it is asked for as by a stranger."""
        pool = self.pool
        between = _base(pool, self.base, pool.features_of(questions), pool.features[self.rows])
        same = pool.at_home(questions)[:, None] & pool.own[self.rows][None, :]
        cross = _with_sites(between, same, self.settings)
        scores = self.mean + cross @ self.dual
        # The variance is a number's business alone.
        return self._forecast(scores, self.solution.variance(cross) if not pool.evidence.levels else None)

    def left_out(self) -> Forecast:
        """Return what was expected of judged packets."""
        scores = (self.pool.targets[self.rows] - self.residuals)[self.judged]
        noise = self.settings.ridge / self.pool.weights[self.rows][self.judged]
        variance = 1 / np.maximum(self.solution.leverage()[self.judged], 1e-12) - noise
        return self._forecast(scores, np.maximum(variance, 0))

    def _forecast(self, scores: NDArray[np.float64], variance: NDArray[np.float64] | None) -> Forecast:
        awake = np.ones(len(scores), bool)
        if self.pool.evidence.levels:
            shares = _search.softmax(scores, self.temperature)
            return Forecast(values=self.pool.fitted.shrunk(shares), deviations=None, awake=awake)
        if variance is None:
            raise AssertionError("the forecast of a number has a variance")
        deviations = np.sqrt(self.unit_variance * (variance + self.settings.ridge))
        return Forecast(values=scores, deviations=deviations, awake=awake)


def fit_sites(pool: Pool, base: Base, *, known: object = None) -> SiteKernel:
    """Fit the kernel to a pool, of which a sample is solved where there is more than fits.

    An asker that is not special is answered as everybody is: by the same packets, as sure as these are. What was
    ``known`` about the very same pool is not sought again.
    """
    if isinstance(known, SiteFindings):
        gram = _with_sites(_gram(pool, base, known.rows), _same(pool, known.rows), known.settings)
        solution = Solution.of(gram, known.settings.ridge / pool.weights[known.rows])
        return _solved(pool, base, known, solution, _left_out(pool, known.rows, solution))
    usual = _search_ridge(pool, base, pool.fitted.settings.ridge if base == "near" else RIDGE_LINEAR)
    settings = _search_special(pool, base, usual) if pool.own_judges else usual
    rows = _sample(pool, SOLVED_MAX, own_share=OWN_SHARE_MAX if settings.is_special else 0.0)
    gram = _gram(pool, base, rows)
    solution = Solution.of(_with_sites(gram, _same(pool, rows), settings), settings.ridge / pool.weights[rows])
    residuals = _left_out(pool, rows, solution)
    judged = np.flatnonzero(np.isin(rows, pool.judged)).astype(np.int64)
    told, worth = np.arange(len(rows)), pool.weights[rows]
    if settings.is_special:
        told, worth = judged, worth[judged] * pool.judged_worths.mean(axis=0)
    targets = pool.targets[rows]
    temperature, unit = 1.0, 1.0
    if pool.evidence.levels:
        temperature = _search.fit_temperature((targets - residuals)[told], targets[told], worth)[0]
    else:
        unit = _unit_variance(solution, residuals[told, 0], worth, told)
    found = SiteFindings(settings=settings, rows=rows, judged=judged, temperature=temperature, unit_variance=unit)
    return _solved(pool, base, found, solution, residuals)


def _solved(
    pool: Pool, base: Base, found: SiteFindings, solution: Solution, residuals: NDArray[np.float64]
) -> SiteKernel:
    targets = pool.targets[found.rows]
    return SiteKernel(
        pool=pool,
        base=base,
        rows=found.rows,
        judged=found.judged,
        settings=found.settings,
        solution=solution,
        temperature=found.temperature,
        unit_variance=found.unit_variance,
        residuals=residuals,
        mean=solution.mean(targets),
        dual=solution.dual(targets),
    )


def _unit_variance(
    solution: Solution, residuals: NDArray[np.float64], weights: NDArray[np.float64], judged: NDArray[np.int64]
) -> float:
    variance = 1 / np.maximum(solution.leverage()[judged], 1e-12)
    return max(float(weights @ (residuals**2 / variance)) / float(weights.sum()), _search.PROBABILITY_MIN)


def _sample(pool: Pool, count: int, *, own_share: float = OWN_SHARE_MAX) -> NDArray[np.int64]:
    """Return rows to solve for, ascending: every judged packet, then own ones up to a share of all, then any."""
    judged, free = pool.judged, np.ones(len(pool.evidence), bool)
    free[judged] = False
    own = np.flatnonzero(free & pool.own).astype(np.int64)
    own = pool.sample(own, max(int(count * own_share) - int(pool.own[judged].sum()), 0))
    free[own] = False
    if own_share:
        free &= ~pool.own
    others = np.flatnonzero(free).astype(np.int64)
    return np.sort(np.concatenate([judged, own, pool.sample(others, max(count - len(judged) - len(own), 0))]))


def _search_ridge(pool: Pool, base: Base, ridge: float) -> SiteSettings:
    """Return the settings by which everybody's packets, each left out, are foreseen best."""
    rows = pool.sample(np.arange(len(pool.evidence)), SEARCHED_MAX)
    trials = _Trials.of(pool, base, rows, np.arange(len(rows)), np.full((1, len(rows)), pool.share_of_worth(rows)))
    return _best(trials, SiteSettings(ridge=ridge), special=False)


def _search_special(pool: Pool, base: Base, usual: SiteSettings) -> SiteSettings:
    """Return the settings by which the asker's packets are foreseen best; ``usual`` if it is not clearly special."""
    rows = _sample(pool, SEARCHED_MAX)
    judged = np.flatnonzero(np.isin(rows, pool.judged)).astype(np.int64)
    found = _best(_Trials.of(pool, base, rows, judged, pool.judged_worths), usual, special=True)
    return found if found.is_special else usual


def _best(trials: _Trials, start: SiteSettings, *, special: bool) -> SiteSettings:
    """Improve one setting at a time, twice around: with few judged packets the loss has one valley to speak of."""
    best, least, usual, tried = start, 0.0, trials.losses(start, start), {start}
    for _ in range(ROUNDS):
        candidates = [SiteSettings(ridge=best.ridge * f, rho=best.rho, offset=best.offset) for f in RIDGE_FACTORS]
        if special:
            candidates += [SiteSettings(ridge=best.ridge, rho=best.rho, offset=offset) for offset in OFFSETS]
            candidates += [SiteSettings(ridge=best.ridge, rho=rho, offset=best.offset) for rho in RHOS]
        fresh = [candidate for candidate in candidates if candidate not in tried]
        tried.update(fresh)
        for candidate in fresh:
            found = float((trials.losses(candidate, start) - usual).max())  # whichever way records are counted
            if found < least - _search.TIE_NATS:
                best, least = candidate, found
    return best


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Trials:
    """Rows to solve for, and the places of those that are judged, with their worths (k, j) in one or two ways."""

    pool: Pool
    rows: NDArray[np.int64]
    judged: NDArray[np.int64]
    worths: NDArray[np.float64]
    gram: NDArray[np.float64]
    same: NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        pool: Pool,
        base: Base,
        rows: NDArray[np.int64],
        judged: NDArray[np.int64],
        worths: NDArray[np.float64],
    ) -> _Trials:
        weights = pool.weights[rows][judged]
        gram, same = _gram(pool, base, rows), _same(pool, rows)
        return cls(pool=pool, rows=rows, judged=judged, worths=weights * worths, gram=gram, same=same)

    def losses(self, settings: SiteSettings, start: SiteSettings) -> NDArray[np.float64]:
        """Return the losses (k,) in nats, and the penalty of what is unusual."""
        targets, weights = self.pool.targets[self.rows], self.pool.weights[self.rows]
        solution = Solution.of(_with_sites(self.gram, self.same, settings), settings.ridge / weights)
        predicted = (targets - _left_out(self.pool, self.rows, solution))[self.judged]
        penalty = SPECIAL_NATS * ((settings.rho > 0) + (settings.offset > 0))
        penalty += 0.5 * (np.log(settings.ridge / start.ridge) / _search.RIDGE_SPREAD) ** 2
        known = targets[self.judged]
        if self.pool.evidence.levels:
            found = [_search.fit_temperature(predicted, known, each, bisections=16)[1] for each in self.worths]
        else:
            found = [_search.gaussian_loss(predicted - known, each) for each in self.worths]
        return np.array(found) + float(penalty)


def _left_out(pool: Pool, rows: NDArray[np.int64], solution: Solution) -> NDArray[np.float64]:
    """Return (s, c) residuals of packets left out alone, or where the asker is none of the nodes with their node."""
    targets = pool.targets[rows]
    nodes = np.unique(pool.evidence.node_index[rows], return_inverse=True)[1].reshape(-1)
    if not pool.nodes_judge or nodes.max(initial=0) < 2:
        return solution.left_out(targets)
    return solution.left_out_by(nodes.astype(np.int64), targets)


def _gram(pool: Pool, base: Base, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    return _base(pool, base, pool.features[rows], pool.features[rows])


def _same(pool: Pool, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    nodes = pool.evidence.node_index[rows]
    return np.asarray(nodes[:, None] == nodes[None, :], bool)


def _base(
    pool: Pool,
    base: Base,
    left: NDArray[np.uint8] | NDArray[np.float64],
    right: NDArray[np.uint8] | NDArray[np.float64],
) -> NDArray[np.float64]:
    if base == "near":
        return kernel(feature_distances(pool.fitted.settings.family, left, right), pool.fitted.settings.length)
    if pool.fitted.settings.family == "bits":
        bits = 8 * left.shape[1]
        apart = bit_distances(np.asarray(left, np.uint8), np.asarray(right, np.uint8))
        return np.asarray((bits - 2 * apart) / bits, np.float64)  # of signs +1 and -1
    scale = float((np.asarray(pool.features, np.float64) ** 2).sum(axis=1).mean())
    return np.asarray(np.asarray(left, np.float64) @ np.asarray(right, np.float64).T / max(scale, 1e-9), np.float64)


def _with_sites(base: NDArray[np.float64], same: NDArray[np.bool_], settings: SiteSettings) -> NDArray[np.float64]:
    found = base * (1 + settings.rho * same) + settings.offset * same
    return np.asarray(found / (1 + settings.rho), np.float64)
