"""Whole columns to integers: floating point where its error cannot matter, the exact definition where it might."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from fingerpost.errors import RecordError, TableError
from fingerpost.template._columns import Column, RowProblem
from fingerpost.template._exact import coordinates, is_missing
from fingerpost.template._fields import SCALE, Field, NumberField, Scale, TextField, VectorField
from fingerpost.template._logarithm import BREAKPOINT_BITS, STEPS_PER_OCTAVE, breakpoints, steps_of
from fingerpost.template._template import Template
from fingerpost.template._text import embed
from fingerpost.template._values import BLANKS, NUMBER_LENGTH_MAX, shown

Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]
Encoded: TypeAlias = npt.NDArray[np.int16]
Mask: TypeAlias = npt.NDArray[np.bool_]

_EPSILON = 2.0**-53  # relative error of a float64 that stands for a decimal
_EPSILON_OF_TYPE: dict[type, float] = {np.float32: 2.0**-24, np.float16: 2.0**-11}


def encode_table(
    template: Template, columns: Mapping[str, object], *, rows: int, absent: Literal["refuse", "missing"] = "refuse"
) -> tuple[Encoded, list[RowProblem]]:
    """Return the ``(rows, template.encoded_width)`` int16 coordinates of a table, and what did not fit.

    ``columns`` maps names to pyarrow arrays, numpy arrays or sequences; other columns than the situation's are
    ignored. Each row equals ``encode_record`` of it, except that a NaN in a floating column is missing. A row that
    occurs in the problems (sorted by row) must be left out; its coordinates mean nothing. Raises ``TableError`` for
    a column that is absent (unless ``absent="missing"``) or of another length.
    """
    encoded = np.zeros((rows, template.encoded_width), dtype=np.int16)
    problems: list[RowProblem] = []
    for part, place in zip(template.situation, template.columns, strict=True):
        if part.name not in columns and absent == "refuse":
            raise _absent_column(part.name, columns)
        encoded[:, place], found = _encode_column(part, columns.get(part.name, [None] * rows), rows)
        problems += found
    return encoded, sorted(problems, key=lambda problem: problem.row)


def _encode_column(part: Field, column: Any, rows: int) -> tuple[Encoded, list[RowProblem]]:
    whole = _whole_column(column) if isinstance(part, NumberField) else None
    if whole is None or not isinstance(part, NumberField):
        values = Column.of(column)
        _check_length(part, len(values.codes), rows)
        table, errors = encode_values(part, values.values)
        return table[values.codes], values.problems(errors)
    column, approximate, epsilon = whole
    _check_length(part, len(approximate), rows)
    numbers, unsure = _spread_number(approximate, part, epsilon)
    encoded = np.zeros((rows, part.width), dtype=np.int16)
    encoded[:, 0] = _weighted(numbers, part.weight)
    rest = np.flatnonzero(unsure)
    values = Column.of(column.take(rest))
    table, errors = encode_values(part, values.values)
    encoded[rest] = table[values.codes]
    found = values.problems(errors)
    return encoded, [replace(problem, row=int(rest[problem.row - 1]) + 1) for problem in found]


def _check_length(part: Field, length: int, rows: int) -> None:
    if length != rows:
        raise TableError(
            "column-length",
            f"the column {shown(part.name)} has {length} rows, not {rows}",
            hint="all columns of a table have the same length",
        )


def _whole_column(column: Any) -> tuple[Any, Floats, float] | None:
    """Return a column of plain numbers or texts, the same as float64, and its relative error; else None.

    This saves looking for distinct values where almost every value is sure anyway.
    """
    if hasattr(column, "combine_chunks"):
        column = column.combine_chunks()
    if isinstance(column, np.ndarray) and not isinstance(column, np.ma.MaskedArray):
        if column.ndim != 1 or column.dtype.kind not in "fiu":
            return None
        return column, column.astype(np.float64), _EPSILON_OF_TYPE.get(column.dtype.type, _EPSILON)
    return _whole_texts(column)


def _whole_texts(column: Any) -> tuple[Any, Floats, float] | None:
    import pyarrow as pa  # here, not above: see floats_of_texts
    from pyarrow import compute

    try:
        if isinstance(column, (list, tuple)):
            column = pa.array(column, pa.string())
        if not isinstance(column, (pa.StringArray, pa.LargeStringArray)):
            return None
        if (compute.max(compute.binary_length(column)).as_py() or 0) > NUMBER_LENGTH_MAX:
            return None
        floats = compute.cast(compute.utf8_trim(column, characters=BLANKS), pa.float64())
    except (pa.ArrowException, UnicodeEncodeError):  # something else than texts, or a text that is no number
        return None
    return column, np.asarray(floats.to_numpy(zero_copy_only=False), dtype=np.float64), _EPSILON


def encode_values(part: Field, values: list[Any]) -> tuple[Encoded, dict[int, RecordError]]:
    """Return ``(len(values) + 1, part.width)`` coordinates, the last row for a missing value, and errors by index."""
    table = np.zeros((len(values) + 1, part.width), dtype=np.int16)
    unsure = np.ones(len(values) + 1, dtype=np.bool_)
    if values:
        fast, unsure[:-1] = _fast(part, values)
        table[:-1, : fast.shape[1]] = _weighted(fast, part.weight)
    errors: dict[int, RecordError] = {}
    for index in np.flatnonzero(unsure):
        try:
            table[index] = coordinates(part, values[index] if index < len(values) else None)
        except RecordError as error:
            errors[int(index)] = error
    return table, errors


def _fast(part: Field, values: list[Any]) -> tuple[Integers, Mask]:
    """Return unweighted coordinates of values, and which of them the exact definition must compute instead."""
    match part:
        case NumberField():
            approximate, epsilon = _floats(values)
            numbers, unsure = _spread_number(approximate, part, epsilon)
            return numbers[:, None], unsure
        case VectorField():
            return _fast_vectors(part, values)
        case TextField():
            return _fast_texts(part, values)
        case _:
            return np.zeros((len(values), 0), dtype=np.int64), np.ones(len(values), dtype=np.bool_)


def _floats(values: list[Any]) -> tuple[Floats, float]:
    """Return values as float64, NaN where the exact definition must judge, and the relative error of the others."""
    kinds = set(map(type, values))
    if kinds <= {str, np.str_}:
        return floats_of_texts(values), _EPSILON
    if not all(issubclass(kind, (int, float, np.integer, np.floating)) for kind in kinds) or bool in kinds:
        return np.full(len(values), np.nan), _EPSILON
    epsilon = max((_EPSILON_OF_TYPE.get(kind, _EPSILON) for kind in kinds), default=_EPSILON)
    try:
        return np.array(values, dtype=np.float64), epsilon
    except OverflowError:
        return np.full(len(values), np.nan), _EPSILON


def floats_of_texts(texts: list[str]) -> Floats:
    """Return texts as float64; all are NaN where one of them looks like a number and is none."""
    import pyarrow as pa  # here, not above: a tenth of a second that asking about one record should not pay

    stripped = [text.strip(BLANKS) for text in texts]
    try:
        array = pa.array([text if _may_be_number(text) else None for text in stripped], pa.string())
        return np.asarray(array.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
    except (pa.ArrowInvalid, UnicodeEncodeError):
        return np.full(len(texts), np.nan)


def _may_be_number(text: str) -> bool:
    return text[-1:].isdecimal() and len(text) <= NUMBER_LENGTH_MAX


def _spread_number(x: Floats, part: NumberField, epsilon: float) -> tuple[Integers, Mask]:
    """Return unweighted coordinates, and which of them the exact definition must compute instead."""
    return (_spread_logarithm if part.scale is Scale.LOG else _spread)(x, part, epsilon)


def _spread(x: Floats, part: NumberField | VectorField, epsilon: float) -> tuple[Integers, Mask]:
    """Spread numbers linearly; unsure within the error bound of a rounding edge or of an end of the range."""
    factor = float(2 * SCALE / (part.high - part.low))
    largest = float(max(abs(part.low), abs(part.high)))
    # Error of x and low, times the factor, and of the three floating operations on numbers up to 2 * SCALE + 1.
    tolerance = 2 * factor * largest * (epsilon + 2 * _EPSILON) + (2 * SCALE + 1) * 8 * _EPSILON
    with np.errstate(invalid="ignore", over="ignore"):
        t = (x - float(part.low)) * factor + 0.5
        sure = (t > 0.5 + tolerance) & (t < 2 * SCALE + 0.5 - tolerance) & (np.abs(t - np.rint(t)) > tolerance)
    return np.floor(np.where(sure, t, 0)).astype(np.int64) - SCALE, ~sure


def _spread_logarithm(x: Floats, part: NumberField, epsilon: float) -> tuple[Integers, Mask]:
    """Spread numbers by ``steps_of``; unsure within the error bound of a breakpoint or of an end of the range."""
    edges = np.array([*breakpoints(), 2 << BREAKPOINT_BITS], dtype=np.float64) / 2.0**BREAKPOINT_BITS
    first, last = steps_of(part.low), steps_of(part.high)
    tolerance = 4 * (epsilon + 2 * _EPSILON)
    with np.errstate(invalid="ignore", over="ignore"):
        sure = (x > float(part.low) * (1 + tolerance)) & (x < float(part.high) * (1 - tolerance))
    mantissa, exponent = np.frexp(np.where(sure, x, 1.0))
    mantissa = 2 * mantissa
    step = np.searchsorted(edges, mantissa, side="right") - 1
    sure &= (mantissa - edges[step] > tolerance) & (edges[step + 1] - mantissa > tolerance)
    steps = STEPS_PER_OCTAVE * (exponent.astype(np.int64) - 1) + step - first
    return (steps * 4 * SCALE + (last - first)) // (2 * (last - first)) - SCALE, ~sure


def _fast_vectors(part: VectorField, values: list[Any]) -> tuple[Integers, Mask]:
    numbers = np.zeros((len(values), part.size), dtype=np.int64)
    unsure = np.ones(len(values), dtype=np.bool_)
    whole = [index for index, value in enumerate(values) if _is_plain_vector(part, value)]
    if whole:
        approximate, epsilon = _floats([item for index in whole for item in values[index]])
        spread, doubtful = _spread(approximate, part, epsilon)
        numbers[whole] = spread.reshape(len(whole), part.size)
        unsure[whole] = doubtful.reshape(len(whole), part.size).any(axis=1)
    return numbers, unsure


def _is_plain_vector(part: VectorField, value: object) -> bool:
    return (isinstance(value, (list, tuple)) or (isinstance(value, np.ndarray) and value.ndim == 1)) and (
        len(value) == part.size
    )


def _fast_texts(part: TextField, values: list[Any]) -> tuple[Integers, Mask]:
    numbers = np.zeros((len(values), part.width - part.has_indicator), dtype=np.int64)
    unsure = np.array([not isinstance(value, str) or is_missing(part, value) for value in values], dtype=np.bool_)
    if not unsure.all():
        texts = [value for value, doubtful in zip(values, unsure, strict=True) if not doubtful]
        numbers[~unsure] = embed(texts)
    return numbers, unsure


def _weighted(numbers: Integers, weight: Fraction) -> Integers:
    """Multiply by the weight and round half up, in integers."""
    if weight == 1:
        return numbers
    return (2 * numbers * weight.numerator + weight.denominator) // (2 * weight.denominator)


def _absent_column(name: str, columns: Mapping[str, object]) -> TableError:
    close = difflib.get_close_matches(name, list(columns), n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"its columns are: {', '.join(list(columns)[:20])}"
    return TableError("column-missing", f"the table has no column {shown(name)}", hint=hint)
