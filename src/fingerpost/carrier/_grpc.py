"""A carrier over gRPC: one bidirectional stream of raw frames for each pair of nodes, on pinned TLS.

The listener proves itself by ending TLS with the key that its holder record pins; the opener by the first message of
the stream (``hello``). Every message after that is one frame. There is no generated code and no protobuf.

Settings: ``advertised_host``, the host that peers dial when it differs from the one listened on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio

from fingerpost.carrier._accepted import AcceptedConnections
from fingerpost.carrier._tls import (
    ENDPOINT_SCHEME,
    SERVER_NAME,
    TlsIdentity,
    advertised_host,
    fetch_certificate,
    make_endpoint,
    make_tls_identity,
    split_endpoint,
    split_listen,
)
from fingerpost.carrier.base import Address, CarrierOptions, Peer
from fingerpost.carrier.frame import unreachable
from fingerpost.carrier.hello import HELLO_SECONDS_MAX, PENDING_HELLOS_MAX
from fingerpost.carrier.links import CLOSE_SECONDS_MAX, LINKS_MAX
from fingerpost.carrier.streams import OversizedError, StreamCarrier
from fingerpost.errors import NetworkError
from fingerpost.limits import FRAME_ENVELOPE_BYTES_MAX, FRAME_SIZE_BYTES_MAX

NAME = "grpc"
SERVICE = "fingerpost.Carrier"
METHOD = "Exchange"
MESSAGE_SIZE_BYTES_MAX = FRAME_SIZE_BYTES_MAX + FRAME_ENVELOPE_BYTES_MAX

_LATE = int(4 * HELLO_SECONDS_MAX * 1_000)
_KEEPALIVE = [
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_receive_message_length", MESSAGE_SIZE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_SIZE_BYTES_MAX),
]
_SERVER = [
    *_KEEPALIVE,
    ("grpc.so_reuseport", 0),  # Two nodes must not share a port without noticing.
    ("grpc.server_handshake_timeout_ms", _LATE),  # AcceptedConnections is faster, and counts.
    ("grpc.max_connection_idle_ms", _LATE),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
    ("grpc.max_concurrent_streams", 8),  # of one connection
    ("grpc.max_metadata_size", 8_192),
]
_CLIENT = [
    *_KEEPALIVE,
    ("grpc.ssl_target_name_override", SERVER_NAME),
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),  # A link has a connection of its own, and ends with it.
    ("grpc.enable_retries", 0),
]

_FAILURES = (grpc.aio.AioRpcError, grpc.aio.InternalError, grpc.aio.UsageError, asyncio.InvalidStateError)


async def open_grpc_carrier(options: CarrierOptions) -> GrpcCarrier:
    """Open a gRPC carrier; see ``fingerpost.carrier.base.CarrierFactory``."""
    carrier = GrpcCarrier(options)
    await carrier.listen()
    return carrier


class GrpcCarrier(StreamCarrier):
    """gRPC streams between nodes; see ``fingerpost.carrier.base.Carrier``."""

    def __init__(self, options: CarrierOptions) -> None:
        self._tls: TlsIdentity = make_tls_identity(options.identity, b"grpc tls")
        super().__init__(options, name=NAME, channel_key=self._tls.channel_key)
        self._server: grpc.aio.Server | None = None
        self._accepted: AcceptedConnections | None = None

    async def listen(self) -> None:
        """Start to listen where the options say. Raises ``NetworkError``: ``listen-failed``, ``carrier-settings``."""
        unknown = set(self._options.settings) - {"advertised_host"}
        if unknown:
            raise NetworkError("carrier-settings", f"gRPC has no settings {', '.join(sorted(unknown))}")
        if not self._options.listen:
            return
        try:
            host, port = split_listen(self._options.listen)
        except ValueError as error:
            raise NetworkError("listen-failed", str(error), hint="write host:port") from None
        advertised = advertised_host(self._options.settings, host)
        handler = grpc.stream_stream_rpc_method_handler(self._exchange)
        server = grpc.aio.server(options=_SERVER, maximum_concurrent_rpcs=LINKS_MAX + PENDING_HELLOS_MAX)
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler})])
        credentials = grpc.ssl_server_credentials([(self._tls.key_pem, self._tls.certificate_pem)])
        try:
            port = server.add_secure_port(make_endpoint(host, port).removeprefix(ENDPOINT_SCHEME), credentials)
        except RuntimeError:
            port = 0
        if not port:
            raise NetworkError(
                "listen-failed", f"cannot listen on {self._options.listen}", hint="is the port in use by another?"
            )
        await server.start()
        self._server = server
        self._accepted = AcceptedConnections(port, self._counts)
        self._watch(self._accepted.watch())
        self._address = Address(endpoint=make_endpoint(advertised, port), channel_key=self._tls.channel_key)

    async def _open_stream(self, peer: Peer, address: Address) -> _DialledStream:
        certificate = await fetch_certificate(address.endpoint, channel_key=address.channel_key)
        if certificate is None:
            self._counts.refuse("channel-key", who=address.endpoint)
            raise unreachable(peer, "what answers there has another key")
        host, port = split_endpoint(address.endpoint)
        target = make_endpoint(host, port).removeprefix(ENDPOINT_SCHEME)
        channel = grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(certificate), options=_CLIENT)
        return _DialledStream(channel.stream_stream(f"/{SERVICE}/{METHOD}")(), channel)

    async def _exchange(self, _requests: AsyncIterator[bytes], context: Any) -> None:
        """Serve one stream that a peer opened."""

        def prove() -> None:
            if self._accepted is not None:
                self._accepted.prove(context.peer())

        if not await self._serve(_Stream(context), proven=prove):
            await context.abort(grpc.StatusCode.UNAUTHENTICATED)

    async def _stop(self) -> None:
        if self._server is not None:
            await asyncio.wait([asyncio.create_task(self._server.stop(0))], timeout=CLOSE_SECONDS_MAX)


class _Stream:
    """One end of a gRPC stream: a call that we made, or the context of one that a peer made."""

    def __init__(self, end: Any) -> None:
        self._end = end

    async def read(self, size_bytes_max: int) -> bytes | None:
        try:
            message = await self._end.read()
        except _FAILURES as error:
            if isinstance(error, grpc.aio.AioRpcError) and error.code() == grpc.StatusCode.UNAUTHENTICATED:
                return None
            raise _lost(error) from None
        if not isinstance(message, bytes):
            return None
        if len(message) > size_bytes_max:  # The library refuses what is larger than any frame before it is read.
            raise OversizedError(f"a message of {len(message)} bytes")
        return message

    async def write(self, message: bytes) -> None:
        try:
            await self._end.write(message)
        except _FAILURES as error:
            raise _lost(error) from None

    async def close(self) -> None:
        """Leave it to the library, which ends the stream when its handler returns."""


class _DialledStream(_Stream):
    """The end of a stream that this node opened, with the connection that it has for itself."""

    def __init__(self, call: Any, channel: grpc.aio.Channel) -> None:
        super().__init__(call)
        self._channel = channel

    async def close(self) -> None:
        """End the stream and its connection."""
        self._end.cancel()
        await self._channel.close()


def _lost(error: Exception) -> OSError:
    if not isinstance(error, grpc.aio.AioRpcError):
        return ConnectionError(str(error) or type(error).__name__)
    return ConnectionError(f"{error.code().name.lower()} {error.details() or ''}".strip())
