"""The integer random weights of a fingerprint, expanded from ``space_id`` by a keyed hash."""

from __future__ import annotations

import hashlib
from math import isqrt

import numpy as np
import numpy.typing as npt

from fingerpost.template import SCALE

# round(40 * quantile of the standard normal distribution at (u + 1/2) / 256) for u = 128..255; the lower half mirrors
# it, GAUSS[255 - u] = -GAUSS[u]. Written out, because the quantile function differs between libraries.
# fmt: off
_UPPER_HALF = (
    0, 1, 1, 1, 2, 2, 3, 3, 3, 4, 4, 5, 5, 5, 6, 6, 6, 7, 7, 8, 8, 8, 9, 9, 10, 10, 10, 11, 11, 12, 12, 13, 13, 13,
    14, 14, 15, 15, 15, 16, 16, 17, 17, 18, 18, 18, 19, 19, 20, 20, 21, 21, 22, 22, 22, 23, 23, 24, 24, 25, 25, 26,
    26, 27, 27, 28, 28, 29, 29, 30, 30, 31, 31, 32, 32, 33, 33, 34, 35, 35, 36, 36, 37, 38, 38, 39, 39, 40, 41, 41,
    42, 43, 43, 44, 45, 46, 46, 47, 48, 49, 50, 50, 51, 52, 53, 54, 55, 56, 57, 58, 60, 61, 62, 63, 65, 66, 68, 70,
    71, 73, 76, 78, 81, 84, 88, 93, 101, 115,
)
# fmt: on
GAUSS = (*(-weight for weight in reversed(_UPPER_HALF)), *_UPPER_HALF)
GAUSS_MAX = GAUSS[-1]

_HASH_SIZE_BYTES = 32
_OFFSET_BYTES = 4  # the sum of four weights has twice the deviation of one


def weights(space_id: bytes, *, bits: int, width: int) -> npt.NDArray[np.int8]:
    """Return the ``(bits, width)`` int8 weights: GAUSS of the bytes of BLAKE2s-256(key, "W" | bit | block)."""
    blocks = -(-width // _HASH_SIZE_BYTES)
    stream = b"".join(_hash(space_id, b"W", bit, block) for bit in range(bits) for block in range(blocks))
    table = np.array(GAUSS, dtype=np.int8)
    return table[np.frombuffer(stream, dtype=np.uint8).reshape(bits, blocks * _HASH_SIZE_BYTES)[:, :width]]


def offsets(space_id: bytes, *, bits: int, width: int) -> npt.NDArray[np.int64]:
    """Return the ``(bits,)`` offsets, about a normal variate times half the root of ``width`` in weighted units.

    With g the sum of GAUSS over the first four bytes of BLAKE2s-256(key, "B" | bit):
    floor(g * SCALE * isqrt(width * 2^16) / 2^10).
    """
    root = isqrt(width << 16)
    sums = (sum(GAUSS[byte] for byte in _hash(space_id, b"B", bit)[:_OFFSET_BYTES]) for bit in range(bits))
    return np.array([(total * SCALE * root) >> 10 for total in sums], dtype=np.int64)


def _hash(space_id: bytes, domain: bytes, *numbers: int) -> bytes:
    message = domain + b"".join(number.to_bytes(4, "little") for number in numbers)
    return hashlib.blake2s(message, key=space_id).digest()
