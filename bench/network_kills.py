"""Nodes are killed two at a time, and no packet that was acknowledged may be lost.

Sixteen real processes hold packets for each other over ZeroMQ and OpenDHT on loopback. Round after round some of them
emit, two are ended by SIGKILL, at a random moment or straight after an acknowledgement, emitters among them, their disk
kept or deleted, and every group must have its three equal copies again within seconds. Then every acknowledged packet
is looked for in the stores of the living. At the end each of the first processes is replaced by a new one in turn.
Shorter runs do the same over gRPC, Arrow Flight and NATS; the last also kills one of three servers.

Prints ``acked_lost`` over ``kill_rounds`` with ``acked_total``, ``repair_seconds_max``, the same for the turnover, and
``acked_lost_{grpc,flight,nats}``. ``--carrier NAME`` (again and again) runs these carriers only.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench._figures import Figure, is_quick, write_figures
from bench._network_nodes import NodeProcess, bootstrap_directory
from fingerpost.carrier.nats_servers import NatsServers

TARGET = "network"
CELL_BITS, GROUP_BITS = 4, 3
CARRIERS = ("zeromq", "grpc", "flight", "nats")
OTHERS_PROCESSES = 8  # over another carrier than the default
REPLICAS = 3
REPAIR_SECONDS_MAX = 120.0
SEED = 0


@dataclass(slots=True)
class Bench:
    """The processes, and every packet that one of them called safe."""

    folder: Path
    bootstrap: list[str]
    random: random.Random
    carrier: str = "zeromq"
    carrier_settings: dict[str, Any] = field(default_factory=dict)
    living: dict[str, NodeProcess] = field(default_factory=dict)
    acknowledged: set[bytes] = field(default_factory=set)
    unacknowledged: int = 0
    started: int = 0

    async def add(self) -> str:
        """Start one more process with a new, empty node."""
        self.started += 1
        name = f"node{self.started}"
        self.living[name] = await self._start(name)
        return name

    async def again(self, name: str) -> None:
        """Start a killed node on the disk it has."""
        self.living[name] = await self._start(name)

    async def kill(self, name: str, *, disk: bool) -> None:
        """Kill a node; what it acknowledged until then counts."""
        process = self.living.pop(name)
        await process.kill(disk=disk)
        self.collect(process)

    def collect(self, process: NodeProcess) -> None:
        """Take over what a process has acknowledged."""
        self.acknowledged.update(process.acknowledged)
        self.unacknowledged += process.unacknowledged
        process.acknowledged.clear()
        process.unacknowledged = 0

    async def repaired(self, since: float) -> float:
        """Wait until every group has three equal, complete copies; return the seconds since then."""
        while time.monotonic() - since < REPAIR_SECONDS_MAX:
            if await self._is_whole():
                return time.monotonic() - since
            await asyncio.sleep(0.25)
        raise RuntimeError(f"not repaired within {REPAIR_SECONDS_MAX:.0f} s")

    async def lost(self) -> tuple[int, int]:
        """Return how many acknowledged packets nobody living has, and the fewest copies of any."""
        copies: Counter[bytes] = Counter()
        for name, process in self.living.items():
            self.collect(process)
            path = self.folder / "ids"
            await process.ask("ids", name, path=str(path))
            ids = path.read_bytes()
            copies.update(ids[at : at + 32] for at in range(0, len(ids), 32))
        counts = [copies[packet_id] for packet_id in self.acknowledged]
        return counts.count(0), min(counts, default=0)

    async def _is_whole(self) -> bool:
        digests: dict[int, list[tuple[str, bool]]] = {}
        answers = await asyncio.gather(*(process.ask("groups", name) for name, process in self.living.items()))
        for answer in answers:
            for group in answer["groups"]:
                digests.setdefault(group["number"], []).append((group["digest"], group["complete"]))
        copies = [Counter(digest for digest, complete in found if complete) for found in digests.values()]
        return len(digests) == 1 << GROUP_BITS and all(
            len(found) == REPLICAS and max(copy.values(), default=0) == REPLICAS
            for found, copy in zip(digests.values(), copies, strict=True)
        )

    async def _start(self, name: str) -> NodeProcess:
        return await NodeProcess.start(
            self.folder / name,
            [name],
            bootstrap=self.bootstrap,
            cell_bits=CELL_BITS,
            group_bits=GROUP_BITS,
            carrier=self.carrier,
            carrier_settings=self.carrier_settings,
        )


async def main(carriers: list[str]) -> None:
    """Measure and write the figures."""
    processes, rounds, tables, rows = (8, 3, 4, 250) if is_quick() else (16, 20, 10, 500)
    with tempfile.TemporaryDirectory() as folder:
        async with asyncio.timeout(7_200), bootstrap_directory(Path(folder) / "directory") as bootstrap:
            for carrier in carriers:
                bench = Bench(Path(folder) / carrier, bootstrap, random.Random(SEED), carrier=carrier)
                if carrier == "zeromq":
                    async with running(bench, processes):
                        write_figures(
                            TARGET, await kill_rounds(bench, rounds=rounds, tables=tables, rows=rows), seeds=[SEED]
                        )
                        figures = await turnover(bench)
                else:
                    figures = await over_another(bench, tables=tables, rows=rows)
                write_figures(TARGET, figures, seeds=[SEED])


@asynccontextmanager
async def running(bench: Bench, processes: int) -> AsyncIterator[None]:
    """Start so many processes, and end those that live at the end."""
    try:
        for _ in range(processes):
            await bench.add()
        yield
    finally:
        for process in bench.living.values():
            await process.stop()


async def over_another(bench: Bench, *, tables: int, rows: int) -> list[Figure]:
    """Kill two of eight nodes in each of a few rounds over another carrier than the default."""
    print(f"over {bench.carrier}:", flush=True)
    rounds = 1 if is_quick() else 4
    if bench.carrier == "nats":
        return [await over_nats(bench, rounds=rounds, tables=tables, rows=rows)]
    async with running(bench, OTHERS_PROCESSES):
        figures = {figure.name: figure for figure in await kill_rounds(bench, rounds=rounds, tables=tables, rows=rows)}
    detail = {
        "acked_total": len(bench.acknowledged),
        "rounds": rounds,
        "repair_seconds_max": figures["repair_seconds_max"].value,
    }
    return [
        Figure(name=f"acked_lost_{bench.carrier}", value=figures["acked_lost"].value, unit="packets", detail=detail)
    ]


async def over_nats(bench: Bench, *, rounds: int, tables: int, rows: int) -> Figure:
    """Do so over a cluster of three servers, of which one is killed after the first round."""
    with NatsServers(3) as servers:
        bench.carrier_settings = {"servers": list(servers.urls)}
        async with running(bench, OTHERS_PROCESSES):
            figures = {figure.name: figure for figure in await kill_rounds(bench, rounds=1, tables=tables, rows=rows)}
            servers.kill(servers.urls[0])
            lost = figures["acked_lost"].value
            figures = {
                figure.name: figure for figure in await kill_rounds(bench, rounds=rounds, tables=tables, rows=rows)
            }
            lost += figures["acked_lost"].value
    detail = {"acked_total": len(bench.acknowledged), "rounds": 1 + rounds, "servers_killed": 1}
    return Figure(name="acked_lost_nats", value=lost, unit="packets", detail=detail)


async def kill_rounds(bench: Bench, *, rounds: int, tables: int, rows: int) -> list[Figure]:
    """Kill two nodes in each round; a round emits ``tables`` tables of ``rows`` packets from each of three nodes."""
    await bench.repaired(time.monotonic())
    repairs, lost, fewest = [], 0, []
    for turn in range(rounds):
        disk, straight_after = turn % 2 == 0, turn % 4 >= 2
        emitters = bench.random.sample(sorted(bench.living), 3)
        working = [
            bench.living[name].begin("emit", name, seed=1_000 * turn + place, tables=tables, rows=rows, tells=True)
            for place, name in enumerate(emitters)
        ]
        others = [name for name in sorted(bench.living) if name != emitters[0]]
        victims = [emitters[0], bench.random.choice(others)]
        if straight_after:
            await _next_acknowledgement(bench.living[emitters[0]])
        else:
            await asyncio.sleep(bench.random.uniform(0.2, 3.0))
        await asyncio.gather(*(bench.kill(name, disk=disk) for name in victims))
        killed_at = time.monotonic()
        await asyncio.wait(working)
        for process in bench.living.values():
            bench.collect(process)
        repairs.append(await bench.repaired(killed_at))
        gone, copies = await bench.lost()
        lost += gone
        fewest.append(copies)
        print(
            f"round {turn + 1}: disks {'kept' if disk else 'deleted'}, {len(bench.acknowledged):,} acknowledged, "
            f"{gone} lost, at least {copies} copies, whole after {repairs[-1]:.1f} s",
            flush=True,
        )
        for name in victims:
            await (bench.again(name) if disk else bench.add())
        await bench.repaired(time.monotonic())
    detail = {"fewest_copies": min(fewest), "unacknowledged_packets": bench.unacknowledged}
    return [
        Figure(name="acked_lost", value=lost, unit="packets", detail=detail),
        Figure(name="kill_rounds", value=rounds, unit="rounds"),
        Figure(name="acked_total", value=len(bench.acknowledged), unit="packets"),
        Figure(name="repair_seconds_max", value=max(repairs), unit="s", detail={"seconds": repairs}),
    ]


async def turnover(bench: Bench) -> list[Figure]:
    """Replace every node by a new one, disk and all, one after the other."""
    seconds = []
    for name in sorted(bench.living):
        await bench.add()
        await bench.kill(name, disk=False)
        seconds.append(await bench.repaired(time.monotonic()))
    gone, copies = await bench.lost()
    print(f"turnover: {len(seconds)} nodes replaced, {gone} lost, at least {copies} copies", flush=True)
    return [
        Figure(name="turnover_lost", value=gone, unit="packets", detail={"replaced": len(seconds), "copies": copies}),
        Figure(name="turnover_repair_seconds_max", value=max(seconds), unit="s"),
    ]


async def _next_acknowledgement(process: NodeProcess) -> None:
    before = len(process.acknowledged)
    async with asyncio.timeout(60):
        while len(process.acknowledged) == before:
            process.spoke.clear()
            await process.spoke.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--carrier", action="append", choices=CARRIERS, help="run this carrier only")
    asyncio.run(main(parser.parse_known_args()[0].carrier or list(CARRIERS)))
