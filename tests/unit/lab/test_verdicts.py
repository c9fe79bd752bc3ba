"""The sentences of the demo follow the figures, whoever wins."""

from __future__ import annotations

import pytest

from fingerpost.lab.arms import Arm, Result
from fingerpost.lab.scores import Scores
from fingerpost.lab.verdicts import Newcomer, mean_area, prior_warning, results_by_arm, verdicts

OWN = 25


def newcomer(name: str, areas: dict[tuple[Arm, int], float], losses: dict[tuple[Arm, int], float]) -> Newcomer:
    results = tuple(
        Result(
            arm=arm,
            own_rows=own_rows,
            scores=Scores(auc=area, log_loss=losses.get((arm, own_rows), 0.5), accuracy=0.75),
            bytes=0,
        )
        for (arm, own_rows), area in areas.items()
    )
    return Newcomer(name=name, patients=100, share=0.5, others_share=0.5, warning="", results=results)


def sentences(areas: dict[tuple[Arm, int], float], losses: dict[tuple[Arm, int], float] | None = None) -> str:
    both = [newcomer("North", areas, losses or {}), newcomer("South", areas, losses or {})]
    return " ".join(verdicts(both, own_rows=OWN, packet_bytes_a_row=512, table_bytes_a_row=66))


@pytest.mark.parametrize(
    ("single", "expected"),
    [
        (0.7, "even the best single other hospital, picked in hindsight, would have given it 0.700"),
        (0.9, "The best single other hospital, picked in hindsight, would have done better: 0.900"),
        (0.795, "as good as the best single other hospital"),
    ],
)
def test_the_best_single_hospital_wins_loses_or_ties(single: float, expected: str) -> None:
    assert expected in sentences({(Arm.PACKETS, 0): 0.8, (Arm.BEST_SINGLE, 0): single})


@pytest.mark.parametrize(
    ("central", "expected"), [(0.9, "moving the rows wins)"), (0.7, "packets win)"), (0.805, "within 0.01, a tie)")]
)
def test_a_central_model_that_wins_is_said_to_win(central: float, expected: str) -> None:
    text = sentences({(Arm.PACKETS, 0): 0.8, (Arm.CENTRAL_LOGISTIC, 0): central, (Arm.CENTRAL_SVM, 0): 0.6})
    assert f"{central:.3f} against 0.800 for packets ({expected}" in text
    assert "(logistic regression)" in text


def test_the_better_of_two_central_models_is_the_one_compared() -> None:
    text = sentences({(Arm.PACKETS, 0): 0.8, (Arm.CENTRAL_LOGISTIC, 0): 0.7, (Arm.CENTRAL_SVM, 0): 0.75})
    assert "(SVM) gives 0.750" in text


def test_going_alone_that_wins_is_said_to_win() -> None:
    text = sentences(
        {(Arm.PACKETS, OWN): 0.7, (Arm.OWN_LOGISTIC, OWN): 0.8},
        {(Arm.PACKETS, OWN): 0.6, (Arm.OWN_LOGISTIC, OWN): 0.4},
    )
    assert "alone reaches 0.800; with the packets of the others 0.700 (going alone wins)" in text
    assert "better with packets at no hospital" in text


def test_hospitals_where_packets_help_are_named() -> None:
    areas = {(Arm.PACKETS, OWN): 0.8, (Arm.OWN_LOGISTIC, OWN): 0.7}
    helped = newcomer("North", areas, {(Arm.PACKETS, OWN): 0.3})
    hurt = newcomer("South", areas, {(Arm.PACKETS, OWN): 0.9})
    text = " ".join(verdicts([helped, hurt], own_rows=OWN, packet_bytes_a_row=512, table_bytes_a_row=66))
    assert "at one of two (North), by log-loss" in text


def test_a_hospital_whose_own_share_beats_the_packets_is_named() -> None:
    text = sentences(
        {(Arm.PACKETS, OWN): 0.8, (Arm.OWN_MAJORITY, OWN): 0.5},
        {(Arm.PACKETS, OWN): 0.5, (Arm.OWN_MAJORITY, OWN): 0.3},
    )
    assert "In North, predicting for everyone the share" in text
    assert "(0.300 against 0.500)" in text


def test_arms_that_did_not_run_are_not_spoken_of() -> None:
    assert len(verdicts([], own_rows=OWN, packet_bytes_a_row=512, table_bytes_a_row=66)) == 1
    assert "central" not in sentences({(Arm.PACKETS, 0): 0.8})


def test_bytes_are_given_for_a_packet_and_for_a_row() -> None:
    assert "512 bytes in packets and about 66 as a row" in sentences({})


def test_a_mean_over_newcomers_needs_every_newcomer() -> None:
    areas = {(Arm.PACKETS, 0): 0.8}
    assert mean_area([newcomer("North", areas, {}), newcomer("South", areas, {})], Arm.PACKETS, 0) == 0.8
    assert mean_area([newcomer("North", areas, {}), newcomer("South", {}, {})], Arm.PACKETS, 0) is None


def test_only_a_large_difference_in_shares_is_warned_of() -> None:
    assert prior_warning("Switzerland", 0.93, 0.49).startswith("93% are diseased in Switzerland, 49% elsewhere")
    assert prior_warning("Cleveland", 0.46, 0.6) == ""


def test_results_are_grouped_by_arm_in_the_order_of_the_arms() -> None:
    areas = {(Arm.CENTRAL_SVM, 0): 0.7, (Arm.PACKETS, OWN): 0.8, (Arm.PACKETS, 0): 0.75}
    grouped = results_by_arm(newcomer("North", areas, {}))
    assert list(grouped) == [Arm.PACKETS, Arm.CENTRAL_SVM]
    assert sorted(grouped[Arm.PACKETS]) == [0, OWN]
