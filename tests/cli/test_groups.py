"""``fingerpost emit`` under k-anonymous, answers from groups, and what ``forget`` takes with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

TEMPLATE = """\
format = 1
name = "rain"
data_class = "personal"
[situation.size]
kind = "number"
range = [0, 100]
[situation.sky]
kind = "category"
levels = ["blue", "grey"]
[outcome]
name = "rain"
kind = "category"
levels = ["dry", "wet"]
[retention]
ttl_days = 90
[privacy]
profile = "k-anonymous"
"""


@pytest.fixture
def template(tmp_path: Path) -> Path:
    path = tmp_path / "rain.toml"
    path.write_text(TEMPLATE, encoding="utf-8")
    return path


def table_of(path: Path, *, first: int, count: int) -> Path:
    rng = np.random.default_rng(first)
    rows = [
        f"p{n},{rng.uniform(0, 100):.0f},{('grey', 'blue')[n % 2]},{('wet', 'dry')[n % 2]}"
        for n in range(first, first + count)
    ]
    path.write_text("\n".join(["patient,size,sky,rain", *rows]) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return table_of(tmp_path / "rain.csv", first=0, count=300)


def emit(fingerpost: Any, template: Path, table: Path, *more: object) -> Any:
    return fingerpost("emit", table, "--template", template, "--subject-column", "patient", *more)


def test_a_table_becomes_one_packet_for_each_group_and_answers_come_from_them(
    fingerpost: Any, template: Path, table: Path, tmp_path: Path
) -> None:
    fingerpost("keys", "new")
    told = emit(fingerpost, template, table, "--json").document
    release = told["release"]
    assert release["rows"] == 300
    assert 15 < told["packets"] <= 30
    assert release["groups"] == told["packets"]
    assert release["epsilon"] == 0
    assert told["example"]["profile"] == "k-anonymous"
    assert told["example"]["kind"] == "summary"
    answer = fingerpost("ask", "--set", "sky=grey", "--receipt", tmp_path / "r", "--json").document["answers"][0]
    assert answer["records"] == 300
    assert answer["levels"][1]["probability"] > 0.8
    assert fingerpost("verify", tmp_path / "r").status == 0


def test_who_is_in_a_live_group_is_in_no_second_one_so_that_a_newcomer_cannot_be_subtracted(
    fingerpost: Any, template: Path, table: Path, tmp_path: Path
) -> None:
    fingerpost("keys", "new")
    emit(fingerpost, template, table)
    assert emit(fingerpost, template, table, "--again").fails_with(13, "still live", "wait until it expires")
    cumulative = table_of(tmp_path / "more.csv", first=0, count=301)
    assert emit(fingerpost, template, cumulative).fails_with(13, "1 subjects are too few", "emit again")
    newcomers = table_of(tmp_path / "new.csv", first=295, count=25)
    release = emit(fingerpost, template, newcomers, "--json").document["release"]
    assert (release["rows"], release["same_subject"]) == (20, 5)


def test_a_subject_has_to_be_named_and_counts_with_one_row(fingerpost: Any, template: Path, tmp_path: Path) -> None:
    fingerpost("keys", "new")
    table = tmp_path / "twice.csv"
    rows = [f"p{n % 40},{n},{('grey', 'blue')[n % 2]},{('wet', 'dry')[n % 2]}" for n in range(80)]
    table.write_text("\n".join(["patient,size,sky,rain", *rows]) + "\n", encoding="utf-8")
    assert fingerpost("emit", table, "--template", template).fails_with(2, "a column has to name it", "subject-column")
    release = emit(fingerpost, template, table, "--json").document["release"]
    assert (release["rows"], release["same_subject"]) == (40, 40)


def test_forgetting_a_subject_withdraws_its_group_and_says_that_others_went_with_it(
    fingerpost: Any, template: Path, table: Path
) -> None:
    fingerpost("keys", "new")
    emit(fingerpost, template, table)
    gone = fingerpost("forget", "p7", "--json").document
    assert (len(gone["withdrawn"]), gone["shared"]) == (1, 1)
    answer = fingerpost("ask", "--set", "sky=grey", "--json").document["answers"][0]
    assert answer["records"] < 300
    assert fingerpost("forget", "p7", "--json").document["withdrawn"] == []
    assert emit(fingerpost, template, table, "--again").fails_with(13, "still live", "wait until it expires")


def test_a_dry_run_shows_groups_and_enters_nothing(fingerpost: Any, template: Path, table: Path, home: Path) -> None:
    result = emit(fingerpost, template, table, "--dry-run")
    assert result.status == 0
    assert "one for each group of at least 10 rows" in result.out
    assert not (home / "privacy").exists()
