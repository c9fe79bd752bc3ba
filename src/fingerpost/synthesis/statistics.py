"""Additive statistics of packets: integers that merge, subtract and compare exactly.

For fingerprints f in {-1, +1}^m and outcome level c, over the records of that level:

* ``counts``   n_c = number of records,
* ``memory``   M_c = sum of f (m integers),
* ``products`` A_c = sum of f f' (m x m integers).

A summary of k records counts as k records at its own fingerprint. Every entry is an integer sum over records, so any
grouping or order of the packets gives the same statistics, two sets merge by addition, and a node leaves by subtraction
(exact unlearning). ``pairs`` reads all N(N-1)/2 pairs off them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fingerpost.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fingerpost.synthesis.evidence import Evidence

CHUNK_ROWS = 8_192  # of unpacked float32 bits: 8 MB at 256 bits, so a chunk stays in the cache
RECORDS_MAX = 1 << 46  # with 2^16 records a packet and 10^9 packets every sum below still fits into 63 bits
PRODUCTS_SIZE_BYTES_MAX = 1 << 30
FLOAT32_EXACT_MAX = 1 << 24  # float32 holds every integer up to here
FLOAT64_EXACT_MAX = 1 << 53

if CHUNK_ROWS >= FLOAT32_EXACT_MAX:
    raise AssertionError("a sum over one chunk of bits must be exact in float32")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Statistics:
    """Counts (L,), memory (L, m) and products (L, m, m) of a set of packets, all int64."""

    counts: NDArray[np.int64]
    memory: NDArray[np.int64]
    products: NDArray[np.int64]

    def __post_init__(self) -> None:
        levels, bits = self.memory.shape
        if self.counts.shape != (levels,) or self.products.shape != (levels, bits, bits):
            raise UsageError("statistics-shape", "counts, memory and products disagree about levels or bits")

    @property
    def bits(self) -> int:
        """Return the number of fingerprint bits m."""
        return int(self.memory.shape[1])

    @property
    def records(self) -> int:
        """Return the number of records N."""
        return int(self.counts.sum())

    @classmethod
    def of(cls, evidence: Evidence) -> Statistics:
        """Add up ``evidence`` of a category outcome in one pass over its packets.

        :raises UsageError: for number outcomes, or when L m^2 integers would take more than a gibibyte.
        """
        if evidence.kind != "category":
            raise UsageError("statistics-kind", "pair statistics are over outcome levels; this outcome is a number")
        levels, bits = evidence.levels, evidence.bits
        if levels * bits * bits * 8 > PRODUCTS_SIZE_BYTES_MAX:
            raise UsageError(
                "statistics-size",
                f"products of {levels} levels at {bits} bits do not fit",
                hint="use Memory, which needs no products, or a template with fewer bits or levels",
            )
        if int(evidence.records.sum()) > RECORDS_MAX:
            raise UsageError("statistics-size", f"more than {RECORDS_MAX} records")
        counts = np.zeros(levels, np.int64)
        memory = np.zeros((levels, bits), np.int64)
        products = np.zeros((levels, bits, bits), np.int64)
        for level, rows in enumerate(rows_by_level(evidence)):
            sums, gram = _sign_gram(evidence.fingerprints, rows)
            counts[level], memory[level], products[level] = len(rows), sums, gram
        _add_summaries(evidence, counts, memory, products)
        return cls(counts=counts, memory=memory, products=products)

    def __add__(self, other: Statistics) -> Statistics:
        return Statistics(
            counts=self.counts + other.counts,
            memory=self.memory + other.memory,
            products=self.products + other.products,
        )

    def __sub__(self, other: Statistics) -> Statistics:
        if (self.counts < other.counts).any():
            raise UsageError("statistics-subtract", "more records would leave than are there")
        return Statistics(
            counts=self.counts - other.counts,
            memory=self.memory - other.memory,
            products=self.products - other.products,
        )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Statistics):
            return NotImplemented
        return (
            np.array_equal(self.counts, other.counts)
            and np.array_equal(self.memory, other.memory)
            and np.array_equal(self.products, other.products)
        )

    def __hash__(self) -> int:
        raise TypeError("statistics are compared, not hashed")


def rows_by_level(evidence: Evidence) -> list[NDArray[np.int64]]:
    """Return the rows of the observations of every level (summaries are in none of them)."""
    order = np.argsort(evidence.codes, kind="stable").astype(np.int64)
    ends = np.searchsorted(evidence.codes[order], np.arange(evidence.levels + 1))
    return [order[ends[level] : ends[level + 1]] for level in range(evidence.levels)]


def signs(fingerprints: NDArray[np.uint8], dtype: type = np.float32) -> NDArray[Any]:
    """Return packed fingerprints (n, B) as +1 and -1 (n, 8 B) of ``dtype``."""
    bits: NDArray[Any] = np.unpackbits(fingerprints, axis=1).astype(dtype)
    bits *= 2
    bits -= 1
    return bits


def _sign_gram(fingerprints: NDArray[np.uint8], rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (sum of f, sum of f f') over ``rows``.

    With bits b = (f + 1) / 2 the second is 4 b'b - 2 (s 1' + 1 s') + n, s = sum of b: one product of zeros and ones,
    exact in float32 because every entry of a chunk's product is at most the chunk's length.
    """
    bits = 8 * fingerprints.shape[1]
    products = np.zeros((bits, bits), np.int64)
    for start in range(0, len(rows), CHUNK_ROWS):
        chunk = np.unpackbits(fingerprints[rows[start : start + CHUNK_ROWS]], axis=1).astype(np.float32)
        products += (chunk.T @ chunk).astype(np.int64)
    ones = products.diagonal().copy()
    n = len(rows)
    return 2 * ones - n, 4 * products - 2 * (ones[:, None] + ones) + n


def _add_summaries(
    evidence: Evidence, counts: NDArray[np.int64], memory: NDArray[np.int64], products: NDArray[np.int64]
) -> None:
    """Add histograms, level by level, in float64 chunks whose total number of records stays below 2^53."""
    rows_max = min(CHUNK_ROWS, FLOAT64_EXACT_MAX // max(1, int(evidence.summary_counts.max(initial=1))))
    for start in range(0, len(evidence.summary_rows), rows_max):
        part = slice(start, start + rows_max)
        f = signs(evidence.fingerprints[evidence.summary_rows[part]], np.float64)
        histograms = evidence.summary_counts[part].astype(np.float64)
        counts += evidence.summary_counts[part].sum(axis=0)
        memory += (histograms.T @ f).astype(np.int64)
        for level in np.flatnonzero(histograms.any(axis=0)):
            products[level] += ((f * histograms[:, level, None]).T @ f).astype(np.int64)
