"""Distances between packets, and the kernels over them.

Bits: the share of differing bits, an unbiased estimate of the angle between two records divided by pi (Charikar 2002).
Sketch: the squared Euclidean distance between sketch coordinates. Both are exact integers until they are scaled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from fingerpost.synthesis.statistics import CHUNK_ROWS, signs

if TYPE_CHECKING:
    from numpy.typing import NDArray

Family = Literal["bits", "sketch"]


class Neighbours(Protocol):
    """Finds, among fingerprints that stay as they are, those nearest to another one: exactly, and always alike."""

    def nearest(self, queries: NDArray[np.uint8], count: int) -> NDArray[np.int64]:
        """Return the rows of the ``count`` (all, if there are fewer) nearest to each query (q, B), shape (q, count).

        They are in order of Hamming distance, equal ones in row order; of those that tie at the last distance the
        first rows come in.
        """
        ...


NeighboursOf = Callable[["NDArray[np.uint8]"], Neighbours]  # of fingerprints (n, B)

FEW = 4  # fingerprints: for so many counting bits costs less than unpacking them for a product of matrices
SCAN_ROWS = 16_384  # 128 kB a column: what one step of a scan touches stays in the cache


def bit_distances(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return (p, q) Hamming distances between packed fingerprints (p, B) and (q, B)."""
    if len(left) <= FEW and left.shape[1] % 8 == 0:
        words, others = (np.ascontiguousarray(side).view(np.uint64) for side in (left, right))
        return np.array([np.bitwise_count(others ^ one).sum(axis=1, dtype=np.int64) for one in words])
    bits = 8 * left.shape[1]
    f = signs(left)
    distances = np.empty((len(left), len(right)), np.int64)
    for start in range(0, len(right), CHUNK_ROWS):
        product = f @ signs(right[start : start + CHUNK_ROWS]).T  # exact: integers up to 1,024 in float32
        distances[:, start : start + CHUNK_ROWS] = (bits - product.astype(np.int64)) // 2
    return distances


def bit_shares(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return (p, q) shares of differing bits: ``bit_distances`` over the number of bits, to the last digit."""
    bits = 8 * left.shape[1]
    if len(left) <= FEW or len(right) > CHUNK_ROWS:
        return np.asarray(bit_distances(left, right) / bits, np.float64)
    f = signs(left)
    apart: NDArray[np.float64] = np.subtract(bits, f @ (f if right is left else signs(right)).T, dtype=np.float64)
    apart /= 2 * bits
    return apart


def sketch_distances(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (p, q) squared Euclidean distances between small-integer sketch coordinates (p, 64) and (q, 64)."""
    squares = (left * left).sum(axis=1)[:, None] + (right * right).sum(axis=1) - 2 * (left @ right.T)
    return np.asarray(squares, np.float64)


def kernel(distances: NDArray[np.float64], length: float) -> NDArray[np.float64]:
    """Return exp(-distance / length): positive definite for Hamming and for squared Euclidean distance.

    Source: Schoenberg, Metric spaces and positive definite functions, 1938.
    """
    scaled = distances * (-1.0 / length)
    return np.exp(scaled, out=scaled)


class Scan:
    """``Neighbours`` without an index: every question looks at all fingerprints (n, B), kept word by word."""

    def __init__(self, fingerprints: NDArray[np.uint8]) -> None:
        self._columns = np.ascontiguousarray(np.ascontiguousarray(fingerprints).view(np.uint64).T)

    def nearest(self, queries: NDArray[np.uint8], count: int) -> NDArray[np.int64]:
        """See ``Neighbours``."""
        found = np.empty((len(queries), min(count, self._columns.shape[1])), np.int64)
        for place, query in enumerate(queries):
            found[place] = nearest_rows(self._distances(query), count)
        return found

    def _distances(self, query: NDArray[np.uint8]) -> NDArray[np.uint16]:
        words = np.ascontiguousarray(query).view(np.uint64)
        counts = np.zeros(self._columns.shape[1], np.uint16)
        for start in range(0, len(counts), SCAN_ROWS):
            part = counts[start : start + SCAN_ROWS]
            for column, word in zip(self._columns[:, start : start + SCAN_ROWS], words, strict=True):
                part += np.bitwise_count(column ^ word)
        return counts


def nearest_rows(distances: NDArray[np.uint16] | NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Return the rows of the ``count`` smallest of ``distances`` (n,), nearest first, equal ones in row order.

    Rows of evidence are in order of packet id, so neighbours do not depend on arrival.
    """
    if count >= len(distances):
        candidates = np.arange(len(distances))
    else:
        if distances.dtype == np.uint16:  # few different values: counting them beats partitioning
            reach = np.searchsorted(np.cumsum(np.bincount(distances)), count)
        else:
            reach = np.partition(distances, count - 1)[count - 1]
        candidates = np.flatnonzero(distances <= reach)
    return candidates[np.argsort(distances[candidates], kind="stable")][:count].astype(np.int64)
