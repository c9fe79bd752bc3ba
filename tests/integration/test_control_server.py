"""The control server over real sockets: whoever is slow, large, many or not speaking HTTP is cut off and counted."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fingerpost.node.daemon import server as server_module
from fingerpost.node.daemon.api import refusal
from fingerpost.node.daemon.server import ControlServer, Limits, Request, Response

PATIENCE_SECONDS = 30.0  # of a test with a server that should have answered; nothing is measured by it
Talk = Callable[..., Coroutine[Any, Any, bytes]]


@asynccontextmanager
async def serving(
    *, answer: Callable[[Request], Awaitable[Response]] | None = None, limits: Limits | None = None
) -> AsyncIterator[tuple[ControlServer, Talk]]:
    async def echo(request: Request) -> Response:
        return Response(status=200, body=request.body, content_type="text/plain")

    server = ControlServer(
        check=lambda request: refusal(401, "token") if request.target == "/secret" else None,
        answer=answer or echo,
        refuse=refusal,
        limits=limits,
    )
    host, port = await server.open("127.0.0.1", 0)

    async def talk(*pieces: bytes, half_close: bool = False) -> bytes:
        """Send pieces and return everything that comes back until the server hangs up."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            reader, writer = await asyncio.open_connection(host, port)
            with contextlib.suppress(ConnectionError):
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                if half_close:
                    writer.write_eof()
            try:
                return await reader.read()
            finally:
                writer.close()
                with contextlib.suppress(ConnectionError):
                    await writer.wait_closed()

    try:
        yield server, talk
    finally:
        await server.close()


def post(body: bytes, *, path: str = "/", more: bytes = b"") -> bytes:
    return (b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n%s\r\n" % (path.encode(), len(body), more)) + body


def test_a_request_is_answered_whole_or_in_pieces() -> None:
    async def run() -> None:
        body = bytes(range(256)) * 4_096
        async with serving() as (server, talk):
            whole = await talk(post(body))
            head, _, content = whole.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            assert content == body
            message = post(body[:1_000])
            assert (await talk(*(message[n : n + 1] for n in range(len(message))))).endswith(body[:1_000])
            chunked = (
                b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
            )
            assert (await talk(chunked)).endswith(b"abcde")
            waiting = await talk(post(b"late", more=b"Expect: 100-continue\r\n"))
            assert waiting.startswith(b"HTTP/1.1 100")
            assert waiting.endswith(b"late")
            assert server.refused == {}

    asyncio.run(run())


@pytest.mark.parametrize(
    ("pieces", "status", "reason"),
    [
        ([b"\x00\x01\x02\r\n\r\n"], 400, "not-http"),
        ([b"GET / HTTP/1.1\r\n\r\n"], 400, "not-http"),
        ([b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n"], 400, "not-http"),
        (
            [b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n!\r\n"],
            400,
            "not-http",
        ),
        ([b"GET /" + b"a" * 20_000], 431, "not-http"),
        ([b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 5_000], 431, "not-http"),
        ([b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n"], 413, "too-large"),
        ([b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 20 + b"\r\n\r\n"], 413, "too-large"),
        ([b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 9_000 + b"\r\n\r\n"], 400, "not-http"),
        (
            [b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", b"3e9\r\n" + b"x" * 1_001 + b"\r\n"],
            413,
            "too-large",
        ),
        ([post(b"x" * 900, path="/secret")], 401, "token"),
        ([b"POST /secret HTTP/1.1\r\nHost: x\r\nContent-Length: 999\r\n\r\n"], 401, "token"),
    ],
)
def test_what_is_no_good_request_is_refused_with_a_reason_and_counted(
    pieces: list[bytes], status: int, reason: str
) -> None:
    async def run() -> None:
        async with serving(limits=Limits(body_bytes=1_000)) as (server, talk):
            answer = await talk(*pieces, half_close=True)
            assert answer.startswith(b"HTTP/1.1 %d" % status), answer[:80]
            assert b'"code":"control-%s"' % reason.encode() in answer
            assert server.refused == {reason: 1}
            assert (await talk(post(b"fine"))).endswith(b"fine")

    asyncio.run(run())


@pytest.mark.parametrize(
    ("pieces", "reason"),
    [
        ([b""], "head-slow"),
        ([b"GET / HT"], "head-slow"),
        ([b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc"], "body-slow"),
    ],
)
def test_a_client_that_stops_in_the_middle_is_cut_off(pieces: list[bytes], reason: str) -> None:
    async def run() -> None:
        async with serving(limits=Limits(head_seconds=0.1, body_seconds=0.1)) as (server, talk):
            answer = await talk(*pieces)
            assert answer.startswith(b"HTTP/1.1 408")
            assert server.refused == {reason: 1}
            assert (await talk(post(b"fine"))).endswith(b"fine")

    asyncio.run(run())


def test_a_client_that_does_not_read_its_answer_is_cut_off() -> None:
    async def big(_request: Request) -> Response:
        return Response(status=200, body=bytes(64_000_000))

    async def run() -> None:
        async with serving(answer=big, limits=Limits(write_seconds=0.1)) as (server, talk):
            host, port = server_address(server)
            reader, writer = await asyncio.open_connection(host, port, limit=1)
            writer.write(post(b""))
            async with asyncio.timeout(PATIENCE_SECONDS):
                while "client-gone" not in server.refused:
                    await asyncio.sleep(0.01)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
            del reader
            assert (await talk(post(b""))).startswith(b"HTTP/1.1 200")

    asyncio.run(run())


def test_a_client_that_leaves_early_does_no_harm() -> None:
    async def run() -> None:
        async with serving() as (_, talk):
            assert await talk(half_close=True) == b""
            await talk(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc", half_close=True)
            assert (await talk(post(b"fine"))).endswith(b"fine")

    asyncio.run(run())


def test_only_so_many_are_served_at_once() -> None:
    async def run() -> None:
        release, begun = asyncio.Event(), asyncio.Semaphore(0)

        async def wait(_request: Request) -> Response:
            begun.release()
            await release.wait()
            return Response(status=200, body=b"served")

        async with serving(answer=wait, limits=Limits(connections=2)) as (server, talk):
            served = [asyncio.create_task(talk(post(b""))) for _ in range(2)]
            for _ in served:
                await begun.acquire()
            turned_away = await talk(post(b""))
            assert turned_away.startswith(b"HTTP/1.1 503")
            assert b"control-busy" in turned_away
            assert server.refused == {"busy": 1}
            release.set()
            assert all(answer.endswith(b"served") for answer in await asyncio.gather(*served))
            assert (await talk(post(b""))).endswith(b"served")

    asyncio.run(run())


def test_closing_cuts_off_what_does_not_finish(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(server_module, "FINISH_SECONDS_MAX", 0.05)

    async def run() -> None:
        begun = asyncio.Event()

        async def wait(_request: Request) -> Response:
            begun.set()
            never: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
            return await never

        async with serving(answer=wait) as (server, talk):
            waiting = asyncio.create_task(talk(post(b"")))
            await begun.wait()
            await server.close()
            assert await waiting == b""

    asyncio.run(run())
    assert not caplog.records


def test_closing_lets_what_is_being_answered_finish_and_takes_nothing_new() -> None:
    async def run() -> None:
        begun, release = asyncio.Event(), asyncio.Event()

        async def wait(_request: Request) -> Response:
            begun.set()
            await release.wait()
            return Response(status=200, body=b"finished")

        async with serving(answer=wait) as (server, talk):
            waiting = asyncio.create_task(talk(post(b"")))
            await begun.wait()
            closing = asyncio.create_task(server.close())
            await asyncio.sleep(0)
            with pytest.raises(ConnectionError):
                await talk(post(b""))
            assert not closing.done()
            release.set()
            assert (await waiting).endswith(b"finished")
            await closing

    asyncio.run(run())


def server_address(server: ControlServer) -> tuple[str, int]:
    assert server._server is not None
    host, port = server._server.sockets[0].getsockname()
    return host, port
