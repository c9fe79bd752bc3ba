"""Sketches: 64 coordinates of 4 bits that keep the distances between records, made of whole numbers throughout.

A record is mixed by randomised Hadamard blocks (Ailon and Chazelle, "The fast Johnson-Lindenstrauss transform", 2009):
every coordinate becomes a sum of all, with random signs, so all are alike and one step suits every one of them. Rows of
a block are orthogonal: unlike independent projections, none repeats what another says.
"""

from __future__ import annotations

import hashlib
from math import isqrt

import numpy as np
import numpy.typing as npt

from fingerpost.limits import ENCODED_WIDTH_MAX
from fingerpost.template import SCALE, Template

SKETCH_COORDINATES = 64
SKETCH_LEVELS = 16
SKETCH_SIZE_BYTES = SKETCH_COORDINATES // 2

_EXACT_BELOW = 1 << 53
_COORDINATE_MAX = 32_767
_BLOCK_ROWS = 8_192

if ENCODED_WIDTH_MAX * _COORDINATE_MAX * SKETCH_LEVELS > _EXACT_BELOW:
    raise AssertionError("sums of signed coordinates must be exact in float64")


class Sketcher:
    """Turns encoded situations of one template into sketches."""

    def __init__(self, template: Template) -> None:
        self._signs = mixing_signs(template.space_id, template.encoded_width).T.astype(np.float64)
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
    """Return the signed sum at which a coordinate saturates: the norm of a record with every coordinate at its end.

    isqrt of the sum of squares of floor(SCALE weight + 1/2) over all coordinates. Random signs make a sum of p
    coordinates of size a about a sqrt(p): records spread evenly over their ranges saturate in one coordinate of ten,
    and finer steps would not help more than that costs (measured by ``make accuracy``).
    """
    squares = 0
    for part in template.situation:
        end = (2 * SCALE * part.weight.numerator + part.weight.denominator) // (2 * part.weight.denominator)
        squares += part.width * end**2
    return isqrt(squares)


def mixing_signs(space_id: bytes, width: int) -> npt.NDArray[np.int8]:
    """Return the (64, width) signs, each -1 or +1.

    A block is the Sylvester-Hadamard matrix of order b, the least power of two that holds ``width`` coordinates, its
    columns cut to ``width`` and multiplied by random signs. With b <= 64 there are 64 / b whole blocks, each with signs
    of its own; with b > 64 there is one block, of which the 64 rows with the smallest keyed hashes are kept, in order
    of their hashes.
    """
    order = 1
    while order < width:
        order *= 2
    blocks = []
    for block in range(max(1, SKETCH_COORDINATES // order)):
        rows = np.arange(order)
        if order > SKETCH_COORDINATES:
            rows = np.array(sorted(range(order), key=lambda row: _hash(space_id, b"R", row))[:SKETCH_COORDINATES])
        blocks.append(_hadamard(rows, width) * _random_signs(space_id, block, width))
    return np.vstack(blocks)


def _hadamard(rows: npt.NDArray[np.int64], width: int) -> npt.NDArray[np.int8]:
    """Return entries (row, column) of Sylvester's matrix: -1 where the two numbers share an odd number of one bits."""
    shared: npt.NDArray[np.uint8] = np.bitwise_count(rows[:, None] & np.arange(width)) & 1
    return np.int8(1) - np.int8(2) * shared.astype(np.int8)


def _random_signs(space_id: bytes, block: int, width: int) -> npt.NDArray[np.int8]:
    """Return (width,) signs from the bits of keyed hashes, the highest bit of each byte first; a set bit is -1."""
    hashes = (_hash(space_id, b"S", block, part) for part in range(-(-width // 256)))
    bits = np.unpackbits(np.frombuffer(b"".join(hashes), dtype=np.uint8))[:width]
    return np.int8(1) - np.int8(2) * bits.astype(np.int8)


def _hash(space_id: bytes, domain: bytes, *numbers: int) -> bytes:
    message = domain + b"".join(number.to_bytes(4, "little") for number in numbers)
    return hashlib.blake2s(message, key=space_id).digest()
