"""Scores agree with their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fingerpost.lab.scores import Scores, area_under_curve, mean_scores, score

FORECASTS = st.lists(st.tuples(st.sampled_from([0.0, 0.2, 0.5, 0.7, 1.0]), st.booleans()), min_size=2, max_size=30)


@given(FORECASTS)
def test_the_area_is_the_share_of_pairs_in_the_right_order(cases: list[tuple[float, bool]]) -> None:
    probabilities, outcomes = np.array([p for p, _ in cases]), np.array([y for _, y in cases])
    if outcomes.all() or not outcomes.any():
        with pytest.raises(ValueError, match="both outcomes"):
            area_under_curve(probabilities, outcomes)
        return
    pairs = probabilities[outcomes][:, None] - probabilities[~outcomes][None, :]
    expected = ((pairs > 0) + 0.5 * (pairs == 0)).mean()
    assert area_under_curve(probabilities, outcomes) == pytest.approx(expected)


def test_a_perfect_forecast_scores_best() -> None:
    outcomes = np.array([True, False, True])
    assert score(np.array([1.0, 0.0, 1.0]), outcomes) == Scores(auc=1.0, log_loss=0.0, accuracy=1.0)


def test_an_even_forecast_is_surprised_by_one_bit() -> None:
    assert score(np.full(4, 0.5), np.array([True, False, True, False])).log_loss == pytest.approx(np.log(2))


def test_being_sure_and_wrong_costs_much_but_not_infinitely() -> None:
    assert 13 < score(np.array([0.0, 0.0]), np.array([True, False])).log_loss * 2 < 14


def test_repetitions_are_averaged_score_by_score() -> None:
    first, second = Scores(auc=0.5, log_loss=0.2, accuracy=1.0), Scores(auc=0.7, log_loss=0.4, accuracy=0.0)
    mean = mean_scores([first, second])
    assert (mean.auc, mean.log_loss, mean.accuracy) == pytest.approx((0.6, 0.3, 0.5))
    with pytest.raises(ValueError, match="no scores"):
        mean_scores([])
