"""Scores of probabilities over several levels, of intervals, and of knowing when to stay silent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fingerpost.lab import scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

PROBABILITY_FLOOR = 1e-6  # A level forecast as impossible that then happens would make the log-loss infinite.
CALIBRATION_BINS = 10
SIMULATIONS = 200


def accuracy(named: NDArray[np.int64], codes: NDArray[np.int64]) -> float:
    """Return the share of rows whose level was ``named`` right."""
    return float((named == codes).mean())


def log_loss(probabilities: NDArray[np.float64], codes: NDArray[np.int64]) -> float:
    """Return the mean surprise in nats of ``codes`` (q,) under ``probabilities`` (q, L), floored at 1e-6."""
    given = probabilities[np.arange(len(codes)), codes]
    return float(-np.log(np.clip(given, PROBABILITY_FLOOR, 1.0)).mean())


def brier(probabilities: NDArray[np.float64], codes: NDArray[np.int64]) -> float:
    """Return the mean squared distance of ``probabilities`` (q, L) from what happened (Brier 1950)."""
    happened = np.eye(probabilities.shape[1])[codes]
    return float(((probabilities - happened) ** 2).sum(axis=1).mean())


def area_under_curve(probabilities: NDArray[np.float64], codes: NDArray[np.int64]) -> float:
    """Return the area under the ROC curve; for more than two levels, the mean of each against the rest.

    Levels that never or always happen are left out. Raises ``ValueError`` when that leaves none.
    """
    levels = range(probabilities.shape[1]) if probabilities.shape[1] > 2 else (1,)
    cases = [(probabilities[:, level], codes == level) for level in levels]
    areas = [scores.area_under_curve(said, happened) for said, happened in cases if 0 < happened.sum() < len(codes)]
    if not areas:
        raise ValueError("the area under the curve needs two levels that happened")
    return float(np.mean(areas))


def calibration_error(
    probabilities: NDArray[np.float64], codes: NDArray[np.int64], *, bins: int = CALIBRATION_BINS
) -> float:
    """Return the expected calibration error of the likeliest level, over ``bins`` bins of equal width (Guo 2017)."""
    return _binned_error(probabilities.max(axis=1), probabilities.argmax(axis=1) == codes, bins)


def calibration_excess(
    probabilities: NDArray[np.float64],
    codes: NDArray[np.int64],
    *,
    chance: np.random.Generator,
    bins: int = CALIBRATION_BINS,
) -> float:
    """Return the calibration error beyond that of a perfectly calibrated model with the same forecasts.

    With few test rows even perfect probabilities show an error, because bins hold few cases. It is simulated: outcomes
    are drawn from the forecasts themselves, ``SIMULATIONS`` times. Below zero means better than such a model's mean.
    """
    confidence = probabilities.max(axis=1)
    draws = chance.random((SIMULATIONS, len(codes))) < confidence
    usual = float(np.mean([_binned_error(confidence, draw, bins) for draw in draws]))
    return calibration_error(probabilities, codes, bins=bins) - usual


def _binned_error(confidence: NDArray[np.float64], right: NDArray[np.bool_], bins: int) -> float:
    place = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    gaps = np.bincount(place, right, bins) - np.bincount(place, confidence, bins)
    return float(np.abs(gaps).sum() / len(confidence))


def coverage(low: NDArray[np.float64], high: NDArray[np.float64], values: NDArray[np.float64]) -> float:
    """Return the share of ``values`` within their intervals, ends included."""
    return float(((low <= values) & (values <= high)).mean())


def risk_coverage(
    keep: NDArray[np.float64], right: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (share answered, error rate among the answered), answering in order of ``keep`` (q,), highest first.

    Rows of equal ``keep`` share the mean error of their group, so that their order cannot matter.
    """
    _, group, sizes = np.unique(-keep, return_inverse=True, return_counts=True)
    errors = np.bincount(group, ~right) / sizes
    risk = np.cumsum(np.repeat(errors, sizes)) / np.arange(1, len(keep) + 1)
    return np.arange(1, len(keep) + 1) / len(keep), risk


def area_under_risk(keep: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Return the area under the risk-coverage curve: less is better (El-Yaniv and Wiener 2010)."""
    return float(risk_coverage(keep, right)[1].mean())
