"""A carrier inside one process: queues between endpoints that share a switch."""

from __future__ import annotations

import asyncio

from fingerpost.carrier.base import Delivery
from fingerpost.errors import NetworkError
from fingerpost.limits import FRAME_SIZE_BYTES_MAX

QUEUE_FRAMES_MAX = 64


class MemorySwitch:
    """Knows the open endpoints of one process. All its carriers must live on one event loop."""

    def __init__(self) -> None:
        self._queues: dict[str, asyncio.Queue[Delivery | None]] = {}
        self._opened = 0

    def open(self) -> MemoryCarrier:
        """Return a carrier on a fresh endpoint, ``memory:1``, ``memory:2``, …"""
        self._opened += 1
        endpoint = f"memory:{self._opened}"
        self._queues[endpoint] = asyncio.Queue(QUEUE_FRAMES_MAX)
        return MemoryCarrier(self, endpoint, self._queues[endpoint])

    async def deliver(self, delivery: Delivery, to: str) -> None:
        """Put a frame into the queue of ``to``, waiting while it is full."""
        queue = self._queues.get(to)
        if queue is None:
            raise NetworkError("carrier-unreachable", f"nobody listens at {to}")
        await queue.put(delivery)

    def remove(self, endpoint: str) -> None:
        """Forget an endpoint and wake whoever waits for its next frame."""
        queue = self._queues.pop(endpoint, None)
        if queue is not None:
            while not queue.empty():
                queue.get_nowait()
            queue.put_nowait(None)


class MemoryCarrier:
    """One endpoint of a ``MemorySwitch``; see ``fingerpost.carrier.base.Carrier``."""

    def __init__(self, switch: MemorySwitch, endpoint: str, queue: asyncio.Queue[Delivery | None]) -> None:
        self._switch = switch
        self._endpoint = endpoint
        self._queue = queue
        self._closed = False

    @property
    def endpoint(self) -> str:
        """Return ``memory:<number>``."""
        return self._endpoint

    async def send(self, frame: bytes, *, to: str) -> None:
        """Copy the frame into the receiver's queue, waiting while it is full."""
        self._require_open()
        if len(frame) > FRAME_SIZE_BYTES_MAX:
            raise NetworkError("frame-too-large", f"a frame of {len(frame)} bytes; at most {FRAME_SIZE_BYTES_MAX}")
        await self._switch.deliver(Delivery(frame=bytes(frame), sender=self._endpoint), to)

    async def receive(self) -> Delivery:
        """Return the oldest frame that has not been received yet."""
        self._require_open()
        delivery = await self._queue.get()
        if delivery is None:
            raise NetworkError("carrier-closed", f"{self._endpoint} was closed")
        return delivery

    async def close(self) -> None:
        """Drop the endpoint with every frame still queued at it."""
        if not self._closed:
            self._closed = True
            self._switch.remove(self._endpoint)

    def _require_open(self) -> None:
        if self._closed:
            raise NetworkError("carrier-closed", f"{self._endpoint} was closed")
