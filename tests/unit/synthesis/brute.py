"""Pair sums the slow way: one pair of records after another group, in Python integers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fingerpost.synthesis.evidence import Evidence


class PairSums:
    """All sums over pairs of records of a small pool, from its n x n matrix of similarities."""

    def __init__(self, evidence: Evidence) -> None:
        f = 2 * np.unpackbits(evidence.fingerprints, axis=1).astype(object) - 1
        self.similarity = f @ f.T  # (n, n) Python integers
        counts = evidence.outcome_counts().astype(object)
        self.alike = counts @ counts.T  # record pairs with equal outcomes between packets i and j
        self.pairs = counts.sum(axis=1)[:, None] * counts.sum(axis=1)
        self.records = int(counts.sum())
        self.bits = evidence.bits
        self.nodes = evidence.node_index

    def _unordered(self, power: int, pairs: NDArray[Any]) -> int:
        ordered = (self.similarity**power * pairs).sum()  # every record meets itself too, at similarity m
        return int(ordered - self.records * self.bits**power) // 2

    def same(self) -> int:
        return self._unordered(1, self.alike)

    def every(self) -> int:
        return self._unordered(1, self.pairs)

    def same_squares(self) -> int:
        return self._unordered(2, self.alike)

    def corroboration(self) -> list[int]:
        support = self.similarity * self.alike
        return [int(row.sum() - row[k]) for k, row in enumerate(support)]

    def between(self, a: int, b: int, *, alike: bool) -> int:
        block = np.ix_(np.flatnonzero(self.nodes == a), np.flatnonzero(self.nodes == b))
        return int((self.similarity * (self.alike if alike else self.pairs))[block].sum())
