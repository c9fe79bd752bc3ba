"""Queues of frames that are bounded in number and bytes, and what is wrong with a frame that arrived."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from fingerpost.limits import FRAME_SIZE_BYTES_MAX

QUEUE_FRAMES_MAX = 64
QUEUE_SIZE_BYTES_MAX = 4 * FRAME_SIZE_BYTES_MAX

T = TypeVar("T")


def frame_problem(frame: bytes) -> str:
    """Return why a frame that arrived is refused, ``frame-empty`` or ``frame-too-large``, or nothing."""
    if not frame:
        return "frame-empty"
    return "frame-too-large" if len(frame) > FRAME_SIZE_BYTES_MAX else ""


class BoundedQueue(Generic[T]):
    """First in, first out, bounded in items and in bytes; both ends wait, and closing wakes both for good.

    It belongs to one event loop. ``size`` tells the bytes of an item; one item alone always fits.
    """

    def __init__(self, size: Callable[[T], int]) -> None:
        self._size = size
        self._items: deque[T] = deque()
        self._size_bytes = 0
        self._closed = False
        self._takers: deque[asyncio.Future[None]] = deque()
        self._givers: deque[asyncio.Future[None]] = deque()

    async def put(self, item: T) -> bool:
        """Add an item, waiting for room; False when the queue was closed, and then the item is not in it."""
        size = self._size(item)
        while self._is_full(size):
            await _wait(self._givers)
        if self._closed:
            return False
        self._items.append(item)
        self._size_bytes += size
        _wake(self._takers)
        return True

    async def get(self) -> T | None:
        """Return the oldest item, waiting for one; None when the queue was closed."""
        while not self._items and not self._closed:
            await _wait(self._takers)
        if self._closed:
            return None
        item = self._items.popleft()
        self._size_bytes -= self._size(item)
        _wake(self._givers)
        if self._items:
            _wake(self._takers)
        return item

    def close(self) -> None:
        """Drop what is queued and wake everybody."""
        self._closed = True
        self._items.clear()
        self._size_bytes = 0
        for waiting in (self._takers, self._givers):
            while waiting:
                _wake(waiting)

    def _is_full(self, more: int) -> bool:
        if self._closed or not self._items:
            return False
        return len(self._items) >= QUEUE_FRAMES_MAX or self._size_bytes + more > QUEUE_SIZE_BYTES_MAX


async def _wait(waiting: deque[asyncio.Future[None]]) -> None:
    turn = asyncio.get_running_loop().create_future()
    waiting.append(turn)
    try:
        await turn
    except asyncio.CancelledError:
        if turn in waiting:
            waiting.remove(turn)
        elif turn.done() and not turn.cancelled():
            _wake(waiting)  # The turn was given to a task that is gone: it is the next one's.
        raise


def _wake(waiting: deque[asyncio.Future[None]]) -> None:
    while waiting:
        turn = waiting.popleft()
        if not turn.done():
            turn.set_result(None)
            return
