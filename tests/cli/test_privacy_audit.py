"""``fingerpost privacy audit``: a whole run on a small table, and refusals in words before anything is computed."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fingerpost.lab.leakage import report, updates
from fingerpost.lab.leakage.registry import VIEWS

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Records of 120 persons, of whom ten have two; the outcome follows from two of three numbers."""
    chance = np.random.default_rng(5)
    file = tmp_path / "persons.csv"
    lines = []
    for person in [*range(120), *range(10)]:
        one, two, three = chance.normal(size=3).round(2)
        lines.append(f"p{person},{one},{two},{three},{'ill' if one + two > 0 else 'well'}")
    file.write_text("\n".join(["person,one,two,three,state", *lines]) + "\n", encoding="utf-8")
    return file


@pytest.fixture(autouse=True)
def few_attacks(monkeypatch: pytest.MonkeyPatch) -> None:
    case = updates.Case(attack="analytic", batch=1, control=True)
    private = updates.Case(attack="analytic", batch=1, defence="dp-sgd")
    sizes = replace(report.QUICK, draws=2, attributes=1, records=2, cases=(case, private))
    monkeypatch.setattr(report, "QUICK", sizes)


def test_one_command_attacks_a_table_under_every_profile_and_says_what_it_found(fingerpost: Any, table: Path) -> None:
    page, figures = table.with_suffix(".html"), table.with_suffix(".json")
    command = ("privacy", "audit", table, "--outcome", "state", "--subject-column", "person", "--quick")
    shown = fingerpost(*command, "--report", page, f"--json={figures}")
    assert shown.status == 0
    document = json.loads(figures.read_text(encoding="utf-8"))
    assert set(document["profiles"]) == set(VIEWS)
    assert document["rows"] == 120
    assert any("one of each subject" in note for note in document["notes"])
    assert document["profiles"]["open"]["naming"]["value"] > 0.9 > document["profiles"]["consortium"]["naming"]["value"]
    assert all(sentence in shown.out for sentence in document["sentences"])
    text = page.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert "http" not in text.replace("http://www.w3.org", "")  # nothing is loaded from elsewhere
    assert "p17" not in text + json.dumps(document)  # no subject


def test_the_document_on_standard_output_has_the_documented_keys(fingerpost: Any, table: Path) -> None:
    shown = fingerpost("privacy", "audit", table, "--outcome", "state", "--quick", "--json", "-")
    assert shown.document["schema"] == "fingerpost-privacy-audit/1"


def test_what_cannot_be_attacked_is_refused_with_a_hint(fingerpost: Any, table: Path, rain_template: Path) -> None:
    def refused(*arguments: object) -> Any:
        return fingerpost("privacy", "audit", table, "--quick", *arguments)

    assert refused("--outcome", "nothing").fails_with(6, "no outcome column", "person, one, two")
    assert refused("--outcome", "one").fails_with(2, "is a number", "above a limit")
    assert refused("--outcome", "state", "--subject-column", "state").fails_with(2, "outcome and subject", "different")
    assert refused("--outcome", "state", "--template", rain_template).fails_with(2, "is 'rain', not", "--outcome rain")
    assert refused("--outcome", "state", "--report", table / "no" / "r.html").fails_with(2, "written", "folder")


def test_a_table_of_few_rows_is_refused(fingerpost: Any, tmp_path: Path) -> None:
    file = tmp_path / "few.csv"
    file.write_text("a,b\n" + "".join(f"{row * row % 7}.5,{'yn'[row % 2]}\n" for row in range(20)), encoding="utf-8")
    assert fingerpost("privacy", "audit", file, "--outcome", "b", "--quick").fails_with(6, "too few to attack", "60")


def test_missing_libraries_are_named_before_the_table_is_read(
    fingerpost: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "autograd" else found(name))
    shown = fingerpost("privacy", "audit", tmp_path / "absent.csv", "--outcome", "state")
    assert shown.fails_with(2, "not installed: autograd", "pip install 'fingerpost[lab,privacy]'")
