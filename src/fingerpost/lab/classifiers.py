"""Central opponents: all training rows in one place, every setting chosen inside them (needs the ``lab`` extra).

Each arm may look at the same table in several forms (as the template encodes it, or raw; standardised or not) and keeps
the one that does best in cross-validation. Accuracy is taken from the class an arm names, other scores from calibrated
probabilities: scores of left-out rows, turned into probabilities by Platt's sigmoids or by multinomial logistic
regression, whichever has the lower cross-validated log-loss (Platt 1999; Guo et al. 2017, "matrix scaling").
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from fingerpost.lab.probabilities import log_loss

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

FOLDS = 5
SVM_MARGINS = (0.3, 1.0, 3.0, 10.0, 30.0)
SVM_WIDTHS = (0.1, 0.3, 1.0, 3.0)  # gamma, as a multiple of 1 / (columns x their mean variance)
LOGISTIC_PENALTIES = (0.003, 0.03, 0.3, 3.0)
FOREST_TREES = 300
FOREST_LEAVES = (1, 3)
FOREST_SHARES = ("sqrt", 0.3)
NEIGHBOURS = (1, 3, 5, 8, 12, 20, 30)
CALIBRATION_PENALTIES = (0.01, 0.1, 1.0, 10.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What an arm says about q test rows: ``named`` levels (q,), ``probabilities`` (q, L), its ``chosen`` settings."""

    named: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    chosen: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """``views``: name to (training table, test table); ``codes`` (n,) of the training rows."""

    views: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]]
    codes: NDArray[np.int64]
    levels: int
    seed: int

    def folds(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Yield (train, validation) rows of the training part."""
        from sklearn.model_selection import StratifiedKFold

        yield from StratifiedKFold(FOLDS, shuffle=True, random_state=self.seed).split(self.codes, self.codes)

    def left_out(
        self, table: NDArray[np.float64], make: Callable[[], Any], *, read: Callable[[Any, Any], NDArray[np.float64]]
    ) -> NDArray[np.float64]:
        """Return what ``read(model, rows)`` says about every training row when it was left out of the training."""
        said = np.empty((len(self.codes), self.levels))
        for train, validation in self.folds():
            model = make().fit(table[train], self.codes[train])
            said[validation] = read(model, table[validation])
        return said


def forecast(
    arm: str,
    tables: Mapping[str, NDArray[np.float64]],
    codes: NDArray[np.int64],
    *,
    train: NDArray[np.int64],
    test: NDArray[np.int64],
    seed: int = 0,
) -> Forecast:
    """Return what ``arm`` (one of ``ARMS``), tuned and trained on rows ``train``, says about rows ``test``.

    ``tables`` are forms (rows, width) of the same records; ``codes`` (rows,) are outcome levels. Only ``codes[train]``
    is read.
    """
    views: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
    for name, table in tables.items():
        centre, spread = table[train].mean(axis=0), table[train].std(axis=0)
        standard = (table - centre) / np.where(spread > 0, spread, 1.0)
        if name != "raw":
            views[name] = table[train], table[test]
        views[f"{name}, standardised"] = standard[train], standard[test]
    return ARMS[arm](_Task(views=views, codes=codes[train], levels=int(codes.max()) + 1, seed=seed))


def _svm(task: _Task) -> Forecast:
    from sklearn.svm import SVC

    best: tuple[float, dict[str, Any]] | None = None
    for view, (table, _) in task.views.items():
        usual = 1 / (table.shape[1] * table.var(axis=0).mean())
        for width in SVM_WIDTHS:
            for margin in SVM_MARGINS:
                chosen = {"view": view, "margin": margin, "gamma": usual * width}
                right = 0
                for train, validation in task.folds():
                    model = SVC(C=margin, gamma=usual * width).fit(table[train], task.codes[train])
                    right += int((model.predict(table[validation]) == task.codes[validation]).sum())
                if best is None or right > best[0]:
                    best = right, chosen
    if best is None:
        raise AssertionError("the grids are not empty")
    chosen = best[1]
    table, questions = task.views[chosen["view"]]

    def make() -> Any:
        return SVC(C=chosen["margin"], gamma=chosen["gamma"])

    scores = task.left_out(table, make, read=_decision)
    model = make().fit(table, task.codes)
    name, probability = _calibrate(scores, task)
    named = model.predict(questions).astype(np.int64)
    return Forecast(named=named, probabilities=probability(_decision(model, questions)), chosen={**chosen, "by": name})


def _decision(model: Any, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return one score a level (q, L), the binary score as a pair."""
    scores = np.asarray(model.decision_function(rows), np.float64)
    return scores if scores.ndim == 2 else np.column_stack([-scores, scores])


def _logistic(task: _Task) -> Forecast:
    from sklearn.linear_model import LogisticRegression

    def make(penalty: float) -> Any:
        return LogisticRegression(C=penalty, max_iter=3_000, tol=1e-3)

    choices = {}
    for view, (table, _) in task.views.items():
        for penalty in LOGISTIC_PENALTIES:
            said = task.left_out(table, partial(make, penalty), read=_probabilities)
            choices[view, penalty] = log_loss(said, task.codes)
    view, penalty = min(choices, key=choices.__getitem__)
    table, questions = task.views[view]
    probabilities = _probabilities(make(penalty).fit(table, task.codes), questions)
    return _forecast(probabilities, {"view": view, "penalty": penalty})


def _probabilities(model: Any, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(model.predict_proba(rows), np.float64)


def _forest(task: _Task) -> Forecast:
    """Choose leaf size and share of columns by out-of-bag log-loss, and calibrate on out-of-bag probabilities."""
    from sklearn.ensemble import RandomForestClassifier

    table, questions = next(iter(task.views.values()))  # trees do not care for scales
    best: tuple[float, Any, NDArray[np.float64], dict[str, Any]] | None = None
    for leaf in FOREST_LEAVES:
        for share in FOREST_SHARES:
            model = RandomForestClassifier(
                FOREST_TREES, min_samples_leaf=leaf, max_features=share, oob_score=True, random_state=task.seed
            ).fit(table, task.codes)
            out_of_bag = np.asarray(model.oob_decision_function_, np.float64)
            loss = log_loss(out_of_bag, task.codes)
            if best is None or loss < best[0]:
                best = loss, model, out_of_bag, {"leaf": leaf, "share": share}
    if best is None:
        raise AssertionError("the grids are not empty")
    _, model, out_of_bag, chosen = best
    name, probability = _calibrate(_log(out_of_bag), task)
    said = _probabilities(model, questions)
    named = said.argmax(axis=1)
    return Forecast(named=named, probabilities=probability(_log(said)), chosen={**chosen, "by": name})


def _log(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.log(np.maximum(probabilities, 0.5 / FOREST_TREES))


def _neighbours(task: _Task) -> Forecast:
    from sklearn.neighbors import KNeighborsClassifier

    def make(count: int, weights: str) -> Any:
        return KNeighborsClassifier(count, weights=weights)

    def read(model: Any, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        # One imagined neighbour of no known level: without it a unanimous vote would claim certainty.
        count = model.n_neighbors
        shares: NDArray[np.float64] = (count * _probabilities(model, rows) + 1 / task.levels) / (count + 1)
        return shares

    choices = {}
    for view, (table, _) in task.views.items():
        for count in NEIGHBOURS:
            for weights in ("uniform", "distance"):
                said = task.left_out(table, partial(make, count, weights), read=read)
                choices[view, count, weights] = log_loss(said, task.codes)
    view, count, weights = min(choices, key=choices.__getitem__)
    table, questions = task.views[view]
    probabilities = read(make(count, weights).fit(table, task.codes), questions)
    return _forecast(probabilities, {"view": view, "neighbours": count, "weights": weights})


def _forecast(probabilities: NDArray[np.float64], chosen: Mapping[str, Any]) -> Forecast:
    return Forecast(named=probabilities.argmax(axis=1), probabilities=probabilities, chosen=chosen)


def _calibrate(
    scores: NDArray[np.float64], task: _Task
) -> tuple[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]]:
    """Return the better way to turn scores (q, L) into probabilities, judged on left-out ``scores`` (n, L)."""
    ways: dict[str, Callable[[], Any]] = {"sigmoids": _Sigmoids}
    for penalty in CALIBRATION_PENALTIES:
        ways[f"multinomial {penalty}"] = partial(_Multinomial, penalty)
    losses = {
        name: log_loss(task.left_out(scores, make, read=_probabilities), task.codes) for name, make in ways.items()
    }
    name = min(losses, key=losses.__getitem__)
    model = ways[name]().fit(scores, task.codes)
    return name, lambda rows: _probabilities(model, rows)


class _Sigmoids:
    """One sigmoid a level on that level's score, normalised to sum to one."""

    def fit(self, scores: NDArray[np.float64], codes: NDArray[np.int64]) -> _Sigmoids:
        from sklearn.linear_model import LogisticRegression

        self.models = [
            LogisticRegression(C=1e3, max_iter=1_000).fit(scores[:, [level]], codes == level)
            for level in range(scores.shape[1])
        ]
        return self

    def predict_proba(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        said = [model.predict_proba(scores[:, [level]])[:, 1] for level, model in enumerate(self.models)]
        shares: NDArray[np.float64] = np.maximum(np.column_stack(said), 1e-12)
        shares /= shares.sum(axis=1, keepdims=True)
        return shares


class _Multinomial:
    """Multinomial logistic regression on all scores at once."""

    def __init__(self, penalty: float) -> None:
        from sklearn.linear_model import LogisticRegression

        self.model = LogisticRegression(C=penalty, max_iter=3_000, tol=1e-3)

    def fit(self, scores: NDArray[np.float64], codes: NDArray[np.int64]) -> _Multinomial:
        self.model.fit(scores, codes)
        return self

    def predict_proba(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(self.model.predict_proba(scores), np.float64)


ARMS: dict[str, Callable[[_Task], Forecast]] = {
    "svm": _svm,
    "logistic": _logistic,
    "forest": _forest,
    "neighbours": _neighbours,
}
