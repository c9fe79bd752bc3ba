"""Scores of probabilities, of intervals and of staying silent."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score
from sklearn.metrics import log_loss as sklearn_log_loss

from fingerpost.lab.probabilities import (
    accuracy,
    area_under_curve,
    area_under_risk,
    brier,
    calibration_error,
    calibration_excess,
    coverage,
    log_loss,
    risk_coverage,
)


def forecasts(seed: int, rows: int, levels: int, sharpness: float = 1.0):
    """Perfectly calibrated forecasts: outcomes are drawn from them."""
    generator = np.random.default_rng(seed)
    probabilities = generator.dirichlet(np.full(levels, 1 / sharpness), rows)
    codes = (generator.random((rows, 1)) > probabilities.cumsum(axis=1)).sum(axis=1)
    return probabilities, np.minimum(codes, levels - 1)


def test_scores_of_probabilities_equal_those_of_scikit_learn() -> None:
    probabilities, codes = forecasts(1, 300, 4)
    assert log_loss(probabilities, codes) == pytest.approx(sklearn_log_loss(codes, probabilities), abs=1e-3)
    assert area_under_curve(probabilities, codes) == pytest.approx(
        roc_auc_score(codes, probabilities, multi_class="ovr"), abs=1e-12
    )
    pair, two = forecasts(2, 300, 2)
    pair = pair.round(2)  # with ties
    assert area_under_curve(pair, two) == pytest.approx(roc_auc_score(two, pair[:, 1]), abs=1e-12)
    assert brier(pair, two) == pytest.approx(2 * brier_score_loss(two, pair[:, 1]), abs=1e-12)


def test_an_impossible_outcome_costs_a_finite_surprise() -> None:
    assert log_loss(np.array([[1.0, 0.0]]), np.array([1])) == pytest.approx(-np.log(1e-6))
    assert log_loss(np.array([[1.0, 0.0]]), np.array([0])) == 0


def test_a_curve_needs_two_outcomes() -> None:
    with pytest.raises(ValueError, match="two levels"):
        area_under_curve(np.full((3, 2), 0.5), np.zeros(3, int))


def test_accuracy_is_the_share_named_right() -> None:
    assert accuracy(np.array([0, 1, 2, 1]), np.array([0, 1, 1, 0])) == 0.5


def test_the_calibration_error_of_certainty_that_errs_is_its_error_rate() -> None:
    certain = np.tile([1.0, 0.0], (10, 1))
    assert calibration_error(certain, np.array([0] * 7 + [1] * 3)) == pytest.approx(0.3)
    assert calibration_error(certain, np.zeros(10, int)) == 0


def test_the_calibration_error_weighs_bins_by_their_rows() -> None:
    probabilities = np.array([[0.65, 0.35]] * 2 + [[0.85, 0.15]] * 8)
    codes = np.array([0, 1] + [0] * 8)
    assert calibration_error(probabilities, codes) == pytest.approx(0.2 * 0.15 + 0.8 * 0.15)


def test_calibrated_forecasts_have_no_excess_and_overconfident_ones_do() -> None:
    excess, raw, sharpened = [], [], []
    for seed in range(40):
        probabilities, codes = forecasts(seed, 80, 3)
        chance = np.random.default_rng(seed)
        excess.append(calibration_excess(probabilities, codes, chance=chance))
        raw.append(calibration_error(probabilities, codes))
        sharp = probabilities**3 / (probabilities**3).sum(axis=1, keepdims=True)
        sharpened.append(calibration_excess(sharp, codes, chance=chance))
    assert np.mean(raw) > 0.05
    assert abs(np.mean(excess)) < 0.01
    assert np.mean(sharpened) > 0.08


def test_coverage_counts_the_ends_of_intervals() -> None:
    low, high = np.zeros(4), np.ones(4)
    assert coverage(low, high, np.array([0.0, 1.0, 0.5, 1.1])) == 0.75


def test_risk_falls_when_the_sure_are_answered_first() -> None:
    right = np.array([True, True, False, True])
    share, risk = risk_coverage(np.array([0.9, 0.8, 0.2, 0.7]), right)
    assert share.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert risk.tolist() == [0, 0, 0, 0.25]
    assert area_under_risk(np.array([0.9, 0.8, 0.2, 0.7]), right) == 0.0625
    assert area_under_risk(np.array([0.1, 0.2, 0.9, 0.3]), right) > 0.4


def test_rows_that_are_equally_sure_share_their_risk_in_any_order() -> None:
    right = np.array([True, False, True, False])
    for order in ([0, 1, 2, 3], [3, 1, 0, 2]):
        assert risk_coverage(np.ones(4), right[order])[1].tolist() == [0.5] * 4
