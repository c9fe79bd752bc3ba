"""All N(N-1)/2 pairs of records, exactly, in time linear in N.

With the statistics of ``statistics`` (m bits, M_c, A_c, n_c) over records i, j at fingerprints f with levels y:

* sum over i < j of (f_i . f_j) [y_i = y_j]    = sum_c (|M_c|^2 - n_c m) / 2
* sum over i < j of (f_i . f_j)^2 [y_i = y_j]  = sum_c (|A_c|^2 - n_c m^2) / 2
* sum over j != i of (f_i . f_j) [y_i = y_j]   = f_i . M_{y_i} - m              (corroboration of packet i)
* sum over i in a, j in b of the same          = <M_a, M_b>                     (agreement of nodes a and b)
* ridge on the N x N Gram matrix F F'          = (F'F + lambda I)^-1 F'Y, with F'F = sum_c A_c and F'Y = M'

The pairs hold no information beyond the N packets (F F' has rank m at most); they say which packets and nodes support
each other. All but ridge are integers: Python integers where a sum may exceed 63 bits, int64 where it cannot.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fingerpost.errors import UsageError
from fingerpost.synthesis.statistics import CHUNK_ROWS, FLOAT64_EXACT_MAX, Statistics, rows_by_level, signs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fingerpost.synthesis.evidence import Evidence

INT64_MAX = (1 << 63) - 1
NUMBER_STEPS = 1 << 16  # of the declared range of a number outcome, so that its sums are whole too
BYTE_SIGNS = 2 * np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype(np.int64) - 1  # (256, 8)


def pair_count(statistics: Statistics) -> int:
    """Return N(N-1)/2, the number of pairs of records."""
    return statistics.records * (statistics.records - 1) // 2


def same_outcome_similarity(statistics: Statistics) -> int:
    """Return the sum of f_i . f_j over the pairs of records with equal outcomes."""
    return (sum_of_squares(statistics.memory) - statistics.records * statistics.bits) // 2


def all_pairs_similarity(statistics: Statistics) -> int:
    """Return the sum of f_i . f_j over all pairs of records."""
    return (sum_of_squares(statistics.memory.sum(axis=0)) - statistics.records * statistics.bits) // 2


def same_outcome_squares(statistics: Statistics) -> int:
    """Return the sum of (f_i . f_j)^2 over the pairs of records with equal outcomes."""
    return (sum_of_squares(statistics.products) - statistics.records * statistics.bits**2) // 2


def ridge(statistics: Statistics, *, penalty: float) -> NDArray[np.float64]:
    """Return the weights (m, L) of ridge regression of one-hot outcomes on all records, without an intercept.

    The same as the dual form F' (F F' + penalty I)^-1 Y over the N x N matrix of all pairs.
    """
    if not penalty > 0:
        raise UsageError("ridge-penalty", "the penalty is above zero")
    gram = statistics.products.sum(axis=0).astype(np.float64)
    gram[np.diag_indices_from(gram)] += penalty
    weights: NDArray[np.float64] = np.linalg.solve(gram, statistics.memory.T.astype(np.float64))
    return weights


def memory_of(evidence: Evidence) -> NDArray[np.int64]:
    """Return M (L, m) alone, for evidence whose products are not wanted."""
    memory = np.zeros((evidence.levels, evidence.bits), np.int64)
    for level, rows in enumerate(rows_by_level(evidence)):
        memory[level] = _sum_of_signs(evidence.fingerprints, rows)
    for row, histogram in zip(evidence.summary_rows, evidence.summary_counts, strict=True):
        memory += histogram[:, None] * signs(evidence.fingerprints[row : row + 1], np.int64)
    return memory


def record_memory(evidence: Evidence) -> NDArray[np.int64]:
    """Return the sum of f over all records (m,), whatever their outcomes."""
    total = np.zeros(evidence.bits, np.int64)
    for start in range(0, len(evidence), CHUNK_ROWS):
        part = slice(start, start + CHUNK_ROWS)
        total += evidence.records[part] @ signs(evidence.fingerprints[part], np.int64)
    return total


def corroboration(evidence: Evidence, memory: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return (n,) what all other packets say for each packet: the sum of f_i . f_j over their records j of its outcome.

    ``memory`` (L, m) holds every packet of ``evidence``. A summary is the sum over its own records.
    """
    support = np.empty(len(evidence), np.int64)
    for level, rows in enumerate(rows_by_level(evidence)):
        support[rows] = _products_with(evidence.fingerprints, rows, memory[level])
    support -= evidence.bits
    rows, counts = evidence.summary_rows, evidence.summary_counts
    if len(rows):
        everyone = signs(evidence.fingerprints[rows], np.int64) @ memory.T
        support[rows] = (counts * (everyone - counts * evidence.bits)).sum(axis=1)
    return support


def corroboration_margin(evidence: Evidence, memory: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[Any]:
    """Return (n,) mean similarity of each observation to its own level minus the best other level, in [-2, 2].

    Low values are packets that the pool contradicts. NaN where there is nothing to compare (summaries, lone packets).
    """
    margin = np.full(len(evidence), np.nan)
    present = np.flatnonzero(counts)
    means = (memory[present] / (counts[present, None] * evidence.bits)).T
    column = {int(level): k for k, level in enumerate(present)}
    for level, rows in enumerate(rows_by_level(evidence)):
        if not len(rows) or counts[level] < 2 or len(present) < 2:
            continue
        own, others = column[level], [k for k in range(len(present)) if k != column[level]]
        for start in range(0, len(rows), CHUNK_ROWS):
            part = rows[start : start + CHUNK_ROWS]
            similarity = signs(evidence.fingerprints[part], np.float64) @ means
            n = int(counts[level])
            margin[part] = (similarity[:, own] * n - 1) / (n - 1) - similarity[:, others].max(axis=1)
    return margin


def node_memories(evidence: Evidence) -> NDArray[np.int64]:
    """Return (V, L, m): the memory of every node."""
    levels, bits, nodes = evidence.levels, evidence.bits, len(evidence.node_ids)
    memories = np.zeros((nodes * levels, bits), np.int64)
    observed = np.flatnonzero(evidence.codes >= 0)
    group = evidence.node_index[observed] * levels + evidence.codes[observed]
    order = np.argsort(group, kind="stable")
    ends = np.searchsorted(group[order], np.arange(nodes * levels + 1))
    for k in np.flatnonzero(ends[1:] > ends[:-1]):
        memories[k] = _sum_of_signs(evidence.fingerprints, observed[order[ends[k] : ends[k + 1]]])
    shaped = memories.reshape(nodes, levels, bits)
    for row, histogram in zip(evidence.summary_rows, evidence.summary_counts, strict=True):
        shaped[evidence.node_index[row]] += histogram[:, None] * signs(evidence.fingerprints[row : row + 1], np.int64)
    return shaped


def node_counts(evidence: Evidence) -> NDArray[np.int64]:
    """Return (V, L): the records of every node and level."""
    counts = np.zeros((len(evidence.node_ids), evidence.levels), np.int64)
    observed = evidence.codes >= 0
    np.add.at(counts, (evidence.node_index[observed], evidence.codes[observed]), 1)
    np.add.at(counts, evidence.node_index[evidence.summary_rows], evidence.summary_counts)
    return counts


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeAgreement:
    """What the pairs between nodes say. Row and column k belong to the k-th node of the evidence.

    ``same`` sums f_i . f_j over record pairs (i of a, j of b) with equal outcomes, ``every`` over all of them;
    ``same_pairs`` and ``every_pairs`` count them. Python integers in object arrays (V, V); a node's pairs with itself
    include each record with itself. ``contrast`` is the mean similarity of pairs with equal outcomes minus that of
    pairs with different ones, in [-2, 2]: above zero where similar situations had the same outcome, below zero where
    they had another; NaN where either kind of pair is missing.
    """

    same: NDArray[Any]
    every: NDArray[Any]
    same_pairs: NDArray[Any]
    every_pairs: NDArray[Any]
    contrast: NDArray[np.float64]


def node_agreement(memories: NDArray[np.int64], counts: NDArray[np.int64]) -> NodeAgreement:
    """Compare all nodes with each other from their memories (V, L, m) and counts (V, L)."""
    nodes, _, bits = memories.shape
    same = exact_gram(memories.reshape(nodes, -1))
    every = exact_gram(memories.sum(axis=1))
    same_pairs, every_pairs = exact_gram(counts), exact_gram(counts.sum(axis=1)[:, None])
    different_pairs = every_pairs - same_pairs
    contrast = np.full((nodes, nodes), np.nan)
    for a in range(nodes):
        for b in range(nodes):
            if same_pairs[a, b] and different_pairs[a, b]:
                equal = same[a, b] / (same_pairs[a, b] * bits)
                contrast[a, b] = equal - (every[a, b] - same[a, b]) / (different_pairs[a, b] * bits)
    return NodeAgreement(same=same, every=every, same_pairs=same_pairs, every_pairs=every_pairs, contrast=contrast)


def number_agreement(evidence: Evidence, *, low: float, high: float) -> NodeAgreement:
    """Compare nodes by number outcomes, taken as whole steps z of 2^-16 of the range from the pool's mean.

    ``same`` sums (f_i . f_j) z_i z_j; ``contrast`` is its mean over pairs, in units of the bits and of the
    variance of the pool: above zero where similar situations had similar outcomes.
    """
    steps = np.rint((evidence.means - low) / (high - low) * NUMBER_STEPS).astype(np.int64)
    centre = round(int(steps @ evidence.records) / int(evidence.records.sum()))
    deviations = steps - centre
    nodes, bits = len(evidence.node_ids), evidence.bits
    weighted = np.zeros((nodes, bits), np.int64)
    plain = np.zeros((nodes, bits), np.int64)
    for node in range(nodes):
        rows = np.flatnonzero(evidence.node_index == node)
        for start in range(0, len(rows), CHUNK_ROWS):
            part = rows[start : start + CHUNK_ROWS]
            f = signs(evidence.fingerprints[part], np.int64)
            weighted[node] += (deviations[part] * evidence.records[part]) @ f
            plain[node] += evidence.records[part] @ f
    totals = np.bincount(evidence.node_index, weights=evidence.records, minlength=nodes).astype(np.int64)
    same, every, every_pairs = exact_gram(weighted), exact_gram(plain), exact_gram(totals[:, None])
    variance = float(evidence.records @ deviations.astype(np.float64) ** 2) / float(evidence.records.sum())
    contrast = np.full((nodes, nodes), np.nan)
    if variance > 0:
        contrast = (same / (every_pairs * bits)).astype(np.float64) / variance
    return NodeAgreement(same=same, every=every, same_pairs=every_pairs, every_pairs=every_pairs, contrast=contrast)


def sum_of_squares(integers: NDArray[np.int64]) -> int:
    """Return the exact sum of squares as a Python integer, whatever its size."""
    total, flat = 0, integers.reshape(-1)
    largest = max(abs(int(flat.max(initial=0))), abs(int(flat.min(initial=0))))
    if largest * largest > INT64_MAX:
        return sum(int(value) ** 2 for value in flat)
    step = INT64_MAX // max(1, largest * largest)
    for start in range(0, len(flat), step):
        part = flat[start : start + step]
        total += int(part @ part)
    return total


def exact_gram(rows: NDArray[np.int64]) -> NDArray[Any]:
    """Return (V, V) inner products of integer rows as Python integers in an object array."""
    largest = int(np.abs(rows).max(initial=0))
    if rows.shape[1] * largest * largest <= FLOAT64_EXACT_MAX:
        exact = rows.astype(np.float64)
        return (exact @ exact.T).astype(np.int64).astype(object)
    numbers = rows.astype(object)
    gram: NDArray[Any] = numbers @ numbers.T
    return gram


def _sum_of_signs(fingerprints: NDArray[np.uint8], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    total = np.zeros(8 * fingerprints.shape[1], np.int64)
    for start in range(0, len(rows), CHUNK_ROWS):
        part = fingerprints[rows[start : start + CHUNK_ROWS]]
        total += 2 * np.unpackbits(part, axis=1).sum(axis=0, dtype=np.int64) - len(part)
    return total


def _products_with(
    fingerprints: NDArray[np.uint8], rows: NDArray[np.int64], memory: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return f_i . memory for ``rows``, by a table of every byte's contribution: no bit is unpacked."""
    table = BYTE_SIGNS @ memory.reshape(-1, 8).T  # (256, B)
    total = np.zeros(len(rows), np.int64)
    for start in range(0, len(rows), CHUNK_ROWS):
        chunk = fingerprints[rows[start : start + CHUNK_ROWS]]
        part = total[start : start + CHUNK_ROWS]
        for byte in range(chunk.shape[1]):
            part += table[chunk[:, byte], byte]
    return total
