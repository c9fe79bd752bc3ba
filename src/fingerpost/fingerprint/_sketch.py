"""Sketches: 64 coordinates of 4 bits that keep the distances between records, made of whole numbers throughout.

A record is mixed by randomised Hadamard blocks (Ailon and Chazelle, "The fast Johnson-Lindenstrauss transform", 2009):
every coordinate becomes a sum of all, with random signs, so all are alike and one step suits every one of them. Values
come before missing indicators, so a record of up to 64 values goes through one orthogonal block and loses nothing but
what rounding to 4 bits takes; the slots are drawn at random, or narrow records would say the same thing several times.
"""

from __future__ import annotations

import hashlib
from math import isqrt

import numpy as np
import numpy.typing as npt

from fingerpost.limits import ENCODED_WIDTH_MAX
from fingerpost.template import SCALE, CategoryField, Field, SetField, Template, TextField

SKETCH_COORDINATES = 64
SKETCH_LEVELS = 16
SKETCH_SIZE_BYTES = SKETCH_COORDINATES // 2

# A coordinate saturates at two and a half times its expected deviation. Measured with kernel ridge on digits,
# breast_cancer, wine and heart: 2 to 2.5 are alike, 1.5 clips too much, and 3 wastes levels.
_REACH_SQUARED = (25, 4)

_EXACT_BELOW = 1 << 53
_COORDINATE_MAX = 32_767
_BLOCK_ROWS = 8_192

if ENCODED_WIDTH_MAX * _COORDINATE_MAX * SKETCH_LEVELS > _EXACT_BELOW:
    raise AssertionError("sums of signed coordinates must be exact in float64")


class Sketcher:
    """Turns encoded situations of one template into sketches."""

    def __init__(self, template: Template) -> None:
        self._signs = mixing_signs(template).T.astype(np.float64)
        self._reach = reach(template)

    def sketches(self, encoded: npt.NDArray[np.int16]) -> npt.NDArray[np.uint8]:
        """Return (n, 32) uint8 for (n, width) int16: two coordinates a byte, the even one in the high half.

        With S the signed sum of a coordinate and r = ``reach``: floor(8 S / r) + 8, kept within 0 to 15.
        """
        packed = np.empty((len(encoded), SKETCH_SIZE_BYTES), dtype=np.uint8)
        half = SKETCH_LEVELS // 2
        for start in range(0, len(encoded), _BLOCK_ROWS):
            rows = slice(start, start + _BLOCK_ROWS)
            sums = (encoded[rows].astype(np.float64) @ self._signs).astype(np.int64)
            levels = np.clip(sums * half // self._reach + half, 0, SKETCH_LEVELS - 1).astype(np.uint8)
            packed[rows] = (levels[:, 0::2] << 4) | levels[:, 1::2]
        return packed


def sketch_values(sketches: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """Return the (n, 64) coordinates, 0 to 15, of (n, 32) sketches; their distances estimate those of the records."""
    values = np.empty((len(sketches), SKETCH_COORDINATES), dtype=np.float64)
    values[:, 0::2] = sketches >> 4
    values[:, 1::2] = sketches & 15
    return values


def reach(template: Template) -> int:
    """Return the signed sum at which a coordinate saturates: 2.5 times the root of the energy that a record may have.

    The energy is that of a record spread evenly over its ranges, in twelfths, without missing values: isqrt of
    floor(energy * 25 / (4 * 12)), at least 1.
    """
    energy = sum(_twelfths_of_energy(part) for part in template.situation)
    return max(1, isqrt(energy * _REACH_SQUARED[0] // (_REACH_SQUARED[1] * 12)))


def mixing_signs(template: Template) -> npt.NDArray[np.int8]:
    """Return the (64, width) signs, each -1 or +1.

    The k-th coordinate, values before indicators, has its own random sign and a slot of block k // 64; the sign of
    sketch coordinate i is then that of row i and column slot of Sylvester's Hadamard matrix of order 64.
    """
    order = np.array(_values_before_indicators(template), dtype=np.intp)
    width = len(order)
    blocks = range(-(-width // SKETCH_COORDINATES))
    slots = np.concatenate([_slots(template.space_id, block) for block in blocks])[:width]
    shared: npt.NDArray[np.uint8] = np.bitwise_count(np.arange(SKETCH_COORDINATES)[:, None] & slots) & 1
    signs = np.empty((SKETCH_COORDINATES, width), dtype=np.int8)
    signs[:, order] = (np.int8(1) - np.int8(2) * shared.astype(np.int8)) * _random_signs(template.space_id, width)
    return signs


def _values_before_indicators(template: Template) -> list[int]:
    values: list[int] = []
    indicators: list[int] = []
    for part, columns in zip(template.situation, template.columns, strict=True):
        end = columns.stop - part.has_indicator
        values += range(columns.start, end)
        indicators += range(end, columns.stop)
    return values + indicators


def _twelfths_of_energy(part: Field) -> int:
    """Return twelve times the expected sum of squares of a field's coordinates, its values spread evenly."""
    end = (2 * SCALE * part.weight.numerator + part.weight.denominator) // (2 * part.weight.denominator)
    size = part.width - part.has_indicator
    if isinstance(part, CategoryField):
        return 12 * end**2  # exactly one coordinate is at its end
    if isinstance(part, (SetField, TextField)):
        return 3 * size * end**2  # a quarter of the levels, or a root mean square of one half
    return 4 * size * end**2  # a third: uniform between -1 and 1


def _slots(space_id: bytes, block: int) -> npt.NDArray[np.int64]:
    """Return the slots 0 to 63 in the order of their keyed hashes."""
    return np.array(sorted(range(SKETCH_COORDINATES), key=lambda slot: _hash(space_id, b"P", block, slot)))


def _random_signs(space_id: bytes, width: int) -> npt.NDArray[np.int8]:
    """Return (width,) signs from the bits of keyed hashes, the highest bit of each byte first; a set bit is -1."""
    hashes = (_hash(space_id, b"S", part) for part in range(-(-width // 256)))
    bits = np.unpackbits(np.frombuffer(b"".join(hashes), dtype=np.uint8))[:width]
    return np.int8(1) - np.int8(2) * bits.astype(np.int8)


def _hash(space_id: bytes, domain: bytes, *numbers: int) -> bytes:
    message = domain + b"".join(number.to_bytes(4, "little") for number in numbers)
    return hashlib.blake2s(message, key=space_id).digest()
