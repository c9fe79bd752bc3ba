"""Frames on their way out: one queue a peer, so that a slow or absent peer keeps nobody else waiting."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from fingerpost.carrier.base import Carrier, Peer
from fingerpost.errors import NetworkError
from fingerpost.ids import PublicKey
from fingerpost.node.requests import Outgoing

QUEUE_FRAMES_MAX = 256  # for one peer; beyond them frames are dropped, and what they asked is asked again


class Post:
    """Sends frames in order, peer by peer."""

    def __init__(
        self,
        carrier: Carrier,
        *,
        find: Callable[[PublicKey], Peer],
        unreachable: Callable[[PublicKey], None],
        sent: Callable[[PublicKey, int], None],
    ) -> None:
        self._carrier = carrier
        self._find = find
        self._unreachable = unreachable
        self._sent = sent
        self._queues: dict[PublicKey, deque[bytes]] = {}
        self._senders: dict[PublicKey, asyncio.Task[None]] = {}
        self.frames_dropped = 0

    def put(self, outgoing: Outgoing) -> None:
        """Queue one frame."""
        queue = self._queues.setdefault(outgoing.to, deque())
        if len(queue) >= QUEUE_FRAMES_MAX:
            self.frames_dropped += 1
            return
        queue.append(outgoing.frame)
        if outgoing.to not in self._senders:
            self._senders[outgoing.to] = asyncio.create_task(self._send(outgoing.to, queue))

    async def close(self) -> None:
        """Stop sending; what is queued is dropped."""
        senders = list(self._senders.values())
        for sender in senders:
            sender.cancel()
        await asyncio.gather(*senders, return_exceptions=True)

    async def _send(self, to: PublicKey, queue: deque[bytes]) -> None:
        try:
            while queue:
                frame = queue.popleft()
                await self._carrier.send(frame, to=self._find(to))
                self._sent(to, len(frame))
        except NetworkError:
            queue.clear()
            self._unreachable(to)
        finally:
            del self._senders[to]
            if not queue:
                self._queues.pop(to, None)
