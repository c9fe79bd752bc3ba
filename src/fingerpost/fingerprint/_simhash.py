"""Fingerprints: the signs of integer random projections (Charikar, "Similarity estimation techniques", STOC 2002).

The sums are exact whatever the order of addition, so every processor and every linear algebra library gives the same
bits.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fingerpost.errors import UsageError
from fingerpost.fingerprint._sketch import Sketcher
from fingerpost.fingerprint._weights import GAUSS_MAX, offsets, weights
from fingerpost.limits import CELL_BITS_MAX, ENCODED_WIDTH_MAX
from fingerpost.template import Template

_BLOCK_ROWS = 8_192  # keeps the floating-point copy of the sums within a few megabytes
_COORDINATE_MAX = 32_767
_EXACT_BELOW = 1 << 53  # float64 holds every whole number up to here
FLIP_COST_MAX = 1 << 53  # more than the longest record plus the largest offset, squared: 2^51

if ENCODED_WIDTH_MAX * _COORDINATE_MAX * GAUSS_MAX * 2 > _EXACT_BELOW:
    raise AssertionError("sums of weighted coordinates must be exact in float64")
if CELL_BITS_MAX * FLIP_COST_MAX >= 1 << 63:
    raise AssertionError("the cost of flipping every bit of a cell must fit into 64 bits")


class Fingerprinter:
    """Turns encoded situations of one template into fingerprints; making one expands its weights, so keep it."""

    def __init__(self, template: Template) -> None:
        width, bits = template.encoded_width, template.fingerprint_bits
        self.template = template
        self._weights = weights(template.space_id, bits=bits, width=width).T.astype(np.float64)
        self._offsets = offsets(template.space_id, bits=bits, width=width).astype(np.float64)
        self._sketcher = Sketcher(template) if template.sketch else None

    def fingerprints(self, encoded: npt.NDArray[np.int16]) -> npt.NDArray[np.uint8]:
        """Return the ``(n, bits / 8)`` uint8 fingerprints of ``(n, width)`` int16 coordinates.

        Bit j is 1 where the sum of weights times coordinates plus the offset of j is not negative, and stands at bit
        7 - j % 8 of byte j // 8. Raises ``UsageError`` for another shape or type.
        """
        check_encoded(encoded, self.template)
        packed = np.empty((len(encoded), self.template.fingerprint_bits // 8), dtype=np.uint8)
        for start in range(0, len(encoded), _BLOCK_ROWS):
            block = encoded[start : start + _BLOCK_ROWS].astype(np.float64)
            packed[start : start + _BLOCK_ROWS] = np.packbits(block @ self._weights + self._offsets >= 0, axis=1)
        return packed

    def flip_costs(self, encoded: npt.NDArray[np.int16]) -> npt.NDArray[np.int64]:
        """Return how far ``(n, width)`` coordinates lie from where each bit of their cell flips, (n, cell_bits).

        The cost of bit j is the squared distance to its hyperplane in squared coordinates, floor(sum² / Σ W[j]²), and
        that of a bit which no coordinate moves is ``FLIP_COST_MAX``. Raises ``UsageError`` for another shape or type.
        """
        check_encoded(encoded, self.template)
        bits = self.template.cell_bits
        sums = (encoded.astype(np.float64) @ self._weights[:, :bits] + self._offsets[:bits]).astype(np.int64)
        norms = np.square(self._weights[:, :bits]).sum(axis=0).astype(np.int64)
        squares = sums.astype(object) ** 2 // np.maximum(norms, 1)  # Python integers: a square exceeds 64 bits
        return np.where(norms > 0, squares, FLIP_COST_MAX).astype(np.int64)

    def sketches(self, encoded: npt.NDArray[np.int16]) -> npt.NDArray[np.uint8]:
        """Return the ``(n, 32)`` uint8 sketches of ``(n, width)`` int16 coordinates.

        Raises ``UsageError`` for another shape or type, and where the template has no sketch: a sketch reveals most of
        a record, so it is never made by accident.
        """
        check_encoded(encoded, self.template)
        if self._sketcher is None:
            raise UsageError(
                "sketch-absent",
                f"the template {self.template.name!r} has no sketch",
                hint="write sketch = true under [fingerprint]; it reveals most of a record",
            )
        return self._sketcher.sketches(encoded)


def check_encoded(encoded: npt.NDArray[np.int16], template: Template) -> None:
    """Refuse an array that is not ``(n, width)`` int16 coordinates of this template."""
    if encoded.ndim != 2 or encoded.shape[1] != template.encoded_width or encoded.dtype != np.int16:
        raise UsageError(
            "encoded-shape",
            f"expected (n, {template.encoded_width}) int16 coordinates, got {encoded.shape} {encoded.dtype}",
            hint="pass what encode_table returned for the same template",
        )


def hamming(left: npt.NDArray[np.uint8], right: npt.NDArray[np.uint8]) -> npt.NDArray[np.int32]:
    """Return the ``(n, m)`` numbers of differing bits between ``(n, bytes)`` and ``(m, bytes)`` fingerprints."""
    if left.shape[1] != right.shape[1]:
        raise UsageError(
            "fingerprint-length", f"fingerprints of {left.shape[1]} and {right.shape[1]} bytes do not compare"
        )
    distances = np.empty((len(left), len(right)), dtype=np.int32)
    for row, fingerprint in enumerate(left):
        distances[row] = np.bitwise_count(right ^ fingerprint).sum(axis=1, dtype=np.int32)
    return distances
