"""What is said about a liar follows from the figures, whoever wins."""

from __future__ import annotations

from fingerpost.lab.flipped import Flipped, Way, lied
from fingerpost.lab.heart import load_patients
from fingerpost.lab.scores import Scores


def test_the_verdict_says_so_when_elections_help_and_when_they_do_not() -> None:
    assert "no outcomes of its own, elections help (0.700 against 0.400)" in found(defended=0.7).verdict()
    assert "no outcomes of its own, elections do harm (0.300 against 0.400)" in found(defended=0.3).verdict()
    assert "elections make no difference (0.405 against 0.400)" in found(defended=0.405).verdict()


def test_the_verdict_says_so_when_a_hospital_would_do_better_alone() -> None:
    assert "reach more: 0.900" in found(defended=0.7, own=0.9).verdict()
    assert "reach less: 0.500" in found(defended=0.7, own=0.5).verdict()
    assert "reach as much: 0.705" in found(defended=0.7, own=0.705).verdict()


def test_only_the_liar_tells_the_opposite() -> None:
    patients = load_patients()
    for honest, told in zip(patients, lied(patients, liar="Hungary"), strict=True):
        assert honest.situation == told.situation
        assert (honest.outcome != told.outcome) == (honest.hospital == "Hungary")


def test_a_document_names_the_number_of_confirmed_patients() -> None:
    document = found(defended=0.7).to_document()
    assert document["defended"]["0"]["auc"] == document["defended"]["25"]["auc"] == 0.7
    assert document["own"]["0"] is None
    assert document["findings"] == {"0": "refused"}


def found(*, defended: float, own: float = 0.6) -> Flipped:
    return Flipped(
        asker="Long Beach",
        liar="Hungary",
        patients=200,
        own_rows=25,
        honest=both(0.8),
        undefended=both(0.4),
        defended=both(defended),
        own=Way(alone=None, with_own=scores(own)),
        findings={0: "refused"},
        explained={},
    )


def both(auc: float) -> Way:
    return Way(alone=scores(auc), with_own=scores(auc))


def scores(auc: float) -> Scores:
    return Scores(auc=auc, log_loss=0.5, accuracy=0.7)
