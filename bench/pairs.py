"""All pairs of a million packets: their sums, each packet's corroboration, and ridge on the full Gram matrix.

Prints ``pairs_1e6_seconds``: 10^6 packets of 256 bits and 10 outcomes on one core, the sums over all 5 x 10^11 pairs,
what all others say for each packet, and ridge regression as if the 10^6 x 10^6 Gram matrix had been formed. Then
``pairs_1e6_vs_brute``: the same by brute force on a subsample (blocked matrix products, a solve with the Gram matrix)
÷ ours; its time is scaled by the square of the size, which favours it, since its solve grows by the cube. And
``pairs_nodes_1e3_seconds``: the memories of 1,000 nodes and their 1,000 x 1,000 agreement.

Before anything is timed the results on the subsample are compared: integers must be equal, ridge within 1e-9.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one core is what the figure says; read when numpy is loaded
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from bench._figures import Figure, bootstrap_interval, is_quick, median_figure, write_figures
from fingerpost.synthesis import Evidence, pairs
from fingerpost.synthesis.statistics import Statistics, signs

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

TARGET = "bench"
PACKETS, BITS, LEVELS, NODES = 1_000_000, 256, 10, 1_000
SUBSAMPLE = 4_000
BLOCK_ROWS = 1_000
PENALTY = 100.0
SEED = 0


def main() -> None:
    """Measure and write the figures."""
    rounds = 2 if is_quick() else 7
    evidence = random_evidence(PACKETS)
    sample = evidence.subset(np.arange(1_000 if is_quick() else SUBSAMPLE))
    check_equal(sample)
    scale = (PACKETS / len(sample)) ** 2
    ours, brute, nodes = [], [], []
    for _ in range(rounds):
        ours.append(seconds(lambda: from_sums(evidence)))
        brute.append(seconds(lambda: by_brute_force(sample)) * scale)
        nodes.append(seconds(lambda: pairs.node_agreement(pairs.node_memories(evidence), pairs.node_counts(evidence))))
    ratios = [theirs / mine for theirs, mine in zip(brute, ours, strict=True)]
    low, high = bootstrap_interval(ratios)
    detail = {
        "brute_seconds": float(np.median(brute)),
        "brute_packets": len(sample),
        "ours_seconds": float(np.median(ours)),
        "pairs": PACKETS * (PACKETS - 1) // 2,
    }
    vs_brute = Figure(
        name="pairs_1e6_vs_brute", value=float(np.median(ratios)), unit="ratio", low=low, high=high, detail=detail
    )
    figures = [
        median_figure("pairs_1e6_seconds", ours, unit="s"),
        vs_brute,
        median_figure("pairs_nodes_1e3_seconds", nodes, unit="s"),
    ]
    write_figures(TARGET, figures, seeds=[SEED])


def random_evidence(packets: int) -> Evidence:
    """Return packets with random bits, outcomes and nodes: time does not depend on what they say."""
    generator = np.random.default_rng(SEED)
    emitters = np.zeros((packets, 32), np.uint8)
    emitters[:, :2] = generator.integers(0, NODES, (packets, 1), dtype=np.uint16).view(np.uint8)
    return Evidence.from_arrays(
        fingerprints=generator.integers(0, 256, (packets, BITS // 8), dtype=np.uint8),
        codes=generator.integers(0, LEVELS, packets),
        levels=LEVELS,
        emitters=emitters,
        packet_ids=generator.integers(0, 256, (packets, 32), dtype=np.uint8),
    )


def seconds(action: Callable[[], object]) -> float:
    """Return the processor time of one run: other programs on this machine are not what is measured."""
    start = time.process_time()
    action()
    return time.process_time() - start


def from_sums(evidence: Evidence) -> tuple[int, int, int, NDArray[np.int64], NDArray[np.float64]]:
    """Return everything from additive statistics, in one pass and a half over the packets."""
    statistics = Statistics.of(evidence)
    return (
        pairs.all_pairs_similarity(statistics),
        pairs.same_outcome_similarity(statistics),
        pairs.same_outcome_squares(statistics),
        pairs.corroboration(evidence, statistics.memory),
        pairs.ridge(statistics, penalty=PENALTY),
    )


def by_brute_force(evidence: Evidence) -> tuple[int, int, int, NDArray[np.int64], NDArray[np.float64]]:
    """Visit every pair: similarities by blocked matrix products, which is as fast as numpy visits pairs."""
    f = signs(evidence.fingerprints)
    codes = evidence.codes
    every = same = squares = 0
    support = np.empty(len(f), np.int64)
    gram = np.empty((len(f), len(f)))
    for start in range(0, len(f), BLOCK_ROWS):
        similarity = f[start : start + BLOCK_ROWS] @ f.T
        gram[start : start + BLOCK_ROWS] = similarity
        alike = similarity * (codes[start : start + BLOCK_ROWS, None] == codes)
        totals = alike.sum(axis=1, dtype=np.float64)
        support[start : start + BLOCK_ROWS] = totals - BITS
        every += int(similarity.sum(dtype=np.float64))
        same += int(totals.sum())
        squares += int(np.square(alike, dtype=np.float64).sum())
    n = len(f)
    gram[np.diag_indices(n)] += PENALTY
    weights = f.T @ np.linalg.solve(gram, np.eye(LEVELS)[codes])
    return (every - n * BITS) // 2, (same - n * BITS) // 2, (squares - n * BITS**2) // 2, support, weights


def check_equal(evidence: Evidence) -> None:
    """Refuse to time what is not the same."""
    ours: tuple[Any, ...] = from_sums(evidence)
    theirs: tuple[Any, ...] = by_brute_force(evidence)
    if ours[:3] != theirs[:3] or not np.array_equal(ours[3], theirs[3]):
        raise AssertionError("sums over pairs differ from brute force")
    if not np.allclose(ours[4], theirs[4], rtol=0, atol=1e-9):
        raise AssertionError("ridge from sums differs from ridge on the Gram matrix")


if __name__ == "__main__":
    main()
