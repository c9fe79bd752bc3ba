"""One link over a NATS server: frames in parts, credit in both directions, and signs of life.

A NATS server drops the messages of who reads slowly, so no message is sent that the receiver has not asked for: each
end grants the other a total of bytes it may have sent, and grants more as frames are taken.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from fingerpost.carrier._nats_channel import Kind, SealedChannel
from fingerpost.carrier.base import CarrierCounts
from fingerpost.limits import FRAME_SIZE_BYTES_MAX

PART_SIZE_BYTES_MAX = 524_288  # a server refuses messages above 1 MB, and half of it is what it moves best
PART_COST_BYTES = 256  # what a part weighs beside its own bytes, so that tiny frames are bounded too
CREDIT_SIZE_BYTES = 4 * (FRAME_SIZE_BYTES_MAX + 3 * PART_COST_BYTES)  # what may be on its way, or wait to be taken
ALIVE_SECONDS = 2.0  # between two signs of life
SILENCE_SECONDS_MAX = 15.0  # after which the other end is taken for dead

_CREDIT_BYTES = 8
Publish = Callable[[bytes], Awaitable[None]]


class Session:
    """One end of a link whose handshake is done. ``publish`` sends a sealed message and raises ``OSError``."""

    def __init__(
        self, channel: SealedChannel, publish: Publish, counts: CarrierCounts, end: Callable[[], None]
    ) -> None:
        self._channel = channel
        self._publish = publish
        self._counts = counts
        self._end = end
        self._frames: asyncio.Queue[tuple[bytes, int] | None] = asyncio.Queue()  # Credit bounds it.
        self._parts: list[bytes] = []
        self._size = self._cost = 0  # of the parts of the frame that is arriving
        self._taken = self._received = self._sent = 0
        self._granted = self._granted_us = CREDIT_SIZE_BYTES
        self._credit = asyncio.Event()
        self._saying = asyncio.Lock()  # Messages leave in the order of their counters.
        self._last_heard = self._last_said = asyncio.get_running_loop().time()

    def handle(self, message: bytes) -> None:
        """Take one message of the other end. It never waits, and whatever is wrong ends the session or is dropped."""
        opened = self._channel.open(message)
        if not isinstance(opened, tuple):
            self._counts.refuse(opened.reason)
            if opened.ends:
                self._end()
            return
        self._last_heard = asyncio.get_running_loop().time()
        kind, body = opened
        if kind in (Kind.PART, Kind.LAST_PART):
            self._take_part(body, last=kind == Kind.LAST_PART)
        elif kind == Kind.CREDIT and len(body) == _CREDIT_BYTES:
            self._granted_us = max(self._granted_us, int.from_bytes(body, "big"))
            self._credit.set()
        elif kind == Kind.END:
            self._frames.put_nowait(None)

    async def read(self) -> bytes | None:
        """Return the next frame; asking for it means that the one before was taken, and earns the sender credit."""
        if self._taken + CREDIT_SIZE_BYTES - self._granted > CREDIT_SIZE_BYTES // 4:
            self._granted = self._taken + CREDIT_SIZE_BYTES
            await self._say(Kind.CREDIT, self._granted.to_bytes(_CREDIT_BYTES, "big"))
        entry = await self._frames.get()
        if entry is None:
            return None
        frame, cost = entry
        self._taken += cost
        return frame

    async def write(self, frame: bytes) -> None:
        """Send a frame in parts, waiting for credit before each."""
        view = memoryview(frame)
        for start in range(0, len(frame), PART_SIZE_BYTES_MAX):
            part = view[start : start + PART_SIZE_BYTES_MAX]
            while self._sent + len(part) + PART_COST_BYTES > self._granted_us:
                self._credit.clear()
                await self._credit.wait()
            self._sent += len(part) + PART_COST_BYTES
            last = start + PART_SIZE_BYTES_MAX >= len(frame)
            await self._say(Kind.LAST_PART if last else Kind.PART, part)

    async def stay_alive(self) -> None:
        """Give signs of life until cancelled, and end the session when the other end gives none."""
        loop = asyncio.get_running_loop()
        while loop.time() - self._last_heard < SILENCE_SECONDS_MAX:
            await asyncio.sleep(ALIVE_SECONDS / 2)
            if loop.time() - self._last_said >= ALIVE_SECONDS:
                try:
                    await self._say(Kind.ALIVE)
                except OSError:
                    break
        self._end()

    async def say_end(self) -> None:
        """Tell the other end that nothing follows, so that it need not wait to find out."""
        await self._say(Kind.END)

    def _take_part(self, part: bytes, *, last: bool) -> None:
        cost = len(part) + PART_COST_BYTES
        self._received += cost
        self._cost += cost
        self._size += len(part)
        self._parts.append(part)
        problem = ""
        if self._received > self._granted:
            problem = "credit-exceeded"
        elif self._size > FRAME_SIZE_BYTES_MAX:
            problem = "frame-too-large"
        elif last and not self._size:
            problem = "frame-empty"
        if problem:
            self._counts.refuse(problem)
            self._end()
        elif last:
            self._frames.put_nowait((b"".join(self._parts), self._cost))
            self._parts, self._size, self._cost = [], 0, 0

    async def _say(self, kind: Kind, body: bytes | memoryview = b"") -> None:
        async with self._saying:
            self._last_said = asyncio.get_running_loop().time()
            await self._publish(self._channel.seal(kind, body))
