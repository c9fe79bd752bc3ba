"""Encoder version 1 by its definition: one value at a time, in exact fractions.

The fast encoding of whole columns must equal this one, and falls back on it where rounding is close.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from math import floor

import numpy as np
import numpy.typing as npt

from fingerpost.errors import RecordError
from fingerpost.template._fields import (
    SCALE,
    SET_SEPARATOR,
    TITLE_LENGTH_MAX,
    CategoryField,
    Field,
    NumberField,
    NumberOutcomeField,
    OrdinalField,
    Other,
    Outside,
    Scale,
    SetField,
    TextField,
    VectorField,
)
from fingerpost.template._logarithm import steps_of
from fingerpost.template._template import Template
from fingerpost.template._text import embed
from fingerpost.template._values import (
    BLANKS,
    decimal_text,
    is_missing_text,
    is_not_finite,
    level_of,
    level_text,
    number_from_value,
    shown,
)

HINT_LEVELS_MAX = 8


def encode_record(template: Template, record: Mapping[str, object]) -> npt.NDArray[np.int16]:
    """Return the ``(template.encoded_width,)`` int16 coordinates of one situation.

    A field that is absent, None, or a text that reads as missing is missing. Raises ``RecordError`` with the field
    for unknown fields, values of the wrong type, NaN, infinities, numbers out of range and unknown levels.
    """
    names = [part.name for part in template.situation]
    for name in record:
        if name not in names:
            close = difflib.get_close_matches(str(name), names, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"the situation has: {', '.join(names[:20])}"
            raise RecordError("field-unknown", f"the situation has no field {shown(name)}", hint=hint, field=str(name))
    encoded = np.zeros(template.encoded_width, dtype=np.int16)
    for part, columns in zip(template.situation, template.columns, strict=True):
        encoded[columns] = coordinates(part, record.get(part.name))
    return encoded


def coordinates(part: Field, value: object) -> list[int]:
    """Return the weighted coordinates of one value of a field, its missing indicator included."""
    found = None if is_missing(part, value) else _unweighted(part, value)
    if found is None and not part.has_indicator:
        raise RecordError(
            "value-missing",
            f"{part.name}: the value is missing, and the template refuses that",
            hint='leave the record out, or agree on a template with missing = "indicator"',
            field=part.name,
        )
    size = part.width - part.has_indicator
    raw = [0] * size if found is None else found
    if part.has_indicator:
        raw = [*raw, SCALE if found is None else 0]
    return [weighted(coordinate, part.weight) for coordinate in raw]


def weighted(coordinate: int, weight: Fraction) -> int:
    """Return floor(coordinate * weight + 1/2)."""
    return floor(coordinate * weight + Fraction(1, 2))


def is_missing(part: Field, value: object) -> bool:
    """Tell whether a value of a record is missing: None, or a text that says so and is no level of the field."""
    if isinstance(value, str) and is_missing_text(value):
        return level_text(value) not in getattr(part, "levels", ())
    return value is None


def spread(value: Fraction, low: Fraction, high: Fraction) -> int:
    """Return floor((value - low) * 2 * SCALE / (high - low) + 1/2) - SCALE."""
    return floor((value - low) * (2 * SCALE) / (high - low) + Fraction(1, 2)) - SCALE


def exact_number(part: NumberField | VectorField | NumberOutcomeField, value: object) -> Fraction:
    """Return a value as an exact number within the range of ``part``, or raise ``RecordError``."""
    number = number_from_value(value)
    if number is None:
        if is_not_finite(value):
            raise RecordError(
                "value-not-finite",
                f"{part.name}: {shown(value)} is not a finite number",
                hint="pass None (or leave the cell empty) where a value is missing",
                field=part.name,
            )
        raise RecordError(
            "value-number",
            f"{part.name}: {shown(value)} is not a number",
            hint="write a decimal with a point, without unit and without thousands separators",
            field=part.name,
        )
    if part.low <= number <= part.high:
        return number
    if isinstance(part, NumberOutcomeField) or part.outside is Outside.REFUSE:
        hint = "check the unit" if isinstance(part, NumberOutcomeField) else "check the unit, or agree on a wider range"
        raise RecordError(
            "value-outside",
            f"{part.name}: {shown(value)} is outside the range {decimal_text(part.low)} to {decimal_text(part.high)}",
            hint=hint,
            field=part.name,
        )
    return part.low if number < part.low else part.high


def unknown_level(name: str, value: object, levels: Sequence[str]) -> RecordError:
    """Return the error for a value that names no level."""
    close = difflib.get_close_matches(
        value[:TITLE_LENGTH_MAX] if isinstance(value, str) else shown(value), levels, n=1, cutoff=0.5
    )
    known = ", ".join(levels[:HINT_LEVELS_MAX]) + (", …" if len(levels) > HINT_LEVELS_MAX else "")
    hint = f"did you mean {close[0]!r}?" if close else f"the levels are: {known}"
    return RecordError("value-unknown-level", f"{name}: {shown(value)} is not a level", hint=hint, field=name)


def _unweighted(part: Field, value: object) -> list[int] | None:
    """Return the coordinates of a value without weight and indicator, or None where it counts as missing."""
    match part:
        case NumberField():
            return [_number_coordinate(part, value)]
        case CategoryField() | OrdinalField():
            return _level_coordinates(part, value)
        case SetField():
            return _set_coordinates(part, value)
        case VectorField():
            return [spread(exact_number(part, item), part.low, part.high) for item in _vector_items(part, value)]
        case _:
            return _text_coordinates(part, value)


def _number_coordinate(part: NumberField, value: object) -> int:
    number = exact_number(part, value)
    if part.scale is Scale.LINEAR:
        return spread(number, part.low, part.high)
    return spread(Fraction(steps_of(number)), Fraction(steps_of(part.low)), Fraction(steps_of(part.high)))


def _level_coordinates(part: CategoryField | OrdinalField, value: object) -> list[int] | None:
    count = len(part.levels)
    index = level_of(value, part.levels, field=part.name)
    if index is None:
        if part.other is Other.MISSING:
            return None
        raise unknown_level(part.name, value, part.levels)
    if isinstance(part, OrdinalField) or count == 2:
        return [spread(Fraction(index), Fraction(0), Fraction(count - 1))]
    return [SCALE if level == index else 0 for level in range(count)]


def _set_coordinates(part: SetField, value: object) -> list[int]:
    items = [item for item in value.split(SET_SEPARATOR) if item.strip(BLANKS)] if isinstance(value, str) else value
    if not isinstance(items, Iterable) or isinstance(items, (bytes, Mapping)):
        raise RecordError(
            "value-type",
            f"{part.name}: a set is a list of levels, not {shown(value)}",
            hint=f"pass a list, or one text with levels separated by {SET_SEPARATOR!r}",
            field=part.name,
        )
    present = [0] * len(part.levels)
    for item in items:
        index = level_of(item, part.levels, field=part.name)
        if index is None:
            raise unknown_level(part.name, item, part.levels)
        present[index] = SCALE
    return present


def _vector_items(part: VectorField, value: object) -> list[object]:
    items = value.split(SET_SEPARATOR) if isinstance(value, str) else value
    if isinstance(items, np.ndarray) and items.ndim == 1:
        items = list(items)
    if not isinstance(items, (list, tuple)) or len(items) != part.size:
        raise RecordError(
            "value-vector",
            f"{part.name}: a vector is a list of {part.size} numbers, not {shown(value)}",
            hint=f"pass a list, or one text with numbers separated by {SET_SEPARATOR!r}",
            field=part.name,
        )
    return list(items)


def _text_coordinates(part: TextField, value: object) -> list[int]:
    if not isinstance(value, str):
        raise RecordError(
            "value-type", f"{part.name}: {shown(value)} is not a text", hint="pass a text", field=part.name
        )
    return [int(coordinate) for coordinate in embed([value])[0]]
