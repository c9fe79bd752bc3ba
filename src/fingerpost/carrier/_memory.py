"""A carrier inside one process: queues between the carriers that share a switch."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from fingerpost.carrier.base import Address, CarrierCounts, CarrierOptions, Delivery, Peer
from fingerpost.carrier.frame import check_frame_size, closed, unreachable
from fingerpost.errors import NetworkError
from fingerpost.ids import PublicKey

QUEUE_FRAMES_MAX = 64

_Result = TypeVar("_Result")


class MemorySwitch:
    """Knows the open endpoints of one process; it is a ``CarrierFactory``. Its carriers share one event loop."""

    def __init__(self) -> None:
        self._listening: dict[str, MemoryCarrier] = {}
        self._opened = 0

    async def __call__(self, options: CarrierOptions) -> MemoryCarrier:
        """Do what ``open`` does, as every factory of carriers."""
        return self.open(options)

    def open(self, options: CarrierOptions) -> MemoryCarrier:
        """Return a carrier on a fresh endpoint, ``memory:1``, ``memory:2``, …, or on an earlier one that is free again.

        ``listen`` is an earlier endpoint, empty for a carrier that only opens connections, or any host and port, which
        stands for a fresh endpoint. Raises ``NetworkError``: ``listen-failed`` when another carrier has the endpoint.
        """
        endpoint = options.listen
        if endpoint and not endpoint.startswith("memory:"):
            self._opened += 1
            endpoint = f"memory:{self._opened}"
        if endpoint in self._listening:
            raise NetworkError("listen-failed", f"{endpoint} is taken", hint="close the carrier that listens there")
        carrier = MemoryCarrier(self, options, endpoint)
        if endpoint:
            self._listening[endpoint] = carrier
        return carrier

    def find(self, endpoint: str) -> MemoryCarrier | None:
        """Return the carrier that listens at an endpoint."""
        return self._listening.get(endpoint)

    def remove(self, endpoint: str) -> None:
        """Forget an endpoint."""
        self._listening.pop(endpoint, None)


class MemoryCarrier:
    """One end of a ``MemorySwitch``; see ``fingerpost.carrier.base.Carrier``.

    Nobody in the same process has to prove anything: a carrier reads the identity of another from its options.
    """

    def __init__(self, switch: MemorySwitch, options: CarrierOptions, endpoint: str) -> None:
        self._switch = switch
        self._options = options
        self._address = Address(endpoint=endpoint)
        self._counts = CarrierCounts()
        self._queue: asyncio.Queue[Delivery] = asyncio.Queue(QUEUE_FRAMES_MAX)
        self._connected: dict[PublicKey, MemoryCarrier] = {}  # who sent something here, and where frames go back to
        self._closed = asyncio.Event()

    @property
    def public_key(self) -> PublicKey:
        """Return the identity of this end."""
        return self._options.identity.public_key

    @property
    def address(self) -> Address:
        """Return ``memory:<number>``, without a channel key."""
        return self._address

    @property
    def counts(self) -> CarrierCounts:
        """Return what was refused so far."""
        return self._counts

    async def send(self, frame: bytes, *, to: Peer) -> None:
        """Put the frame into the receiver's queue, waiting while it is full."""
        self._require_open()
        check_frame_size(frame)
        receiver = self._connected.get(to.public_key)
        if receiver is None or receiver._closed.is_set():
            receiver = self._look_up(to)
        receiver._admit(self)
        self._connected[to.public_key] = receiver
        delivery = Delivery(frame=bytes(frame), sender=self.public_key)
        if receiver._queue.full():
            await self._unless_closed(receiver._unless_closed(receiver._queue.put(delivery), lost=True))
        else:
            receiver._queue.put_nowait(delivery)

    async def receive(self) -> Delivery:
        """Return the oldest frame that has not been received yet."""
        self._require_open()
        if self._queue.empty():
            return await self._unless_closed(self._queue.get())
        return self._queue.get_nowait()

    async def close(self) -> None:
        """Drop the endpoint with every frame still queued at it."""
        if not self._closed.is_set():
            self._closed.set()
            self._switch.remove(self._address.endpoint)
            self._connected.clear()

    @property
    def _as_peer(self) -> Peer:
        return Peer(public_key=self.public_key, address=self._address)

    def _look_up(self, to: Peer) -> MemoryCarrier:
        receiver = self._switch.find(to.address.endpoint) if to.address is not None else None
        if receiver is None:
            raise unreachable(to, "nobody listens there")
        if receiver.public_key != to.public_key:
            self._counts.refuse("peer-identity")
            raise unreachable(to, "somebody else listens there")
        return receiver

    def _admit(self, sender: MemoryCarrier) -> None:
        """Remember a sender, or count why it is refused and raise what it sees."""
        reason = ""
        if sender._options.network_id != self._options.network_id:
            reason = "hello-signature"  # what a carrier that needs proofs says: one for another network does not verify
        elif not self._options.admits(sender.public_key):
            reason = "not-admitted"
        if reason:
            self._counts.refuse(reason)
            self._connected.pop(sender.public_key, None)
            raise unreachable(self._as_peer, "it refuses this identity")
        self._connected[sender.public_key] = sender

    async def _unless_closed(self, step: Coroutine[Any, Any, _Result], *, lost: bool = False) -> _Result:
        """Return what ``step`` gives, or raise ``NetworkError`` when this carrier is closed first.

        ``lost`` says that another carrier waits for this one.
        """
        stepping = asyncio.ensure_future(step)
        closing = asyncio.ensure_future(self._closed.wait())
        try:
            await asyncio.wait({stepping, closing}, return_when=asyncio.FIRST_COMPLETED)
            if stepping.done():
                return stepping.result()
        finally:
            for task in (stepping, closing):
                task.cancel()
        raise unreachable(self._as_peer, "it was closed") if lost else closed(self._address.endpoint)

    def _require_open(self) -> None:
        if self._closed.is_set():
            raise closed(self._address.endpoint)
