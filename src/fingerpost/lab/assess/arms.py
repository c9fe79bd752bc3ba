"""The arms of an assessment: every one sees the same training rows, and says something about the same asked rows."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fingerpost.errors import UsageError
from fingerpost.lab import pool
from fingerpost.lab.federated.arms import federated_forecast
from fingerpost.lab.federated.clients import Plan, Shard
from fingerpost.synthesis import Synthesizer

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from fingerpost.synthesis import Evidence
    from fingerpost.template import Template

    Probabilities = NDArray[np.float64]
    Rows = NDArray[np.int64]

NUMBER_SIZE_BYTES = 4
NEIGHBOURS = 5
TREES = 100


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Setting:
    """One split under one partition: what each arm is given.

    ``codes`` (n,) are outcomes as their owners state them; ``owners`` (n,) say which node has a row, ``train`` which
    rows it may tell of; ``asked`` (q,) are the rows asked about, each at one node ``asked_at`` (q,).
    """

    features: NDArray[np.float64]
    encoded: NDArray[np.int16]
    template: Template
    codes: Rows
    levels: int
    owners: Rows
    nodes: int
    train: Rows
    asked: Rows
    asked_at: Rows
    plan: Plan
    seed: int

    def rows_of(self, node: int) -> Rows:
        """Return the training rows of a node."""
        return np.asarray(self.train[self.owners[self.train] == node], np.int64)

    def shards(self) -> list[Shard]:
        """Return every node's training rows as federated arms take them."""
        owned = [self.rows_of(node) for node in range(self.nodes)]
        return [Shard(rows=self.features[rows], codes=self.codes[rows]) for rows in owned]


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What an arm says about the asked rows: (q, L) probabilities; what it moved, and how long it took."""

    probabilities: Probabilities
    bytes: int
    seconds: float


def run_arm(name: str, setting: Setting) -> Said:
    """Return what arm ``name`` (one of ``ARMS``) says."""
    started = time.perf_counter()
    probabilities, moved = ARMS[name](setting)
    return Said(probabilities=probabilities, bytes=moved, seconds=time.perf_counter() - started)


def packets_of(setting: Setting) -> NDArray[Any]:
    """Return the signed packets of all training rows, as their owners' nodes would emit them."""
    train = setting.train
    outcomes = _template_codes(setting.template)[setting.codes[train]]
    return pool.emit(setting.template, setting.encoded[train], outcomes, nodes=setting.owners[train], seed=setting.seed)


def forecast_of(evidence: Evidence, setting: Setting, asked: Rows) -> Probabilities:
    """Return what the calculator says about rows ``asked`` from ``evidence``."""
    questions = pool.Questions(setting.template, setting.encoded[asked])
    synthesizer = Synthesizer(evidence, setting.template, day=pool.DAY)
    said = synthesizer.uncertainty.fitted.predict(questions.fingerprints)
    return said[:, _template_codes(setting.template)]


def _template_codes(template: Template) -> Rows:
    """Return for each of our levels its number in the template, which orders them by name."""
    levels: tuple[str, ...] = getattr(template.outcome, "levels", ())
    if not levels:
        raise UsageError("lab-outcome", "the outcome of an assessment is a category")
    return np.array(sorted(range(len(levels)), key=lambda place: levels[place]), np.int64)


def _majority(setting: Setting) -> tuple[Probabilities, int]:
    shares = _shares(setting.codes[setting.train], setting.levels)
    return np.tile(shares, (len(setting.asked), 1)), setting.nodes * setting.levels * NUMBER_SIZE_BYTES


def _shares(codes: Rows, levels: int) -> Probabilities:
    counts = np.bincount(codes, minlength=levels) + 1.0
    return np.asarray(counts / counts.sum(), np.float64)


def _outcome_routing(setting: Setting) -> tuple[Probabilities, int]:
    packets = packets_of(setting)
    said = forecast_of(pool.collect(setting.template, packets), setting, setting.asked)
    return said, packets.nbytes * (setting.nodes - 1)  # every node fetches what the others emitted


def _own_packets(setting: Setting) -> tuple[Probabilities, int]:
    def local(node: int, asked: Rows) -> Probabilities:
        rows = setting.rows_of(node)
        if len(np.unique(setting.codes[rows])) < 2:
            return _alone(setting, node, asked)
        own = replace(setting, train=rows)
        return forecast_of(pool.collect(own.template, packets_of(own)), own, asked)

    return _by_node(setting, local), 0


def _alone(setting: Setting, node: int, asked: Rows) -> Probabilities:
    return np.tile(_shares(setting.codes[setting.rows_of(node)], setting.levels), (len(asked), 1))


def _by_node(setting: Setting, local: Callable[[int, Rows], Probabilities]) -> Probabilities:
    said = np.zeros((len(setting.asked), setting.levels))
    for node in np.unique(setting.asked_at):
        here = setting.asked_at == node
        said[here] = local(int(node), setting.asked[here])
    return said


def _model(name: str, seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression

    if name == "logistic":
        return LogisticRegression(C=0.3, max_iter=1_000, tol=1e-3)
    if name == "forest":
        return RandomForestClassifier(TREES, min_samples_leaf=3, random_state=seed)
    return HistGradientBoostingClassifier(max_iter=100, learning_rate=0.1, max_leaf_nodes=15, random_state=seed)


def _fitted(setting: Setting, name: str, rows: Rows, asked: Rows) -> Probabilities:
    """Return what a model trained on ``rows`` says; outcomes it never saw keep one imagined row."""
    model = _model(name, setting.seed).fit(setting.features[rows], setting.codes[rows])
    said = np.zeros((len(asked), setting.levels))
    said[:, model.classes_] = model.predict_proba(setting.features[asked])
    unseen = setting.levels - len(model.classes_)
    return np.where(said > 0, said * len(rows), float(unseen > 0)) / (len(rows) + unseen)


def _local(name: str) -> Callable[[Setting], tuple[Probabilities, int]]:
    def local(setting: Setting) -> tuple[Probabilities, int]:
        def say(node: int, asked: Rows) -> Probabilities:
            rows = setting.rows_of(node)
            if len(np.unique(setting.codes[rows])) < 2:
                return _alone(setting, node, asked)
            return _fitted(setting, name, rows, asked)

        return _by_node(setting, say), 0

    return local


def _central(name: str) -> Callable[[Setting], tuple[Probabilities, int]]:
    def central(setting: Setting) -> tuple[Probabilities, int]:
        rows = setting.features[setting.train]
        return _fitted(setting, name, setting.train, setting.asked), rows.size * NUMBER_SIZE_BYTES

    return central


def _neighbours(setting: Setting) -> tuple[Probabilities, int]:
    """Every question goes to all nodes; each returns its nearest rows' distances and outcomes: exact when pooled."""
    from sklearn.neighbors import NearestNeighbors

    count = min(NEIGHBOURS, len(setting.train))
    index = NearestNeighbors(n_neighbors=count).fit(setting.features[setting.train])
    near = setting.codes[setting.train][index.kneighbors(setting.features[setting.asked], return_distance=False)]
    votes = np.stack([(near == level).sum(axis=1) for level in range(setting.levels)], axis=1)
    question = (setting.features.shape[1] + 2 * count) * NUMBER_SIZE_BYTES
    said = (votes + 1 / setting.levels) / (count + 1)
    return said, len(setting.asked) * (setting.nodes - 1) * question


def _statistics(setting: Setting) -> tuple[Probabilities, int]:
    """Nodes send counts, sums and one matrix of products, once: linear discriminant analysis, shrunk a little."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    model: Any = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.01)
    model.fit(setting.features[setting.train], setting.codes[setting.train])
    said = np.zeros((len(setting.asked), setting.levels))
    said[:, model.classes_] = model.predict_proba(setting.features[setting.asked])
    width = setting.features.shape[1]
    numbers = setting.levels * (width + 1) + width * (width + 1) // 2
    return said, 2 * setting.nodes * numbers * NUMBER_SIZE_BYTES


def _federated(name: str) -> Callable[[Setting], tuple[Probabilities, int]]:
    def federated(setting: Setting) -> tuple[Probabilities, int]:
        found = federated_forecast(name, setting.shards(), setting.features[setting.asked], setting.plan)
        return found.probabilities, found.bytes

    return federated


ARMS: dict[str, Callable[[Setting], tuple[Probabilities, int]]] = {
    "majority": _majority,
    "local_logistic": _local("logistic"),
    "local_forest": _local("forest"),
    "own_packets": _own_packets,
    "outcome_routing": _outcome_routing,
    "federated_neighbours": _neighbours,
    "one_shot_lda": _statistics,
    "fedavg": _federated("fedavg"),
    "fedprox": _federated("fedprox"),
    "scaffold": _federated("scaffold"),
    "central_logistic": _central("logistic"),
    "central_forest": _central("forest"),
    "central_boosting": _central("boosting"),
}
LOCAL_ARMS = ("local_logistic", "local_forest", "own_packets")
FEDERATED_ARMS = ("fedavg", "fedprox", "scaffold")
CENTRAL_ARMS = ("central_logistic", "central_forest", "central_boosting")
ROUTING = "outcome_routing"
