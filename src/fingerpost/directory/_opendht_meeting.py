"""How an OpenDHT node meets its network: it greets every node it was told of, all at once, until one has answered.

From then on it greets each of them every half minute: the first node of a network names nobody, so when it comes back
without its disk, it is found by the others or not at all.

OpenDHT's own ``bootstrap`` goes through its nodes one after the other. One that is gone, and a node that restarts
knows many such, holds up every operation by seven seconds and more; so it is told of them only for later, when
everybody has been lost. An operation that comes before anybody was met can fail, or search for nothing but time.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from collections.abc import Sequence
from typing import Any

MEET_SECONDS_MAX = 1.0  # for somebody to answer; then operations begin all the same
GREET_AGAIN_SECONDS = 0.2  # between two greetings of a node that may be about to start, doubled each time
GREET_AGAIN_SECONDS_MAX = 10.0
GREET_STILL_SECONDS = 30.0  # between two greetings of a node once somebody has answered


class Meeting:
    """Greets nodes until one has answered. ``dht`` is a running ``opendht.DhtRunner`` that listens on ``bind``."""

    def __init__(self, dht: Any, nodes: Sequence[tuple[str, int]], *, bind: str) -> None:
        self._dht = dht
        self._family = socket.AF_INET6 if ":" in bind else socket.AF_INET
        self._loop = asyncio.get_running_loop()
        self._met = asyncio.Event()
        self._greetings = 0
        self._tasks = [self._loop.create_task(self._greet(host, port)) for host, port in nodes]
        self._patience = self._loop.time() + (MEET_SECONDS_MAX if nodes else 0.0)

    @property
    def is_under_way(self) -> bool:
        """Whether OpenDHT still waits for the answer to a greeting: then its threads cannot be joined."""
        return self._greetings > 0

    async def settled(self) -> None:
        """Wait until a node has answered, or for as long as one could be expected to take."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(self._patience):
                await self._met.wait()

    def close(self) -> None:
        """Greet nobody any more."""
        for task in self._tasks:
            task.cancel()

    async def _greet(self, host: str, port: int) -> None:
        pause, told = GREET_AGAIN_SECONDS, False
        while True:
            for address in await self._addresses(host, port):
                self._greetings += 1
                self._dht.ping(address, self._on_answer)
            if not told:
                self._dht.bootstrap(host, str(port))
                told = True
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._met.wait()
            pause = min(2 * pause, GREET_AGAIN_SECONDS_MAX)
            if self._met.is_set():
                await asyncio.sleep(GREET_STILL_SECONDS * (0.75 + secrets.randbelow(512) / 1_024))

    async def _addresses(self, host: str, port: int) -> list[Any]:
        import opendht

        try:
            found = await self._loop.getaddrinfo(host, port, family=self._family, type=socket.SOCK_DGRAM)
        except OSError:
            return []  # no such name for now
        hosts = dict.fromkeys(str(place[0]) for *_, place in found)
        return [address for each in hosts for address in opendht.SockAddr.resolve(each, str(port))]

    def _on_answer(self, ok: Any) -> None:
        """Take the end of a greeting, on a thread of OpenDHT."""
        with contextlib.suppress(RuntimeError):  # the loop may be gone
            self._loop.call_soon_threadsafe(self._on_met if ok else self._on_silence)

    def _on_met(self) -> None:
        self._greetings -= 1
        self._met.set()

    def _on_silence(self) -> None:
        self._greetings -= 1
