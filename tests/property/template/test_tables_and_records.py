"""A table is encoded as its records are, one by one, whatever holds its columns."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fingerpost.errors import RecordError
from fingerpost.template import Template, encode_record, encode_table, parse_template
from tests.unit.template.texts import small_with

LINEAR = 'kind = "number"\nrange = [-3.7, 11.25]\noutside = "clamp"'
REFUSING = 'kind = "number"\nrange = [0, 10]\nmissing = "refuse"\nweight = 1.7'
LOGARITHMIC = 'kind = "number"\nrange = [0.01, 3000]\nscale = "log"'
VECTOR = 'kind = "vector"\nsize = 2\nrange = [0, 1]'
FIELDS = [LINEAR, REFUSING, LOGARITHMIC]

numbers = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False, width=32).map(float),
    st.floats(-5, 12),
    st.integers(-10, 4_000),
    st.integers(0, 8_192).map(lambda step: -3.7 + 14.95 * (step + 0.5) / 8_192),  # near the edges of rounding
    st.integers(0, 5_000).map(lambda step: 0.01 * 2 ** (step / 256)),  # near the breakpoints of the logarithm
)
texts = st.one_of(
    numbers.map(str), numbers.map(lambda number: f" {number:.3f} "), st.sampled_from(["NA", "", "x", "1e2"])
)


def rows_one_by_one(template: Template, values: list[Any]) -> tuple[dict[int, list[int]], dict[int, str]]:
    """Return the coordinates of the rows (from 1) that fit, and the error codes of those that do not."""
    fitting, failing = {}, {}
    for row, value in enumerate(values, start=1):
        try:
            fitting[row] = encode_record(template, {"x": value}).tolist()
        except RecordError as error:
            failing[row] = error.code
    return fitting, failing


def check_same(template: Template, column: object, values: list[Any]) -> None:
    encoded, problems = encode_table(template, {"x": column}, rows=len(values))
    fitting, failing = rows_one_by_one(template, values)
    assert {problem.row: problem.code for problem in problems} == failing
    assert {row: encoded[row - 1].tolist() for row in fitting} == fitting


@pytest.mark.parametrize("field", FIELDS)
@given(values=st.lists(st.one_of(numbers, st.none())))
def test_numbers_in_a_list_are_encoded_like_records(field: str, values: list[Any]) -> None:
    check_same(parse_template(small_with(field)), values, values)


@pytest.mark.parametrize("field", FIELDS)
@given(values=st.lists(st.one_of(texts, st.none())))
def test_texts_of_a_file_are_encoded_like_records(field: str, values: list[Any]) -> None:
    template = parse_template(small_with(field))
    check_same(template, values, values)
    check_same(template, pa.array(values, pa.string()), values)
    check_same(template, pa.chunked_array([pa.array(values, pa.string()).dictionary_encode()]), values)


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
@given(values=st.lists(st.one_of(st.floats(-5, 12, width=32), st.integers(0, 2_000))))
def test_numpy_and_arrow_numbers_are_encoded_like_records(field: str, dtype: Any, values: list[Any]) -> None:
    template = parse_template(small_with(field))
    array = np.array(values, dtype=dtype)
    check_same(template, array, list(array))
    check_same(template, pa.array(array), array.tolist() if dtype != np.float32 else list(array))


@given(values=st.lists(st.one_of(st.lists(st.floats(0, 1), min_size=2, max_size=2), st.none())))
def test_vectors_are_encoded_like_records(values: list[Any]) -> None:
    template = parse_template(small_with(VECTOR))
    check_same(template, values, values)
    check_same(template, pa.array(values, pa.list_(pa.float64())), values)


@given(values=st.lists(st.one_of(st.booleans(), st.integers(-(10**400), 10**400), st.decimals("0", "10"), numbers)))
def test_numbers_of_odd_types_are_encoded_like_records(values: list[Any]) -> None:
    check_same(parse_template(small_with(REFUSING)), [*values, Decimal("3.5")], [*values, Decimal("3.5")])


@given(values=st.lists(st.sampled_from(["a", "b", "c", "", "NA", "A", "d", None, 1, True])))
def test_levels_are_encoded_like_records(values: list[Any]) -> None:
    check_same(parse_template(small_with('kind = "category"\nlevels = ["a", "b", "c"]')), values, values)
    check_same(parse_template(small_with('kind = "ordinal"\nlevels = ["a", "b"]\nother = "missing"')), values, values)
    check_same(parse_template(small_with('kind = "set"\nlevels = ["a", "b"]')), values, values)
