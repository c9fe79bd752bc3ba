"""``fingerpost assess``: a whole run on a small table, and refusals in words before anything is computed."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from fingerpost.lab.assess import rules

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table of 80 rows whose outcome follows from one column."""
    file = tmp_path / "table.csv"
    lines = [f"{row % 10},{row % 7},{'yes' if row % 10 > 4 else 'no'}" for row in range(80)]
    file.write_text("\n".join(["a,b,happened", *lines]) + "\n", encoding="utf-8")
    return file


def test_one_command_writes_figures_and_a_page_and_says_what_they_say(fingerpost, table, monkeypatch) -> None:
    monkeypatch.setattr(rules, "QUICK", replace(rules.QUICK, seeds=1, rounds=2, inverted_records=1, inverted_cases=2))
    page, figures = table.with_suffix(".html"), table.with_suffix(".json")
    command = ("assess", str(table), "--outcome", "happened", "--nodes", "3", "--quick")
    shown = fingerpost(*command, "--report", str(page), f"--json={figures}")
    assert shown.status == 0
    document = json.loads(figures.read_text(encoding="utf-8"))
    assert document["arms"]["consortium"]["accuracy"] > document["arms"]["majority"]["accuracy"]
    assert all(sentence in shown.out for sentence in document["recommendation"]["sentences"])
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_an_absent_outcome_is_refused_with_the_columns_that_are_there(fingerpost, table) -> None:
    assert fingerpost("assess", str(table), "--outcome", "nothing").fails_with(6, "no outcome column", "a, b, happened")


def test_a_report_that_cannot_be_written_is_refused_before_the_run(fingerpost, table) -> None:
    shown = fingerpost("assess", str(table), "--outcome", "happened", "--report", str(table.parent / "no" / "r.html"))
    assert shown.fails_with(2, "cannot be written", "a folder that exists")


def test_more_nodes_than_rows_allow_are_refused(fingerpost, table) -> None:
    shown = fingerpost("assess", str(table), "--outcome", "happened", "--nodes", "40")
    assert shown.fails_with(2, "cannot be dealt to 40 nodes", "choose 2 to 20")
