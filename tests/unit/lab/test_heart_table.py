"""The table of the demo holds exactly the published patients, and its template fits it."""

from __future__ import annotations

import csv
import hashlib
import tomllib
from collections import Counter
from decimal import Decimal
from importlib.resources import files

LAB = files("fingerpost.lab")
ROWS = list(csv.DictReader(LAB.joinpath("heart.csv").read_text(encoding="utf-8").splitlines()))
TEMPLATE = tomllib.loads(LAB.joinpath("heart.toml").read_text(encoding="utf-8"), parse_float=Decimal)
CLAMPED = {("cholesterol", "85"), ("cholesterol", "603")}


def test_each_hospital_has_the_published_number_of_patients() -> None:
    assert Counter(row["hospital"] for row in ROWS) == {
        "Cleveland": 303,
        "Hungary": 294,
        "Switzerland": 123,
        "Long Beach": 200,
    }


def test_each_hospital_has_the_published_number_of_diseased_patients() -> None:
    diseased = Counter(row["hospital"] for row in ROWS if row["disease"] == "yes")
    assert diseased == {"Cleveland": 139, "Hungary": 106, "Switzerland": 115, "Long Beach": 149}
    assert {row["disease"] for row in ROWS} == {"yes", "no"}


def test_no_zero_stands_for_a_missing_measurement() -> None:
    empty = Counter(column for row in ROWS for column, cell in row.items() if cell == "")
    assert empty["cholesterol"] == 202
    assert empty["resting_pressure"] == 60
    assert not [row for row in ROWS if "0" in (row["cholesterol"], row["resting_pressure"])]
    assert not any(row["cholesterol"] for row in ROWS if row["hospital"] == "Switzerland")


def test_the_table_is_the_one_that_was_compared_with_the_source() -> None:
    digest = hashlib.blake2s(LAB.joinpath("heart.csv").read_bytes(), digest_size=8).hexdigest()
    assert digest == "c9c39e80a9c9313e"


def test_the_template_names_every_column_of_the_table_but_the_hospital() -> None:
    assert [*TEMPLATE["situation"], "disease"] == [name for name in ROWS[0] if name != "hospital"]


def test_every_cell_lies_inside_what_the_template_declares() -> None:
    outside = set()
    for name, field in TEMPLATE["situation"].items():
        for cell in {row[name] for row in ROWS} - {""}:
            if field["kind"] == "category":
                fits = cell in field["levels"]
            else:
                low, high = field["range"]
                fits = low <= Decimal(cell) <= high
            if not fits:
                outside.add((name, cell))
    assert outside == CLAMPED


def test_the_levels_of_the_template_all_occur() -> None:
    for name, field in TEMPLATE["situation"].items():
        if field["kind"] == "category":
            assert {row[name] for row in ROWS} - {""} == set(field["levels"])


def test_the_licence_is_attributed() -> None:
    text = LAB.joinpath("heart.README.md").read_text(encoding="utf-8")
    for word in ("Janosi", "Steinbrunn", "Pfisterer", "Detrano", "Creative Commons Attribution 4.0"):
        assert word in text
