"""A hospital that tells the opposite harms whoever believes everybody, and is found out by whoever elects."""

from __future__ import annotations

from fingerpost.lab.flipped import flipped_hospital


def test_a_hospital_that_tells_the_opposite_is_refused_and_answers_are_right_again() -> None:
    found = flipped_hospital(liar="Switzerland", seed=2)
    assert found.findings["Switzerland"] == "refused"
    assert found.findings["Long Beach"] == "own"
    assert found.undefended < found.honest - 0.08
    assert found.defended > found.undefended + 0.05
    assert found.explained["against"]
    assert any("opposite" in line for line in found.lines())
    assert found.to_document()["accuracy"]["defended"] == found.defended
