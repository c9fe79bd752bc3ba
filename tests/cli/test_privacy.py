"""``fingerpost emit`` under dp-aggregate, ``fingerpost privacy budget``, and answers from noisy counts."""

from __future__ import annotations

import shutil
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
bits = 6
[privacy]
profile = "dp-aggregate"
"""


@pytest.fixture
def template(tmp_path: Path) -> Path:
    path = tmp_path / "rain.toml"
    path.write_text(TEMPLATE, encoding="utf-8")
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "rain.csv"
    rows = [f"p{n},{('grey', 'blue')[n % 2]},{('wet', 'dry')[n % 2]}" for n in range(400)]
    path.write_text("\n".join(["patient,sky,rain", *rows, "p0,blue,dry"]) + "\n", encoding="utf-8")
    return path


def test_a_table_becomes_one_packet_for_each_cell_and_each_subject_counts_once(
    fingerpost: Any, template: Path, table: Path
) -> None:
    fingerpost("keys", "new")
    told = fingerpost("emit", table, "--template", template, "--subject-column", "patient", "--json").document
    assert told["packets"] == 64
    assert (told["release"]["rows"], told["release"]["same_subject"], told["release"]["spent"]) == (400, 1, 0)
    spent = fingerpost("privacy", "budget", "--json").document
    assert spent["spent"] == {"1": 400}
    assert "400 subjects spent epsilon 1" in fingerpost("privacy", "budget").out


def test_answers_come_from_the_counts_say_so_and_can_be_verified(
    fingerpost: Any, template: Path, table: Path, tmp_path: Path
) -> None:
    fingerpost("keys", "new")
    assert fingerpost("emit", table, "--template", template, "--subject-column", "patient").status == 0
    answer = fingerpost("ask", "--set", "sky=grey", "--receipt", tmp_path / "r", "--json").document["answers"][0]
    assert answer["calculator"] == "noisy-counts-2"
    assert "noisy-counts" in {warning["code"] for warning in answer["warnings"]}
    assert not answer["abstained"]
    assert answer["levels"][1]["probability"] > 0.8
    verified = fingerpost("verify", tmp_path / "r")
    assert verified.status == 0
    assert "derivation verified" in verified.out


def test_subjects_have_to_be_named_and_a_day_is_not_counted_twice(fingerpost: Any, template: Path, table: Path) -> None:
    fingerpost("keys", "new")
    assert fingerpost("emit", table, "--template", template).fails_with(
        2, "a column has to name it", "--subject-column"
    )
    fingerpost("emit", table, "--template", template, "--subject-column", "patient")
    again = fingerpost("emit", table, "--template", template, "--subject-column", "patient", "--again")
    assert again.fails_with(13, "no row can be counted", "privacy budget")


def test_a_dry_run_shows_counts_and_spends_nothing(fingerpost: Any, template: Path, table: Path, home: Path) -> None:
    result = fingerpost("emit", table, "--template", template, "--subject-column", "patient", "--dry-run")
    assert result.status == 0
    assert "one for each cell and action" in result.out
    assert not (home / "privacy").exists()


def test_a_ledger_restored_from_before_the_last_release_stops_the_next_one(
    fingerpost: Any, template: Path, table: Path, home: Path, tmp_path: Path
) -> None:
    fingerpost("keys", "new")
    emit = ("emit", table, "--template", template, "--subject-column", "patient")
    fingerpost(*emit)
    shutil.rmtree(home / "privacy")
    assert fingerpost(*emit, "--again").fails_with(13, "the privacy ledger does not know", "older backup")


def test_a_damaged_ledger_stops_every_release(fingerpost: Any, template: Path, table: Path, home: Path) -> None:
    fingerpost("keys", "new")
    emit = ("emit", table, "--template", template, "--subject-column", "patient")
    fingerpost(*emit)
    data = bytearray((home / "privacy" / "ledger").read_bytes())
    data[60] ^= 1
    (home / "privacy" / "ledger").write_bytes(bytes(data))
    assert fingerpost(*emit, "--again").fails_with(13, "the privacy ledger is damaged", "backup")


def test_forgetting_a_subject_that_was_counted_lists_the_counts_that_stay(
    fingerpost: Any, template: Path, table: Path
) -> None:
    fingerpost("keys", "new")
    fingerpost("emit", table, "--template", template, "--subject-column", "patient")
    forgotten = fingerpost("forget", "p3", "--json").document
    assert (forgotten["withdrawn"], len(forgotten["kept"])) == ([], 64)
    assert fingerpost("forget", "nobody", "--json").document["kept"] == []
