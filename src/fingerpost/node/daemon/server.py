"""HTTP/1.1 on the loopback interface: h11 reads and writes the protocol, this module bounds time, size and number.

One request a connection. Whoever is slow, too large or too many is cut off, counted and (rate-limited) logged.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import h11

HEAD_SIZE_BYTES_MAX = 16_384
BODY_SIZE_BYTES_MAX = 33_554_432
CONNECTIONS_MAX = 32
HEAD_SECONDS_MAX = 5.0
BODY_SECONDS_MAX = 30.0
WRITE_SECONDS_MAX = 30.0
LINGER_SECONDS_MAX = 1.0  # for a refused client to read why, while what it still sends is thrown away
FINISH_SECONDS_MAX = 15.0  # for requests that are being answered when the server is closed
READ_SIZE_BYTES = 65_536

_LOG = logging.getLogger("fingerpost.control")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request. ``target`` is path and query as they were sent; names of headers are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What is answered. ``refusal`` names why a request was turned away, for the counts; empty when it was not."""

    status: int
    body: bytes = field(default=b"", repr=False)
    content_type: str = "application/json"
    refusal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The bounds of one server, in bytes, seconds and connections."""

    body_bytes: int = BODY_SIZE_BYTES_MAX
    head_seconds: float = HEAD_SECONDS_MAX
    body_seconds: float = BODY_SECONDS_MAX
    write_seconds: float = WRITE_SECONDS_MAX
    connections: int = CONNECTIONS_MAX


class _RefusedError(Exception):
    """A request that is answered with ``response`` before, or instead of, reading its body."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.refusal)
        self.response = response


class ControlServer:
    """Takes requests and hands them on.

    ``check`` sees the head of a request before its body is read and may turn it away; ``answer`` gets the whole
    request and must not raise; ``refuse`` makes the response to what this server turns away itself, from a status and
    a reason such as ``head-slow``. ``refused`` counts by reason.
    """

    def __init__(
        self,
        *,
        check: Callable[[Request], Response | None],
        answer: Callable[[Request], Awaitable[Response]],
        refuse: Callable[[int, str], Response],
        limits: Limits | None = None,
    ) -> None:
        self.refused: dict[str, int] = {}
        self._check = check
        self._answer = answer
        self._refuse = refuse
        self._limits = limits or Limits()
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def open(self, host: str, port: int) -> tuple[str, int]:
        """Listen; return the host and port. Raises ``OSError``."""
        self._server = await asyncio.start_server(self._serve, host, port, limit=READ_SIZE_BYTES)
        name = self._server.sockets[0].getsockname()
        return str(name[0]), int(name[1])

    async def close(self) -> None:
        """Take no more requests, let those being answered finish within seconds, and cut off the rest."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        others = self._connections - {asyncio.current_task()}
        if others:
            await asyncio.wait(others, timeout=FINISH_SECONDS_MAX)
        for connection in others:
            connection.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None:
            raise AssertionError("a connection is served by a task")
        is_one_too_many = len(self._connections) >= self._limits.connections
        self._connections.add(task)
        writer.transport.set_write_buffer_limits(0)  # Then "drained" means: the system has taken all of it.
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_SIZE_BYTES_MAX)
        try:
            if is_one_too_many:
                self._count("busy")
                await self._respond(connection, writer, self._turned_away(503, "busy"))
                if len(self._connections) <= 2 * self._limits.connections:
                    await self._linger(reader, writer)
            else:
                await self._exchange(connection, reader, writer)
        except (ConnectionError, TimeoutError, h11.LocalProtocolError):
            self._count("client-gone")
            writer.transport.abort()
        except asyncio.CancelledError:  # ``close`` cuts it off; before Python 3.12 asyncio would log that as a failure.
            writer.transport.abort()
        finally:
            self._connections.discard(task)
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _exchange(
        self, connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            response = await self._response_to(connection, reader, writer)
        except _RefusedError as error:
            response = error.response
        if response is None:
            return
        if response.refusal:
            self._count(response.refusal)
        await self._respond(connection, writer, response)
        if connection.their_state is not h11.DONE:
            await self._linger(reader, writer)

    async def _response_to(
        self, connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> Response | None:
        """Read one request and return what to answer; None when the client left without asking anything."""
        try:
            async with asyncio.timeout(self._limits.head_seconds):
                head = await self._next_event(connection, reader)
        except TimeoutError:
            raise _RefusedError(self._turned_away(408, "head-slow")) from None
        if not isinstance(head, h11.Request):
            return None
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}
        request = Request(method=head.method.decode(), target=head.target.decode("latin-1"), headers=headers)
        refusal = self._check(request)
        if refusal is not None:
            return refusal
        if int(headers.get("content-length", "0")) > self._limits.body_bytes:
            raise _RefusedError(self._turned_away(413, "too-large"))
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                body = await self._read_body(connection, reader, writer)
        except TimeoutError:
            raise _RefusedError(self._turned_away(408, "body-slow")) from None
        return await self._answer(
            Request(method=request.method, target=request.target, headers=headers, body=bytes(body))
        )

    async def _read_body(
        self, connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bytearray:
        body = bytearray()
        while True:
            if connection.they_are_waiting_for_100_continue:
                writer.write(connection.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
            event = await self._next_event(connection, reader)
            if isinstance(event, h11.Data):
                body += event.data
                if len(body) > self._limits.body_bytes:
                    raise _RefusedError(self._turned_away(413, "too-large"))
            elif isinstance(event, h11.EndOfMessage):
                return body
            else:
                raise ConnectionResetError

    async def _next_event(
        self, connection: h11.Connection, reader: asyncio.StreamReader
    ) -> h11.Event | type[h11.PAUSED]:
        while True:
            try:
                event = connection.next_event()
            except h11.RemoteProtocolError as error:
                raise _RefusedError(self._turned_away(error.error_status_hint, "not-http")) from None
            if event is not h11.NEED_DATA:
                return event  # type: ignore[return-value]
            connection.receive_data(await reader.read(READ_SIZE_BYTES))

    async def _respond(self, connection: h11.Connection, writer: asyncio.StreamWriter, response: Response) -> None:
        headers = [
            ("Content-Type", response.content_type),
            ("Content-Length", str(len(response.body))),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            ("Connection", "close"),
        ]
        if connection.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            writer.write(connection.send(h11.Response(status_code=response.status, headers=headers)) or b"")
            writer.write(connection.send(h11.Data(data=response.body)) or b"")
            writer.write(connection.send(h11.EndOfMessage()) or b"")
        async with asyncio.timeout(self._limits.write_seconds):
            await writer.drain()

    @staticmethod
    async def _linger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Let a client that still sends read the response: a close would reset its connection first."""
        writer.write_eof()
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS_MAX):
                while await reader.read(READ_SIZE_BYTES):
                    pass

    def _turned_away(self, status: int, reason: str) -> Response:
        response = self._refuse(status, reason)
        return Response(status=status, body=response.body, content_type=response.content_type, refusal=reason)

    def _count(self, reason: str) -> None:
        times = self.refused[reason] = self.refused.get(reason, 0) + 1
        if times & (times - 1) == 0:  # the 1st, 2nd, 4th, 8th …: a flood must not fill the disk
            _LOG.warning("refused a request: %s (%d times so far)", reason, times)
