"""``fingerpost confirm``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

RAINY = ["--set", "pressure=905", "--set", "sky=grey"]


@pytest.fixture
def receipt(asking: Any, tmp_path: Path) -> Path:
    path = tmp_path / "rain.receipt"
    assert asking("ask", *RAINY, "--receipt", path).status == 0
    return path


def stored(asking: Any) -> int:
    count: int = asking("store", "stats", "--json").document["packets"]
    return count


def test_a_confirmed_answer_becomes_a_packet_and_a_score(asking: Any, receipt: Path) -> None:
    answered = asking("verify", receipt, "--json").document["answer"]
    result = asking("confirm", receipt, *RAINY, "--outcome", "wet", "--action", "umbrella")
    assert result.status == 0
    assert "Confirmed: rain was wet" in result.out
    assert stored(asking) == 41
    document = asking("confirm", receipt, *RAINY, "--outcome", "dry", "--again", "--json").document
    probability = {level["level"]: level["probability"] for level in answered["levels"]}["dry"]
    assert document["probability"] == pytest.approx(probability)
    assert document["log_loss"] == pytest.approx(-math.log(probability))
    assert (document["inside"], len(document["packet_id"])) == (None, 64)


def test_an_answer_is_not_confirmed_twice_by_mistake(asking: Any, receipt: Path) -> None:
    assert asking("confirm", receipt, *RAINY, "--outcome", "wet").status == 0
    assert asking("confirm", receipt, *RAINY, "--outcome", "wet").fails_with(2, "was confirmed on", "--again")
    assert stored(asking) == 41


@pytest.mark.parametrize(
    ("options", "status", "words", "hint"),
    [
        (["--set", "pressure=906", "--set", "sky=blue", "--outcome", "wet"], 2, "not the situation", "same fields"),
        (["--outcome", "wet"], 2, "not the situation", "same fields"),
        ([*RAINY], 2, "--outcome", "confirm --help"),
        ([*RAINY, "--outcome", "snow"], 5, "snow", ""),
        ([*RAINY, "--outcome", ""], 5, "outcome is missing", ""),
        ([*RAINY, "--outcome", "wet", "--action", "boat"], 5, "boat", ""),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_told(
    asking: Any, receipt: Path, options: list[str], status: int, words: str, hint: str
) -> None:
    assert asking("confirm", receipt, *options).fails_with(status, words, hint)
    assert stored(asking) == 40


def test_an_altered_receipt_confirms_nothing(asking: Any, receipt: Path) -> None:
    data = bytearray(receipt.read_bytes())
    data[-1] ^= 1
    receipt.write_bytes(data)
    assert asking("confirm", receipt, *RAINY, "--outcome", "wet").fails_with(9, "receipt", "")
    assert asking("confirm", receipt.with_name("none"), *RAINY, "--outcome", "wet").fails_with(2, "no such file", "")


def test_without_an_identity_nothing_is_told(asking: Any, receipt: Path, tmp_path: Path) -> None:
    result = asking("confirm", receipt, *RAINY, "--outcome", "wet", "--home", tmp_path / "nobody")
    assert result.fails_with(7, "no identity", "fingerpost keys new")
    assert not (tmp_path / "nobody").exists()


@pytest.mark.parametrize(("amount", "inside"), [("60", True), ("0", False)])
def test_a_number_is_confirmed_by_whether_it_was_expected(
    fingerpost: Any, rain_template: Path, tmp_path: Path, amount: str, inside: bool
) -> None:
    text = rain_template.read_text(encoding="utf-8")
    old = 'kind = "category"\nlevels = ["dry", "wet"]'
    assert old in text
    rain_template.write_text(text.replace(old, 'kind = "number"\nrange = [0, 100]'), encoding="utf-8")
    table, receipt = tmp_path / "amount.csv", tmp_path / "amount.receipt"
    rows = [f"{900 + 2 * n},grey,nothing,{58 + n % 5}" for n in range(60)]
    table.write_text("\n".join(["pressure,sky,took,rain", *rows]) + "\n", encoding="utf-8")
    fingerpost("keys", "new")
    assert fingerpost("emit", table, "--template", rain_template).status == 0
    assert fingerpost("ask", *RAINY, "--receipt", receipt).status == 0
    document = fingerpost("confirm", receipt, *RAINY, "--outcome", amount, "--json").document
    assert (document["outcome"], document["inside"], document["log_loss"]) == (float(amount), inside, None)
    shown = fingerpost("confirm", receipt, *RAINY, "--outcome", amount, "--again").out
    assert ("did not expect it" in shown) is not inside
