"""An integer logarithm: 256 steps an octave, from a table that integer square roots make.

Floating-point logarithms differ between mathematical libraries in their last bits, and one bit is enough to move a
value across a step. The table below comes from integer arithmetic alone, so every machine and language has the same.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from math import isqrt

STEPS_PER_OCTAVE = 256
BREAKPOINT_BITS = 62
_WORKING_BITS = 128


@cache
def breakpoints() -> tuple[int, ...]:
    """Return the 256 integers T[j] = 2^62 * 2^(j/256), rounded down; T[0] = 2^62.

    With P = 128: r[0] = 2 * 2^P and r[i] = isqrt(r[i-1] * 2^P), so r[i] = 2^(1/2^i) * 2^P. Then T[j] is the product
    of those r[i] whose bit 8 - i is set in j, i = 1..8 in this order, each product shifted right by P bits (rounded
    down), and at last shifted right by P - 62 bits.
    """
    roots = [2 << _WORKING_BITS]
    for _ in range(8):
        roots.append(isqrt(roots[-1] << _WORKING_BITS))
    table = []
    for step in range(STEPS_PER_OCTAVE):
        product = 1 << _WORKING_BITS
        for i in range(1, 9):
            if step >> (8 - i) & 1:
                product = product * roots[i] >> _WORKING_BITS
        table.append(product >> (_WORKING_BITS - BREAKPOINT_BITS))
    return tuple(table)


def octave_of(value: Fraction) -> int:
    """Return the integer e with 2^e <= value < 2^(e+1), for a positive value."""
    exponent = value.numerator.bit_length() - value.denominator.bit_length()
    return exponent if value >= Fraction(2) ** exponent else exponent - 1


def steps_of(value: Fraction) -> int:
    """Return 256 times the octave of ``value`` plus the number of breakpoints T[1..255] that it reaches within it.

    This is floor(256 * log2(value)), but for a value within 2^-60 of a step, where the table decides.
    """
    octave = octave_of(value)
    mantissa = value / Fraction(2) ** octave * (1 << BREAKPOINT_BITS)
    table = breakpoints()
    low, high = 0, STEPS_PER_OCTAVE
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if table[middle] <= mantissa else (low, middle)
    return STEPS_PER_OCTAVE * octave + low
