"""The port ``Calculator``: one way to turn packets into a forecast, and what every such way promises.

A calculator is fitted to a pool of evidence of which some packets may be the asker's own. Its promises, each checked by
``fingerpost.testing.calculator_kit.check_calculator``:

- **Forecasts are distributions.** Probabilities are above zero and sum to one; deviations are above zero; nothing is
  infinite. A calculator that has nothing to go on for a question is not awake for it, rather than wrong.
- **The same evidence gives the same forecast**, in whatever order questions come and however many come together.
- **Left out means left out.** ``left_out`` forecasts each judged packet as if it were not there.
- **No chance, no clock, no I/O.** Whatever it needs is in the pool.

Other packages offer calculators through the entry-point group ``fingerpost.calculators``; a point names a callable
without arguments that returns one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

import numpy as np

from fingerpost.errors import UsageError
from fingerpost.synthesis import outcomes
from fingerpost.synthesis._draw import least
from fingerpost.synthesis.intervals import CORRELATION_USUAL
from fingerpost.synthesis.kernel import feature_distances, left_out_near, packet_weights

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from fingerpost.synthesis._site_kernel import SiteFindings
    from fingerpost.synthesis.evidence import Evidence
    from fingerpost.synthesis.kernel import FittedKernel, KernelOptions, KernelSettings

CALCULATORS_GROUP = "fingerpost.calculators"
ALONE = "alone"  # the calculator that asks nobody
ALONE_RECORDS_MIN = 20  # of its own: below, left-out packets cannot say how sure it may be (their 5 % quantile)
OWN_RECORDS_MIN = 5  # fewer cannot rule out a coin toss at 95 %, however unanimous: see ``_abstention``
EVEN_SHARE_MIN = 0.75  # of all records have to be left when nodes' levels are made alike, for nodes to be alike
CONTROLS_MAX = 128
CONTROLS_WORTH = 32.0  # records of the asker's own that others' packets are worth: few own ones never vote alone
JUDGED_MAX = 256  # packets that calculators are compared on before any answer was confirmed
SEEN_MIN = 0.5  # of what all packets expect of a question of the asker's own kind is what it has seen
STRANGE_OWN_SHARE = 0.1  # a question stranger than this share of the asker's own packets is not of its own kind
PROBABILITY_MIN = 1e-12
UNIFORM_SHARE = 0.01  # of every forecast of a number goes to its whole range alike, so that no loss is infinite


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Questions:
    """Situations to forecast: fingerprints (q, B), and sketch coordinates (q, 64) where the template has sketches.

    ``pooled`` are the scores (q, c) and variances (q,) of the kernel on all packets, where they are known already.
    """

    fingerprints: NDArray[np.uint8]
    sketches: NDArray[np.float64] | None = None
    pooled: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None

    def __len__(self) -> int:
        return len(self.fingerprints)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Forecast:
    """What one calculator expects of ``q`` questions, and for which of them it has anything to go on.

    ``values`` are probabilities (q, L), or means (q, 1) with standard deviations ``deviations`` (q,).
    """

    values: NDArray[np.float64]
    deviations: NDArray[np.float64] | None
    awake: NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class Pool:
    """What a calculator is fitted to: packets, whose they are, and kernel ridge on all of them, fitted once.

    ``own`` (n,) marks the asker's packets. Numbers lie between ``low`` and ``high``. ``judged`` (j,) are rows that
    calculators are compared on by being left out: the asker's own and some of others, or where there are too few own
    ones a sample of all, of which each then is left out with all packets of its node. ``known`` are settings that
    calculators, by name, found on the very same pool before.
    """

    evidence: Evidence
    own: NDArray[np.bool_]
    day: int
    options: KernelOptions
    low: float
    high: float
    fitted: FittedKernel
    known: Mapping[str, KernelSettings | SiteFindings] = field(default_factory=dict)

    @cached_property
    def weights(self) -> NDArray[np.float64]:
        """Return the weight (n,) of every packet."""
        return self.fitted.weights

    @cached_property
    def own_rows(self) -> NDArray[np.int64]:
        """Return the rows of the asker's packets."""
        return np.flatnonzero(self.own).astype(np.int64)

    @cached_property
    def has_own(self) -> bool:
        """Whether the asker has enough packets of its own to learn from."""
        return float(self.evidence.records[self.own].sum()) >= OWN_RECORDS_MIN and len(self.own_rows) > 1

    @cached_property
    def stands_alone(self) -> bool:
        """Whether the asker has many packets, of several outcomes: some say how sure the others may be."""
        several = not self.evidence.levels or int((self._own_held > 0).sum()) > 1
        return self.has_many and (self.own_judges or several)

    @cached_property
    def has_many(self) -> bool:
        """Whether the asker has records enough that left-out ones say how sure it may be."""
        return float(self.evidence.records[self.own].sum()) >= ALONE_RECORDS_MIN

    @cached_property
    def own_judges(self) -> bool:
        """Whether the asker's own outcomes may say what is special about it, before any answer was confirmed.

        Not where they lack a usual level, or have so little of one that hardly any records are left once all levels
        are as usual among them as in the pool (``outcomes.records_left``): then the asker counts as a newcomer.
        Confirmed answers decide later on.
        """
        if not self.has_own or not self.evidence.levels:
            return self.has_own
        return bool(outcomes.records_left(self._own_held, self._records.sum(axis=0))[0] >= OWN_RECORDS_MIN)

    @cached_property
    def nodes_judge(self) -> bool:
        """Whether packets of a newcomer's pool are left out together with their nodes.

        Not where nodes differ much in which levels they have: a pool without a node then lacks a level, not a node's
        peculiarities.
        """
        if self.own_judges:
            return False
        if not self.evidence.levels:
            return True
        return bool(self._left.sum() >= EVEN_SHARE_MIN * self._held.sum())

    @cached_property
    def judged(self) -> NDArray[np.int64]:
        """Return the rows that calculators are compared on, ascending."""
        if not self.own_judges:
            return self.sample(np.arange(len(self.evidence)), JUDGED_MAX)
        own = self.sample(self.own_rows, JUDGED_MAX)
        return np.sort(np.concatenate([own, self.sample(np.flatnonzero(~self.own).astype(np.int64), CONTROLS_MAX)]))

    @cached_property
    def judged_worths(self) -> NDArray[np.float64]:
        """Return how many records of the asker's own each judged row is worth (k, j), in one or two ways.

        The asker's count one each; those of others ``CONTROLS_WORTH`` in all beside them. Where there are no own ones,
        they are worth no more than 1 / rho records a node, as in every interval here. For levels the second way counts
        a node's records as if it had seen each level as often as the pool has (``outcomes``). A calculation has proven
        better only where it is so both ways.
        """
        own = self.own[self.judged]
        if self.own_judges:
            plain = np.where(own, 1.0, min(1.0, CONTROLS_WORTH / max(int((~own).sum()), 1)))
            if not self.evidence.levels:
                return plain[None, :]
            return np.stack([plain, self._evened(self.judged, own, CONTROLS_WORTH)])
        index = self.evidence.node_index[self.judged]
        plain = np.full(len(own), self.share_of_worth(self.judged))
        if not self.evidence.levels or not self.nodes_judge:
            return plain[None, :]
        fit = self._left[index] >= OWN_RECORDS_MIN
        most = len(np.unique(index[fit])) / CORRELATION_USUAL
        return np.stack([plain, self._evened(self.judged, np.zeros(len(own), bool), most)])

    def _evened(self, rows: NDArray[np.int64], own: NDArray[np.bool_], others_most: float) -> NDArray[np.float64]:
        """Return what rows are worth (k,) if each node had seen levels as often as the pool; of others', so much."""
        index = self.evidence.node_index[rows]
        raw = self._importance(rows, self._held[index]) * (own | (self._left[index] >= OWN_RECORDS_MIN))
        found = np.zeros(len(rows))
        found[own], found[~own] = outcomes.worth(raw[own]), outcomes.worth(raw[~own])
        found[~own] *= min(1.0, others_most / max(float(found[~own].sum()), 1e-9))
        return found

    def share_of_worth(self, rows: NDArray[np.int64]) -> float:
        """Return what each of some rows of several nodes is worth: in all no more than 1 / rho records a node."""
        nodes = len(np.unique(self.evidence.node_index[rows]))
        return min(1.0, nodes / CORRELATION_USUAL / max(len(rows), 1))

    @cached_property
    def _own_held(self) -> NDArray[np.float64]:
        """Return how many records of each level the asker has (1, L)."""
        return np.asarray(self._records[self.own].sum(axis=0)[None, :], np.float64)

    @cached_property
    def _records(self) -> NDArray[np.float64]:
        """Return how many records of each level a packet stands for (n, L)."""
        return self.weights[:, None] * self.targets

    @cached_property
    def _held(self) -> NDArray[np.float64]:
        """Return how many records of each level each node has (V, L)."""
        index, count = self.evidence.node_index, len(self.evidence.node_ids)
        return np.stack([np.bincount(index, column, minlength=count) for column in self._records.T], axis=1)

    @cached_property
    def _left(self) -> NDArray[np.float64]:
        """Return how many records of each node (V,) stand for the pool."""
        return outcomes.records_left(self._held, self._held.sum(axis=0))

    def _importance(self, rows: NDArray[np.int64], held: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return what makes records of rows (k,) of nodes that have ``held`` (k or 1, L) representative of the pool."""
        return np.asarray((self.targets[rows] * outcomes.importance(held, self._records.sum(axis=0))).sum(axis=1))

    def sample(self, rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
        """Return ``count`` of some rows, or all, as content alone picks them."""
        if len(rows) <= count:
            return rows
        if count <= 0:
            return rows[:0]
        return np.sort(rows[least(self.fitted.content_of(rows), count)])

    @cached_property
    def targets(self) -> NDArray[np.float64]:
        """Return what a regression fits: (n, L) shares of the levels, or (n, 1) values."""
        return self.fitted.targets

    @property
    def features(self) -> NDArray[np.uint8] | NDArray[np.float64]:
        """Return what distances are taken of: fingerprints (n, B) or sketch coordinates (n, 64)."""
        return self.fitted.features

    def features_of(self, questions: Questions) -> NDArray[np.uint8] | NDArray[np.float64]:
        """Return the same of questions."""
        return self.fitted.query_features(questions.fingerprints, questions.sketches)

    def at_home(self, questions: Questions) -> NDArray[np.bool_]:
        """Say of each question whether it is of the asker's own kind: no stranger than nine of ten of its own packets.

        What the asker has seen must not speak about what it has never seen: an asker whose packets hold three of ten
        outcomes would otherwise deny the other seven. So all packets together have to expect, more likely than not,
        one of the outcomes that it has seen.
        """
        found = self._is_near(self.features_of(questions))
        if self._has_seen_all or not found.any():
            return found
        sketches = None if questions.sketches is None else questions.sketches[found]
        found[found] = self._expects_own(self.fitted.predict(questions.fingerprints[found], sketches))
        return found

    def left_out_at_home(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Say the same of the situations of packets, each as if it were not there."""
        found = self._is_near(self.features[rows])
        if not self._has_seen_all:
            found &= self._expects_own(self.fitted.estimate(self.without(rows)[0]))
        return found

    def without(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the pooled kernel's scores (k, c) and variances (k,) of packets, each left out alone."""
        if self.fitted.solution is None:
            return left_out_near(self.fitted, rows, with_node=False)
        places = np.empty(len(self.evidence), np.int64)
        places[self.fitted.residuals.rows] = np.arange(len(self.evidence))
        return self.fitted.residuals.predicted[places[rows]], self.fitted.residuals.variance[places[rows]]

    def _is_near(self, features: NDArray[np.uint8] | NDArray[np.float64]) -> NDArray[np.bool_]:
        if not self.has_own:
            return np.zeros(len(features), bool)
        own = self.features[self.own_rows]
        nearest = feature_distances(self.fitted.settings.family, features, own).min(axis=1)
        usual = self._own_nearest
        share = (1 + (usual[None, :] >= nearest[:, None]).sum(axis=1)) / (1 + len(usual))
        return np.asarray(share > max(STRANGE_OWN_SHARE, 1 / (1 + len(usual))), bool)

    @cached_property
    def _has_seen_all(self) -> bool:
        return not self.evidence.levels or bool((self._own_held > 0).all())

    def _expects_own(self, expected: NDArray[np.float64]) -> NDArray[np.bool_]:
        return np.asarray(expected @ (self._own_held[0] > 0) > SEEN_MIN, bool)

    @cached_property
    def _own_nearest(self) -> NDArray[np.float64]:
        rows = self.sample(self.own_rows, JUDGED_MAX)
        own, others = self.features[rows], self.features[self.own_rows]
        distances = feature_distances(self.fitted.settings.family, own, others)
        distances[rows[:, None] == self.own_rows[None, :]] = np.inf
        return np.asarray(distances.min(axis=1), np.float64)


class FittedCalculator(Protocol):
    """A calculator fitted to one pool."""

    def forecast(self, questions: Questions) -> Forecast:
        """Return what is expected in these situations."""
        ...

    def left_out(self) -> Forecast:
        """Return what was expected of ``pool.judged`` packets (j,), each as if it were not there."""
        ...


class Calculator(Protocol):
    """One way to turn packets into forecasts."""

    @property
    def name(self) -> str:
        """The name under which answers list it: lower case words joined by hyphens."""
        ...

    def fit(self, pool: Pool) -> FittedCalculator | None:
        """Fit to a pool of at least one packet; None when the pool holds nothing that this calculator could use."""
        ...


def losses(forecast: Forecast, targets: NDArray[np.float64], *, low: float, high: float) -> NDArray[np.float64]:
    """Return (q,) losses in nats of ``targets``: shares of levels (q, L), or numbers (q, 1) in a declared range.

    For levels it is the log-loss. For numbers it is -ln of the density relative to a uniform one on the declared range
    (so that it has no unit), the forecast being a normal distribution with a hundredth of it spread over that range.
    """
    if forecast.deviations is None:
        logs = np.log(np.maximum(forecast.values, PROBABILITY_MIN))
        return np.asarray(-(targets * logs).sum(axis=1), np.float64)
    scaled = (targets[:, 0] - forecast.values[:, 0]) / forecast.deviations
    density = np.exp(-0.5 * scaled**2) / (math.sqrt(2 * math.pi) * forecast.deviations) * (high - low)
    return np.asarray(-np.log((1 - UNIFORM_SHARE) * density + UNIFORM_SHARE), np.float64)


def number_loss(mean: float, deviation: float, value: float, *, low: float, high: float) -> float:
    """Return the loss in nats of one number, as ``losses`` does."""
    forecast = Forecast(values=np.array([[mean]]), deviations=np.array([deviation]), awake=np.ones(1, bool))
    return float(losses(forecast, np.array([[value]]), low=low, high=high)[0])


def check_forecast(forecast: Forecast, *, questions: int, levels: int, name: str) -> Forecast:
    """Return the forecast of a calculator if it is one; a stranger's code may have made it.

    :raises UsageError: (``calculator-forecast``) for shapes, infinities, or numbers that are no probabilities.
    """
    values, deviations = forecast.values, forecast.deviations
    fine = values.shape == (questions, levels or 1) and forecast.awake.shape == (questions,)
    if fine and levels:
        fine = deviations is None and bool((values > 0).all()) and bool(np.allclose(values.sum(axis=1), 1, atol=1e-6))
    elif fine:
        fine = deviations is not None and deviations.shape == (questions,) and bool((deviations > 0).all())
        fine = fine and deviations is not None and bool(np.isfinite(deviations).all())
    if not fine or not np.isfinite(values).all():
        raise UsageError(
            "calculator-forecast",
            f"the calculator {name!r} gave something that is no forecast",
            hint="run fingerpost.testing.calculator_kit.check_calculator on it",
        )
    return forecast


def own_pool(
    evidence: Evidence,
    fitted: FittedKernel,
    *,
    asker: bytes,
    day: int,
    options: KernelOptions,
    low: float = 0.0,
    high: float = 1.0,
    known: Mapping[str, KernelSettings | SiteFindings] | None = None,
) -> Pool:
    """Return evidence as a pool for the node with the id ``asker`` (32 bytes; empty for somebody without packets)."""
    mine = np.zeros(len(evidence.node_ids), bool)
    if asker:
        mine = (evidence.node_ids == np.frombuffer(asker, np.uint8)).all(axis=1)
    if len(fitted.weights) != len(packet_weights(evidence, day=day, options=options)):
        raise UsageError("calculator-pool", "the kernel was fitted to other packets than these")
    own = mine[evidence.node_index]
    return Pool(
        evidence=evidence, own=own, day=day, options=options, low=low, high=high, fitted=fitted, known=known or {}
    )
