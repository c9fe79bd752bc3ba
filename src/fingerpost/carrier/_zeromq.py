"""The default carrier: ZeroMQ, encrypted and authenticated by CURVE, over TCP.

Each node has one ROUTER that peers connect to and one DEALER for each peer that it connects to itself. The CURVE key
follows from the node's identity and stands in its signed holder record. An identity is proved by the hello that opens
each connection (``_zeromq_hello``); who cannot gets nothing and is cut off.
"""

from __future__ import annotations

import asyncio
from random import SystemRandom

import zmq.asyncio

from fingerpost.carrier._freed_memory import keep_freed_memory
from fingerpost.carrier._zeromq_door import Door
from fingerpost.carrier._zeromq_gate import Gate, Settings
from fingerpost.carrier._zeromq_link import Link
from fingerpost.carrier._zeromq_sockets import FRAMES_WAITING_MAX, PAUSE_SECONDS_MAX, PAUSE_SECONDS_MIN, Security
from fingerpost.carrier.base import Address, CarrierCounts, CarrierOptions, Delivery, Peer
from fingerpost.carrier.frame import check_frame_size, closed, unreachable
from fingerpost.carrier.inbox import Inbox
from fingerpost.errors import NetworkError
from fingerpost.ids import PublicKey

LINKS_MAX = 1_024  # connections that this end opened; one more ends the oldest
_CONTEXTS: set[zmq.asyncio.Context] = set()  # A context that is collected while a socket is open stops the interpreter.


async def open_zeromq(options: CarrierOptions) -> ZeroMqCarrier:
    """Open the default carrier: encrypted, and every peer has proved its identity.

    Raises ``NetworkError``: ``listen-failed``, ``carrier-settings``.
    """
    return await ZeroMqCarrier.open(options, name="zeromq", security=Security.of(options.identity))


async def open_zeromq_unencrypted(options: CarrierOptions) -> ZeroMqCarrier:
    """Open the carrier without CURVE, for networks that encrypt below it: anyone on the way reads and alters frames.

    Peers still prove their identities when they connect. Raises ``NetworkError``: ``listen-failed``,
    ``carrier-settings``.
    """
    return await ZeroMqCarrier.open(options, name="zeromq-unencrypted", security=Security())


class ZeroMqCarrier:
    """See ``fingerpost.carrier.base.Carrier``. A peer that takes nothing for 30 seconds counts as gone."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._door: Door | None = None
        self._address = Address(endpoint="", channel_key=gate.security.public)
        self._chance = SystemRandom()
        self._links: dict[PublicKey, Link] = {}  # the one opened longest ago first
        self._closing: asyncio.Future[None] | None = None

    @classmethod
    async def open(cls, options: CarrierOptions, *, name: str, security: Security) -> ZeroMqCarrier:
        """Listen where ``options`` says. Raises ``NetworkError``: ``listen-failed``, ``carrier-settings``."""
        keep_freed_memory()
        gate = Gate(
            name=name,
            options=options,
            settings=Settings.read(options.settings),
            security=security,
            context=zmq.asyncio.Context(),
            counts=CarrierCounts(),
            inbox=Inbox(FRAMES_WAITING_MAX),
        )
        _CONTEXTS.add(gate.context)
        carrier = cls(gate)
        if options.listen:
            carrier._door = Door(gate)
            try:
                carrier._door.open(options.listen)
            except BaseException:
                await carrier.close()
                raise
            host, port = carrier._door.endpoint.rsplit(":", 1)
            endpoint = f"{gate.settings.advertised_host or host}:{port}"
            carrier._address = Address(endpoint=endpoint, channel_key=security.public)
        return carrier

    @property
    def address(self) -> Address:
        """Return host and port, and the CURVE key."""
        return self._address

    @property
    def counts(self) -> CarrierCounts:
        """Return what was refused so far."""
        return self._gate.counts

    async def send(self, frame: bytes, *, to: Peer) -> None:
        """Hand a frame to the connection with a peer, which is opened if there is none."""
        self._require_open()
        check_frame_size(frame)
        try:
            await self._send(bytes(frame), to)
        except NetworkError:
            self._require_open()
            raise

    async def receive(self) -> Delivery:
        """Return the oldest frame that has not been received yet."""
        self._require_open()
        return await self._gate.inbox.get()

    async def close(self) -> None:
        """Drop every connection, with the frames that wait on it."""
        if self._closing is None:
            # With every socket closed this ends at once. It is not done here, so that a wait for it can end.
            self._closing = asyncio.ensure_future(asyncio.to_thread(self._gate.context.term))
            self._gate.inbox.close()
            if self._door is not None:
                self._door.close()
            for link in self._links.values():
                link.close()
            _CONTEXTS.discard(self._gate.context)
        await asyncio.shield(self._closing)

    async def _send(self, frame: bytes, to: Peer) -> None:
        """Use one connection while it lasts, so that frames stay in order; an own one before one of the peer's."""
        link = self._links.get(to.public_key)
        if link is None or link.is_over:
            if self._door is not None and await self._door.send(frame, to.public_key):
                return
            self._require_open()
        elif to.address in {None, link.address}:
            await link.send(frame)
            return
        if to.address is None:
            raise unreachable(to, "it is not connected")
        link = self._link_to(to, to.address)
        await link.send(frame)

    def _link_to(self, to: Peer, address: Address) -> Link:
        """Return the link to an address, which is opened after a pause if the last one did not hold."""
        former = self._links.pop(to.public_key, None)
        if former is not None and former.address == address and not former.is_over:
            self._links[to.public_key] = former  # Another task was faster.
            return former
        failures, pause = 0, 0.0
        if former is not None and former.address == address:
            failures = 0 if former.was_open else former.failures + 1
            jitter = self._chance.uniform(0.5, 1.0)
            pause = jitter * min(PAUSE_SECONDS_MAX, PAUSE_SECONDS_MIN * 2**failures)
            pause = max(0.0, pause - (asyncio.get_running_loop().time() - former.ended_at))
        link = self._links[to.public_key] = Link(self._gate, to, address, failures=failures, pause_seconds=pause)
        ending = [former] if former is not None else []
        if len(self._links) > LINKS_MAX:
            ending.append(self._links.pop(next(iter(self._links))))
        for old in ending:
            old.close()
        return link

    def _require_open(self) -> None:
        if self._closing is not None:
            raise closed(self._address.endpoint)
