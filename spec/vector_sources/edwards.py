"""The curve of Ed25519 in plain integers, for signatures that no library would make. Slow and not constant in time.

Formulas: RFC 8032, section 5.1.
"""

from __future__ import annotations

import hashlib
from typing import TypeAlias

Point: TypeAlias = tuple[int, int]

PRIME = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
NEUTRAL: Point = (0, 1)

_D = -121665 * pow(121666, -1, PRIME) % PRIME
_ROOT_OF_MINUS_ONE = pow(2, (PRIME - 1) // 4, PRIME)


def point_at(y: int, *, odd: int) -> Point | None:
    """Return the point with this y and this lowest bit of x, or ``None`` if there is none."""
    ratio = (y * y - 1) * pow(_D * y * y + 1, -1, PRIME) % PRIME
    x = pow(ratio, (PRIME + 3) // 8, PRIME)
    if (x * x - ratio) % PRIME:
        x = x * _ROOT_OF_MINUS_ONE % PRIME
    if (x * x - ratio) % PRIME:
        return None
    return (PRIME - x if x & 1 != odd else x) % PRIME, y


def add(first: Point, second: Point) -> Point:
    """Return the sum of two points."""
    (x1, y1), (x2, y2) = first, second
    product = _D * x1 * x2 * y1 * y2 % PRIME
    x = (x1 * y2 + x2 * y1) * pow(1 + product, -1, PRIME)
    y = (y1 * y2 + x1 * x2) * pow(1 - product, -1, PRIME)
    return x % PRIME, y % PRIME


def multiply(factor: int, point: Point) -> Point:
    """Return ``factor`` times ``point``."""
    result = NEUTRAL
    while factor:
        if factor & 1:
            result = add(result, point)
        point = add(point, point)
        factor >>= 1
    return result


def encoded(point: Point) -> bytes:
    """Return the 32 bytes of a point."""
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def _base_point() -> Point:
    base = point_at(4 * pow(5, -1, PRIME) % PRIME, odd=0)
    if base is None:
        raise AssertionError("the base point lies on the curve")
    return base


def _point_of_order_eight() -> Point:
    for y in range(2, 100):
        point = point_at(y, odd=0)
        if point is not None:
            torsion = multiply(ORDER, point)
            if multiply(4, torsion) != NEUTRAL:
                return torsion
    raise AssertionError("a quarter of all points would do")


BASE = _base_point()
TORSION = _point_of_order_eight()


def secret_scalar(seed: bytes) -> int:
    """Return the secret scalar that RFC 8032 derives from a seed."""
    low = int.from_bytes(hashlib.sha512(seed).digest()[:32], "little")
    return low & (1 << 254) - 8 | 1 << 254


def challenge(r: bytes, key: bytes, message: bytes) -> int:
    """Return k, the hash that a signature answers."""
    return int.from_bytes(hashlib.sha512(r + key + message).digest(), "little") % ORDER


def signature(message: bytes, *, secret: int, key: bytes, nonce: int, offset: Point = NEUTRAL) -> bytes:
    """Return R = nonce * B + offset and the S that fits it: any key, any R, whether it verifies or not."""
    r = encoded(add(multiply(nonce, BASE), offset))
    return r + ((nonce + challenge(r, key, message) * secret) % ORDER).to_bytes(32, "little")
