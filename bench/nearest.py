"""The 64 nearest of ten million fingerprints: the index that looks into few lists, against looking at all with faiss.

Prints ``nn_1e7_vs_flat`` (``IndexBinaryFlat.search`` of faiss ÷ ``ProbedNeighbours.nearest``, one question at a time)
and ``nn_1e7_recall`` (the share of the distances of the 64 nearest that it finds), beside the same for random bits
(``nn_random_vs_flat``, ``nn_random_recall``), which have no neighbours to speak of, and ``nn_1e7_exact_vs_flat`` for
``FlatNeighbours``, the exact search that nodes use.

The fingerprints are real: the hourly rows of the Beijing air-quality set (``beijing_air.csv.xz`` in the folder of
``--data``), encoded and projected by a template that the package drafts, as often as it takes. Each copy is jittered
before projection: every number that is there gets normal noise with a standard deviation of ``--jitter`` (default .02)
of its declared range. A tenth of the rows is held out and asks, jittered alike; rows an hour apart are alike, as they
are. Processor time on one core, in turn. ``QUICK=1`` takes a million.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one core is what the figure says; read when numpy is loaded
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import faiss
import numpy as np

from bench._figures import Figure, is_quick, median_figure, write_figures
from fingerpost.files import read_table
from fingerpost.fingerprint import Fingerprinter
from fingerpost.store.index import LISTS, PROBES, FlatNeighbours, ProbedNeighbours
from fingerpost.template import Template, encode_table, infer_template

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

TARGET = "bench"
SEED = 0
NEIGHBOURS, QUESTIONS = 64, 100
ROWS, ROWS_QUICK = 10_000_000, 1_000_000
CODES_MAX = 4_096  # encoded numbers lie between minus this and this
HELD_OUT = 10  # one row in so many asks
ROWS_AT_ONCE = 100_000


def main() -> None:
    """Measure and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--jitter", type=float, default=0.02, help="standard deviation, as a share of the range")
    parser.add_argument("--rows", type=int, default=ROWS_QUICK if is_quick() else ROWS)
    options = parser.parse_args()
    faiss.omp_set_num_threads(1)
    figures = []
    path = options.data / "beijing_air.csv.xz"
    if path.is_file():
        prints, questions = jittered(path, options.rows, jitter=options.jitter)
        figures += figures_of("nn_1e7", prints, questions, detail={"jitter": options.jitter, "set": path.name})
    else:
        print(f"left out: real fingerprints, for want of {path.name} in the folder of --data")
    generator = np.random.default_rng(SEED)
    prints = generator.integers(0, 256, (options.rows, 32), dtype=np.uint8)
    questions = generator.integers(0, 256, (QUESTIONS + 1, 32), dtype=np.uint8)
    figures += figures_of("nn_random", prints, questions, detail={})
    write_figures(TARGET, figures, seeds=[SEED])


def figures_of(
    name: str, prints: NDArray[np.uint8], questions: NDArray[np.uint8], *, detail: dict[str, Any]
) -> list[Figure]:
    """Compare the index with looking at all ``prints`` (n, 32), on each of ``questions`` (q, 32) but the first."""
    start = time.process_time()
    probed = ProbedNeighbours(prints, lists=LISTS, probes=PROBES, seed=SEED)
    detail |= {"build_seconds": time.process_time() - start, "rows": len(prints), "lists": LISTS, "probes": PROBES}
    flat = faiss.IndexBinaryFlat(8 * prints.shape[1])
    flat.add(prints)
    exact = FlatNeighbours(prints)
    found: dict[str, list[float]] = {"flat": [], "probed": [], "exact": []}
    recall = []
    for turn, question in enumerate(questions):
        query = question[None]
        distances, taken = timed(lambda: flat.search(query, NEIGHBOURS)[0][0])  # noqa: B023  called at once
        ours, ours_taken = timed(lambda: probed.nearest(query, NEIGHBOURS)[0])  # noqa: B023
        _, exact_taken = timed(lambda: exact.nearest(query, NEIGHBOURS))  # noqa: B023
        if not turn:
            continue
        ours = ours[ours >= 0]
        apart = np.bitwise_count(prints[ours] ^ question).sum(axis=1)
        recall.append(float((apart <= distances.max()).sum()) / NEIGHBOURS)
        for key, seconds in (("flat", taken), ("probed", ours_taken), ("exact", exact_taken)):
            found[key].append(seconds)
    detail |= {f"{key}_ms": 1e3 * float(np.median(values)) for key, values in found.items()}
    detail |= {"load": os.getloadavg()[0], "distance_of_last": float(distances.max())}
    ratios = {
        f"{name}_{key}": [theirs / ours for theirs, ours in zip(found["flat"], found[way], strict=True)]
        for key, way in (("vs_flat", "probed"), ("exact_vs_flat", "exact"))
    }
    figures = [median_figure(key, values, unit="ratio", detail=detail) for key, values in ratios.items()]
    mean = float(np.mean(recall))
    return [*figures, Figure(name=f"{name}_recall", value=mean, unit="share", detail={"worst": min(recall)})]


def timed(action: Callable[[], Any]) -> tuple[Any, float]:
    """Return what an action returns, and the processor seconds that it took."""
    start = time.process_time()
    result = action()
    return result, time.process_time() - start


def jittered(path: Path, rows: int, *, jitter: float) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return ``rows`` fingerprints (n, 32) of jittered real records, and those of held-out ones (q, 32)."""
    table = read_table(path)
    columns = {name: column for name, column in table.columns.items() if name != "time"}
    draft = infer_template(columns, outcome="pm25", node_column="station", name="beijing", data_class="non_personal")
    template = draft.template
    fields = {field.name for field in template.situation}
    encoded, problems = encode_table(
        template, {name: column for name, column in columns.items() if name in fields}, rows=table.rows
    )
    if problems:
        raise AssertionError(f"{len(problems)} cells do not fit the drafted template, first {problems[0]}")
    generator, fingerprinter = np.random.default_rng(SEED), Fingerprinter(template)
    asks = generator.permutation(len(encoded)) % HELD_OUT == 0

    def prints_of(records: NDArray[np.int16], count: int) -> NDArray[np.uint8]:
        found = np.empty((count, template.fingerprint_bits // 8), np.uint8)
        for start in range(0, count, ROWS_AT_ONCE):
            size = min(ROWS_AT_ONCE, count - start)
            chosen = records[generator.integers(0, len(records), size)]
            found[start : start + size] = fingerprinter.fingerprints(shaken(chosen, template, jitter, generator))
        return found

    return prints_of(encoded[~asks], rows), prints_of(encoded[asks], QUESTIONS + 1)


def shaken(
    records: NDArray[np.int16], template: Template, jitter: float, generator: np.random.Generator
) -> NDArray[np.int16]:
    """Return records with noise on every number that is there; the coordinate after it says when it is missing."""
    found = records.copy()
    for place in template.columns:
        if place.stop - place.start != 2:
            continue
        noise = generator.normal(scale=2 * CODES_MAX * jitter, size=len(records))
        moved = np.clip(records[:, place.start] + noise.round(), -CODES_MAX, CODES_MAX).astype(np.int16)
        found[:, place.start] = np.where(records[:, place.start + 1] == 0, moved, records[:, place.start])
    return found


if __name__ == "__main__":
    main()
