"""What packets claim, as shares of outcome levels, and their situations as features of a linear model.

A number becomes a level: the range is cut at quantiles of the asker's own outcomes, before any other packet is read. A
summary claims shares. Actions, where a template has them, are features beside the fingerprint.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fingerpost.synthesis.statistics import signs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fingerpost.synthesis.evidence import Evidence

ACTION_LENGTH = 0.5  # of an action's feature, beside a fingerprint of length one
BIN_OUTCOMES_MIN = 4  # own outcomes for each level that a number's range is cut into
BINS_MAX = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Coding:
    """How claims are read: the number of levels, the cuts between them for numbers, and how many actions there are."""

    levels: int
    cuts: NDArray[np.float64] | None
    actions: int

    @classmethod
    def of(cls, evidence: Evidence, own: NDArray[np.int64], *, actions: int) -> Coding:
        """Fix the coding from the asker's own packets, the rows ``own``."""
        if evidence.kind == "category":
            return cls(levels=evidence.levels, cuts=None, actions=actions)
        bins = min(max(len(own) // BIN_OUTCOMES_MIN, 2), BINS_MAX)
        values = evidence.means[own] if len(own) else np.zeros(1)
        cuts = np.unique(np.quantile(values, np.arange(1, bins) / bins))
        return cls(levels=len(cuts) + 1, cuts=cuts, actions=actions)

    def shares(self, evidence: Evidence, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return (k, C): what each packet claims, as shares of the levels."""
        codes = self.codes(evidence, rows)
        shares = np.zeros((len(rows), self.levels))
        known = codes >= 0
        shares[known, codes[known]] = 1
        for place in np.flatnonzero(~known):
            counts = evidence.summary_counts[np.searchsorted(evidence.summary_rows, rows[place])]
            shares[place] = counts / counts.sum()
        return shares

    def codes(self, evidence: Evidence, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return (k,) levels claimed, -1 for a histogram."""
        if self.cuts is None:
            return evidence.codes[rows].astype(np.int64)
        return np.searchsorted(self.cuts, evidence.means[rows], side="right").astype(np.int64)

    def features(self, evidence: Evidence, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return (k, d) features of the situations: fingerprints of length one, then actions."""
        prints: NDArray[np.float32] = signs(evidence.fingerprints[rows])
        prints *= np.float32(1 / np.sqrt(evidence.bits))
        if not self.actions:
            return prints
        acted = np.zeros((len(rows), self.actions), np.float32)
        done = evidence.actions[rows].astype(np.int64)
        tried = np.flatnonzero(done)
        acted[tried, done[tried] - 1] = ACTION_LENGTH
        return np.hstack([prints, acted])
