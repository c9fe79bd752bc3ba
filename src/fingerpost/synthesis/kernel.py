"""Kernel ridge on packets: calibrated estimates whose every setting is chosen by leave-one-out, without held-out data.

The kernel is exp(-distance / length) over the share of differing bits, or over the squared distance of sketches where
packets carry them; the noise of a packet is ridge / weight, where the weight is the number of its records times its
confidence and its age factor. Probabilities are softmax(temperature x score). Length, ridge and temperature minimise
the leave-one-out log-loss (for numbers: squared error), in closed form.

Up to ``whole_packets_max`` packets are solved together. Length and ridge come from a sample that is drawn by what
packets say, never by their ids: an id depends on who emitted, and settings must not. Beyond that number every question
is solved on its nearest packets, equal distances ordered by packet id; temperature and residuals then come from asking
the same of sample packets that are left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from fingerpost.errors import UsageError
from fingerpost.synthesis import _search
from fingerpost.synthesis._draw import content_ranks, drawn_rows
from fingerpost.synthesis._solution import Solution, solve_one
from fingerpost.synthesis.distances import Scan, bit_shares, kernel, nearest_rows, sketch_distances
from fingerpost.synthesis.evidence import CONFIDENCE_CERTAIN, order_of_bytes
from fingerpost.synthesis.statistics import CHUNK_ROWS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from fingerpost.synthesis.distances import Family, Neighbours, NeighboursOf
    from fingerpost.synthesis.evidence import Evidence

QUERIES_AT_ONCE = 512
OTHERS_SPARE = 128  # neighbours looked at beyond those wanted where some may be of the wrong node
OTHERS_GROWTH = 8  # times as many are looked at when these were too few
NODES_TO_LEAVE_OUT = 3  # with two, leaving one out asks the other about a population it never saw


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelOptions:
    """How to fit: sizes, never data. The defaults are what the published figures use."""

    whole_packets_max: int = 2_048
    search_packets_max: int = 512  # settings of 1,024 score the same on every set measured, and cost four times as much
    neighbours: int = 256
    calibration_packets_max: int = 256
    records_max: int = 1_024  # no single summary weighs more than this many records
    half_life_days: int = 0  # 0: age does not matter
    validation: str = "packet"  # what is left out: "packet", or "node" for answers meant for a node not among them
    lengths: tuple[float, ...] = _search.LENGTHS  # times the median distance
    sketch_lengths: tuple[float, ...] = _search.SKETCH_LENGTHS
    ridges: tuple[float, ...] = _search.RIDGES

    def __post_init__(self) -> None:
        if self.validation not in ("packet", "node"):
            raise UsageError("kernel-options", f"validation is 'packet' or 'node', not {self.validation!r}")
        sizes = (self.search_packets_max, self.neighbours, self.calibration_packets_max, self.records_max)
        if min(sizes) < 1 or self.whole_packets_max < self.neighbours or self.half_life_days < 0:
            raise UsageError("kernel-options", "sizes are at least 1, and neighbours at most whole_packets_max")


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelSettings:
    """What fitting found."""

    family: Family
    length: float  # in units of the distance
    ridge: float
    temperature: float  # 1 for numbers
    spread: float  # share of probability given to all levels alike: 1 / (1 + weight of all packets)


@dataclass(frozen=True, slots=True, kw_only=True)
class Residuals:
    """Every calibration packet asked as if it were not there: ``r`` of them.

    ``nearest`` is the distance to its nearest other packet, of another node where there are three nodes or more;
    ``predicted`` and ``observed`` are (r, c) scores or values;
    ``variance`` is the posterior variance of the noise-free outcome (kernel units), ``weights`` its weight. ``rows``
    are rows of the evidence. ``by_node`` holds predictions without all packets of its node, where three nodes or more
    make that possible and the packets are solved whole.
    """

    rows: NDArray[np.int64]
    observed: NDArray[np.float64]
    predicted: NDArray[np.float64]
    by_node: NDArray[np.float64] | None
    variance: NDArray[np.float64]
    weights: NDArray[np.float64]
    nearest: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Smoothing:
    """Answers of one block of ``q`` queries as weighted sums over ``k`` packets.

    ``rows`` (k,) into the evidence, ``distances`` (q, k), ``weights`` h (q, k) with rows that sum to one, ``noise``
    (k,) the noise variances, ``variance`` (q,) of the noise-free outcome; variances in units of the kernel at zero.
    """

    rows: NDArray[np.int64]
    distances: NDArray[np.float64]
    weights: NDArray[np.float64]
    noise: NDArray[np.float64]
    variance: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class FittedKernel:
    """Evidence with its settings, ready for any number of questions. Made by ``fit``."""

    evidence: Evidence
    options: KernelOptions
    settings: KernelSettings
    weights: NDArray[np.float64]  # (n,) of every packet
    targets: NDArray[np.float64]  # (n, c)
    residuals: Residuals
    features: NDArray[np.uint8] | NDArray[np.float64]  # what distances are taken of
    order: NDArray[np.intp]  # by content: sums then do not depend on ids, nodes or arrival
    solution: Solution | None  # of all packets in that order, or None when every question is solved locally
    neighbours_of: NeighboursOf
    neighbours: Neighbours | None  # among fingerprints; None where there are sketches, or all is solved together

    def smooth(self, features: NDArray[np.uint8] | NDArray[np.float64]) -> Iterator[Smoothing]:
        """Yield the answers to queries (q, width) in blocks, in order."""
        if self.solution is not None:
            for start in range(0, len(features), QUERIES_AT_ONCE):
                yield self._smooth_whole(features[start : start + QUERIES_AT_ONCE])
            return
        for query in range(len(features)):
            yield self.smooth_near(features[query], self.nearest(features[query], self.options.neighbours))

    def predict(
        self, fingerprints: NDArray[np.uint8], sketches: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """Return (q, L) probabilities, or (q, 1) means, for fingerprints (q, B) (and sketch coordinates (q, 64))."""
        return self.estimate(self.scores(fingerprints, sketches))

    def scores(
        self, fingerprints: NDArray[np.uint8], sketches: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """Return (q, c) scores: weighted sums of outcomes, before temperature."""
        features = self.query_features(fingerprints, sketches)
        nothing = np.zeros((0, self.targets.shape[1]))
        return np.vstack([nothing, *(block.weights @ self.targets[block.rows] for block in self.smooth(features))])

    def estimate(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn scores (q, c) into probabilities; means pass unchanged.

        A share of 1 / (1 + records) goes to all levels alike: no finite evidence makes an outcome impossible.
        """
        if self.evidence.kind == "number":
            return scores
        return self.shrunk(_search.softmax(scores, self.settings.temperature))

    def shrunk(self, shares: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return ``shares`` (q, L) mixed with equal ones, as much as the settings say."""
        spread = self.settings.spread
        return np.asarray((1 - spread) * shares + spread / shares.shape[1], np.float64)

    def query_features(
        self, fingerprints: NDArray[np.uint8], sketches: NDArray[np.float64] | None
    ) -> NDArray[np.uint8] | NDArray[np.float64]:
        """Return what distances to queries are taken of: fingerprints, or sketch coordinates."""
        if self.settings.family == "bits":
            return fingerprints
        if sketches is None:
            raise UsageError("query-sketch", "these packets are compared by sketch; the query has none")
        return sketches

    def _distances(
        self, left: NDArray[np.uint8] | NDArray[np.float64], right: NDArray[np.uint8] | NDArray[np.float64]
    ) -> NDArray[np.float64]:
        return feature_distances(self.settings.family, left, right)

    def _smooth_whole(self, queries: NDArray[np.uint8] | NDArray[np.float64]) -> Smoothing:
        if self.solution is None:
            raise AssertionError("only packets solved whole come here")
        distances = self._distances(queries, self.features[self.order])
        cross = kernel(distances, self.settings.length)
        return Smoothing(
            rows=self.order.astype(np.int64),
            distances=distances,
            weights=self.solution.weights(cross),
            noise=self.settings.ridge / self.weights[self.order],
            variance=self.solution.variance(cross),
        )

    @cached_property
    def content(self) -> NDArray[np.uint64]:
        """What packets are drawn by (n,): see ``content_ranks``."""
        return content_ranks(self.evidence, self.weights)

    def content_of(self, rows: NDArray[np.int64]) -> NDArray[np.uint64]:
        """Return the same of some rows, ascending: of few of many no more than these are looked at."""
        if "content" in self.__dict__ or OTHERS_GROWTH * len(rows) > len(self.evidence):
            return self.content[rows]
        return content_ranks(self.evidence.subset(rows), self.weights[rows])

    def cross(self, queries: NDArray[np.uint8] | NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the kernels (q, n) between queries (q, width) and all packets in ``order``."""
        return kernel(self._distances(queries, self.features[self.order]), self.settings.length)

    def nearest(self, query: NDArray[Any], count: int) -> NDArray[np.int64]:
        """Return the rows of the ``count`` packets nearest to a query, nearest first, equal ones in row order."""
        if self.neighbours is not None:
            found: NDArray[np.int64] = self.neighbours.nearest(query.astype(np.uint8)[None], count)[0]
            return found
        return nearest_rows(self._distances(query[None], self.features)[0], count)

    def nearest_others(self, row: int, count: int, others: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Return the ``count`` (all, if there are fewer) packets nearest to one of them among ``others`` (n,)."""
        wide, total = count + OTHERS_SPARE, len(self.evidence)
        while True:
            near = self.nearest(self.features[row], wide)
            found = near[others[near]][:count]
            if len(found) == count or wide >= total:
                return found
            wide = min(OTHERS_GROWTH * wide, total)

    def smooth_near(self, query: NDArray[np.uint8] | NDArray[np.float64], rows: NDArray[np.int64]) -> Smoothing:
        """Solve one question on the packets of ``rows``."""
        near = self.features[rows]
        noise = self.settings.ridge / self.weights[rows]
        gram = kernel(self._distances(near, near), self.settings.length)
        distances = self._distances(query[None], near)
        weights, variance = solve_one(gram, noise, kernel(distances, self.settings.length)[0])
        return Smoothing(
            rows=rows, distances=distances, weights=weights[None], noise=noise, variance=np.array([variance])
        )


def restrict(fitted: FittedKernel, rows: NDArray[np.int64]) -> FittedKernel:
    """Return the same calculator on ``rows`` only: settings and residuals stay, the system is solved anew."""
    chosen = np.sort(rows)
    evidence = fitted.evidence.subset(chosen)
    weights, features = fitted.weights[chosen], fitted.features[chosen]
    settings = replace(fitted.settings, spread=_spread(weights))
    order, solution = _solve(evidence, features, weights, settings, fitted.options)
    return replace(
        fitted,
        settings=settings,
        evidence=evidence,
        weights=weights,
        targets=fitted.targets[chosen],
        features=features,
        order=order,
        solution=solution,
        neighbours=_neighbours(evidence, fitted.settings.family, solution, fitted.neighbours_of),
    )


def fit(
    evidence: Evidence,
    *,
    day: int = 0,
    options: KernelOptions | None = None,
    sketches: NDArray[np.float64] | None = None,
    settings: KernelSettings | None = None,
    residuals: Residuals | None = None,
    neighbours_of: NeighboursOf = Scan,
) -> FittedKernel:
    """Fit kernel ridge to ``evidence`` as of ``day`` (for ages); ``sketches`` (n, 64) are its sketch coordinates.

    Given ``settings``, found on other packets of the same template, are used as they are; so are ``residuals``, found
    on these very packets with these settings. ``neighbours_of`` makes what finds neighbours among more packets than are
    solved together; whichever it is, it finds the same.

    :raises UsageError: when no packet has any weight, or the settings belong to another kind of distance.
    """
    chosen = options or KernelOptions()
    weights = packet_weights(evidence, day=day, options=chosen)
    if not len(evidence) or weights.min() <= 0:
        raise UsageError("kernel-empty", "fitting needs packets, each of a weight above zero")
    family: Family = "bits" if sketches is None else "sketch"
    if settings is not None and settings.family != family:
        raise UsageError(
            "kernel-settings", f"the settings are for {settings.family} distances, the packets have {family}"
        )
    features = evidence.fingerprints if sketches is None else sketches
    targets = evidence.targets()
    used = settings or _search_settings(evidence, family, features, targets, weights, chosen)
    order, solution = _solve(evidence, features, weights, used, chosen)
    fitted = FittedKernel(
        evidence=evidence,
        options=chosen,
        settings=used,
        weights=weights,
        targets=targets,
        residuals=residuals or _no_residuals(targets.shape[1]),
        features=features,
        order=order,
        solution=solution,
        neighbours=_neighbours(evidence, family, solution, neighbours_of),
        neighbours_of=neighbours_of,
    )
    if settings is not None and residuals is not None:
        return fitted
    fitted = replace(fitted, residuals=_residuals_whole(fitted) if solution else _residuals_near(fitted))
    return fitted if settings else replace(fitted, settings=replace(used, temperature=_temperature(fitted)))


def _neighbours(
    evidence: Evidence, family: Family, solution: Solution | None, neighbours_of: NeighboursOf
) -> Neighbours | None:
    return None if solution is not None or family != "bits" else neighbours_of(evidence.fingerprints)


def packet_weights(evidence: Evidence, *, day: int, options: KernelOptions) -> NDArray[np.float64]:
    """Return (n,) records x confidence x 2^(-age / half-life) x trust: a claim can lower a weight, never raise it."""
    weights = np.minimum(evidence.records, options.records_max) * (evidence.confidences / CONFIDENCE_CERTAIN)
    if options.half_life_days:
        weights = weights * 0.5 ** (np.maximum(day - evidence.epochs, 0) / options.half_life_days)
    if evidence.trust is not None:
        weights = weights * evidence.trust
    return np.asarray(weights, np.float64)


def feature_distances(
    family: Family, left: NDArray[np.uint8] | NDArray[np.float64], right: NDArray[np.uint8] | NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return (p, q) distances: the share of differing bits, or the squared distance of sketches."""
    if family == "sketch":
        return sketch_distances(left.astype(np.float64), right.astype(np.float64))
    return bit_shares(left.astype(np.uint8, copy=False), right.astype(np.uint8, copy=False))


def _spread(weights: NDArray[np.float64]) -> float:
    parts = (weights[start : start + CHUNK_ROWS].tolist() for start in range(0, len(weights), CHUNK_ROWS))
    return 1 / (1 + math.fsum(weight for part in parts for weight in part))


def _solve(
    evidence: Evidence,
    features: NDArray[np.uint8] | NDArray[np.float64],
    weights: NDArray[np.float64],
    settings: KernelSettings,
    options: KernelOptions,
) -> tuple[NDArray[np.intp], Solution | None]:
    """Return the order by content and the solution of all packets, or row order and None when there are too many."""
    if len(evidence) > options.whole_packets_max:
        return np.arange(len(evidence)), None
    order = _content_order(evidence, features, weights)
    distances = feature_distances(settings.family, features[order], features[order])
    return order, Solution.of(kernel(distances, settings.length), settings.ridge / weights[order])


def _search_settings(
    evidence: Evidence,
    family: Family,
    features: NDArray[np.uint8] | NDArray[np.float64],
    targets: NDArray[np.float64],
    weights: NDArray[np.float64],
    options: KernelOptions,
) -> KernelSettings:
    sample = drawn_rows(evidence, weights, options.search_packets_max)
    part = evidence.subset(sample)
    sample = sample[_content_order(part, features[sample], weights[sample])]
    distances = feature_distances(family, features[sample], features[sample])
    spread = _spread(weights)
    if len(sample) < _search.SEARCH_PACKETS_MIN:
        length = _search.usual_length(distances)
        return KernelSettings(family=family, length=length, ridge=_search.RIDGE_USUAL, temperature=1.0, spread=spread)
    found = _search.search(
        distances,
        targets[sample],
        weights[sample],
        kind=evidence.kind,
        lengths=options.lengths if family == "bits" else options.sketch_lengths,
        ridges=options.ridges,
    )
    return KernelSettings(family=family, length=found.length, ridge=found.ridge, temperature=1.0, spread=spread)


def _content_order(
    evidence: Evidence, features: NDArray[np.uint8] | NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.intp]:
    """Order packets by what they say, not by id or node: packets that say the same are interchangeable."""
    outcome = evidence.targets() if evidence.kind == "number" else evidence.outcome_counts()
    columns = (features, outcome, weights[:, None])
    as_bytes = [np.ascontiguousarray(column).view(np.uint8).reshape(len(evidence), -1) for column in columns]
    return order_of_bytes(np.hstack(as_bytes))


def _no_residuals(columns: int) -> Residuals:
    nothing, none = np.zeros((0, columns)), np.zeros(0)
    return Residuals(
        rows=np.zeros(0, np.int64),
        observed=nothing,
        predicted=nothing,
        by_node=None,
        variance=none,
        weights=none,
        nearest=none,
    )


def _residuals_whole(fitted: FittedKernel) -> Residuals:
    if fitted.solution is None:
        raise AssertionError("only packets solved whole come here")
    order, solution = fitted.order, fitted.solution
    observed = fitted.targets[order]
    groups = fitted.evidence.node_index[order]
    by_node = (
        observed - solution.left_out_by(groups, observed)
        if len(fitted.evidence.node_ids) >= NODES_TO_LEAVE_OUT
        else None
    )
    noise = fitted.settings.ridge / fitted.weights[order]
    variance = 1 / np.maximum(solution.leverage(), 1e-12) - noise
    distances = fitted._distances(fitted.features[order], fitted.features[order])
    own = groups[:, None] == groups if by_node is not None else np.eye(len(order), dtype=bool)
    return Residuals(
        rows=order.astype(np.int64),
        observed=observed,
        predicted=observed - solution.left_out(observed),
        by_node=by_node,
        variance=np.maximum(variance, 0),
        weights=fitted.weights[order],
        nearest=np.where(own, np.inf, distances).min(axis=1),
    )


def _residuals_near(fitted: FittedKernel) -> Residuals:
    rows = drawn_rows(fitted.evidence, fitted.weights, fitted.options.calibration_packets_max)
    nodes, by_node = fitted.evidence.node_index, len(fitted.evidence.node_ids) >= NODES_TO_LEAVE_OUT
    predicted, variance, nearest = [], [], []
    for row in rows.tolist():
        near = fitted.nearest(fitted.features[row], fitted.options.neighbours + 1)
        smoothing = fitted.smooth_near(fitted.features[row], near[near != row][: fitted.options.neighbours])
        predicted.append(smoothing.weights[0] @ fitted.targets[smoothing.rows])
        variance.append(float(smoothing.variance[0]))
        if by_node:
            others = near[nodes[near] != nodes[row]]
            other = others[0] if len(others) else fitted.nearest_others(row, 1, nodes != nodes[row])[0]
            apart = fitted._distances(fitted.features[row][None], fitted.features[other][None])[0, 0]
        else:
            apart = smoothing.distances[0, 0]
        nearest.append(float(apart))
    return Residuals(
        rows=rows.astype(np.int64),
        observed=fitted.targets[rows],
        predicted=np.array(predicted),
        by_node=None,
        variance=np.array(variance),
        weights=fitted.weights[rows],
        nearest=np.array(nearest),
    )


def left_out_near(
    fitted: FittedKernel, rows: NDArray[np.int64], *, with_node: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return scores (r, c) and variances (r,) of packets asked as if they were not there, each on its nearest others.

    With ``with_node`` the other packets of its node are not there either, if there are nodes enough.
    """
    nodes = fitted.evidence.node_index
    apart = with_node and len(fitted.evidence.node_ids) >= NODES_TO_LEAVE_OUT
    predicted, variance = np.empty((len(rows), fitted.targets.shape[1])), np.empty(len(rows))
    for place, row in enumerate(rows):
        others = nodes != nodes[row] if apart else np.arange(len(nodes)) != row
        near = fitted.nearest_others(int(row), fitted.options.neighbours, others)
        smoothing = fitted.smooth_near(fitted.features[row], near)
        predicted[place], variance[place] = smoothing.weights[0] @ fitted.targets[near], smoothing.variance[0]
    return predicted, variance


def _temperature(fitted: FittedKernel) -> float:
    if fitted.evidence.kind == "number":
        return 1.0
    found = fitted.residuals
    by_node = fitted.options.validation == "node" and found.by_node is not None
    predicted = found.by_node if by_node and found.by_node is not None else found.predicted
    return _search.fit_temperature(predicted, found.observed, found.weights)[0]
