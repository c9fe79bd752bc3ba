"""Where the messages of the other end wait while a handshake goes on.

Whoever has proved itself may speak at once: its first frames can be here before this end has looked at the proof.
Losing one of them would end the channel, which is in step or nothing, and all frames on their way with it.
"""

from __future__ import annotations

import asyncio
from collections import deque

from fingerpost.carrier._nats_session import CREDIT_SIZE_BYTES, PART_COST_BYTES

WAITING_BYTES_MAX = 2 * CREDIT_SIZE_BYTES  # an honest end sends no more before it is granted more, handshake included

Message = tuple[bytes | None, str]  # the message, None when nobody was there, and where its sender is


class Answers:
    """Messages in their order; what a flood brings beyond the bound is dropped. Of one event loop."""

    def __init__(self) -> None:
        self._waiting: deque[Message] = deque()
        self._size = 0
        self._changed = asyncio.Event()

    def put(self, message: bytes | None, there: str) -> None:
        """Add a message."""
        self._size += PART_COST_BYTES + len(message or b"")
        if self._size <= WAITING_BYTES_MAX:
            self._waiting.append((message, there))
            self._changed.set()

    async def get(self) -> Message:
        """Return the oldest message, waiting for one."""
        while not self._waiting:
            self._changed.clear()
            await self._changed.wait()
        return self._waiting.popleft()

    def rest(self) -> list[Message]:
        """Return what came after the last message of the handshake, oldest first, and forget it."""
        rest = list(self._waiting)
        self._waiting.clear()
        return rest
