"""Whom to hire without outcomes of one's own: the larger camp of those who agree with each other.

The mean similarity of packets of two nodes with equal outcomes, minus that of packets with different ones, is above
zero where the nodes tell the same story and below where they contradict each other; it is read off additive statistics
that cover all pairs of packets. The leading eigenvector of these contrasts is the largest camp. A node is refused when
it contradicts that camp clearly; all others take part. Whoever has most friends wins, so nothing is guaranteed: a
majority of colluding liars is the larger camp.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fingerpost.elections.hiring import Hiring, Verdict
from fingerpost.synthesis import pairs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fingerpost.synthesis import CountsEvidence
    from fingerpost.synthesis.evidence import Evidence

NODES_MIN = 3  # of two that contradict each other nobody can say who is right
NODES_MAX = 2_048
RECORDS_MIN = 10  # of a node: below, a contrast below zero is as likely chance
CLEAR_SHARE = 0.5  # of the contrast, below zero, that a node has whose outcomes are all false, to be refused


def contrasts(evidence: Evidence) -> NDArray[np.float64]:
    """Return (V, V) contrasts between nodes, NaN where there is nothing to compare."""
    if evidence.kind == "category":
        return pairs.node_agreement(pairs.node_memories(evidence), pairs.node_counts(evidence)).contrast
    low, high = float(evidence.means.min(initial=0)), float(evidence.means.max(initial=0))
    if low == high:
        return np.full((len(evidence.node_ids),) * 2, np.nan)
    return pairs.number_agreement(evidence, low=low, high=high).contrast


def contrasts_of_counts(evidence: CountsEvidence, *, cells: int) -> NDArray[np.float64]:
    """Return (V, V) the cosine between what two nodes' counts say of each cell beyond their own usual shares.

    Noise is independent between nodes, so it moves no contrast to either side; it makes all of them smaller. A table
    beside itself would only show its noise: NaN, as where a node counted nothing.
    """
    count = len(evidence.node_ids)
    tables = np.zeros((count, cells, evidence.counts.shape[1]))
    np.add.at(tables, (evidence.node_index, evidence.cells), evidence.counts)
    usual = np.maximum(tables.sum(axis=1), 0)
    usual /= np.maximum(usual.sum(axis=1, keepdims=True), 1)
    beyond = (tables - tables.sum(axis=2, keepdims=True) * usual[:, None]).reshape(count, -1)
    length = np.linalg.norm(beyond, axis=1)
    with np.errstate(invalid="ignore"):
        matrix: NDArray[np.float64] = beyond @ beyond.T / np.outer(length, length)
    np.fill_diagonal(matrix, np.nan)
    return matrix


def camp_scores(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (V,) how well each node agrees with the largest camp, itself left out."""
    between = np.nan_to_num(matrix, nan=0.0)
    np.fill_diagonal(between, 0)
    leading = np.linalg.eigh((between + between.T) / 2)[1][:, -1]
    camp = np.maximum(leading * np.sign(leading.sum() or 1.0), 0)
    known = ~np.isnan(matrix)
    np.fill_diagonal(known, val=False)
    weight = known @ camp
    scores: NDArray[np.float64] = np.divide(between @ camp, weight, out=np.zeros(len(camp)), where=weight > 0)
    return scores


def hiring(evidence: Evidence, *, asker: bytes, alpha: float) -> Hiring:
    """Return whom to hire by agreement alone."""
    count = len(evidence.node_ids)
    names = [one.tobytes() for one in evidence.node_ids]
    records = np.bincount(evidence.node_index, weights=evidence.records, minlength=count)
    packets = np.bincount(evidence.node_index, minlength=count)
    scores = camp_scores(contrasts(evidence)) if NODES_MIN <= count <= NODES_MAX else np.zeros(count)
    large = records >= RECORDS_MIN
    usual = float(np.median(scores[large & (scores > 0)])) if (large & (scores > 0)).any() else 0.0
    limit = -CLEAR_SHARE * usual / max(evidence.levels - 1, 1)  # False outcomes are one of several others.
    refused = large & (scores < limit) & (usual > 0)
    verdicts = tuple(
        Verdict(
            node_id=name,
            finding="own" if name == asker else "refused" if refused[node] else "unknown",
            log_evidence=float(scores[node]),
            needed=limit,
            familiar=int(packets[node]),
            packets=int(packets[node]),
            round=0,
        )
        for node, name in enumerate(names)
    )
    return Hiring(rule="agreement", anchored=False, alpha=alpha, unvetted=True, verdicts=verdicts)


def camp_order(matrix: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the nodes in an order that puts those side by side who agree: along the two leading eigenvectors."""
    between = np.nan_to_num(matrix, nan=0.0)
    if len(between) < NODES_MIN:
        return np.arange(len(between))
    np.fill_diagonal(between, 0)
    vectors = np.linalg.eigh((between + between.T) / 2)[1]
    first = vectors[:, -1] * np.sign(vectors[:, -1].sum() or 1.0)
    return np.argsort(np.arctan2(vectors[:, -2], first), kind="stable").astype(np.int64)
