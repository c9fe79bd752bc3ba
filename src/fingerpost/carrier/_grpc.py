"""A carrier over gRPC: one bidirectional stream of raw frames for each pair of nodes, on pinned TLS.

The listener proves itself by ending TLS with the key that its holder record pins; the opener by the first message of
the stream (``_hello``). Every message after that is one frame. There is no generated code and no protobuf.

Settings: ``advertise``, the host that peers dial when it differs from the one listened on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Protocol

import grpc
import grpc.aio

from fingerpost.carrier._accepted import AcceptedConnections
from fingerpost.carrier._hello import HELLO_SECONDS_MAX, PENDING_HELLOS_MAX, Greeting
from fingerpost.carrier._links import CLOSE_SECONDS_MAX, LINKS_MAX, Link, LinkCarrier
from fingerpost.carrier._tls import (
    ENDPOINT_SCHEME,
    SERVER_NAME,
    TlsIdentity,
    fetch_certificate,
    make_endpoint,
    make_tls_identity,
    split_endpoint,
    split_listen,
)
from fingerpost.carrier.base import Address, CarrierOptions, Peer
from fingerpost.carrier.frame import unreachable
from fingerpost.errors import NetworkError
from fingerpost.ids import PublicKey
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


class _Stream(Protocol):
    """What the two ends of a gRPC stream have in common; the library has no types."""

    async def read(self) -> object: ...

    async def write(self, message: bytes) -> None: ...


async def open_grpc_carrier(options: CarrierOptions) -> GrpcCarrier:
    """Open a gRPC carrier; see ``fingerpost.carrier.base.CarrierFactory``."""
    carrier = GrpcCarrier(options)
    await carrier.listen()
    return carrier


class GrpcCarrier(LinkCarrier):
    """gRPC streams between nodes; see ``fingerpost.carrier.base.Carrier``."""

    def __init__(self, options: CarrierOptions) -> None:
        super().__init__(options)
        self._tls: TlsIdentity = make_tls_identity(options.identity, b"grpc tls")
        self._server: grpc.aio.Server | None = None
        self._accepted: AcceptedConnections | None = None
        self._hellos: dict[Any, asyncio.Timeout] = {}

    async def listen(self) -> None:
        """Start to listen where the options say. Raises ``NetworkError``: ``listen-failed``, ``carrier-settings``."""
        unknown = set(self._options.settings) - {"advertise"}
        if unknown:
            raise NetworkError("carrier-settings", f"gRPC has no settings {', '.join(sorted(unknown))}")
        if not self._options.listen:
            return
        try:
            host, port = split_listen(self._options.listen)
        except ValueError as error:
            raise NetworkError("listen-failed", str(error), hint="write host:port") from None
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
        endpoint = make_endpoint(str(self._options.settings.get("advertise", host)), port)
        self._address = Address(endpoint=endpoint, channel_key=self._tls.channel_key)

    async def _dial(self, peer: Peer, address: Address) -> Link:
        certificate = await fetch_certificate(address.endpoint, channel_key=address.channel_key)
        if certificate is None:
            self._counts.refuse("channel-key")
            raise unreachable(peer, "what answers there has another key")
        host, port = split_endpoint(address.endpoint)
        target = make_endpoint(host, port).removeprefix(ENDPOINT_SCHEME)
        channel = grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(certificate), options=_CLIENT)
        try:
            call: Any = channel.stream_stream(f"/{SERVICE}/{METHOD}")()
            await self._introduce(call, peer, address)
        except PermissionError:
            await channel.close()
            raise unreachable(peer, "it does not let this node in") from None
        except BaseException:
            await channel.close()
            raise
        link = Link(peer.public_key, address=address)
        self._start(self._run_dialled(link, channel, call))
        return link

    async def _introduce(self, call: _Stream, peer: Peer, address: Address) -> None:
        """Prove this node to a listener that has shown the pinned key, and have it prove that it is the peer."""
        challenge = await _read(call)
        if challenge is None:
            raise ConnectionError("it ended the stream before its challenge")
        greeting = self._greeting(address.channel_key, challenge=challenge)
        await _write(call, greeting.hello(self._options.identity))
        welcome = await _read(call)
        if welcome is None:
            raise ConnectionError("it ended the stream before its welcome")
        if greeting.check_welcome(welcome) != peer.public_key:
            self._counts.refuse("welcome-signature")
            raise unreachable(peer, "another node answers there")

    async def _run_dialled(self, link: Link, channel: grpc.aio.Channel, call: Any) -> None:
        try:
            await self._run_link(link, lambda: _read(call), lambda frame: _write(call, frame))
        finally:
            call.cancel()
            await channel.close()

    async def _exchange(self, _requests: AsyncIterator[bytes], context: Any) -> None:
        """Serve one stream that a peer opened: first its proof, then frames both ways."""
        peer = await self._prove(context)
        if peer is None:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED)
        else:
            link = Link(peer, admitted_at=asyncio.get_running_loop().time())
            await self._run_link(link, lambda: _read(context), lambda frame: _write(context, frame))

    async def _prove(self, context: Any) -> PublicKey | None:
        if len(self._hellos) >= PENDING_HELLOS_MAX:
            # The oldest goes: whoever floods cannot keep an honest peer out, who needs one round trip.
            oldest = next(iter(self._hellos.values()))
            oldest.reschedule(asyncio.get_running_loop().time())
        greeting = self._greeting(self._tls.channel_key)
        hello: bytes | None = None
        try:
            async with asyncio.timeout(HELLO_SECONDS_MAX) as patience:
                self._hellos[context] = patience
                await _write(context, greeting.challenge)
                hello = await _read(context)
                peer = greeting.check_hello(hello or b"")
                if peer is None:
                    self._counts.refuse("hello-signature" if hello else "hello-missing")
                elif self._admits(peer) and self._accepted is not None:
                    self._accepted.prove(context.peer())
                    await _write(context, greeting.welcome(self._options.identity, hello or b""))
                    return peer
        except TimeoutError:
            self._counts.refuse("hello-timeout")
        except OSError:
            self._counts.refuse("hello-missing")
        finally:
            del self._hellos[context]
        return None

    def _greeting(self, listener_key: bytes, **challenge: bytes) -> Greeting:
        return Greeting(carrier=NAME, network_id=self._options.network_id, listener_key=listener_key, **challenge)

    async def _stop(self) -> None:
        if self._server is not None:
            await asyncio.wait([asyncio.create_task(self._server.stop(0))], timeout=CLOSE_SECONDS_MAX)


async def _read(stream: _Stream) -> bytes | None:
    try:
        message = await stream.read()
    except _FAILURES as error:
        raise _lost(error) from None
    return message if isinstance(message, bytes) else None


async def _write(stream: _Stream, message: bytes) -> None:
    try:
        await stream.write(message)
    except _FAILURES as error:
        raise _lost(error) from None


def _lost(error: Exception) -> OSError:
    if not isinstance(error, grpc.aio.AioRpcError):
        return ConnectionError(str(error) or type(error).__name__)
    if error.code() == grpc.StatusCode.UNAUTHENTICATED:
        return PermissionError("not admitted")
    return ConnectionError(f"{error.code().name.lower()} {error.details() or ''}".strip())
