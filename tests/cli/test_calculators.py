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


def test_an_audit_says_which_rows_of_a_table_to_confirm_first(asking: Any, tmp_path: Path) -> None:
    table = tmp_path / "open.csv"
    table.write_text("pressure,sky\n905,grey\n1000,grey\n1090,blue\n", encoding="utf-8")
    shown = asking("ask", "--csv", table, "--audit").out
    assert "Confirming these would help most" in shown
    document = asking("ask", "--csv", table, "--audit", "--json").document
    scores = [doubt["score"] for doubt in document["audit"]]
    assert scores == sorted(scores, reverse=True)
    assert 1 <= len(scores) <= 3


def test_an_audit_without_a_table_looks_at_what_is_known(asking: Any) -> None:
    document = asking("ask", "--audit", "--json").document
    assert 1 <= len(document["audit"]) <= 10
    assert all(len(doubt["packet_id"]) == 64 for doubt in document["audit"])
    assert "--audit goes with --csv" in asking("ask", "--audit", *RAINY).err


def test_an_emitted_outcome_of_a_question_is_a_confirmation(asking: Any, tmp_path: Path) -> None:
    assert asking("ask", *RAINY).status == 0
    table = tmp_path / "outcome.csv"
    table.write_text("pressure,sky,took,rain\n905,grey,umbrella,wet\n", encoding="utf-8")
    template = next((tmp_path / "home" / "templates").glob("*.toml"))
    assert asking("emit", table, "--template", template).status == 0
    assert confirmations(asking) == 1
