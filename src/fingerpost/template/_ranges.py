"""Ranges for a draft, rounded outward to round numbers, so that a template tells no minimum or maximum of the data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor, log10

import numpy as np

from fingerpost.template._fields import DECIMAL_DIGITS_MAX
from fingerpost.template._survey import Counts, Floats, quantile

MARGIN = 0.05  # of the span, on either side
STEPS = 10  # a range has about this many round steps
HEAVY_TAIL = 2  # where all rows span this many times what 99 % of them span, the few squeeze the many together
LOG_RATIO_MIN = 50
TAIL_SHARE = 0.005
SENTINELS = (-1, -9, -99, -999, -9999, -99999, 9, 99, 999, 9999, 99999, 999999)
ZERO_GAP = 0.25  # zeros are suspicious where all else lies beyond this share of the median
NEGATIVE_ONE_BELOW = 10  # a -1 is suspicious where nothing else is negative and the median is at least this
DISTINCT_MIN = 12  # fewer distinct numbers say too little to call one of them odd


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftRange:
    """A range for a number: its ends, whether it is logarithmic, and whether values beyond it count as its ends."""

    low: Fraction
    high: Fraction
    is_log: bool = False
    is_clamped: bool = False


def outward(low: float, high: float, *, whole: bool = False) -> tuple[Fraction, Fraction]:
    """Return a range around ``low`` and ``high`` that starts and ends at multiples of 1, 2 or 5 times a power of ten.

    There is a margin of a twentieth of the span on either side, so neither end is a value of the data. Zero, and 1 or
    100 after a start from zero, are natural ends and stay. With ``whole`` the ends are whole numbers.
    """
    span = high - low
    step = round_step(span / STEPS if span else max(abs(low), 1.0) / STEPS)
    step = max(step, Fraction(1)) if whole else step
    start = floor(Fraction(low - MARGIN * span) / step) * step
    end = ceil(Fraction(high + MARGIN * span) / step) * step
    start, end = (start - step if float(start) == low else start), (end + step if float(end) == high else end)
    if low >= 0 > start or low == 0:
        start = Fraction(0)
    if start == 0 and high in {1, 100}:
        end = Fraction(high)
    return start, end


def outward_octaves(low: float, high: float) -> tuple[Fraction, Fraction]:
    """Return a logarithmic range around positive ``low`` and ``high``, each end 1, 2 or 5 times a power of ten."""
    start, end = _step_below(low), _step_above(high)
    start = _step_below(low * 0.9) if float(start) == low else start
    return start, (_step_above(high * 1.1) if float(end) == high else end)


def round_step(size: float) -> Fraction:
    """Return the largest of 1, 2 or 5 times a power of ten that is at most ``size``."""
    return _step_below(size)


def draft_range(numbers: Floats, counts: Counts) -> DraftRange:
    """Choose scale and ends for distinct numbers in ascending order.

    Positive numbers that spread over much more than their middle get a logarithmic range. Other heavy tails are cut
    at half a per cent of the rows, and what lies beyond counts as the end.
    """
    low, high = float(numbers[0]), float(numbers[-1])
    whole = bool((numbers == np.rint(numbers)).all())
    positive = numbers > 0
    if low >= 0 and _is_skewed(numbers[positive], counts[positive]):
        start, end = outward_octaves(float(numbers[positive][0]), high)
        return DraftRange(low=start, high=end, is_log=True, is_clamped=low == 0)
    inner = quantile(numbers, counts, TAIL_SHARE), quantile(numbers, counts, 1 - TAIL_SHARE)
    if inner[0] < inner[1] and high - low > HEAVY_TAIL * (inner[1] - inner[0]):
        start, end = outward(*inner, whole=whole)
        return DraftRange(low=start, high=end, is_clamped=True)
    start, end = outward(low, high, whole=whole)
    return DraftRange(low=start, high=end)


def above_zero(drafted: DraftRange, smallest: float) -> DraftRange:
    """Return a range that leaves zero out, where the smallest of the other values is positive."""
    return drafted if drafted.low > 0 else replace(drafted, low=_step_below(smallest * 0.9))


def odd_values(numbers: Floats, counts: Counts) -> list[float]:
    """Return numbers that look like a way to write "missing": zeros far below the rest, and the likes of -999."""
    if len(numbers) < DISTINCT_MIN:
        return []
    return [float(value) for value in (*SENTINELS, 0) if value in numbers and _is_odd(value, numbers, counts)]


def _is_odd(value: float, numbers: Floats, counts: Counts) -> bool:
    others = numbers != value
    rest, middle = numbers[others], quantile(numbers[others], counts[others], 0.5)
    if value == 0:
        return bool(rest[0] > 0 and rest[0] >= ZERO_GAP * middle)
    if value == -1:
        return bool(rest[0] >= 0 and middle >= -NEGATIVE_ONE_BELOW * value)
    gap = rest[0] - value if value < rest[0] else value - rest[-1]
    return bool(gap > rest[-1] - rest[0])


def _is_skewed(numbers: Floats, counts: Counts) -> bool:
    """Tell whether positive numbers lie much more evenly over octaves than over their range."""
    if len(numbers) < DISTINCT_MIN or numbers[-1] < LOG_RATIO_MIN * numbers[0]:
        return False
    middle = quantile(numbers, counts, 0.5)
    linear = (middle - numbers[0]) / (numbers[-1] - numbers[0])
    octaves = np.log(middle / numbers[0]) / np.log(numbers[-1] / numbers[0])
    return bool(linear < 0.1 and abs(octaves - 0.5) < abs(linear - 0.5))


def _step_below(size: float) -> Fraction:
    power = _power_of_ten(size)
    return next((digit * power for digit in (5, 2, 1) if digit * power <= Fraction(size)), power)


def _step_above(size: float) -> Fraction:
    power = _power_of_ten(size)
    return next((digit * power for digit in (1, 2, 5) if digit * power >= Fraction(size)), 10 * power)


def _power_of_ten(size: float) -> Fraction:
    exponent = min(max(floor(log10(size)), -DECIMAL_DIGITS_MAX), DECIMAL_DIGITS_MAX) if size > 0 else 0
    return Fraction(Decimal(10) ** exponent) if exponent >= 0 else Fraction(1, 10**-exponent)
