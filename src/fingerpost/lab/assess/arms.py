"""The arms of an assessment: every one sees the same training rows, and says something about the same asked rows."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fingerpost.errors import UsageError
from fingerpost.fingerprint import Fingerprinter
from fingerpost.lab.assess.routing import DAY, Askers, by_node, evidence_of, packets_of, routed
from fingerpost.lab.federated.arms import federated_forecast
from fingerpost.synthesis.evidence import Evidence
from fingerpost.synthesis.kernel import fit

if TYPE_CHECKING:
    from collections.abc import Callable

    from fingerpost.lab.assess.setting import Probabilities, Rows, Setting

NUMBER_SIZE_BYTES = 4
NEIGHBOURS = 5
TREES = 100


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


def _majority(setting: Setting) -> tuple[Probabilities, int]:
    shares = setting.shares(setting.train)
    return np.tile(shares, (len(setting.asked), 1)), setting.nodes * setting.levels * NUMBER_SIZE_BYTES


def _routed(profile: str) -> Callable[[Setting], tuple[Probabilities, int]]:
    def say(setting: Setting) -> tuple[Probabilities, int]:
        return routed(setting, profile)

    return say


def _own_packets(setting: Setting) -> tuple[Probabilities, int]:
    """Our calculators without the others: what one's own packets say."""

    def local(node: int, asked: Rows) -> Probabilities:
        rows = setting.rows_of(node)
        if len(np.unique(setting.codes[rows])) < 2:
            return _alone(setting, node, asked)
        own = replace(setting, train=rows)
        return Askers(evidence_of(packets_of(own), own), own).forecast(node, asked, elections=False)

    return by_node(setting, local), 0


def _raw_rows(setting: Setting) -> tuple[Probabilities, int]:
    """Our kernel ridge on the rows themselves, all moved to one place: what fingerprints cost."""
    train = setting.train
    ids = np.zeros((len(train), 32), np.uint8)
    ids[:, :8] = np.arange(len(train), dtype=">u8").view(np.uint8).reshape(-1, 8)
    evidence = Evidence.from_arrays(
        fingerprints=Fingerprinter(setting.template).fingerprints(setting.encoded[train]),
        codes=setting.codes[train],
        counts=np.zeros((0, setting.levels), np.int64),
        packet_ids=ids,
    )
    rows = setting.features[train]
    fitted = fit(evidence, day=DAY, sketches=rows)
    said = fitted.predict(np.zeros((len(setting.asked), 1), np.uint8), setting.features[setting.asked])
    return said, rows.size * NUMBER_SIZE_BYTES


def _no_change(setting: Setting) -> tuple[Probabilities, int]:
    """What happened last at this node happens again, as surely as it did in training rows."""
    if setting.previous is None:
        raise UsageError("lab-arm", "rows without a time have nothing that could stay the same")
    seen = setting.train[setting.previous[setting.train] >= 0]
    stays = (1 + (setting.previous[seen] == setting.codes[seen]).sum()) / (2 + len(seen))
    last = setting.previous[setting.asked]
    said = np.full((len(last), setting.levels), (1 - stays) / max(setting.levels - 1, 1))
    known = last >= 0
    said[np.flatnonzero(known), last[known]] = stays
    said[~known] = setting.shares(setting.train)
    return said, 0


def _alone(setting: Setting, node: int, asked: Rows) -> Probabilities:
    return np.tile(setting.shares(setting.rows_of(node)), (len(asked), 1))


def _model(name: str, seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression

    if name == "logistic":
        return LogisticRegression(C=0.3, max_iter=1_000, tol=1e-3)
    if name == "svm":
        from sklearn.svm import SVC

        return SVC(C=1.0, probability=True, random_state=seed)
    if name == "forest":
        return RandomForestClassifier(TREES, min_samples_leaf=3, random_state=seed)
    return HistGradientBoostingClassifier(max_iter=100, learning_rate=0.1, max_leaf_nodes=15, random_state=seed)


def _fitted(setting: Setting, name: str, rows: Rows, asked: Rows) -> Probabilities:
    """Return what a model trained on ``rows`` says; outcomes it never saw keep one imagined row."""
    if len(np.unique(setting.codes[rows])) < 2:
        return np.tile(setting.shares(rows), (len(asked), 1))
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

        return by_node(setting, say), 0

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

    width = setting.features.shape[1]
    numbers = setting.levels * (width + 1) + width * (width + 1) // 2
    moved = 2 * setting.nodes * numbers * NUMBER_SIZE_BYTES
    if len(np.unique(setting.codes[setting.train])) < 2:
        return np.tile(setting.shares(setting.train), (len(setting.asked), 1)), moved
    model: Any = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.01)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Only one sample available")  # a level told once adds no products
        model.fit(setting.features[setting.train], setting.codes[setting.train])
    said = np.zeros((len(setting.asked), setting.levels))
    said[:, model.classes_] = model.predict_proba(setting.features[setting.asked])
    return said, moved


def _federated(name: str) -> Callable[[Setting], tuple[Probabilities, int]]:
    def federated(setting: Setting) -> tuple[Probabilities, int]:
        found = federated_forecast(name, setting.shards(), setting.features[setting.asked], setting.plan_of(name))
        return found.probabilities, found.bytes

    return federated


ARMS: dict[str, Callable[[Setting], tuple[Probabilities, int]]] = {
    "majority": _majority,
    "no_change": _no_change,
    "local_logistic": _local("logistic"),
    "local_forest": _local("forest"),
    "own_packets": _own_packets,
    "consortium": _routed("consortium"),
    "dp-aggregate": _routed("dp-aggregate"),
    "open": _routed("open"),
    "federated_neighbours": _neighbours,
    "one_shot_lda": _statistics,
    "fedavg": _federated("fedavg"),
    "fedavgm": _federated("fedavgm"),
    "fedadam": _federated("fedadam"),
    "fedprox": _federated("fedprox"),
    "scaffold": _federated("scaffold"),
    "moon": _federated("moon"),
    "gossip": _federated("gossip"),
    "asynchronous": _federated("asynchronous"),
    "fedma": _federated("fedma"),
    "top-k": _federated("top-k"),
    "eight-bits": _federated("eight-bits"),
    "dp-sgd": _federated("dp-sgd"),
    "secure-aggregation": _federated("secure-aggregation"),
    "xgb-bagging": _federated("xgb-bagging"),
    "pooled_rows": _raw_rows,
    "central_logistic": _central("logistic"),
    "central_svm": _central("svm"),
    "central_forest": _central("forest"),
    "central_boosting": _central("boosting"),
}
ROUTING = "consortium"
ROUTED_ARMS = ("consortium", "dp-aggregate", "open")
LOCAL_ARMS = ("local_logistic", "local_forest", "own_packets")
ONE_SHOT_ARMS = ("federated_neighbours", "one_shot_lda")
FEDERATED_ARMS = (
    "fedavg", "fedavgm", "fedadam", "fedprox", "scaffold", "moon", "gossip", "asynchronous", "fedma", "top-k",
    "eight-bits", "dp-sgd", "secure-aggregation", "xgb-bagging",
)  # fmt: skip
CENTRAL_ARMS = ("central_logistic", "central_svm", "central_forest", "central_boosting")
QUICK_ARMS = (
    "majority", "no_change", "local_logistic", "local_forest", "own_packets", "consortium", "dp-aggregate", "open",
    "federated_neighbours", "one_shot_lda", "fedavg", "fedprox", "scaffold", "central_logistic", "central_boosting",
)  # fmt: skip


def of_kind(arms: dict[str, Any], kind: tuple[str, ...]) -> tuple[str, ...]:
    """Return the arms of a kind that were run."""
    return tuple(name for name in kind if name in arms)
