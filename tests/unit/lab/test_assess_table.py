"""Any honest table is either assessed, with every repair said, or refused with a code and a hint."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from fingerpost.errors import FingerpostError
from fingerpost.lab.assess.features import draft_template, encode_all, raw_features
from fingerpost.lab.assess.table import AssessedTable, Roles, read_assessed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ROWS = 80


def _rows(cell: Callable[[int], str] = str, outcome: Callable[[int], str] = lambda row: "ny"[row % 2]) -> str:
    lines = [f"{row % 7},{cell(row)},{'ab'[row % 3 == 0]},{outcome(row)}" for row in range(ROWS)]
    return "\n".join(["x,odd,site,happened", *lines]) + "\n"


def _read(folder: Path, text: str, *, node: str | None = "site", most: int = 10_000) -> AssessedTable:
    file = folder / "table.csv"
    file.write_text(text, encoding="utf-8")
    return read_assessed(file, Roles(outcome="happened", node=node), rows_max=most, seed=0)


HONEST = {
    "missing values": _rows(lambda row: "" if row % 4 else str(row % 9)),
    "question marks": _rows(lambda row: "?" if row % 4 else str(row % 9)),
    "nearly all missing": _rows(lambda row: "4.5" if row < 2 else ""),
    "strings": _rows(lambda row: ["red", "blue", "grün"][row % 3]),
    "booleans": _rows(lambda row: ["True", "False"][row % 2]),
    "dates": _rows(lambda row: f"2024-{row % 12 + 1:02d}-{row % 28 + 1:02d}"),
    "whole numbers that count rows": _rows(str),
    "names of rows": _rows(lambda row: f"patient {row}"),
    "a constant": _rows(lambda _row: "same"),
    "an empty column": _rows(lambda _row: ""),
    "numbers with dirt": _rows(lambda row: "unknown" if row == 5 else str(row * 0.37)),
    "enormous numbers": _rows(lambda row: f"{row % 9}e300"),
    "infinities": _rows(lambda row: "inf" if row == 3 else str(row % 9)),
    "a far value": _rows(lambda row: "1e9" if row == 3 else str(row % 9)),
    "many categories": _rows(lambda row: f"code {row % 60}"),
    "long texts": _rows(lambda row: "word " * 60 + str(row % 5)),
    "spaces around": _rows(lambda row: f"  {row % 3} "),
    "decimal commas": _rows(lambda row: f'"{row % 5},5"'),
    "a rare outcome": _rows(str, lambda row: "rare" if row == 7 else "ny"[row % 2]),
    "outcomes missing": _rows(str, lambda row: "" if row % 5 == 0 else "ny"[row % 2]),
    "an imbalanced outcome": _rows(str, lambda row: "yes" if row % 13 == 0 else "no"),
    "three outcomes": _rows(str, lambda row: ["a", "b", "c"][row % 3]),
    "outcomes as numbers": _rows(str, lambda row: str(row % 4)),
    "outcomes as booleans": _rows(str, lambda row: ["true", "false"][row % 2]),
    "quoted cells with markup": _rows(lambda row: f'"<b>{row % 3}</b> & more"'),
    "a numeric outcome": _rows(str, lambda row: str(row * 1.5)),
    "cells of mixed kinds": _rows(lambda row: ["1", "1.0", "one", "true", "2024-01-01", ""][row % 6]),
    "times with zones": _rows(lambda row: f"2024-05-{row % 28 + 1:02d}T08:00:00+02:00"),
    "negative zeros": _rows(lambda row: ["-0.0", "0", "0.0"][row % 3]),
    "tiny numbers": _rows(lambda row: f"{row % 9}e-300"),
    "leading zeros": _rows(lambda row: f"{row % 40:05d}"),
    "percent signs": _rows(lambda row: f"{row % 90} %"),
    "emoji and other scripts": _rows(lambda row: ["🙂", "日本", "שלום", "e\u0301"][row % 4]),
    "line breaks in cells": _rows(lambda row: f'"first {row % 3}\nsecond"'),
    "formulas of spreadsheets": _rows(lambda row: f"=cmd|{row % 3}"),
    "a byte order mark": "\ufeff" + _rows(),
    "outcomes with quotes": _rows(str, lambda row: ['"it\'s ""so"""', "no"][row % 2]),
    "outcomes in other scripts": _rows(str, lambda row: ["是", "否"][row % 2]),
    "a site of five rows": _rows(str).replace(",b,", ",a,").replace(",a,", ",tiny,", 5),
    "a site per row": "\n".join(["x,odd,site,happened", *(f"{r % 7},1,s{r},{'ny'[r % 2]}" for r in range(ROWS))])
    + "\n",
    "names of columns with spaces": _rows().replace("odd", "what a (strange) name"),
    "a site with one outcome": _rows(str, lambda row: "n" if row % 3 == 0 else "ny"[row % 2]),
}
NUMBERS = {  # outcome of a row: levels, rows of the last one
    "halves": (lambda row: str(row * 1.5), ("above 59.25", "up to 59.25"), 40),
    "mostly none": (lambda row: str(max(0, row - 50)), ("above 0", "up to 0"), 51),
    "mostly all": (lambda row: str(min(30, row)), ("30 or more", "below 30"), 30),
    "with dirt": (lambda row: "lost" if row == 3 else str(row), ("above 40", "up to 40"), 40),
}
REFUSED = {
    "an empty file": ("", ""),
    "a header alone": ("x,odd,site,happened\n", "table-empty"),
    "one column": ("happened\n" + "y\nn\n" * 40, "assess-no-field"),
    "no outcome column": (_rows().replace("happened", "other"), "column-missing"),
    "one outcome": (_rows(str, lambda _row: "y"), "assess-one-outcome"),
    "no outcome at all": (_rows(str, lambda _row: ""), "assess-one-outcome"),
    "an outcome that names rows": (_rows(str, lambda row: f"case {row}"), "assess-outcome-levels"),
    "too few rows": ("x,site,happened\n" + "1,a,y\n2,b,n\n" * 8, "assess-few-rows"),
    "names twice": (_rows().replace("odd", "x"), "table-header"),
    "ragged rows": (_rows() + "1,2\n", "table-ragged"),
    "only constants": ("x,happened\n" + "1,y\n1,n\n" * 40, "assess-no-field"),
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_a_number_is_forecast_as_whether_it_is_above_its_median_and_that_is_said(kind: str, tmp_path: Path) -> None:
    outcome, levels, last = NUMBERS[kind]
    table = _read(tmp_path, _rows(str, outcome))
    assert table.levels == levels
    assert int((table.codes == 1).sum()) == last
    assert any("median" in note for note in table.notes)


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_table_is_read_and_encoded_for_every_arm(name: str, tmp_path: Path) -> None:
    table = _read(tmp_path, HONEST[name])
    train = np.flatnonzero(np.arange(len(table)) // 2 % 2 == 0)
    features = raw_features(table, train)
    template, _ = draft_template(table, train)
    encoded, _ = encode_all(template, table)
    assert len(table.levels) >= 2
    assert np.isfinite(features).all()
    assert len(encoded) == len(features) == len(table)


@pytest.mark.parametrize("name", REFUSED)
def test_a_table_that_cannot_be_assessed_is_refused_with_a_hint(name: str, tmp_path: Path) -> None:
    text, code = REFUSED[name]
    with pytest.raises(FingerpostError) as caught:
        _read(tmp_path, text, node=None)
    assert caught.value.hint
    assert not code or caught.value.code == code


@pytest.mark.parametrize(("name", "word"), [("a constant", "constant"), ("names of rows", "names rows")])
def test_a_dropped_column_is_named(name: str, word: str, tmp_path: Path) -> None:
    table = _read(tmp_path, HONEST[name])
    assert "odd" not in table.columns
    assert any("odd" in note and word in note for note in table.notes)


def test_a_large_table_is_drawn_from_and_the_note_says_so(tmp_path: Path) -> None:
    table = _read(tmp_path, _rows(), most=50)
    assert len(table) == 50
    assert any("50 of 80 rows were drawn" in note for note in table.notes)


def test_a_table_of_one_node_has_nobody_to_share_with(tmp_path: Path) -> None:
    with pytest.raises(FingerpostError, match="one node"):
        _read(tmp_path, "x,site,happened\n" + "1,a,y\n2,a,n\n3,a,y\n" * 20)


def test_a_test_row_cannot_change_the_template(tmp_path: Path) -> None:
    first = _read(tmp_path, _rows(lambda row: str(row % 9)))
    second = _read(tmp_path, _rows(lambda row: "77777" if row == 1 else str(row % 9)))
    train = np.flatnonzero(np.arange(ROWS) % 4 != 1)
    assert draft_template(first, train)[0].template_id == draft_template(second, train)[0].template_id


def test_at_least_forty_nasty_tables_are_tried() -> None:
    assert len(HONEST) + len(REFUSED) >= 40


def test_three_hundred_columns_are_read_and_what_does_not_fit_is_said(tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    names = [f"c{place}" for place in range(300)]
    lines = [",".join(f"{value:.2f}" for value in chance.normal(size=300)) + f",{'ny'[row % 2]}" for row in range(ROWS)]
    table = _read(tmp_path, "\n".join([",".join([*names, "happened"]), *lines]) + "\n", node=None)
    template, _ = draft_template(table, np.arange(60))
    assert len(table.columns) == 300
    assert len(template.situation) > 0


def test_rows_are_put_in_order_of_time_and_know_what_happened_before(tmp_path: Path) -> None:
    lines = [
        f"{row % 7},{'ab'[row % 2]},2024-{12 - row // 10:02d}-{31 - row % 10 * 3:02d},{'ny'[row % 3 == 0]}"
        for row in range(80)
    ]
    file = tmp_path / "table.csv"
    file.write_text("\n".join(["x,site,day,happened", *lines]) + "\n", encoding="utf-8")
    table = read_assessed(file, Roles(outcome="happened", node="site", time="day"), rows_max=100, seed=0)
    assert "day" not in table.columns
    assert table.previous is not None
    assert table.nodes is not None
    for node in (0, 1):
        mine = table.nodes == node
        assert table.previous[mine].tolist() == [-1, *table.codes[mine].tolist()[:-1]]


@pytest.mark.parametrize(
    ("roles", "code"),
    [
        (Roles(outcome="happened", time="odd"), "assess-time"),
        (Roles(outcome="happened", action="odd"), "assess-actions"),
        (Roles(outcome="happened", action="happened"), "assess-roles"),
        (Roles(outcome="happened", time="when"), "column-missing"),
    ],
)
def test_a_column_that_cannot_have_its_role_is_refused(roles: Roles, code: str, tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_text(_rows(lambda row: f"name {row}"), encoding="utf-8")
    with pytest.raises(FingerpostError) as caught:
        read_assessed(file, roles, rows_max=100, seed=0)
    assert caught.value.code == code
    assert caught.value.hint
