"""How time grows with the number of packets: taking them in, asking among them, summing over all their pairs.

Prints ``scaling_{ingest,ask_first,ask_again,pairs}_exponent``: the slope of time against packets, both in logarithms,
fitted to each round from 10^4 packets up, since below that the fixed costs are what one sees. 1 is linear, 0 does not
grow. The detail holds ``sizes`` and ``seconds`` (medians), which ``make bench-report`` draws.

==============  ====================================================================================================
ingest          frames of packets, 256 a signature: verified, durable, searchable (as in ``bench.ingest``)
ask_first       a node opens a home that holds so many packets of 20 nodes, and answers its first question
ask_again       each further question to the same node
pairs           sums over all pairs of packets, what others say for each, and ridge (as in ``bench.pairs``)
==============  ====================================================================================================

These are processor times. ``two_cores_ingest_processes`` and ``two_cores_verify_threads`` are wall-clock throughput on
two cores ÷ on one: of two nodes (processes, each with its store), and of one process that verifies in two threads. A
node takes frames in on one thread, so a single node gains nothing from a second core there.

10^3 to 10^6 packets, with ``QUICK=1`` to 10^5; ``--to 7`` goes on to 10^7, for ingest and pairs only.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one core is what the figures say; read when numpy is loaded
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import multiprocessing
import tempfile
import time
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench._figures import Figure, bootstrap_interval, is_quick, median_figure, write_figures
from bench._packets import frames_of, signed_packets
from bench.ingest import ours as ingest
from bench.pairs import from_sums, random_evidence
from bench.verify import whole_frames
from fingerpost import Node
from fingerpost.fingerprint import Fingerprinter
from fingerpost.node.emission import build_packets, observations_of_table
from fingerpost.node.home import Home
from fingerpost.packet import Signer
from fingerpost.ports import day_of
from fingerpost.store._lmdb import LmdbStore
from fingerpost.system import SystemClock, SystemEntropy
from fingerpost.template import infer_template

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from fingerpost.template import Template

TARGET = "bench"
SEED = 0
SIZE_FIT_MIN = 10_000
NODES, QUESTIONS = 20, 5
NODE_ROWS_MAX = 25_000  # read, encoded and stored at a time
TWO_CORE_PACKETS = 131_072


def main() -> None:
    """Measure and write the figures."""
    parser = argparse.ArgumentParser(prog="bench.scaling", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--to", type=int, default=5 if is_quick() else 6, help="measure to 10 to the power of this")
    to = parser.parse_args().to
    sizes = [size for size in sizes_to(10**to) if size <= 10**6]
    found: dict[str, dict[int, list[float]]] = {}
    for rounds, size in ((3 if is_quick() else 5, size) for size in sizes):
        for name, seconds in (ingest_seconds(size, rounds) | ask_seconds(size, rounds)).items():
            found.setdefault(name, {})[size] = seconds
        found.setdefault("pairs", {})[size] = pairs_seconds(size, rounds)
        print(f"{size:>10,}", {name: round(float(np.median(times[size])), 4) for name, times in found.items()})
    for size in sizes_to(10**to)[len(sizes) :]:
        found["pairs"][size] = pairs_seconds(size, 3)
        found["ingest"][size] = ingest_seconds(size, 3)["ingest"]
    figures = [exponent_figure(f"scaling_{name}_exponent", times) for name, times in found.items()]
    write_figures(TARGET, [*figures, *two_cores(rounds=5 if is_quick() else 9)], seeds=[SEED])


def sizes_to(largest: int) -> list[int]:
    """Return 1,000, then from 10^4 on two sizes a decade."""
    return [1_000, *(each for power in range(4, 9) for each in (10**power, 3 * 10**power) if each <= largest)]


def exponent_figure(name: str, times: Mapping[int, Sequence[float]]) -> Figure:
    """Return the median slope over rounds, with the interval of that median."""
    sizes = [size for size in times if size >= SIZE_FIT_MIN]
    rounds = min(len(times[size]) for size in sizes)
    slopes = [slope(sizes, [times[size][turn] for size in sizes]) for turn in range(rounds)]
    low, high = bootstrap_interval(slopes)
    detail = {
        "sizes": list(times),
        "seconds": [float(np.median(each)) for each in times.values()],
        "fitted_from": sizes[0],
        "rounds": rounds,
    }
    return Figure(name=name, value=float(np.median(slopes)), unit="exponent", low=low, high=high, detail=detail)


def slope(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """Return the exponent that fits best by least squares on logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def ingest_seconds(size: int, rounds: int) -> dict[str, list[float]]:
    """Return how long it takes to take so many packets in; they are signed before."""
    frames = frames_of(signed_packets(size, batch=256, seed=SEED))
    seconds = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            seconds.append(processor_seconds(lambda folder=folder: ingest(Path(folder), frames=frames)))  # type: ignore[misc]
    return {"ingest": seconds}


def pairs_seconds(size: int, rounds: int) -> list[float]:
    """Return how long everything takes that is summed over pairs."""
    evidence = random_evidence(size)
    return [processor_seconds(lambda: from_sums(evidence)) for _ in range(rounds)]


def ask_seconds(size: int, rounds: int) -> dict[str, list[float]]:
    """Return how long a first question takes to a node that has just been opened, and a further one."""
    generator = np.random.default_rng(SEED)
    first, again = [], []
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        template = fill(home, size)
        for _ in range(rounds):
            start = time.process_time()
            with Node(template, home=home.root) as node:
                answers = [node.ask(situation(generator))]
                first.append(time.process_time() - start)
                start = time.process_time()
                answers += [node.ask(situation(generator)) for _ in range(QUESTIONS)]
                again.append((time.process_time() - start) / QUESTIONS)
            if any(answer.packets == 0 for answer in answers):
                raise AssertionError("nothing was found to answer from")
    return {"ask_first": first, "ask_again": again}


def fill(home: Home, size: int) -> Template:
    """Store so many packets, which as many nodes as there are told, and return their template."""
    generator = np.random.default_rng(SEED)
    draft = infer_template(table(2_000, generator), outcome="outcome", name="scaling", data_class="non_personal")
    fingerprinter, day = Fingerprinter(draft.template), day_of(SystemClock().now())
    signers = [Signer(generator.bytes(32)) for _ in range(NODES)]
    home.store.mkdir(parents=True, exist_ok=True)
    store = LmdbStore(home.store)
    told = turn = 0
    while told < size:
        rows = min(NODE_ROWS_MAX, -(-size // NODES), size - told)
        observations, problems = observations_of_table(draft.template, table(rows, generator), rows=rows)
        bad = np.array(sorted({problem.row - 1 for problem in problems}), np.intp)
        signer = signers[turn % NODES]
        packets, _ = build_packets(
            draft.template, fingerprinter, observations.without(bad), signer=signer, day=day, entropy=SystemEntropy()
        )
        store.add(packets, day=day)
        told, turn = told + rows, turn + 1
    store.close()
    return draft.template


def table(rows: int, generator: np.random.Generator) -> dict[str, Any]:
    """Return situations whose outcome depends on them."""
    columns: dict[str, Any] = {f"x{each}": generator.normal(size=rows).clip(-3, 3).round(3) for each in range(6)}
    columns["kind"] = generator.choice(["a", "b", "c"], rows)
    score: NDArray[np.float64] = columns["x0"] + columns["x1"] * columns["x2"] + generator.normal(size=rows)
    columns["outcome"] = np.where(score > 0, "yes", "no")
    return columns


def situation(generator: np.random.Generator) -> dict[str, object]:
    """Return one situation to ask about."""
    columns = table(1, generator)
    return {name: column[0].item() for name, column in columns.items() if name != "outcome"}


def processor_seconds(action: Callable[[], object]) -> float:
    """Return the processor time of one run: other programs on this machine are not what is measured."""
    start = time.process_time()
    action()
    return time.process_time() - start


def two_cores(*, rounds: int) -> list[Figure]:
    """Return wall-clock throughput of two at a time ÷ of one at a time; none where there is only one core."""
    if len(os.sched_getaffinity(0)) < 2:
        return []
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as processes, ThreadPoolExecutor(2) as threads:
        return [
            gain("two_cores_ingest_processes", processes, ingest_once, rounds=rounds),
            gain("two_cores_verify_threads", threads, verify_once, rounds=rounds),
        ]


def gain(name: str, workers: Executor, work: Callable[[], object], *, rounds: int) -> Figure:
    """Run the work once and twice at a time, in turn."""
    ratios, walls = [], []
    for turn in range(rounds + 1):  # The first is not counted: workers start, packets are signed.
        seconds = []
        for count in (1, 2):
            start = time.perf_counter()
            for running in [workers.submit(work) for _ in range(count)]:
                running.result()
            seconds.append(time.perf_counter() - start)
        if turn:
            ratios.append(2 * seconds[0] / seconds[1])
            walls.append(seconds)
    one, two = np.median(walls, axis=0)
    detail = {"one_seconds": float(one), "two_seconds": float(two), "load": os.getloadavg()[0]}
    return median_figure(name, ratios, unit="ratio", detail=detail)


def ingest_once() -> None:
    """Take packets into a store of one's own."""
    with tempfile.TemporaryDirectory() as folder:
        ingest(Path(folder), frames=frames_of(some_packets()))


def verify_once() -> None:
    """Verify packets."""
    whole_frames(some_packets())


@lru_cache(maxsize=1)
def some_packets() -> NDArray[np.void]:
    """Return the same packets each time, signed once in a process."""
    return signed_packets(TWO_CORE_PACKETS, batch=256, seed=SEED)


if __name__ == "__main__":
    main()
