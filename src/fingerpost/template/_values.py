"""How a value is read: decimals as exact fractions, texts as levels, and which texts mean "missing"."""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

import numpy as np

from fingerpost.errors import RecordError

# A cell that reads like one of these (after trimming) is missing, unless the template names it as a level.
MISSING_TEXTS = frozenset({"", "?", "NA", "N/A", "NaN", "nan", "NULL", "null", "None"})

NUMBER_LENGTH_MAX = 400  # characters; the exact value of a longer text could take unbounded memory.
NUMBER_EXPONENT_MAX = 400
BLANKS = " \t\r\n"

_NUMBER = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]+))?")
_WHOLE_DECIMAL = re.compile(r"(-?(?:0|[1-9][0-9]*))\.0+")
_SHOWN_LENGTH = 40
_SHOWN_BITS = 128


def shown(value: object) -> str:
    """Return ``value`` short enough for an error message."""
    if isinstance(value, int) and value.bit_length() > _SHOWN_BITS:
        return f"a whole number of {value.bit_length()} bits"  # Python refuses to write the largest in decimal
    text = repr(value)
    return text if len(text) <= _SHOWN_LENGTH else text[: _SHOWN_LENGTH - 1] + "…"


def is_missing_text(text: str) -> bool:
    """Tell whether a cell reads like one of ``MISSING_TEXTS``."""
    return text.strip(BLANKS) in MISSING_TEXTS


def number_from_text(text: str) -> Fraction | None:
    """Return the exact value of a decimal number, or None where ``text`` is not one.

    The grammar is ``[+-]digits[.digits][e[+-]digits]`` in ASCII, with blanks around it, a digit before or after the
    point, and at most 400 characters. A magnitude beyond 10^±400 is replaced by 10^±400 of the same sign: no range of
    a template reaches that far (its decimals have at most 30 digits on either side of the point), so neither the
    comparison with a range nor a rounding within it can tell the difference.
    """
    text = text.strip(BLANKS)
    match = _NUMBER.fullmatch(text) if len(text) <= NUMBER_LENGTH_MAX else None
    if match is None:
        return None
    sign, whole, part, exponent_text = match.groups()
    digits = whole + (part or "")
    if not digits:
        return None
    mantissa = int(digits) if sign != "-" else -int(digits)
    exponent = int(exponent_text or "0") - len(part or "")
    magnitude = len(digits.lstrip("0")) + exponent
    if mantissa == 0:
        return Fraction(0)
    if abs(magnitude) > NUMBER_EXPONENT_MAX:
        power = Fraction(10) ** (NUMBER_EXPONENT_MAX if magnitude > 0 else -NUMBER_EXPONENT_MAX)
        return power if mantissa > 0 else -power
    return mantissa * Fraction(10) ** exponent


def number_from_value(value: object) -> Fraction | None:
    """Return the exact number that ``value`` stands for, or None where it is not one.

    A binary float stands for the shortest decimal that reads back as it in its own precision (what ``repr`` prints),
    so 0.1 is one tenth, in a CSV cell and in an array alike. A truth value is not a number.
    """
    if isinstance(value, str):
        return number_from_text(value)
    if isinstance(value, (bool, np.bool_)):
        return None
    if isinstance(value, (int, np.integer)):
        return Fraction(_bounded(int(value)))
    if isinstance(value, (float, np.floating, Decimal)):
        return number_from_text(str(value))
    return value if isinstance(value, Fraction) else None


def _bounded(value: int) -> int:
    """Return a whole number as ``number_from_text`` would have read it, without writing its digits out."""
    limit: int = 10**NUMBER_EXPONENT_MAX
    return max(-limit, min(limit, value))


def is_not_finite(value: object) -> bool:
    """Tell whether ``value`` is a NaN or an infinity, as a number or as a text."""
    if isinstance(value, str):
        return value.strip(BLANKS).lstrip("+-").lower() in {"nan", "inf", "infinity"}
    if isinstance(value, Decimal):
        return not value.is_finite()
    return isinstance(value, (float, np.floating)) and not bool(np.isfinite(value))


def decimal_text(value: Fraction) -> str:
    """Write an exact decimal in its only canonical form: no exponent, no needless zero, no ``-0``."""
    scale = 0
    while value.denominator != 1:
        value, scale = value * 10, scale + 1
    digits = str(abs(value.numerator)).rjust(scale + 1, "0")
    sign = "-" if value < 0 else ""
    return f"{sign}{digits[:-scale]}.{digits[-scale:]}" if scale else f"{sign}{digits}"


def level_text(text: str) -> str:
    """Return the text under which a level is compared: NFC, trimmed, and ``1.0`` read as ``1``.

    Tables that pass through a tool with float columns write whole numbers as ``1.0``; other decimals and leading
    zeros are left alone, because ``007`` may be a name.
    """
    text = unicodedata.normalize("NFC", text).strip(BLANKS)
    whole = _WHOLE_DECIMAL.fullmatch(text)
    return whole[1] if whole else text


def text_of(value: object) -> str:
    """Return the text that a value would have in a table: a number as a plain decimal, a truth value as true or false.

    Anything else, NaN and infinities included, is what ``str`` makes of it.
    """
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    number = number_from_value(value)
    return str(value) if number is None else decimal_text(number)


def level_of(value: object, levels: tuple[str, ...], *, field: str) -> int | None:
    """Return the index of the level that ``value`` names, or None where no level matches.

    Texts match by ``level_text``, numbers by their plain decimal (1e-05 is "0.00001"); True and False match the first
    of true/True/TRUE/1/yes and false/False/FALSE/0/no that is a level. Raises ``RecordError`` for values of any other
    type.
    """
    indexes = _indexes(levels)
    if isinstance(value, (bool, np.bool_)):
        names = ("true", "True", "TRUE", "1", "yes") if value else ("false", "False", "FALSE", "0", "no")
        return next((indexes[name] for name in names if name in indexes), None)
    if isinstance(value, (str, int, float, np.integer, np.floating, Decimal)):
        return indexes.get(level_text(text_of(value)))
    raise RecordError(
        "value-type",
        f"{field}: a level is a text or a number, not {shown(value)}",
        hint="pass the level as it is written in the template",
        field=field,
    )


@lru_cache(maxsize=256)
def _indexes(levels: tuple[str, ...]) -> dict[str, int]:
    return {level: index for index, level in enumerate(levels)}
