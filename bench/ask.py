"""A whole question among a million packets, in one process, against a bare search for the same number of neighbours.

Prints ``ask_1e6_cost``: search, gathering, kernel ridge on the 128 nearest with settings found before, intervals and
the whole ``Answer``, ÷ ``IndexBinaryFlat.search`` of faiss for 128 neighbours among the same 10^6 fingerprints of 256
bits. ``smooth_1e6_cost`` is the part from the question to the weights of packets. The fingerprints are synthetic: signs
of random projections of 2,000 clusters in 24 dimensions. Processor time, question by question in turn, in one process.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one core is what the figure says; read when numpy is loaded
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import faiss
import numpy as np

from bench._figures import is_quick, median_figure, write_figures
from fingerpost.synthesis import Evidence, Query, Synthesizer
from fingerpost.synthesis.kernel import KernelOptions
from fingerpost.template import infer_template

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

TARGET = "bench"
SEED = 0
PACKETS, BITS, NEIGHBOURS, NODES = 1_000_000, 256, 128, 100
DIMENSIONS, CLUSTERS, SPREAD = 24, 2_000, 0.5
BLOCK_ROWS = 100_000


def main() -> None:
    """Measure and write the figures."""
    questions = clustered(20 if is_quick() else 60, seed=SEED + 1)
    prints = clustered(PACKETS, seed=SEED)
    synthesizer = synthesizer_of(prints)
    flat = faiss.IndexBinaryFlat(BITS)
    flat.add(prints)
    found: dict[str, list[float]] = {"faiss": [], "ask": [], "smooth": []}
    for turn, row in enumerate(questions):
        query = Query(fingerprint=row.tobytes())
        actions: dict[str, Callable[[], object]] = {
            "faiss": lambda: flat.search(row[None], NEIGHBOURS),  # noqa: B023  called in this turn
            "ask": lambda: synthesizer.ask(query),  # noqa: B023
            "smooth": lambda: list(synthesizer.smoothings([query])),  # noqa: B023
        }
        for name, action in actions.items():
            start = time.process_time()
            action()
            if turn:
                found[name].append(time.process_time() - start)
    detail = {f"{name}_ms": 1e3 * float(np.median(values)) for name, values in found.items()}
    detail["load"] = os.getloadavg()[0]
    figures = [
        median_figure(
            f"{name}_1e6_cost",
            [ours / theirs for ours, theirs in zip(found[name], found["faiss"], strict=True)],
            unit="ratio",
            detail=detail,
        )
        for name in ("ask", "smooth")
    ]
    write_figures(TARGET, figures, seeds=[SEED])


def clustered(count: int, *, seed: int) -> NDArray[np.uint8]:
    """Return fingerprints (count, 32) of one population, whatever the seed."""
    shared, generator = np.random.default_rng(7), np.random.default_rng(seed)
    centres = shared.standard_normal((CLUSTERS, DIMENSIONS))
    planes = shared.standard_normal((DIMENSIONS, BITS))
    out = np.empty((count, BITS // 8), np.uint8)
    for start in range(0, count, BLOCK_ROWS):
        size = min(BLOCK_ROWS, count - start)
        points = centres[generator.integers(0, CLUSTERS, size)]
        points = points + SPREAD * generator.standard_normal((size, DIMENSIONS))
        out[start : start + size] = np.packbits(points @ planes >= 0, axis=1)
    return out


def synthesizer_of(prints: NDArray[np.uint8]) -> Synthesizer:
    """Return what answers from packets of two outcomes and a hundred nodes, fitted."""
    generator = np.random.default_rng(SEED)
    emitters = np.zeros((len(prints), 32), np.uint8)
    emitters[:, 0] = generator.integers(0, NODES, len(prints))
    columns: dict[str, Any] = {"x": generator.normal(size=200).round(3), "outcome": ["yes", "no"] * 100}
    draft = infer_template(columns, outcome="outcome", name="bench", data_class="non_personal")
    evidence = Evidence.from_arrays(
        fingerprints=prints,
        codes=(np.bitwise_count(prints[:, :4]).sum(axis=1) + generator.integers(0, 8, len(prints)) > 19).astype(int),
        levels=2,
        emitters=emitters,
        packet_ids=generator.integers(0, 256, (len(prints), 32), dtype=np.uint8),
    )
    synthesizer = Synthesizer(
        evidence, replace(draft.template, fingerprint_bits=BITS), day=0, options=KernelOptions(neighbours=NEIGHBOURS)
    )
    synthesizer.ask(Query(fingerprint=prints[0].tobytes()))  # fits, and computes what all answers share
    return synthesizer


if __name__ == "__main__":
    main()
