"""``fingerpost emit`` under local-dp, and answers from randomised reports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

TEMPLATE = """\
format = 1
name = "rain"
data_class = "personal"
[situation.sky]
kind = "category"
levels = ["blue", "grey", "black", "white"]
[outcome]
name = "rain"
kind = "category"
levels = ["dry", "wet"]
[cells]
kind = "prefix"
bits = 3
[privacy]
profile = "local-dp"
"""


@pytest.fixture
def template(tmp_path: Path) -> Path:
    path = tmp_path / "rain.toml"
    path.write_text(TEMPLATE, encoding="utf-8")
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "rain.csv"
    rows = [f"p{n},{('grey', 'black')[n % 2]},{('wet', 'dry')[n % 2]}" for n in range(1_500)]
    path.write_text("\n".join(["patient,sky,rain", *rows, "p0,black,dry"]) + "\n", encoding="utf-8")
    return path


def test_every_subject_is_one_report_and_answers_come_from_all_of_them(
    fingerpost: Any, template: Path, table: Path, tmp_path: Path
) -> None:
    fingerpost("keys", "new")
    told = fingerpost("emit", table, "--template", template, "--subject-column", "patient", "--json").document
    assert told["packets"] == 1_500
    release = told["release"]
    assert (release["rows"], release["same_subject"], release["epsilon"], release["lifetime_epsilon"]) == (
        1_500,
        1,
        2,
        8,
    )
    assert (told["example"]["profile"], told["example"]["kind"]) == ("local-dp", "report")
    answer = fingerpost("ask", "--set", "sky=grey", "--receipt", tmp_path / "r", "--json").document["answers"][0]
    assert answer["calculator"] == "randomised-reports-1"
    assert "randomised-reports" in {warning["code"] for warning in answer["warnings"]}
    assert answer["records"] == 1_500
    assert answer["levels"][1]["probability"] > 0.8
    assert fingerpost("verify", tmp_path / "r").status == 0
    again = fingerpost("emit", table, "--template", template, "--subject-column", "patient", "--again")
    assert again.fails_with(13, "no row can be counted", "privacy budget")


def test_a_report_can_be_taken_back_but_what_it_spent_stays_spent(fingerpost: Any, template: Path, table: Path) -> None:
    fingerpost("keys", "new")
    emit = ("emit", table, "--template", template, "--subject-column", "patient")
    fingerpost(*emit)
    assert len(fingerpost("forget", "p7", "--json").document["withdrawn"]) == 1
    assert fingerpost("privacy", "budget", "--json").document["spent"] == {"2": 1_500}
    assert fingerpost(*emit, "--again").fails_with(13, "no row can be counted", "privacy budget")


def test_a_dry_run_says_that_reports_are_drawn_at_random(fingerpost: Any, template: Path, table: Path) -> None:
    result = fingerpost("emit", table, "--template", template, "--subject-column", "patient", "--dry-run")
    assert "randomised anew each time" in result.out
    assert "in clear: what happened" not in result.out
