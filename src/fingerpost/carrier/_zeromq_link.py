"""A connection that this end opened: a DEALER to one peer, which lives from its hello until the connection is lost.

ZeroMQ would connect again by itself, without a new hello. So that is switched off: a lost link is over, and the next
send opens another.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

import zmq

from fingerpost.carrier._zeromq_gate import Gate, Proven
from fingerpost.carrier._zeromq_hello import NONCE_SIZE_BYTES, Channel, opening
from fingerpost.carrier._zeromq_sockets import (
    CONNECT_SECONDS_MAX,
    AsyncSocket,
    is_endpoint,
    new_socket,
    pending_events,
)
from fingerpost.carrier.base import CHANNEL_KEY_SIZE_BYTES, Address, Peer
from fingerpost.carrier.frame import unreachable

_EVENTS = (
    zmq.EVENT_CONNECTED | zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_CLOSED | zmq.EVENT_DISCONNECTED
    | zmq.EVENT_CONNECT_RETRIED
)  # fmt: skip


class Link:
    """A connection to ``peer`` at ``address``, tried after ``pause_seconds`` because of so many ``failures``."""

    def __init__(self, gate: Gate, peer: Peer, address: Address, *, failures: int, pause_seconds: float) -> None:
        self.peer = peer
        self.address = address
        self.failures = failures
        self.was_open = False
        self.ended_at = float("-inf")  # on the clock of the event loop
        self._gate = gate
        self._sockets: list[AsyncSocket] = []  # the DEALER, then its events
        self._is_connected = False
        self._reason = "the connection was lost"
        loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = loop.create_future()
        self._ended: asyncio.Future[None] = loop.create_future()
        self._tasks = [loop.create_task(self._run(pause_seconds))]

    @property
    def is_over(self) -> bool:
        """Whether nothing can be sent on it any more."""
        return self._ended.done()

    async def send(self, frame: bytes) -> None:
        """Hand a frame over once the link is open. Raises ``NetworkError``: ``carrier-unreachable``."""
        if not self._opened.done():
            await asyncio.wait({self._opened, self._ended}, return_when=asyncio.FIRST_COMPLETED)
        if self._ended.done():
            raise unreachable(self.peer, self._reason)
        sending: asyncio.Future[Any] = asyncio.ensure_future(self._sockets[0].send(frame, copy=False))
        try:
            if not sending.done():
                await asyncio.wait({sending, self._ended}, return_when=asyncio.FIRST_COMPLETED)
            if not sending.done() or sending.cancelled() or sending.exception() is not None:
                raise unreachable(self.peer, self._reason)
        finally:
            sending.cancel()

    def close(self) -> None:
        """End the link; whoever waits in ``send`` gets ``carrier-unreachable``."""
        for task in self._tasks:
            task.cancel()
        for opened in self._sockets:  # Not one may stay open, or the context would wait for it for ever.
            opened.close(linger=0)
        if not self._ended.done():
            self._ended.set_result(None)
            self.ended_at = asyncio.get_running_loop().time()

    async def _run(self, pause_seconds: float) -> None:
        try:
            self._check_address()
            await asyncio.sleep(pause_seconds)
            steps = [self._watch(self._connect()), self._converse(self._sockets[0])]
            following = [asyncio.create_task(step) for step in steps]
            self._tasks += following
            await asyncio.wait(following, return_when=asyncio.FIRST_COMPLETED)
        except (zmq.ZMQError, OSError, _RefusalError) as error:
            self._reason = str(error)
        finally:
            self.close()

    def _connect(self) -> AsyncSocket:
        """Start connecting and return the socket of what happens."""
        dealer = new_socket(self._gate.context, zmq.DEALER, self.address.endpoint)
        self._sockets.append(dealer)
        dealer.reconnect_ivl = -1
        dealer.connect_timeout = int(CONNECT_SECONDS_MAX * 1000)
        self._gate.security.protect_opener(dealer, self.address.channel_key)
        monitor = dealer.get_monitor_socket(_EVENTS)
        self._sockets.append(monitor)
        dealer.connect(f"tcp://{self.address.endpoint}")
        return monitor

    def _check_address(self) -> None:
        if not is_endpoint(self.address.endpoint):
            raise _RefusalError("its endpoint is no host and port")
        expected = CHANNEL_KEY_SIZE_BYTES if self._gate.security.secret else 0
        if len(self.address.channel_key) != expected:
            raise _RefusalError(f"its channel key has {len(self.address.channel_key)} bytes, not {expected}")

    async def _watch(self, monitor: AsyncSocket) -> None:
        is_secure, is_over = False, False
        while not is_over:
            await monitor.poll()
            for event, _ in pending_events(monitor):
                self._is_connected |= event == zmq.Event.CONNECTED
                is_secure |= event == zmq.Event.HANDSHAKE_SUCCEEDED
                is_over |= event in {zmq.Event.CLOSED, zmq.Event.DISCONNECTED, zmq.Event.CONNECT_RETRIED}
        if not self._is_connected:
            self._reason = "nobody listens there"
        elif not is_secure:
            self._reason = "it did not prove its channel key"
            self._gate.refuse("channel-handshake", self.address.endpoint)
        elif not self._opened.done():
            self._reason = "it closed the connection during the hello; does it admit this identity?"
            self._gate.refuse("hello-refused", self.address.endpoint)

    async def _converse(self, dealer: AsyncSocket) -> None:
        try:
            async with asyncio.timeout(CONNECT_SECONDS_MAX):
                await self._say_hello(dealer)
        except TimeoutError:
            self._reason = f"no hello within {CONNECT_SECONDS_MAX:g} s"
            if self._is_connected:
                self._gate.refuse("hello-timeout", self.address.endpoint)
            return
        except _RefusalError as error:
            self._reason = str(error)
            return
        self.was_open = True
        self._opened.set_result(None)
        listener, refusal = Proven(self.peer.public_key), ""
        while not refusal:
            refusal = await self._gate.take(listener, await _receive(dealer))
        self._reason = f"it was cut off: {refusal}"
        self._gate.refuse(refusal, self.address.endpoint)

    async def _say_hello(self, dealer: AsyncSocket) -> None:
        gate = self._gate
        channel = Channel(
            carrier=gate.name,
            network_id=gate.options.network_id,
            opener_key=gate.security.public,
            listener_key=self.address.channel_key,
            listener=self.peer.public_key,
            nonce=secrets.token_bytes(NONCE_SIZE_BYTES),
        )
        await dealer.send(opening(channel.nonce))
        challenge = await _receive(dealer)
        if len(challenge) != NONCE_SIZE_BYTES:
            gate.refuse("hello-malformed", self.address.endpoint)
            raise _RefusalError("what answers there speaks another protocol")
        await dealer.send(channel.prove_opener(gate.options.identity, challenge))
        proved = channel.check_listener(await _receive(dealer))
        if proved != self.peer.public_key:
            gate.refuse("peer-identity", self.address.endpoint)
            raise _RefusalError("what answers there did not prove this identity")


class _RefusalError(Exception):
    """Why a link cannot be."""


async def _receive(dealer: AsyncSocket) -> bytes:
    """Return the next message, of which only the last part counts: none of ours has several."""
    parts = await dealer.recv_multipart()
    return parts[-1]
