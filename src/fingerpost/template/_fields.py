"""The parts of a template: one value class for each kind of field, valid once it exists.

``width`` is the number of integer coordinates that a field takes in an encoded record. Coordinates are int16 with
``SCALE`` as their unit: numbers run from ``-SCALE`` to ``SCALE``, flags are 0 or ``SCALE``, and a weight multiplies
either. A field that may be missing has one more coordinate at its end, the missing indicator.

Checks raise ``TemplateError`` with ``field`` as the dotted path of the offending key, such as ``situation.age.range``.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import TypeAlias

from fingerpost.errors import TemplateError
from fingerpost.limits import LEVELS_MAX
from fingerpost.template._logarithm import steps_of
from fingerpost.template._values import BLANKS, decimal_text, level_text, shown

SCALE = 4096
TEXT_EMBEDDER = "wordllama-256"
TEXT_WIDTH = 256
VECTOR_SIZE_MAX = 4096
TITLE_LENGTH_MAX = 128  # characters of a field name, a level or a unit
DECIMAL_DIGITS_MAX = 30  # digits on either side of the point
SET_SEPARATOR = ";"  # between the levels of a set, or the numbers of a vector, in a cell
WEIGHT_DECIMALS = 3
WEIGHT_MAX = Fraction(7_999, 1_000)

if SCALE * WEIGHT_MAX + 1 > 32_767:
    raise AssertionError("a weighted coordinate must fit into int16")


class Scale(StrEnum):
    """How a number is spread over its range."""

    LINEAR = "linear"
    LOG = "log"


class Missing(StrEnum):
    """What a missing value does: set the field's indicator, or refuse the record."""

    INDICATOR = "indicator"
    REFUSE = "refuse"


class Outside(StrEnum):
    """What a number outside its range does: refuse the record, or count as the nearer end."""

    REFUSE = "refuse"
    CLAMP = "clamp"


class Other(StrEnum):
    """What an unknown level does: refuse the record, or count as missing."""

    REFUSE = "refuse"
    MISSING = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Field:
    name: str
    missing: Missing = Missing.INDICATOR
    weight: Fraction = Fraction(1)

    def __post_init__(self) -> None:
        check_title(self.name, path=self.path)
        scaled = self.weight * 10**WEIGHT_DECIMALS
        if not 0 < self.weight <= WEIGHT_MAX or scaled.denominator != 1:
            raise TemplateError(
                "template-weight",
                f"a weight is a decimal from 0.001 to 7.999 with at most {WEIGHT_DECIMALS} decimals",
                hint="1 is the usual weight; 2 makes a field count twice as much, 0.5 half as much",
                field=f"{self.path}.weight",
            )

    @property
    def path(self) -> str:
        """The dotted path of the field in the template file."""
        return f"situation.{self.name}"

    @property
    def has_indicator(self) -> bool:
        """Whether the last coordinate tells that the value is missing."""
        return self.missing is Missing.INDICATOR


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberField(_Field):
    """A number within ``low`` and ``high``, in ``unit``: one coordinate."""

    low: Fraction
    high: Fraction
    unit: str = ""
    scale: Scale = Scale.LINEAR
    outside: Outside = Outside.REFUSE

    def __post_init__(self) -> None:
        _Field.__post_init__(self)
        check_range(self.low, self.high, path=self.path)
        check_unit(self.unit, path=self.path)
        if self.scale is Scale.LOG:
            check_log_range(self.low, self.high, path=self.path)

    @property
    def width(self) -> int:
        """Coordinates of the field."""
        return 1 + self.has_indicator


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryField(_Field):
    """One of ``levels``: one coordinate for two levels, else one for each level."""

    levels: tuple[str, ...]
    other: Other = Other.REFUSE

    def __post_init__(self) -> None:
        _Field.__post_init__(self)
        check_levels(self.levels, path=self.path, least=2)
        check_other(self.other, self.missing, path=self.path)

    @property
    def width(self) -> int:
        """Coordinates of the field."""
        return (1 if len(self.levels) == 2 else len(self.levels)) + self.has_indicator


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdinalField(_Field):
    """One of ``levels``, whose order means something: one coordinate, evenly spaced."""

    levels: tuple[str, ...]
    other: Other = Other.REFUSE

    def __post_init__(self) -> None:
        _Field.__post_init__(self)
        check_levels(self.levels, path=self.path, least=2)
        check_other(self.other, self.missing, path=self.path)

    @property
    def width(self) -> int:
        """Coordinates of the field."""
        return 1 + self.has_indicator


@dataclass(frozen=True, slots=True, kw_only=True)
class SetField(_Field):
    """Any number of ``levels`` together: one coordinate for each level."""

    levels: tuple[str, ...]

    def __post_init__(self) -> None:
        _Field.__post_init__(self)
        check_levels(self.levels, path=self.path, least=1)
        for level in self.levels:
            if SET_SEPARATOR in level:
                raise TemplateError(
                    "template-level",
                    f"the level {shown(level)} of a set may not contain ';', which separates levels in a table",
                    hint="rename the level",
                    field=f"{self.path}.levels",
                )

    @property
    def width(self) -> int:
        """Coordinates of the field."""
        return len(self.levels) + self.has_indicator


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorField(_Field):
    """``size`` numbers, each within ``low`` and ``high``: as many coordinates."""

    size: int
    low: Fraction
    high: Fraction
    outside: Outside = Outside.REFUSE

    def __post_init__(self) -> None:
        _Field.__post_init__(self)
        check_range(self.low, self.high, path=self.path)
        if not 1 <= self.size <= VECTOR_SIZE_MAX:
            raise TemplateError(
                "template-value",
                f"the size of a vector is 1 to {VECTOR_SIZE_MAX}, not {self.size}",
                hint="write how many numbers one value holds",
                field=f"{self.path}.size",
            )

    @property
    def width(self) -> int:
        """Coordinates of the field."""
        return self.size + self.has_indicator


@dataclass(frozen=True, slots=True, kw_only=True)
class TextField(_Field):
    """A text, by its embedding: ``TEXT_WIDTH`` coordinates."""

    embedder: str = TEXT_EMBEDDER

    def __post_init__(self) -> None:
        _Field.__post_init__(self)
        if self.embedder != TEXT_EMBEDDER:
            raise TemplateError(
                "template-value",
                f"the embedder {shown(self.embedder)} is not known",
                hint=f'the only one is "{TEXT_EMBEDDER}"',
                field=f"{self.path}.embedder",
            )

    @property
    def width(self) -> int:
        """Coordinates of the field."""
        return TEXT_WIDTH + self.has_indicator


Field: TypeAlias = NumberField | CategoryField | OrdinalField | SetField | VectorField | TextField


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """What may be tried: ``name`` is its column in a table, a level's code its index + 1, and 0 means "no action"."""

    name: str
    levels: tuple[str, ...]

    def __post_init__(self) -> None:
        check_title(self.name, path="action.name")
        check_levels(self.levels, path="action", least=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryOutcomeField:
    """What may happen, as one of ``levels``; ``name`` is its column in a table, a level's code its index + 1."""

    name: str
    levels: tuple[str, ...]

    def __post_init__(self) -> None:
        check_title(self.name, path="outcome.name")
        check_levels(self.levels, path="outcome", least=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberOutcomeField:
    """What may happen, as a number within ``low`` and ``high``, in ``unit``; ``name`` is its column in a table."""

    name: str
    low: Fraction
    high: Fraction
    unit: str = ""

    def __post_init__(self) -> None:
        check_title(self.name, path="outcome.name")
        check_range(self.low, self.high, path="outcome")
        check_unit(self.unit, path="outcome")


OutcomeField: TypeAlias = CategoryOutcomeField | NumberOutcomeField


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Coarse context to filter by; ``name`` is its column, a level's code its index + 1, and 0 means missing."""

    name: str
    levels: tuple[str, ...]

    def __post_init__(self) -> None:
        check_title(self.name, path=f"conditions.{self.name}")
        check_levels(self.levels, path=f"conditions.{self.name}", least=1)


def is_plain_text(text: str) -> bool:
    """Tell whether ``text`` is NFC, trimmed, and free of control characters and lone surrogates."""
    return unicodedata.is_normalized("NFC", text) and text == text.strip(BLANKS) and not has_controls(text)


def has_controls(text: str) -> bool:
    """Tell whether ``text`` has control characters (line ends included) or lone surrogates."""
    return any(unicodedata.category(character) in {"Cc", "Cs"} for character in text)


def check_title(text: str, *, path: str) -> None:
    """Refuse a name that could not be a column: empty, too long, or with control characters."""
    if not text or len(text) > TITLE_LENGTH_MAX or not is_plain_text(text):
        raise TemplateError(
            "template-name",
            f"{shown(text)} is not a usable name",
            hint=f"a name has 1 to {TITLE_LENGTH_MAX} characters, no control characters and no blanks at its ends",
            field=path,
        )


def check_unit(unit: str, *, path: str) -> None:
    """Refuse a unit that does not fit on a line."""
    if len(unit) > TITLE_LENGTH_MAX or not is_plain_text(unit):
        raise TemplateError(
            "template-value", f"{shown(unit)} is not a usable unit", hint="write it short", field=f"{path}.unit"
        )


def check_range(low: Fraction, high: Fraction, *, path: str) -> None:
    """Refuse a range that is empty, or whose ends are no decimals of at most 30 digits on either side of the point."""
    for end in (low, high):
        if abs(end) >= 10**DECIMAL_DIGITS_MAX or (end * 10**DECIMAL_DIGITS_MAX).denominator != 1:
            raise TemplateError(
                "template-range",
                f"the ends of a range have at most {DECIMAL_DIGITS_MAX} digits on either side of the point",
                hint="round the range outward to a few digits",
                field=f"{path}.range",
            )
    if low >= high:
        raise TemplateError(
            "template-range",
            f"the range [{decimal_text(low)}, {decimal_text(high)}] is empty",
            hint="write the smaller end first, and ends that differ",
            field=f"{path}.range",
        )


def check_log_range(low: Fraction, high: Fraction, *, path: str) -> None:
    """Refuse a range that no logarithm can spread: one that reaches zero, or ends less than a step apart."""
    if low <= 0:
        raise TemplateError(
            "template-range",
            f"a logarithmic range starts above zero, not at {decimal_text(low)}",
            hint='write a positive smaller end, or scale = "linear"',
            field=f"{path}.range",
        )
    if steps_of(low) == steps_of(high):
        raise TemplateError(
            "template-range",
            "the range is too narrow for a logarithmic scale",
            hint='write scale = "linear"',
            field=f"{path}.range",
        )


def check_levels(levels: tuple[str, ...], *, path: str, least: int) -> None:
    """Refuse too few or too many levels, levels that read the same, and texts that are no level."""
    path = f"{path}.levels"
    if not least <= len(levels) <= LEVELS_MAX:
        raise TemplateError(
            "template-levels",
            f"there must be {least} to {LEVELS_MAX} levels, not {len(levels)}",
            hint="list every value that may occur, or drop the field",
            field=path,
        )
    for level in levels:
        if not level or len(level) > TITLE_LENGTH_MAX or not is_plain_text(level) or level_text(level) != level:
            raise TemplateError(
                "template-level",
                f"{shown(level)} is not a usable level",
                hint=f"a level has 1 to {TITLE_LENGTH_MAX} characters, no control characters and no blanks at its ends",
                field=path,
            )
    level, count = Counter(levels).most_common(1)[0]
    if count > 1:
        raise TemplateError(
            "template-levels",
            f"the level {shown(level)} is listed {count} times",
            hint='list each level once (whole numbers such as "1" and "1.0" are the same level)',
            field=path,
        )


def check_other(other: Other, missing: Missing, *, path: str) -> None:
    """Refuse to count unknown levels as missing where a missing value is refused."""
    if other is Other.MISSING and missing is Missing.REFUSE:
        raise TemplateError(
            "template-missing",
            'other = "missing" needs missing = "indicator"',
            hint='write missing = "indicator", or other = "refuse"',
            field=f"{path}.other",
        )
