"""A whole question among a million packets, in one process, against a bare search for the same number of neighbours.

The node is one that ``Node`` opens on a store of 10^6 packets of a hundred nodes, with a thousand outcomes of its own;
it has answered once, so that its nodes are elected and its settings found. Each figure is divided by what
``IndexBinaryFlat.search`` of faiss takes for 128 neighbours among the fingerprints of the packets behind the answer:

- ``ask_1e6_cost``: one question among the packets of the nodes elected, by kernel ridge on the 128 nearest: search,
  gathering, system, intervals, shares of nodes and packets, the whole ``Answer``.
- ``ask_mixed_1e6_cost``: the node's own ``ask`` as users call it: the situation encoded, 256 neighbours, the estimates
  of five calculators mixed as the second election says, and what is remembered of it.
- ``smooth_1e6_cost``: the part of the first from the question to the weights of packets.
- ``scan_1e6_cost``: the first without the index, all packets being looked at in numpy.

The fingerprints are synthetic: signs of random projections of 2,000 clusters in 24 dimensions. Processor time, question
by question in turn, in one process on one core.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one core is what the figure says; read when numpy is loaded
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import asyncio
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import faiss
import numpy as np

from bench._figures import is_quick, median_figure, write_figures
from bench._home import PACKETS, SEED, build_home
from bench._packets import clustered_prints
from fingerpost.node.runtime import AsyncNode
from fingerpost.store.index import FlatNeighbours
from fingerpost.synthesis import Query, Synthesizer
from fingerpost.synthesis.distances import Scan
from fingerpost.synthesis.kernel import KernelOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from numpy.typing import NDArray

    from fingerpost.synthesis.distances import NeighboursOf

TARGET = "bench"
NEIGHBOURS = 128


def main() -> None:
    """Measure and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packets", type=int, default=PACKETS, help="size of the store")
    parser.add_argument("--home", type=Path, help="a home that was built before")
    options = parser.parse_args()
    faiss.omp_set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="fingerpost-ask-") as folder:
        home = options.home or Path(folder) / "home"
        if not home.exists():
            build_home(home, packets=options.packets)
        found = asyncio.run(measured(home, questions=20 if is_quick() else 60))
    detail = {f"{name}_ms": 1e3 * float(np.median(values)) for name, values in found.items()}
    detail |= {"load": os.getloadavg()[0], "packets": options.packets}
    figures = [
        median_figure(
            f"{name}_1e6_cost",
            [ours / theirs for ours, theirs in zip(values, found["faiss"], strict=True)],
            unit="ratio",
            detail=detail,
        )
        for name, values in found.items()
        if name != "faiss"
    ]
    write_figures(TARGET, figures, seeds=[SEED])


async def measured(home: Path, *, questions: int) -> dict[str, list[float]]:
    """Return the processor seconds of each way to answer, question by question."""
    node = await AsyncNode.open(home / "template.toml", home=home)
    try:
        answer = await node.ask({"x": 0.5, "y": -0.5})
        if answer.election is None or not answer.election.hired:
            raise RuntimeError("nobody was elected")
        elected = node._engine.panel(node.template.template_id, conditions={}, now=time.time()).synthesizer
        ways = {"ask": narrow(elected, FlatNeighbours), "scan": narrow(elected, Scan)}
        flat = faiss.IndexBinaryFlat(elected.evidence.bits)
        flat.add(elected.evidence.fingerprints)
        found: dict[str, list[float]] = {name: [] for name in ("faiss", "ask", "ask_mixed", "smooth", "scan")}
        for turn, row in enumerate(clustered_prints(questions + 1, bits=elected.evidence.bits, seed=SEED + 1_000_003)):
            times = await one_turn(node, ways, flat, row)
            for name, seconds in times.items() if turn else ():
                found[name].append(seconds)
    finally:
        await node.close()
    return found


async def one_turn(
    node: AsyncNode, ways: dict[str, Synthesizer], flat: Any, row: NDArray[np.uint8]
) -> dict[str, float]:
    """Return the processor seconds of one question, each way."""
    query, generator = Query(fingerprint=row.tobytes()), np.random.default_rng(row)
    situation = {name: float(generator.normal()) for name in ("x", "y")}
    actions: dict[str, Callable[[], object]] = {
        "faiss": lambda: flat.search(row[None], NEIGHBOURS),
        "ask": lambda: ways["ask"].ask(query),
        "smooth": lambda: list(ways["ask"].smoothings([query])),
        "scan": lambda: ways["scan"].ask(query),
        "ask_mixed": lambda: finished(node.ask(situation)),
    }
    times = {}
    for name, action in actions.items():
        start = time.process_time()
        action()
        times[name] = time.process_time() - start
    return times


def finished(coroutine: Coroutine[Any, Any, object]) -> None:
    """Run a coroutine that has nothing to wait for; a node without a network never has."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    raise RuntimeError("the node waited for somebody")


def narrow(elected: Synthesizer, neighbours_of: NeighboursOf) -> Synthesizer:
    """Return what answers from the same packets by 128 neighbours, all that answers share being computed."""
    found = Synthesizer(
        elected.evidence,
        elected.template,
        day=elected.day,
        options=KernelOptions(neighbours=NEIGHBOURS),
        neighbours_of=neighbours_of,
    )
    found.ask(Query(fingerprint=found.evidence.fingerprints[0].tobytes()))
    return found


if __name__ == "__main__":
    main()
