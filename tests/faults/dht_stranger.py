"""Somebody else's OpenDHT node, in a process of its own, that writes whatever it is told into a network.

``python -m tests.faults.dht_stranger NETWORK HOST PORT`` joins, then reads messages from its input, each a list of a
region key and values; it writes the values, unsigned, and answers with how many were taken.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec

from fingerpost.directory._opendht import network_number, split_host

ROOT = Path(__file__).resolve().parents[2]
LEAVE_SECONDS_MAX = 10
AT_ONCE = 64
RUNNERS: list[object] = []


class Stranger:
    """Talks to the process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.turn = asyncio.Lock()

    @classmethod
    async def join(cls, endpoint: str, *, network_id: str) -> Stranger:
        host, port = split_host(endpoint)
        stranger = cls(
            await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.faults.dht_stranger"),
                *(str(network_number(network_id)), host, str(port)),
                cwd=ROOT,
                env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
        )
        assert await stranger._answer() == 0
        return stranger

    async def write(self, region_key: bytes, values: list[bytes]) -> int:
        """Write values into a region; return how many were taken by another node."""
        async with self.turn:
            request = msgspec.msgpack.encode([region_key, values])
            assert self.process.stdin is not None
            self.process.stdin.write(len(request).to_bytes(4, "big") + request)
            return await self._answer()

    async def leave(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            await asyncio.wait_for(self.process.wait(), LEAVE_SECONDS_MAX)
        except TimeoutError:
            self.process.kill()
            await self.process.wait()

    async def _answer(self) -> int:
        assert self.process.stdout is not None
        return int.from_bytes(await asyncio.wait_for(self.process.stdout.readexactly(4), 60), "big")


def main() -> None:
    import opendht

    network, host, port = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    output = os.dup(1)
    os.dup2(2, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((host, 0))
        own_port = probe.getsockname()[1]
    config = opendht.DhtConfig()
    config.setNetwork(network)
    config.setRateLimit(-1, -1)
    runner = opendht.DhtRunner()
    RUNNERS.append(runner)
    runner.run(port=own_port, ipv4=host, ipv6="", config=config)
    runner.bootstrap(host, port)
    time.sleep(1.2)  # a newcomer's first operation right after joining takes long
    os.write(output, bytes(4))
    while head := os.read(0, 4):
        size = int.from_bytes(head, "big")
        request = b""
        while len(request) < size:
            request += os.read(0, size - len(request))
        region_key, values = msgspec.msgpack.decode(request)
        os.write(output, put(opendht, runner, region_key, values).to_bytes(4, "big"))
    os._exit(0)


def put(opendht, runner, region_key: bytes, values: list[bytes]) -> int:
    free, taken = threading.Semaphore(AT_ONCE), []

    def on_done(ok, _nodes) -> None:
        taken.append(bool(ok))
        free.release()

    for value in values:
        free.acquire(timeout=10)
        runner.put(opendht.InfoHash.get(region_key.hex()), opendht.Value(value), on_done)
    for _ in range(AT_ONCE):
        free.acquire(timeout=10)
    return sum(taken)


if __name__ == "__main__":
    main()
