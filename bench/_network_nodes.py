"""Real node processes under a bench's command: started, told, killed. Only on loopback, only those started here."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

TEMPLATE = """
format = 1
name = "network-bench"
data_class = "non_personal"

[situation.x]
kind = "number"
range = [0, 100]

[situation.y]
kind = "number"
range = [0, 100]

[outcome]
name = "result"
kind = "category"
levels = ["bad", "good"]

[cells]
bits = {cell_bits}
group_bits = {group_bits}

[privacy]
profile = "open"
"""
START_SECONDS_MAX = 120.0
ANSWER_SECONDS_MAX = 300.0
LINE_BYTES_MAX = 1 << 24


def free_port() -> int:
    """Return a UDP port that is free now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class NodeProcess:
    """One process with one node or several. ``acknowledged`` collects the ids of packets it said are safe."""

    def __init__(self, process: asyncio.subprocess.Process, homes: dict[str, Path]) -> None:
        self.process = process
        self.homes = homes
        self.acknowledged: list[bytes] = []
        self.unacknowledged = 0
        self.node_ids: dict[str, str] = {}
        self.spoke = asyncio.Event()
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._requests = 0
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(
        cls,
        folder: Path,
        names: list[str],
        *,
        bootstrap: list[str],
        cell_bits: int,
        group_bits: int,
        carrier: str = "zeromq",
        carrier_settings: dict[str, Any] | None = None,
    ) -> NodeProcess:
        """Start a process with these nodes, and wait until all of them have joined."""
        template = folder / "template.toml"
        folder.mkdir(parents=True, exist_ok=True)
        template.write_text(TEMPLATE.format(cell_bits=cell_bits, group_bits=group_bits), encoding="utf-8")
        homes = {name: folder / name for name in names}
        options = {
            "template": str(template),
            "carrier": carrier,
            "carrier_settings": carrier_settings or {},
            "directory": "opendht",
            "bootstrap": bootstrap,
            "nodes": [{"name": name, "home": str(home), "dht_port": free_port()} for name, home in homes.items()],
        }
        environment = os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bench._network_node",
            json.dumps(options),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=LINE_BYTES_MAX,
            env=environment,
        )
        started = cls(process, homes)
        async with asyncio.timeout(START_SECONDS_MAX):
            while len(started.node_ids) < len(names):
                if process.returncode is not None:
                    raise RuntimeError(f"a node process ended with status {process.returncode}")
                await started.spoke.wait()
                started.spoke.clear()
        return started

    def begin(self, do: str, node: str, **more: Any) -> asyncio.Future[dict[str, Any]]:
        """Send a request to one node; the future holds its last answer."""
        if self.process.stdin is None:
            raise RuntimeError("the process takes no requests")
        self._requests += 1
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[self._requests] = future
        request = {"id": self._requests, "do": do, "node": node, **more}
        self.process.stdin.write(json.dumps(request).encode() + b"\n")
        return future

    async def ask(self, do: str, node: str, **more: Any) -> dict[str, Any]:
        """Send a request to one node and wait for its last answer."""
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            return await self.begin(do, node, **more)

    async def kill(self, *, disk: bool) -> None:
        """End the process at once, and delete its homes unless the ``disk`` stays."""
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()
        await self._reading
        if not disk:
            for home in self.homes.values():
                shutil.rmtree(home)

    async def stop(self) -> None:
        """Let the process end by itself."""
        if self.process.returncode is None and self.process.stdin is not None:
            with contextlib.suppress(ConnectionError):
                self.process.stdin.close()
            try:
                async with asyncio.timeout(START_SECONDS_MAX):
                    await self.process.wait()
            except TimeoutError:
                self.process.kill()
        await self._reading

    async def _read(self) -> None:
        if self.process.stdout is None:
            return
        while line := await self.process.stdout.readline():
            self._take(json.loads(line))
            self.spoke.set()
        self.spoke.set()
        for future in self._waiting.values():
            if not future.done():
                future.cancel()

    def _take(self, said: dict[str, Any]) -> None:
        if "opened" in said:
            self.node_ids[said["opened"]] = said["node_id"]
        elif "acknowledged" in said:
            ids = bytes.fromhex(said["acknowledged"])
            self.acknowledged += [ids[at : at + 32] for at in range(0, len(ids), 32)]
        elif "unacknowledged" in said:
            self.unacknowledged += said["unacknowledged"]
        elif said.get("done"):
            future = self._waiting.pop(said["id"])
            if not future.done():
                future.set_result(said)


@contextlib.asynccontextmanager
async def bootstrap_directory(folder: Path) -> AsyncIterator[list[str]]:
    """Run one OpenDHT node that no bench kills, so that whoever starts finds the others."""
    from fingerpost.directory._opendht import open_directory
    from fingerpost.directory.base import DirectoryOptions
    from fingerpost.system import SystemClock

    port = free_port()
    directory = await open_directory(
        DirectoryOptions(network_id="bench", clock=SystemClock(), state=folder, settings={"port": port})
    )
    try:
        yield [f"127.0.0.1:{port}"]
    finally:
        await directory.close()
