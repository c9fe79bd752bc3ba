"""Drawing packets by what they say, so that who emitted them, and when they came, changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fingerpost.synthesis.evidence import Evidence


def drawn_rows(evidence: Evidence, weights: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """Return ``count`` rows (all, if there are fewer) that content alone picks, as good as at random, ascending.

    Ranked by a 64-bit mix of fingerprint, outcome, records and weight: whoever emitted the packets, in whatever order
    they came, the same are picked. Those that say the same are interchangeable.
    """
    if len(evidence) <= count:
        return np.arange(len(evidence))
    return np.sort(least(content_ranks(evidence, weights), count))


def least(ranks: NDArray[np.uint64], count: int) -> NDArray[np.intp]:
    """Return the places of the ``count`` least of more ``ranks`` (n,), of equal ones the first; nothing else sorted."""
    last = np.partition(ranks, count - 1)[count - 1]
    candidates = np.flatnonzero(ranks <= last)
    return candidates[np.argsort(ranks[candidates], kind="stable")[:count]]


def content_ranks(evidence: Evidence, weights: NDArray[np.float64]) -> NDArray[np.uint64]:
    """Return the numbers (n,) by which ``drawn_rows`` ranks packets: the same for a packet in whatever company."""
    words = [np.ascontiguousarray(evidence.fingerprints).view(np.uint64)]
    outcome = (evidence.means, evidence.squares) if evidence.kind == "number" else (evidence.codes.astype(np.int64),)
    words += [column.view(np.uint64)[:, None] for column in (*outcome, evidence.records, weights)]
    mixed = _mixed(np.zeros(len(evidence), np.uint64), words)
    summaries = evidence.summary_rows
    if len(summaries):
        mixed[summaries] = _mixed(mixed[summaries], [np.ascontiguousarray(evidence.summary_counts).view(np.uint64)])
    return mixed


def _mixed(state: NDArray[np.uint64], columns: list[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    """Fold (n, k) words into (n,) by the finaliser of SplitMix64 (Steele, Lea and Flood 2014), modulo 2^64."""
    for column in columns:
        for word in column.T:
            state = (state ^ word) + np.uint64(0x9E3779B97F4A7C15)
            state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            state = state ^ (state >> np.uint64(31))
    return state
