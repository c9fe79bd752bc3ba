"""How long it takes to ask, to emit and to join in a running network of fifty nodes.

The nodes are real, ten processes with five each, and find each other through OpenDHT on loopback. Prints
``ask_warm_ms_50`` (one question in mode ``cells`` by a node that holds nothing, 1,000 packets, two holders compared),
``emit_warm_ms_50`` (one packet, durable here and at two holders), ``join_to_answer_seconds``, and ``ask_vs_dht_store``:
the time in which OpenDHT alone, used as the store of the same 1,000 packets, brings them ÷ the time of a question.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench._figures import Figure, is_quick, median_figure, write_figures
from bench._network_nodes import NodeProcess, bootstrap_directory, free_port

TARGET = "network"
PROCESSES, NODES_EACH = 10, 5
PACKETS = 1_000
SEED = 0


async def main() -> None:
    """Measure and write the figures."""
    times, joins, processes = (40, 3, 4) if is_quick() else (200, 10, PROCESSES)
    with tempfile.TemporaryDirectory() as folder:
        async with asyncio.timeout(3_600), bootstrap_directory(Path(folder) / "directory") as bootstrap:
            started: list[NodeProcess] = []
            try:
                for place in range(processes):
                    names = [f"node{place * NODES_EACH + each}" for each in range(NODES_EACH)]
                    started.append(
                        await NodeProcess.start(
                            Path(folder) / f"process{place}", names, bootstrap=bootstrap, cell_bits=0, group_bits=0
                        )
                    )
                figures = await latencies(started, Path(folder), times=times, joins=joins)
                write_figures(TARGET, figures, seeds=[SEED])
                stored = await dht_store(figures[0], rounds=3 if is_quick() else 10)
            finally:
                for process in started:
                    await process.stop()
    write_figures(TARGET, [stored], seeds=[SEED])


async def latencies(started: list[NodeProcess], folder: Path, *, times: int, joins: int) -> list[Figure]:
    """Ask, emit and join; the asker and the emitter hold no group."""
    nodes = [(process, name) for process in started for name in process.homes]
    outside = [(process, name) for process, name in nodes if not (await process.ask("groups", name))["groups"]]
    (asker, asks), (emitter, emits) = outside[0], outside[-1]
    await emitter.ask("emit", emits, seed=1, tables=1, rows=PACKETS)
    await asker.ask("ask", asks, seed=2, times=3, mode="cells")
    asked = await asker.ask("ask", asks, seed=SEED, times=times, mode="cells")
    if asked["packets"] != PACKETS or not asked["attested"]:
        raise RuntimeError(f"an answer from something else than {PACKETS} packets of two holders that agree: {asked}")
    told = await emitter.ask("emit", emits, seed=SEED, tables=times, rows=1)
    if emitter.unacknowledged:
        raise RuntimeError(f"{emitter.unacknowledged} packets were not acknowledged")
    joined = []
    for turn in range(joins):
        process = started[turn % len(started)]
        home = folder / f"joiner{turn}"
        joined.append(await process.ask("join", f"joiner{turn}", home=str(home), dht_port=free_port()))
    if any(each["abstained"] for each in joined):
        raise RuntimeError("a newcomer got no answer")
    detail = {"nodes": len(nodes), "packets": PACKETS}
    return [
        _milliseconds("ask_warm_ms_50", asked["seconds"], detail),
        _milliseconds("emit_warm_ms_50", told["seconds"], detail),
        median_figure("join_to_answer_seconds", [each["seconds"] for each in joined], unit="s", detail=detail),
    ]


async def dht_store(ask: Figure, *, rounds: int) -> Figure:
    """Time OpenDHT alone on the same job, while the fifty nodes are there and do nothing."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench._dht_store", str(PACKETS), str(rounds), stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(900):
        output, _ = await process.communicate()
    seconds = [float(word) for word in output.split()]
    if process.returncode or not seconds:
        raise RuntimeError(f"the store of values ended with status {process.returncode}, and brought nothing whole")
    median = statistics.median(seconds)
    ratios = [each / (ask.value / 1_000) for each in seconds]
    detail = {"dht_store_seconds": median, "fetches": rounds, "of_those_whole": len(seconds)}
    return median_figure("ask_vs_dht_store", ratios, unit="ratio", detail=detail)


def _milliseconds(name: str, seconds: list[float], detail: dict[str, Any]) -> Figure:
    ordered = sorted(seconds)
    p99 = ordered[int(0.99 * len(ordered))] * 1_000
    return median_figure(name, [each * 1_000 for each in seconds], unit="ms", detail=detail | {"p99_ms": p99})


if __name__ == "__main__":
    asyncio.run(main())
