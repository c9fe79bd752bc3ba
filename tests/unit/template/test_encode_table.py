"""Columns of tables: what may hold them, and what is wrong with them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fingerpost.errors import RecordError, TableError, UsageError
from fingerpost.template import _text, encode_record, encode_table, parse_template
from tests.unit.template.texts import HOSPITAL, SMALL, small_with

TEMPLATE = parse_template(SMALL)
SCALED = [[-4096, 0], [0, 4096], [4096, 0]]


@pytest.mark.parametrize(
    "column",
    [
        [0, None, 10],
        (0, float("nan"), 10),
        range(0, 11, 5),
        np.array([0, np.nan, 10]),
        np.array([0, None, 10], dtype=object),
        np.ma.MaskedArray([0, 5, 10], mask=[False, True, False]),
        pa.array([0, None, 10]),
        pa.array([0.0, None, 10.0]),
        pa.array(["0", None, "10"]),
        pa.chunked_array([pa.array([0.0]), pa.array([None, 10.0], pa.float64())]),
        pa.array(["0", None, "10"]).dictionary_encode(),
    ],
    ids=lambda column: type(column).__name__,
)
def test_whatever_holds_a_column_gives_the_same_coordinates(column: Any) -> None:
    encoded, problems = encode_table(TEMPLATE, {"x": column, "more": [1, 2, 3]}, rows=3)
    assert problems == []
    assert encoded[[0, 2]].tolist() == [SCALED[0], SCALED[2]]
    assert encoded[1].tolist() == ([0, 0] if isinstance(column, range) else SCALED[1])


@pytest.mark.parametrize("column", ["text", b"bytes", {"a": 1}, 3, None])
def test_what_is_no_column_is_refused(column: Any) -> None:
    with pytest.raises(UsageError) as caught:
        encode_table(TEMPLATE, {"x": column}, rows=1)
    assert caught.value.code == "column-type"


def test_an_absent_column_is_refused_with_the_name_that_was_meant() -> None:
    with pytest.raises(TableError) as caught:
        encode_table(parse_template(HOSPITAL), {"agee": [1]}, rows=1)
    assert (caught.value.code, caught.value.hint) == ("column-missing", "did you mean 'agee'?")
    with pytest.raises(TableError) as caught:
        encode_table(TEMPLATE, {"height": [1], "weight": [2]}, rows=1)
    assert caught.value.hint == "its columns are: height, weight"


def test_an_absent_column_may_count_as_missing() -> None:
    encoded, problems = encode_table(TEMPLATE, {}, rows=2, absent="missing")
    assert encoded.tolist() == [[0, 4096]] * 2
    assert problems == []


def test_a_column_of_another_length_is_refused() -> None:
    with pytest.raises(TableError) as caught:
        encode_table(TEMPLATE, {"x": [1, 2]}, rows=3)
    assert caught.value.code == "column-length"


def test_problems_name_row_and_field_and_come_in_the_order_of_rows() -> None:
    template = parse_template(HOSPITAL)
    columns = {part.name: [None] * 3 for part in template.situation}
    encoded, problems = encode_table(template, columns | {"age": [None, 30, 200], "sex": ["x", "male", "y"]}, rows=3)
    assert [(problem.row, problem.field) for problem in problems] == [(1, "age"), (1, "sex"), (3, "age"), (3, "sex")]
    assert all(problem.code and problem.message and problem.hint for problem in problems)
    assert encoded[1].tolist() == encode_record(template, {"age": 30, "sex": "male"}).tolist()


def test_a_table_of_no_rows_has_no_coordinates_and_no_problems() -> None:
    encoded, problems = encode_table(TEMPLATE, {"x": []}, rows=0)
    assert encoded.shape == (0, 2)
    assert problems == []


@pytest.mark.parametrize("odd", ["\ud800", "1_0", "٣", "5." + "0" * 400, "0x1", "1 2", 10**400, -(10**400), 1j])
def test_what_only_looks_like_a_number_is_judged_as_it_is_alone(odd: Any) -> None:
    with pytest.raises(RecordError) as caught:
        encode_record(TEMPLATE, {"x": odd})
    encoded, problems = encode_table(TEMPLATE, {"x": [odd, type(odd)("5") if isinstance(odd, str) else 5]}, rows=2)
    assert [(problem.row, problem.code) for problem in problems] == [(1, caught.value.code)]
    assert encoded[1].tolist() == [0, 0]


def test_vectors_of_numpy_and_of_wrong_size_are_told_apart() -> None:
    template = parse_template(small_with('kind = "vector"\nsize = 2\nrange = [0, 1]'))
    column = [np.array([0, 0.5]), [1], "0;1", None, np.zeros((2, 2))]
    encoded, problems = encode_table(template, {"x": column}, rows=5)
    assert [problem.row for problem in problems] == [2, 5]
    assert encoded[[0, 2, 3]].tolist() == [[-4096, 0, 0], [-4096, 4096, 0], [0, 0, 4096]]


def test_a_column_without_one_plain_vector_or_text_is_judged_row_by_row() -> None:
    vector = parse_template(small_with('kind = "vector"\nsize = 2\nrange = [0, 1]'))
    assert encode_table(vector, {"x": ["0;1", "1;1"]}, rows=2)[0].tolist() == [[-4096, 4096, 0], [4096, 4096, 0]]
    text = parse_template(small_with('kind = "text"'))
    encoded, problems = encode_table(text, {"x": ["NA", ""]}, rows=2)
    assert encoded.tolist() == [[0] * 256 + [4096]] * 2
    assert problems == []


def test_texts_become_embeddings_once_for_each_distinct_text() -> None:
    template = parse_template(small_with('kind = "text"\nweight = 0.5'))
    notes = ["chest pain at rest", "NA", None, "chest pain at rest", "a broken leg", "chest pain when resting"]
    encoded, problems = encode_table(template, {"x": notes}, rows=6)
    assert problems == []
    assert encoded[0].tolist() == encoded[3].tolist() == encode_record(template, {"x": notes[0]}).tolist()
    assert encoded[1].tolist() == encoded[2].tolist() == [0] * 256 + [2048]
    likeness = encoded[:, :256].astype(float) @ encoded[0, :256]
    assert likeness[5] > likeness[4]


def test_what_is_no_text_is_refused_for_a_text_field() -> None:
    template = parse_template(small_with('kind = "text"'))
    encoded, problems = encode_table(template, {"x": [3, "pain"]}, rows=2)
    assert [(problem.row, problem.code) for problem in problems] == [(1, "value-type")]
    assert encoded[1].any()


def test_a_missing_text_extra_is_named_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "wordllama", None)
    _text._model.cache_clear()
    with pytest.raises(RecordError) as caught:
        encode_record(parse_template(small_with('kind = "text"')), {"x": "pain"})
    _text._model.cache_clear()
    assert caught.value.code == "text-extra-missing"
    assert "pip install" in caught.value.hint
