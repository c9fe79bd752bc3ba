"""Reports of the engine that somebody waits for, by their numbers."""

from __future__ import annotations

import asyncio

from fingerpost.node.events import Acknowledged, Event, Fetched, PacketsArrived, Refreshed, Unacknowledged


class Awaited:
    """Hands events to those who wait for them on the running loop; ``arrived`` counts packets that were new here."""

    def __init__(self) -> None:
        self._futures: dict[int, asyncio.Future[Event]] = {}
        self.arrived = 0

    def expect(self, number: int) -> asyncio.Future[Event]:
        """Return what the event with this number will be the result of, until ``forget``."""
        self._futures[number] = asyncio.get_running_loop().create_future()
        return self._futures[number]

    def forget(self, number: int) -> None:
        """Wait for the event with this number no longer."""
        del self._futures[number]

    def take(self, event: Event) -> None:
        """Hand an event to whoever waits for it."""
        if isinstance(event, (Acknowledged, Unacknowledged, Refreshed, Fetched)):
            future = self._futures.get(event.number)
            if future is not None and not future.done():
                future.set_result(event)
        elif isinstance(event, PacketsArrived):
            self.arrived += event.stored
