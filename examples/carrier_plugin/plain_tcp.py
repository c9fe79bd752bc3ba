"""A carrier of a third party: frames with a length in front of them, over plain TCP.

It encrypts NOTHING: whoever is on the way reads and alters every frame. It is meant for links that are encrypted below
it, such as a WireGuard tunnel. Both ends still prove their Ed25519 identities when a connection opens
(``fingerpost.carrier.proof``, through ``fingerpost.carrier.streams``), and who is not admitted gets nothing.
"""

from __future__ import annotations

import asyncio

from fingerpost.carrier.base import Address, CarrierOptions, Peer
from fingerpost.carrier.frame import unreachable
from fingerpost.carrier.liveness import notice_dead_peer
from fingerpost.carrier.streams import OversizedError, StreamCarrier
from fingerpost.errors import NetworkError

LENGTH_SIZE_BYTES = 4


async def open_plain_tcp(options: CarrierOptions) -> PlainTcpCarrier:
    """Open the carrier: what the entry point names; see ``fingerpost.carrier.base.CarrierFactory``."""
    carrier = PlainTcpCarrier(options, name="plain-tcp")
    if options.settings:
        raise NetworkError("carrier-settings", f"plain-tcp has no settings {', '.join(options.settings)}")
    if options.listen:
        await carrier.listen(options.listen)
    return carrier


class PlainTcpCarrier(StreamCarrier):
    """TCP connections between nodes; see ``fingerpost.carrier.base.Carrier``."""

    _server: asyncio.Server | None = None

    async def listen(self, where: str) -> None:
        """Listen at a host and port. Raises ``NetworkError``: ``listen-failed``."""
        try:
            host, port = split(where)
            self._server = await asyncio.start_server(self._accept, host, port)
        except (OSError, ValueError) as error:
            raise NetworkError("listen-failed", f"cannot listen at {where}: {error}", hint="use host:port") from None
        port = self._server.sockets[0].getsockname()[1]
        self._address = Address(endpoint=f"{host}:{port}")  # Without a channel key: nothing is encrypted.

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._start(self._serve(FramedStream(reader, writer)))

    async def _open_stream(self, peer: Peer, address: Address) -> FramedStream:
        try:
            host, port = split(address.endpoint)
        except ValueError as error:  # Records come from others.
            raise unreachable(peer, str(error)) from None
        return FramedStream(*await asyncio.open_connection(host, port))

    async def _stop(self) -> None:
        if self._server is not None:
            self._server.close()


class FramedStream:
    """A TCP connection as a stream of messages; see ``fingerpost.carrier.streams.MessageStream``."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        notice_dead_peer(writer.get_extra_info("socket"))

    async def read(self, size_bytes_max: int) -> bytes | None:
        """Read a length, then so many bytes."""
        try:
            size = int.from_bytes(await self._reader.readexactly(LENGTH_SIZE_BYTES), "big")
            if size > size_bytes_max:
                raise OversizedError(f"a message of {size} bytes")
            return await self._reader.readexactly(size)
        except asyncio.IncompleteReadError:
            return None

    async def write(self, message: bytes) -> None:
        """Write a length and a message, waiting while the connection takes nothing."""
        self._writer.writelines([len(message).to_bytes(LENGTH_SIZE_BYTES, "big"), message])
        await self._writer.drain()

    async def close(self) -> None:
        """Drop the connection, and what still waits to be written."""
        self._writer.transport.abort()


def split(endpoint: str) -> tuple[str, int]:
    """Return host and port. Raises ``ValueError`` when it is none."""
    host, _, port = endpoint.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise ValueError(f"{endpoint[:80]!r} is no host:port")
    return host, int(port)
