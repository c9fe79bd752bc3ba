"""A carrier over Arrow Flight: a DoExchange stream for each pair of nodes on pinned TLS, and cells as Arrow tables.

Flight reads have no deadline and a server cannot cancel a call, so nobody who has not proved an identity gets as far
as a read: the proof is two actions, and every other call needs the token that they give.

::

    action "challenge"  ->  32 fresh bytes
    action "token"      <-  the challenge, then a hello (``hello``)
                        ->  the listener's welcome (96 bytes), then a token (32 bytes), good for a minute
    any other call          header ``authorization: Bearer <token in hex>``

In DoExchange the application metadata of each message is one frame. Settings:

``read_cell``        Callable[[bytes], pyarrow.Table]: the table of a ticket, LookupError when there is none. It is
                     called on threads of the server. With it, ``get_flight_info`` and ``do_get`` show a cell to any
                     Arrow client.
``list_cells``       Callable[[], Iterable[bytes]]: the tickets that ``list_flights`` shows.
``advertised_host``  the host that peers dial, when it differs from the one listened on.
"""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.flight as flight

from fingerpost.carrier._accepted import AcceptedConnections, notice_dead_peers
from fingerpost.carrier._flight_gate import NAME, TOKEN_SIZE_BYTES, Gate, bearer
from fingerpost.carrier._flight_server import NOTHING, FlightServer
from fingerpost.carrier._threads import BlockingCalls
from fingerpost.carrier._tls import (
    SERVER_NAME,
    advertised_host,
    fetch_certificate,
    make_endpoint,
    make_tls_identity,
    split_endpoint,
    split_listen,
)
from fingerpost.carrier.base import Address, CarrierOptions, Peer
from fingerpost.carrier.frame import unreachable
from fingerpost.carrier.hello import Greeting
from fingerpost.carrier.links import CLOSE_SECONDS_MAX, Link, LinkCarrier
from fingerpost.errors import NetworkError
from fingerpost.ids import PublicKey

ACTION_SECONDS_MAX = 1.5
_SETTINGS = {"advertised_host", "list_cells", "read_cell"}
_CLIENT = [
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),  # A link has a connection of its own, and ends with it.
    ("grpc.enable_retries", 0),
]
_LOST = (flight.FlightError, pa.ArrowException, OSError)


async def open_flight_carrier(options: CarrierOptions) -> FlightCarrier:
    """Open a Flight carrier; see ``fingerpost.carrier.base.CarrierFactory``."""
    carrier = FlightCarrier(options)
    carrier.listen()
    return carrier


@dataclass(frozen=True, slots=True)
class _Stream:
    """One DoExchange call, with a thread to read from it and one to write to it."""

    reader: Any
    writer: Any
    reading: BlockingCalls
    writing: BlockingCalls

    async def read(self) -> bytes | None:
        return await self.reading.submit(partial(_read, self.reader))

    async def write(self, frame: bytes) -> None:
        await self.writing.submit(partial(_write, self.writer, frame))

    def stop(self) -> None:
        self.reading.stop()
        self.writing.stop()

    async def ended(self, seconds: float) -> bool:
        """Wait for both threads; whether they have ended."""
        try:
            async with asyncio.timeout(seconds):
                await self.reading.wait_ended()
                await self.writing.wait_ended()
        except TimeoutError:
            return False
        return True


class FlightCarrier(LinkCarrier):
    """Arrow Flight streams between nodes; see ``fingerpost.carrier.base.Carrier``."""

    def __init__(self, options: CarrierOptions) -> None:
        super().__init__(options)
        self._loop = asyncio.get_running_loop()
        self._server: FlightServer | None = None
        self._accepted: AcceptedConnections | None = None

    def listen(self) -> None:
        """Start to listen where the options say. Raises ``NetworkError``: ``listen-failed``, ``carrier-settings``."""
        settings = self._options.settings
        unknown = set(settings) - _SETTINGS
        if unknown:
            raise NetworkError("carrier-settings", f"Flight has no settings {', '.join(sorted(unknown))}")
        if not self._options.listen:
            return
        tls = make_tls_identity(self._options.identity, b"flight tls")
        gate = Gate(self._options, channel_key=tls.channel_key, counts=self._counts, admits=self._admits)
        try:
            host, port = split_listen(self._options.listen)
            advertised = advertised_host(settings, host)
            server = FlightServer(host, port, tls, gate, serve=self._serve, settings=settings)
        except (ValueError, *_LOST) as error:
            raise NetworkError(
                "listen-failed",
                f"cannot listen on {self._options.listen}: {error}",
                hint="write host:port; is the port in use by another?",
            ) from None
        self._server = server
        self._accepted = server.accepted = AcceptedConnections(server.port, self._counts)
        self._watch(self._accepted.watch())
        self._address = Address(endpoint=make_endpoint(advertised, server.port), channel_key=tls.channel_key)

    async def _dial(self, peer: Peer, address: Address) -> Link:
        certificate = await fetch_certificate(address.endpoint, channel_key=address.channel_key)
        if certificate is None:
            self._counts.refuse("channel-key", who=address.endpoint)
            raise unreachable(peer, "what answers there has another key")
        reading = BlockingCalls(self._loop).start("fingerpost-flight-read")
        try:
            client, reader, writer = await reading.submit(partial(self._open_exchange, peer, address, certificate))
        except BaseException as error:
            reading.stop()
            self._start(reading.wait_ended())
            if isinstance(error, flight.FlightUnauthenticatedError):
                raise unreachable(peer, "it does not let this node in") from None
            if isinstance(error, _LOST):
                raise ConnectionError(str(error)) from None
            raise
        notice_dead_peers(split_endpoint(address.endpoint)[1])
        stream = _Stream(reader, writer, reading, BlockingCalls(self._loop).start("fingerpost-flight-write"))
        link = Link(peer.public_key, address=address)
        self._start(self._run_dialled(link, client, stream))
        return link

    def _open_exchange(self, peer: Peer, address: Address, certificate: bytes) -> tuple[Any, Any, Any]:
        """Prove this node, have the listener prove itself, and open the stream. On a thread of its own."""
        host, port = split_endpoint(address.endpoint)
        client = flight.connect(
            flight.Location.for_grpc_tls(host, port),
            tls_root_certs=certificate,
            override_hostname=SERVER_NAME,
            generic_options=_CLIENT,
        )
        patience = flight.FlightCallOptions(timeout=ACTION_SECONDS_MAX)
        greeting = Greeting(
            carrier=NAME,
            network_id=self._options.network_id,
            listener_key=address.channel_key,
            challenge=_act(client, "challenge", b"", patience),
        )
        hello = greeting.hello(self._options.identity)
        answer = _act(client, "token", greeting.challenge + hello, patience)
        welcome, token = answer[:-TOKEN_SIZE_BYTES], answer[-TOKEN_SIZE_BYTES:]
        if greeting.check_welcome(welcome) != peer.public_key:
            self._loop.call_soon_threadsafe(partial(self._counts.refuse, "welcome-signature", who=address.endpoint))
            raise unreachable(peer, "another node answers there")
        writer, reader = client.do_exchange(
            flight.FlightDescriptor.for_command(b"frames"), flight.FlightCallOptions(headers=bearer(token))
        )
        writer.begin(NOTHING)
        return client, reader, writer

    async def _run_dialled(self, link: Link, client: Any, stream: _Stream) -> None:
        try:
            await self._run_link(link, stream.read, stream.write)
        finally:
            stream.reader.cancel()
            closed = stream.writing.submit(partial(_close, stream.writer))
            stream.stop()
            if await stream.ended(CLOSE_SECONDS_MAX):
                closed.result()
                client.close()

    def _serve(self, peer: PublicKey, connection: str, reader: Any, writer: Any) -> None:
        """Serve one stream that a peer opened, in the thread that the library gave it, until the stream has ended."""
        stream = _Stream(reader, writer, BlockingCalls(self._loop), BlockingCalls(self._loop))
        try:
            self._loop.call_soon_threadsafe(self._link_up, peer, connection, stream)
        except RuntimeError:
            return  # The loop was closed.
        writing = threading.Thread(target=stream.writing.run, name="fingerpost-flight-write", daemon=True)
        writing.start()
        stream.reading.run()
        writing.join()  # The library frees the stream when this returns.

    def _link_up(self, peer: PublicKey, connection: str, stream: _Stream) -> None:
        link = Link(peer, admitted_at=self._loop.time())
        self._start(self._run_served(link, connection, stream))

    async def _run_served(self, link: Link, connection: str, stream: _Stream) -> None:
        try:
            await self._run_link(link, stream.read, stream.write)
        finally:
            stream.stop()
            # Calls that wait for the peer are not left to it: without its connection they return.
            while not await stream.ended(0.2):
                if self._accepted is not None:
                    self._accepted.end(connection)

    async def _stop(self) -> None:
        if self._server is None or self._accepted is None:
            return
        stopping = BlockingCalls(self._loop).start("fingerpost-flight-stop")
        stopped = stopping.submit(self._server.shutdown)
        stopping.stop()
        deadline = self._loop.time() + CLOSE_SECONDS_MAX
        while not stopping.has_ended and self._loop.time() < deadline:
            self._accepted.end()  # The library waits for every call to end, and a hostile peer ends none.
            await asyncio.wait([stopped], timeout=0.05)
        if stopped.done():
            stopped.result()
        self._server = None


def _act(client: Any, kind: str, body: bytes, options: Any) -> bytes:
    for result in client.do_action(flight.Action(kind, body), options):
        return bytes(result.body.to_pybytes())
    raise flight.FlightUnauthenticatedError("no answer")


def _read(reader: Any) -> bytes | None:
    try:
        metadata = reader.read_chunk().app_metadata
    except StopIteration:
        return None
    except _LOST as error:
        raise ConnectionError(str(error)[:200]) from None
    return metadata.to_pybytes() if metadata is not None else b""


def _write(writer: Any, frame: bytes) -> None:
    try:
        writer.write_metadata(frame)
    except _LOST as error:
        raise ConnectionError(str(error)[:200]) from None


def _close(writer: Any) -> None:
    try:
        writer.close()
    except _LOST:
        return  # It was cancelled, so that it ends now.
