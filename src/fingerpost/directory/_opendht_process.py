"""Keeps the OpenDHT process of a node alive: starts it, asks it, and replaces it when it ends or stops answering."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from fingerpost.directory._opendht_wire import (
    Announce,
    Find,
    Ping,
    Reply,
    Request,
    Start,
    Stop,
    Withdraw,
    read_bytes,
    to_bytes,
)
from fingerpost.errors import NetworkError

CHILD = "fingerpost.directory._opendht_child"
START_SECONDS_MAX = 20.0
HEARTBEAT_SECONDS = 2.0
SILENCE_SECONDS_MAX = 5.0  # after which a process that does not answer is replaced
STOP_SECONDS_MAX = 5.0
END_SECONDS_MAX = 1.0  # between the end of a process's output and that of the process
BACK_OFF_SECONDS = 0.2  # before the first restart, doubled for each one that did not last
BACK_OFF_SECONDS_MAX = 15.0
LASTED_SECONDS = 30.0  # a process that ran so long was sound: back-off starts anew


class ChildProcess:
    """One process and the requests that wait for it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        if process.stdin is None or process.stdout is None:
            raise AssertionError("the process was started with pipes")
        self.pid = process.pid
        self.gone = asyncio.Event()
        self._process = process
        self._input = process.stdin
        self._waiting: dict[int, asyncio.Future[Reply]] = {}
        self._asked = 0
        self._reader = asyncio.create_task(self._read(process.stdout))

    @classmethod
    async def start(cls) -> ChildProcess:
        """Start the process; it opens no node yet. Raises ``OSError``."""
        above = str(Path(__file__).parents[2])
        path = os.pathsep.join(filter(None, [above, os.environ.get("PYTHONPATH", "")]))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", CHILD, str(os.getpid())),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": path},
            start_new_session=True,  # an interrupt from the terminal is for the node, which then stops this
        )
        return cls(process)

    async def ask(self, body: Start | Announce | Withdraw | Find | Ping | Stop, *, seconds: float) -> Reply:
        """Return the reply. Raises ``NetworkError`` (``directory-unreachable``) when none comes in time."""
        self._asked += 1
        number = self._asked
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[number] = reply
        try:
            async with asyncio.timeout(seconds):
                if self.gone.is_set():
                    raise ConnectionError
                self._input.write(to_bytes(Request(number, body)))
                await self._input.drain()
                return await reply
        except TimeoutError:
            raise NetworkError(
                "directory-unreachable", f"the OpenDHT process gave no answer within {seconds:g} s"
            ) from None
        except ConnectionError:
            raise NetworkError("directory-unreachable", "the OpenDHT process ended before it answered") from None
        finally:
            self._waiting.pop(number, None)

    async def end(self) -> int:
        """Kill the process, if it still runs, and forget it; return how it ended."""
        if (
            self.gone.is_set()
        ):  # It is ending by itself: a signal now may take its status away from asyncio, which warns.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(END_SECONDS_MAX):
                    await self._process.wait()
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        status = await self._process.wait()
        await self._reader
        self._input.close()
        with contextlib.suppress(ConnectionError):
            await self._input.wait_closed()
        return status

    async def ended(self, *, seconds: float) -> bool:
        """Wait for the process to end by itself; return whether it did."""
        try:
            async with asyncio.timeout(seconds):
                await self.gone.wait()
        except TimeoutError:
            return False
        return True

    async def _read(self, output: asyncio.StreamReader) -> None:
        decoder = msgspec.msgpack.Decoder(Reply)
        try:
            while True:
                reply = decoder.decode(await read_bytes(output))
                waiting = self._waiting.get(reply.number)
                if waiting is not None and not waiting.done():
                    waiting.set_result(reply)
        except (asyncio.IncompleteReadError, ConnectionError, ValueError, msgspec.DecodeError):
            self.gone.set()
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(ConnectionError())


class Supervisor:
    """Has one process at a time; ``start`` says what the next one is started with, ``started`` hears of each reply."""

    def __init__(self, *, start: Callable[[], Start], started: Callable[[Reply], None]) -> None:
        self.restarts = 0
        self._start = start
        self._started = started
        self._child: ChildProcess | None = None
        self._up = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def pid(self) -> int | None:
        """Return the id of the process, or None while there is none."""
        return self._child.pid if self._child is not None else None

    async def open(self) -> None:
        """Start the first process. Raises ``NetworkError`` (``directory-unavailable``) when that fails."""
        self._keeper = asyncio.create_task(self._keep(await self._launch()))

    async def ask(self, body: Announce | Withdraw | Find, *, seconds: float, patience: float) -> Reply:
        """Ask the process, waiting up to ``patience`` seconds for one; both together bound this call.

        Raises ``NetworkError`` (``directory-unreachable``) when no reply comes, or one that says it failed.
        """
        try:
            async with asyncio.timeout(patience):
                await self._up.wait()
        except TimeoutError:
            raise NetworkError("directory-unreachable", "the OpenDHT process is being started again") from None
        child = self._child
        if child is None:
            raise NetworkError("directory-unreachable", "the OpenDHT process ended")
        reply = await child.ask(body, seconds=seconds)
        if reply.error:
            raise NetworkError("directory-unreachable", f"the OpenDHT process failed: {reply.error}")
        return reply

    async def close(self) -> None:
        """Let the process leave the network, and kill it when that takes too long."""
        self._closed = True
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None
        child, self._child = self._child, None
        self._up.clear()
        if child is not None:
            with contextlib.suppress(NetworkError):
                await child.ask(Stop(), seconds=STOP_SECONDS_MAX)
                await child.ended(seconds=1.0)
            await child.end()

    async def _launch(self) -> ChildProcess:
        try:
            child = await ChildProcess.start()
        except OSError as error:
            raise NetworkError("directory-unavailable", f"the OpenDHT process cannot be started: {error}") from None
        try:
            reply = await child.ask(self._start(), seconds=START_SECONDS_MAX)
            if reply.error:
                raise NetworkError(
                    "directory-unavailable",
                    f"OpenDHT cannot be started: {reply.error}",
                    hint="choose another 'port' or 'bind', or the static directory where OpenDHT is not to be had",
                )
        except BaseException as error:
            await child.end()
            if isinstance(error, NetworkError) and error.code != "directory-unavailable":
                raise NetworkError("directory-unavailable", f"OpenDHT cannot be started: {error.message}") from None
            raise
        self._child = child
        self._started(reply)
        self._up.set()
        return child

    async def _keep(self, child: ChildProcess) -> None:
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            began = loop.time()
            try:
                await self._watch(child)
            finally:
                if not self._closed:  # else ``close`` ends it, in peace
                    self._up.clear()
                    await child.end()
                    self._child = None
            failures = 0 if loop.time() - began > LASTED_SECONDS else failures + 1
            while True:
                pause = min(BACK_OFF_SECONDS * 2**failures, BACK_OFF_SECONDS_MAX)
                await asyncio.sleep(pause * (0.5 + secrets.randbelow(1_024) / 1_024))
                try:
                    child = await self._launch()
                    break
                except NetworkError:
                    failures = min(failures + 1, 16)
            self.restarts += 1

    async def _watch(self, child: ChildProcess) -> None:
        """Return when the process has ended or does not answer any more."""
        while not await child.ended(seconds=HEARTBEAT_SECONDS):
            try:
                await child.ask(Ping(), seconds=SILENCE_SECONDS_MAX)
            except NetworkError:
                return
