"""Links that are streams of whole messages: both ends prove themselves by ``hello``, then each message is one frame.

A backend opens a stream to an address, or gets one that a peer opened, and hands it over. ``examples/carrier_plugin``
is a whole carrier made of this.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable
from typing import Protocol

from fingerpost.carrier.base import Address, CarrierOptions, Peer
from fingerpost.carrier.frame import unreachable
from fingerpost.carrier.hello import HELLO_SECONDS_MAX, HELLO_SIZE_BYTES, PENDING_HELLOS_MAX, Greeting, end_oldest
from fingerpost.carrier.links import Link, LinkCarrier
from fingerpost.ids import PublicKey, node_id
from fingerpost.limits import FRAME_SIZE_BYTES_MAX


class OversizedError(OSError):
    """A message is larger than asked for; none of it was kept."""


class MessageStream(Protocol):
    """Whole messages in both directions, in order. One task reads while another writes."""

    async def read(self, size_bytes_max: int) -> bytes | None:
        """Return the next message, or None when the other end has ended the stream.

        Raises ``OversizedError``, before memory is taken for it where that is possible, and ``OSError`` when the
        stream is lost.
        """
        ...

    async def write(self, message: bytes) -> None:
        """Send a message, waiting while the other end takes nothing. Raises ``OSError`` when the stream is lost."""
        ...

    async def close(self) -> None:
        """End the stream within seconds, whatever the other end does."""
        ...


class StreamCarrier(LinkCarrier):
    """Everything of a ``Carrier`` but the streams themselves: who proves what to whom, queues, admission, dialling.

    A backend implements ``_open_stream`` and ``_stop``, sets ``_address`` when it listens, and starts ``_serve`` for
    each stream that a peer opened. ``name`` is signed in every proof. ``channel_key`` has 32 bytes when streams are
    encrypted and ``_open_stream`` makes sure of the listener's key; without it anyone on the way can read and alter
    frames, and proofs are bound to the listener's identity instead, so that nobody can pass them on to another.
    """

    def __init__(self, options: CarrierOptions, *, name: str, channel_key: bytes = b"") -> None:
        super().__init__(options)
        self._name = name
        self._channel_key = channel_key
        self._hellos: dict[MessageStream, asyncio.Timeout] = {}

    async def close(self) -> None:
        """End all links, hellos and what listens; returns within seconds, whatever peers do."""
        while self._hellos:
            end_oldest(self._hellos)
        await super().close()

    @abstractmethod
    async def _open_stream(self, peer: Peer, address: Address) -> MessageStream:
        """Open a stream to an address, which may be hostile, and check its channel key.

        Raises ``OSError`` when another attempt may help, else ``NetworkError`` (``carrier-unreachable``).
        """

    async def _dial(self, peer: Peer, address: Address) -> Link:
        if len(address.channel_key) != len(self._channel_key):
            self._counts.refuse("channel-key", who=address.endpoint)
            expected = len(self._channel_key)
            raise unreachable(peer, f"its channel key has {len(address.channel_key)} bytes, not {expected}")
        stream = await self._open_stream(peer, address)
        try:
            await self._introduce(stream, peer, address)
        except BaseException:
            await stream.close()
            raise
        link = Link(peer.public_key, address=address)
        self._start(self._run_dialled(link, stream))
        return link

    async def _run_dialled(self, link: Link, stream: MessageStream) -> None:
        try:
            await self._move_frames(link, stream)
        finally:
            await stream.close()

    async def _serve(self, stream: MessageStream, *, proven: Callable[[], None] = lambda: None) -> bool:
        """Serve a stream that a peer opened until it ends: first proofs, then frames. Whether it came to frames.

        ``proven`` is called once the peer has proved an identity that is admitted.
        """
        try:
            peer = await self._welcome(stream, proven)
            if peer is not None:
                await self._move_frames(Link(peer, admitted_at=asyncio.get_running_loop().time()), stream)
        finally:
            await stream.close()
        return peer is not None

    async def _move_frames(self, link: Link, stream: MessageStream) -> None:
        async def read() -> bytes | None:
            try:
                return await stream.read(FRAME_SIZE_BYTES_MAX)
            except OversizedError:
                self._counts.refuse("frame-too-large", who=node_id(link.peer).hex())
                return None

        await self._run_link(link, read, stream.write)

    async def _introduce(self, stream: MessageStream, peer: Peer, address: Address) -> None:
        """Prove this node to the listener, and have it prove that it is the peer."""
        challenge = await stream.read(HELLO_SIZE_BYTES)
        if challenge is None:
            raise ConnectionError("it ended the stream before its challenge")
        greeting = self._greeting(address.channel_key or peer.public_key, challenge=challenge)
        await stream.write(greeting.hello(self._options.identity))
        welcome = await stream.read(HELLO_SIZE_BYTES)
        if welcome is None:
            self._counts.refuse("hello-refused", who=address.endpoint)
            raise unreachable(peer, "it does not let this node in")
        if greeting.check_welcome(welcome) != peer.public_key:
            self._counts.refuse("welcome-signature", who=address.endpoint)
            raise unreachable(peer, "another node answers there")

    async def _welcome(self, stream: MessageStream, proven: Callable[[], None]) -> PublicKey | None:
        """Return the admitted identity that the opener proves in time, or None; a refusal is counted."""
        if len(self._hellos) >= PENDING_HELLOS_MAX:
            # The oldest goes: whoever floods cannot keep an honest peer out, who needs one round trip.
            end_oldest(self._hellos)
        greeting = self._greeting(self._channel_key or self._options.identity.public_key)
        try:
            async with asyncio.timeout(HELLO_SECONDS_MAX) as patience:
                self._hellos[stream] = patience
                await stream.write(greeting.challenge)
                hello = await stream.read(HELLO_SIZE_BYTES)
                peer = greeting.check_hello(hello or b"")
                if peer is None:
                    self._counts.refuse("hello-signature" if hello else "hello-missing")
                elif self._admits(peer):
                    proven()
                    await stream.write(greeting.welcome(self._options.identity, hello or b""))
                    return peer
        except TimeoutError:
            if not self._closed:
                self._counts.refuse("hello-timeout")
        except OversizedError:
            self._counts.refuse("hello-too-large")
        except OSError:
            self._counts.refuse("hello-missing")
        finally:
            self._hellos.pop(stream, None)
        return None

    def _greeting(self, listener_key: bytes, **challenge: bytes) -> Greeting:
        return Greeting(carrier=self._name, network_id=self._options.network_id, listener_key=listener_key, **challenge)
