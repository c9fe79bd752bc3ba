"""OpenDHT alone as the store of packets: how long one node takes to fetch all values of a key that another one put.

Started as ``python -m bench._dht_store VALUES ROUNDS``; prints the seconds of each fetch that brought them all. Twelve
nodes in one process, on loopback, without limits on requests: as favourable to it as can be. What the binding does not
forgive: runners must live until the process ends, and it must not be asked anything while operations are under way.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from typing import Any

import opendht
import opendht.aio

NODES = 12
VALUE_SIZE_BYTES = 512
NETWORK = 771
SECONDS_MAX = 60.0
KEPT: list[Any] = []  # a runner that is collected can hang the interpreter


def main() -> None:
    """Put the values, fetch them again and again, and leave without waiting for anybody."""
    seconds = asyncio.run(measure(int(sys.argv[1]), int(sys.argv[2])))
    sys.stdout.write(" ".join(f"{each:.6f}" for each in seconds) + "\n")
    sys.stdout.flush()
    os._exit(0)


async def measure(values: int, rounds: int) -> list[float]:
    """Return the seconds of each fetch."""
    ports = [free_port() for _ in range(NODES)]
    nodes = [start(port, ports[0]) for port in ports]
    await asyncio.sleep(2.0)  # A new node's first operations come too early otherwise.
    key = opendht.InfoHash.get("packets of one cell")
    async with asyncio.timeout(SECONDS_MAX):
        for _ in range(values):
            await nodes[1].put(key, opendht.Value(os.urandom(VALUE_SIZE_BYTES)))
    seconds = []
    for turn in range(rounds):
        reader = nodes[2 + turn % (NODES - 2)]
        start_at = time.perf_counter()
        async with asyncio.timeout(SECONDS_MAX):
            found = await reader.getAll(key)
        if len({value.data for value in found}) >= 0.99 * values:
            seconds.append(time.perf_counter() - start_at)
    return seconds


def start(port: int, first: int) -> opendht.aio.DhtRunner:
    """Start one node."""
    config = opendht.DhtConfig()
    config.setNetwork(NETWORK)
    config.setRateLimit(-1, -1)
    config.setPeerDiscovery(False, False)  # noqa: FBT003
    node = opendht.aio.DhtRunner(config=config)
    KEPT.append(node)
    node.run(port=port, ipv4="127.0.0.1", ipv6="::1")
    if port != first:
        node.bootstrap("127.0.0.1", str(first))
    return node


def free_port() -> int:
    """Return a UDP port that is free now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
