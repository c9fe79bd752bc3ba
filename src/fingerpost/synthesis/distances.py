"""Distances between packets, and the kernels over them.

Bits: the share of differing bits, an unbiased estimate of the angle between two records divided by pi (Charikar 2002).
Sketch: the squared Euclidean distance between sketch coordinates. Both are exact integers until they are scaled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from fingerpost.synthesis.statistics import CHUNK_ROWS, signs

if TYPE_CHECKING:
    from numpy.typing import NDArray

Family = Literal["bits", "sketch"]

SCAN_ROWS = 16_384  # 128 kB a column: what one step of a scan touches stays in the cache


def bit_distances(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return (p, q) Hamming distances between packed fingerprints (p, B) and (q, B)."""
    bits = 8 * left.shape[1]
    f = signs(left)
    distances = np.empty((len(left), len(right)), np.int64)
    for start in range(0, len(right), CHUNK_ROWS):
        product = f @ signs(right[start : start + CHUNK_ROWS]).T  # exact: integers up to 1,024 in float32
        distances[:, start : start + CHUNK_ROWS] = (bits - product.astype(np.int64)) // 2
    return distances


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


def word_columns(fingerprints: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return fingerprints (n, B) as 64-bit words, column by column (B / 8, n): the order that a scan reads them in."""
    return np.ascontiguousarray(np.ascontiguousarray(fingerprints).view(np.uint64).T)


def scan_bits(columns: NDArray[np.uint64], query: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """Return (n,) Hamming distances of one fingerprint (B,) to all of ``word_columns``."""
    words = np.ascontiguousarray(query).view(np.uint64)
    counts = np.zeros(columns.shape[1], np.uint16)
    for start in range(0, len(counts), SCAN_ROWS):
        part = counts[start : start + SCAN_ROWS]
        for column, word in zip(columns[:, start : start + SCAN_ROWS], words, strict=True):
            part += np.bitwise_count(column ^ word)
    return counts
