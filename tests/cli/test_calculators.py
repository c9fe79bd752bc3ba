"""``ask`` and ``confirm``: which calculators an answer is mixed from, and how confirmations move them for good."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

RAINY = ["--set", "pressure=905", "--set", "sky=grey"]


def standings(asking: Any, *more: Any) -> dict[str, float]:
    calculation = asking("ask", *RAINY, "--json", *more).document["answers"][0]["calculation"]
    return {share["name"]: share["standing"] for share in calculation["calculators"]}


def confirmations(asking: Any) -> int:
    count: int = asking("ask", *RAINY, "--json").document["answers"][0]["calculation"]["confirmations"]
    return count


def test_an_answer_shows_the_weight_of_each_calculator(asking: Any) -> None:
    shown = asking("ask", *RAINY).out
    assert "weighed after 0 confirmed outcomes" in shown
    for name in ("alone", "pooled", "node-aware", "linear", "usual"):
        assert name in shown
    assert sum(standings(asking).values()) == pytest.approx(1)


def test_a_confirmed_outcome_moves_the_standings_and_they_are_kept(asking: Any, tmp_path: Path) -> None:
    path = tmp_path / "rain.receipt"
    before = standings(asking, "--receipt", path)
    for _ in range(3):
        found = asking("confirm", path, *RAINY, "--outcome", "dry", "--again", "--json")
        assert found.document["learnt"] is True
    after = standings(asking)  # another command: it reads them from the home
    assert confirmations(asking) == 3
    assert after["usual"] > before["usual"]  # every other calculator was sure of rain
    assert "those that expected it count for more" in asking("confirm", path, *RAINY, "--outcome", "wet", "--again").out


def test_the_answer_to_another_node_teaches_nothing(asking: Any, home: Path, tmp_path: Path) -> None:
    path, other = tmp_path / "rain.receipt", tmp_path / "other"
    assert asking("ask", *RAINY, "--receipt", path).status == 0
    shutil.copytree(home, other)
    shutil.rmtree(other / "keys")
    assert asking("keys", "new", "--home", other).status == 0
    found = asking("confirm", path, *RAINY, "--outcome", "wet", "--home", other, "--json").document
    assert found["learnt"] is False


def test_a_receipt_of_several_calculators_verifies(asking: Any, tmp_path: Path) -> None:
    path = tmp_path / "rain.receipt"
    answer = asking("ask", *RAINY, "--receipt", path, "--json").document["answers"][0]
    derived = asking("verify", path, "--json").document["answer"]
    assert derived["calculation"]["asker"] == answer["calculation"]["asker"]
    assert [share["name"] for share in derived["calculation"]["calculators"]] == list(standings(asking))
