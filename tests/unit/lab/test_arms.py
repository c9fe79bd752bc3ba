"""The arms of the demo see the rows they may see, and no others."""

from __future__ import annotations

import numpy as np
import pytest

from fingerpost.lab.arms import (
    ARM_TITLES,
    Arm,
    Draw,
    Result,
    best_by_area,
    draws,
    measure,
    others_share,
    own_share,
)
from fingerpost.lab.scores import Scores

OUTCOMES = np.array([True, False] * 30)
MINE = np.arange(10, 50)


def test_own_patients_are_never_asked_about() -> None:
    for draw in draws(MINE, OUTCOMES, own_rows=25, repetitions=8, seed=3):
        assert len(draw.own) == 25
        assert sorted([*draw.own, *draw.asked]) == MINE.tolist()


def test_draws_differ_between_repetitions_and_repeat_with_the_seed() -> None:
    first = draws(MINE, OUTCOMES, own_rows=25, repetitions=4, seed=3)
    again = draws(MINE, OUTCOMES, own_rows=25, repetitions=4, seed=3)
    assert [draw.own.tolist() for draw in first] == [draw.own.tolist() for draw in again]
    assert len({tuple(draw.own) for draw in first}) == 4


def test_without_own_patients_all_are_asked_about_once() -> None:
    (draw,) = draws(MINE, OUTCOMES, own_rows=0, repetitions=8, seed=3)
    assert (len(draw.own), draw.asked.tolist()) == (0, MINE.tolist())


def test_both_outcomes_remain_among_those_asked_about() -> None:
    rare = np.zeros(60, bool)
    rare[[10, 11]] = True
    assert all(rare[draw.asked].any() for draw in draws(MINE, rare, own_rows=30, repetitions=20, seed=0))


def test_a_measure_is_the_mean_over_draws() -> None:
    drawn = [Draw(own=MINE[:2], asked=MINE[2:]), Draw(own=MINE[-2:], asked=MINE[:-2])]
    right_then_wrong = iter([OUTCOMES[2:40] * 1.0, 1.0 - OUTCOMES[:38]])
    result = measure(Arm.PACKETS, lambda draw: next(right_then_wrong), drawn, OUTCOMES, moved_bytes=7)
    assert (result.scores.auc, result.scores.accuracy, result.own_rows, result.bytes) == (0.5, 0.5, 2, 7)


def test_shares_come_from_the_rows_they_are_named_for() -> None:
    draw = Draw(own=np.array([0, 2, 4]), asked=np.array([6, 7]))
    assert own_share(draw, OUTCOMES).tolist() == [0.8, 0.8]
    assert others_share(draw, OUTCOMES, np.array([1, 3, 4, 5])).tolist() == [0.25, 0.25]


def test_the_best_single_hospital_is_chosen_by_area() -> None:
    low, high = (
        Result(arm=Arm.BEST_SINGLE, own_rows=0, scores=Scores(auc=auc, log_loss=loss, accuracy=0.5), bytes=1)
        for auc, loss in ((0.6, 0.1), (0.7, 0.9))
    )
    assert best_by_area([low, high]) is high
    with pytest.raises(ValueError, match="empty"):
        best_by_area([])


def test_every_arm_has_a_title() -> None:
    assert set(ARM_TITLES) == set(Arm)
