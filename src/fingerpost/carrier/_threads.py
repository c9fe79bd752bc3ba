"""Threads for libraries that block: calls are handed over one by one, and no thread outlives its owner unseen."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

_Result = TypeVar("_Result")
_Job = tuple[Callable[[], Any], "asyncio.Future[Any]"]


class BlockingCalls:
    """Runs blocking calls of one event loop in one thread, in the order they were made.

    A future may be cancelled; the call itself goes on until it returns, so its owner must be able to
    make it return. ``run`` serves in the calling thread, ``start`` in a new one; both end after ``stop``.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._ended = asyncio.Event()

    def start(self, name: str) -> BlockingCalls:
        """Serve in a new thread."""
        threading.Thread(target=self.run, name=name, daemon=True).start()
        return self

    def submit(self, function: Callable[[], _Result]) -> asyncio.Future[_Result]:
        """Have ``function`` run in the thread; the future gets what it returns or raises. On the event loop."""
        future: asyncio.Future[_Result] = self._loop.create_future()
        self._jobs.put((function, future))
        return future

    def stop(self) -> None:
        """End the thread once it has done what was asked before."""
        self._jobs.put(None)

    @property
    def has_ended(self) -> bool:
        """Whether the thread does nothing more."""
        return self._ended.is_set()

    async def wait_ended(self) -> None:
        """Return when the thread does nothing more."""
        await self._ended.wait()

    def run(self) -> None:
        """Serve in the calling thread."""
        while (job := self._jobs.get()) is not None:
            function, future = job
            try:
                result = function()
            except Exception as error:
                self._tell(_settle, future, None, error)
            else:
                self._tell(_settle, future, result, None)
            del job, function, future
        self._tell(self._ended.set)

    def _tell(self, function: Callable[..., object], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            return  # The loop was closed: nobody waits for an answer.


def _settle(future: asyncio.Future[Any], result: object, error: Exception | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
