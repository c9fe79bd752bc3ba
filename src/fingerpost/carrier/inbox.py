"""Where the frames of all connections wait for ``receive``: bounded, so that who fills it has to wait."""

from __future__ import annotations

import asyncio
from collections import deque

from fingerpost.carrier.base import Delivery
from fingerpost.carrier.frame import closed


class Inbox:
    """A bounded queue that can be closed. Of one event loop."""

    def __init__(self, frames_max: int) -> None:
        self._frames_max = frames_max
        self._waiting: deque[Delivery] = deque()
        self._getters: deque[asyncio.Future[None]] = deque()
        self._putters: deque[asyncio.Future[None]] = deque()
        self._is_closed = False

    async def put(self, delivery: Delivery) -> None:
        """Add a frame, waiting while there is no room. Raises ``NetworkError`` (``carrier-closed``)."""
        while len(self._waiting) >= self._frames_max and not self._is_closed:
            await self._sleep(self._putters)
        self._require_open()
        self._waiting.append(delivery)
        self._wake(self._getters)

    async def get(self) -> Delivery:
        """Return the oldest frame, waiting for one. Raises ``NetworkError`` (``carrier-closed``)."""
        while not self._waiting and not self._is_closed:
            await self._sleep(self._getters)
        self._require_open()
        delivery = self._waiting.popleft()
        self._wake(self._putters)
        return delivery

    def close(self) -> None:
        """Forget every frame and end every wait."""
        self._is_closed = True
        self._waiting.clear()
        for sleepers in (self._getters, self._putters):
            while sleepers:
                self._wake(sleepers)

    async def _sleep(self, sleepers: deque[asyncio.Future[None]]) -> None:
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        sleepers.append(woken)
        try:
            await woken
        except asyncio.CancelledError:
            if woken.done() and not woken.cancelled():
                self._wake(sleepers)  # Whoever is cancelled as it wakes passes the call on.
            raise

    @staticmethod
    def _wake(sleepers: deque[asyncio.Future[None]]) -> None:
        while sleepers:
            sleeper = sleepers.popleft()
            if not sleeper.done():
                sleeper.set_result(None)
                return

    def _require_open(self) -> None:
        if self._is_closed:
            raise closed("")
