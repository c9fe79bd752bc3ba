"""What the field would do instead: move the rows to one place and train a model there (needs the ``lab`` extra)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

Features = npt.NDArray[np.float64]
Outcomes = npt.NDArray[np.bool_]
Forecast = Callable[[Features], npt.NDArray[np.float64]]
"""Gives the probability of "yes" (n,) for features (n, width)."""

Train = Callable[[Features, Outcomes], Forecast]
Settings = Mapping[str, float]

FOLDS = 5
PENALTIES = (0.01, 0.03, 0.1, 0.3, 1.0)
MARGINS = (0.3, 1.0, 3.0, 10.0)
GAMMAS = (0.0003, 0.001, 0.003, 0.01)
PROBABILITY_FLOOR = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """Hyper-parameters ``chosen`` by cross-validation inside the training rows; ``train`` uses them."""

    train: Train
    chosen: Settings


def sklearn_is_installed() -> bool:
    """Tell whether the arms of this module can run."""
    return find_spec("sklearn") is not None


def tune_logistic(features: Features, outcomes: Outcomes, *, seed: int) -> Tuned:
    """Choose the penalty of a logistic regression by cross-validated log-loss."""
    grid: list[Settings] = [{"inverse_penalty": value} for value in PENALTIES]

    def loss(settings: Settings) -> float:
        forecast = np.empty(len(features))
        for train, test in _folds(features, outcomes, seed=seed):
            forecast[test] = _logistic(**settings)(features[train], outcomes[train])(features[test])
        return _log_loss(forecast, outcomes)

    chosen = _least(loss, grid, outcomes)
    return Tuned(train=_logistic(**chosen), chosen=chosen)


def tune_svm(features: Features, outcomes: Outcomes, *, seed: int) -> Tuned:
    """Choose margin and width of a support vector machine (RBF kernel) by cross-validated log-loss.

    Its scores become probabilities by Platt scaling on the scores of left-out training rows (Platt, 1999).
    """
    grid: list[Settings] = [{"margin": margin, "gamma": gamma} for margin in MARGINS for gamma in GAMMAS]

    def loss(settings: Settings) -> float:
        scores = _left_out_scores(features, outcomes, seed=seed, **settings)
        return _log_loss(_platt(scores, outcomes)(scores), outcomes)

    chosen = _least(loss, grid, outcomes)
    return Tuned(train=_svm(seed=seed, **chosen), chosen=chosen)


def _least(loss: Callable[[Settings], float], grid: list[Settings], outcomes: Outcomes) -> Settings:
    """Return the settings of ``grid`` with the least loss; those in the middle when the rows are too few to tell."""
    if min(outcomes.sum(), (~outcomes).sum()) < FOLDS:
        return grid[len(grid) // 2]
    return min(grid, key=loss)


def _logistic(inverse_penalty: float) -> Train:
    from sklearn.linear_model import LogisticRegression

    def train(features: Features, outcomes: Outcomes) -> Forecast:
        if outcomes.all() or not outcomes.any():
            return _constant(outcomes)
        scale = _standardiser(features)
        model: Any = LogisticRegression(C=inverse_penalty, max_iter=2_000).fit(scale(features), outcomes)
        return lambda rows: np.asarray(model.predict_proba(scale(rows))[:, 1], dtype=np.float64)

    return train


def _svm(margin: float, gamma: float, *, seed: int) -> Train:
    def train(features: Features, outcomes: Outcomes) -> Forecast:
        if min(outcomes.sum(), (~outcomes).sum()) < FOLDS:
            return _constant(outcomes)
        scores = _left_out_scores(features, outcomes, margin=margin, gamma=gamma, seed=seed)
        probability = _platt(scores, outcomes)
        machine = _machine(features, outcomes, margin=margin, gamma=gamma)
        return lambda rows: probability(machine(rows))

    return train


def _machine(features: Features, outcomes: Outcomes, *, margin: float, gamma: float) -> Forecast:
    """Train a support vector machine; it gives signed scores, not yet probabilities."""
    from sklearn.svm import SVC

    scale = _standardiser(features)
    model: Any = SVC(C=margin, gamma=gamma).fit(scale(features), outcomes)
    return lambda rows: np.asarray(model.decision_function(scale(rows)), dtype=np.float64)


def _left_out_scores(
    features: Features, outcomes: Outcomes, *, margin: float, gamma: float, seed: int
) -> npt.NDArray[np.float64]:
    """Return for every row the score of a machine that did not see it."""
    scores = np.empty(len(features))
    for train, test in _folds(features, outcomes, seed=seed):
        scores[test] = _machine(features[train], outcomes[train], margin=margin, gamma=gamma)(features[test])
    return scores


def _platt(scores: npt.NDArray[np.float64], outcomes: Outcomes) -> Forecast:
    from sklearn.linear_model import LogisticRegression

    model: Any = LogisticRegression(C=1e6).fit(scores[:, None], outcomes)
    return lambda new: np.asarray(model.predict_proba(new[:, None])[:, 1], dtype=np.float64)


def _folds(
    features: Features, outcomes: Outcomes, *, seed: int
) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    from sklearn.model_selection import StratifiedKFold

    return list(StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(features, outcomes))


def _log_loss(forecast: npt.NDArray[np.float64], outcomes: Outcomes) -> float:
    right = np.where(outcomes, forecast, 1 - forecast)
    return float(-np.log(np.clip(right, PROBABILITY_FLOOR, 1)).mean())


def _constant(outcomes: Outcomes) -> Forecast:
    """Forecast the share of "yes", smoothed by one imagined case of each outcome (Laplace)."""
    share = (float(outcomes.sum()) + 1) / (outcomes.size + 2)
    return lambda rows: np.full(len(rows), share)


def _standardiser(features: Features) -> Callable[[Features], Features]:
    """Return a function that gives each column mean 0 and spread 1 over ``features``."""
    centre, spread = features.mean(axis=0), features.std(axis=0)
    spread[spread == 0] = 1
    return lambda rows: (rows - centre) / spread
