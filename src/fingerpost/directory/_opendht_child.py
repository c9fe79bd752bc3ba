"""The process in which OpenDHT runs: ``python -m fingerpost.directory._opendht_child PARENT``, PARENT a process id.

The binding can stop the whole interpreter: it holds the interpreter's lock while it waits for its own, and its threads
the other way round. So it lives here, where a parent may kill it. What is never called for that reason, with or without
operations under way: getBound, getStorageLog, getRoutingTablesLog, getSearchesLog, getNodeMessageStats; and the runner
is never garbage collected. A port that is taken aborts the process, so ports are tried first.

The process ends when its input ends, when its parent dies, or on ``Stop``.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import hashlib
import os
import secrets
import signal
import socket
import sys
import traceback
from collections import deque
from typing import Any

import msgspec

from fingerpost.directory._opendht_meeting import Meeting
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
from fingerpost.directory.reading import VALUES_READ_MAX, RegionReading
from fingerpost.directory.record import encode_record
from fingerpost.directory.region import Region
from fingerpost.errors import FingerpostError
from fingerpost.ids import PublicKey, TemplateId
from fingerpost.limits import RECORD_SIZE_BYTES_MAX

PUT_SECONDS_MAX = 4.0
PUT_AGAIN_SECONDS = 2.0  # after a put that no other node took: this one is alone for now
FIND_SECONDS_MAX = 4.0  # the wait for somebody to be met included
QUIET_SECONDS = 0.25  # after values have come, how long to wait for more: nodes that died answer nothing
LONE_TRIES = 3
LONE_PAUSE_SECONDS = 0.25
READ_BYTES_MAX = 32 << 20  # of one region in one look-up
CLOSE_SECONDS_MAX = 2.0
IDENTITY_BITS = 2_048
NODES_TOLD_MAX = 8
VERIFIED_MAX = 8_192

_RUNNERS: list[Any] = []  # a runner that is garbage collected can stop the interpreter


class Stream:
    """One running look-up: values come in on a thread of OpenDHT and are taken out on the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.changed = asyncio.Event()
        self.values: deque[bytes] = deque()
        self.oversized = 0
        self.nodes: list[str] = []
        self.done: bool | None = None
        self._loop = loop
        self._closed = False
        self._values_left = VALUES_READ_MAX
        self._bytes_left = READ_BYTES_MAX

    def on_value(self, value: Any) -> bool:
        """Take a value; say whether OpenDHT shall go on. An exception here would be lost and the reader wait."""
        with contextlib.suppress(Exception):
            if self._closed or self._values_left <= 0 or self._bytes_left <= 0:
                return False
            data = value.data
            self._values_left -= 1
            self._bytes_left -= len(data)
            if len(data) > RECORD_SIZE_BYTES_MAX:
                self.oversized += 1
            elif data:  # an empty value is a record withdrawn
                self.values.append(data)
            self._loop.call_soon_threadsafe(self.changed.set)
        return True

    def on_done(self, ok: Any, nodes: Any) -> None:
        """Note the end, and who answered."""
        with contextlib.suppress(Exception):
            self.nodes = [entry.getNode().getAddr().decode() for entry in list(nodes)[:NODES_TOLD_MAX]]
        self.done = bool(ok)
        with contextlib.suppress(RuntimeError):  # the loop may be gone
            self._loop.call_soon_threadsafe(self.changed.set)

    def close(self) -> None:
        """Take no more values."""
        self._closed = True


class DhtNode:
    """One OpenDHT node, with the records it publishes.

    Its RSA key is made anew for each process, for the binding can neither store nor load one. The id of a value is
    drawn from a secret of the process and the holder, so within a process a later record replaces the earlier one
    in place, and nobody can take the id of a value before it is published. What an earlier process published stays
    until it expires; readers take the latest record of each holder.
    """

    def __init__(self, start: Start) -> None:
        import opendht

        self._opendht = opendht
        self._loop = asyncio.get_running_loop()
        self._secret = secrets.token_bytes(32)
        self._values: dict[tuple[bytes, bytes], Any] = {}
        self._records: dict[tuple[bytes, bytes], bytes] = {}
        self._locks: dict[tuple[bytes, bytes], asyncio.Lock] = {}
        self._kept_for_later: set[tuple[bytes, bytes]] = set()
        self._under_way = 0
        self._verified: dict[bytes, Any] = {}
        self.port = usable_port(start.bind, start.port)
        config = opendht.DhtConfig()
        config.setIdentity(opendht.Identity.generate("fingerpost", opendht.Identity(), IDENTITY_BITS))
        config.setNetwork(start.network)
        config.setMaintainStorage(True)
        config.setPeerDiscovery(start.lan_discovery, start.lan_discovery)
        if start.bind in {"127.0.0.1", "::1"}:
            config.setRateLimit(-1, -1)  # by default an address may ask 1,024 times a second, all of loopback together
        self._dht = opendht.DhtRunner()
        _RUNNERS.append(self._dht)
        v4, v6 = ("", start.bind) if ":" in start.bind else (start.bind, "")
        self._dht.run(port=self.port, ipv4=v4, ipv6=v6, config=config)
        self._meeting = Meeting(self._dht, start.bootstrap, bind=start.bind)
        self._again = self._loop.create_task(self._put_again())

    async def announce(self, request: Announce) -> None:
        """Publish a record; when no other node takes it yet, go on trying."""
        place = request.region_key, request.holder
        self._records[place] = request.record
        await self._publish(place)

    async def withdraw(self, request: Withdraw) -> None:
        """Stop publishing, and overwrite what others keep with an empty value."""
        place = request.region_key, request.holder
        self._records.pop(place, None)
        self._kept_for_later.discard(place)
        await self._meeting.settled()
        async with self._locks.setdefault(place, asyncio.Lock()):
            value = self._values.pop(place, None)
            if value is not None and place not in self._records:
                self._dht.cancelPut(self._key(place[0]), value)
                await self._put(place, b"", permanent=False)

    async def find(self, request: Find) -> Reply:
        """Read a region, until every node answered, or no more values come for a short time, or time is over."""
        deadline = self._loop.time() + FIND_SECONDS_MAX
        await self._meeting.settled()
        region = Region(template_id=TemplateId(request.template_id), depth=request.depth, prefix=request.prefix)
        reading = RegionReading(
            region,
            network_id=request.network_id,
            now=request.now,
            salt=self._secret,
            known=[PublicKey(key) for key in request.known],
            verified=self._verified,
        )
        key = self._key(region.key(request.network_id))
        for tries_left in reversed(range(LONE_TRIES)):
            stream, taken = await self._stream(key, reading, deadline)
            if stream.done is not False or taken or not tries_left:
                break
            await asyncio.sleep(LONE_PAUSE_SECONDS)
        if stream.oversized:
            reading.refused["record-invalid"] = reading.refused.get("record-invalid", 0) + stream.oversized
        records = [encode_record(record) for record in reading.records()]
        self._remember(reading)
        complete = stream.done is True and not reading.cut_short
        return Reply(0, records=records, refused=reading.refused, complete=complete, nodes=stream.nodes)

    async def close(self) -> bool:
        """Leave the network; return whether nothing is under way any more, so that the threads could be joined."""
        self._again.cancel()
        self._meeting.close()
        deadline = self._loop.time() + CLOSE_SECONDS_MAX
        while self._under_way:
            if self._loop.time() > deadline:
                return False
            await asyncio.sleep(0.02)
        left = asyncio.Event()
        self._dht.shutdown(lambda: self._loop.call_soon_threadsafe(left.set))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS_MAX):
                await left.wait()
        if self._meeting.is_under_way:  # a node that does not answer is waited for so long
            return False
        await asyncio.sleep(0.1)
        self._dht.join()
        return True

    async def _stream(self, key: Any, reading: RegionReading, deadline: float) -> tuple[Stream, int]:
        stream, taken = Stream(self._loop), 0
        self._begin_get(key, stream)
        while stream.done is None or stream.values:
            while stream.values:
                taken += 1
                if not reading.add(stream.values.popleft()):
                    stream.close()
                    return stream, taken
            stream.changed.clear()
            if stream.done is not None or stream.values:
                continue
            patience = min(QUIET_SECONDS if taken else FIND_SECONDS_MAX, deadline - self._loop.time())
            try:
                async with asyncio.timeout(max(patience, 0)):
                    await stream.changed.wait()
            except TimeoutError:
                break
        stream.close()
        return stream, taken

    def _begin_get(self, key: Any, stream: Stream) -> None:
        def on_done(ok: Any, nodes: Any) -> None:
            self._end_operation()
            stream.on_done(ok, nodes)

        self._under_way += 1
        self._dht.get(key, stream.on_value, on_done)

    async def _publish(self, place: tuple[bytes, bytes]) -> None:
        await self._meeting.settled()
        async with self._locks.setdefault(place, asyncio.Lock()):
            record = self._records.get(place)
            if record is None:
                return
            if await self._put(place, record, permanent=True):
                self._kept_for_later.discard(place)
            else:
                self._kept_for_later.add(place)

    async def _put(self, place: tuple[bytes, bytes], data: bytes, *, permanent: bool) -> bool:
        """Publish a signed value; return whether another node has it. Without one OpenDHT keeps it itself."""
        value = self._opendht.Value(data)
        value.id = int.from_bytes(hashlib.blake2s(b"".join(place), key=self._secret).digest()[:8], "big") or 1
        if permanent:
            self._values[place] = value
        done: asyncio.Future[bool] = self._loop.create_future()

        def on_done(ok: Any, _nodes: Any) -> None:
            self._end_operation()
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(settle, done, bool(ok))

        self._under_way += 1
        self._dht.putSigned(self._key(place[0]), value, on_done, permanent)
        try:
            async with asyncio.timeout(PUT_SECONDS_MAX):
                return await done
        except TimeoutError:
            return False

    async def _put_again(self) -> None:
        while True:
            await asyncio.sleep(PUT_AGAIN_SECONDS * (0.75 + secrets.randbelow(512) / 1_024))
            for place in list(self._kept_for_later):
                await self._publish(place)

    def _end_operation(self) -> None:
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._count_down)

    def _count_down(self) -> None:
        self._under_way -= 1

    def _key(self, region_key: bytes) -> Any:
        return self._opendht.InfoHash.get(region_key.hex())

    def _remember(self, reading: RegionReading) -> None:
        """Keep which values verified, so that the next look-up need not check them again."""
        for encoded, record in reading.checked.items():
            self._verified.pop(encoded, None)
            self._verified[encoded] = record
        while len(self._verified) > VERIFIED_MAX:
            del self._verified[next(iter(self._verified))]


class Server:
    """Reads requests and answers each in its own time."""

    def __init__(self, reader: asyncio.StreamReader, output: int) -> None:
        self._reader = reader
        self._output = output
        self._node: DhtNode | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serve until the input ends or ``Stop`` is answered."""
        decoder = msgspec.msgpack.Decoder(Request)
        while True:
            try:
                request = decoder.decode(await read_bytes(self._reader))
            except (asyncio.IncompleteReadError, ConnectionError):
                return
            if isinstance(request.body, Stop):
                if self._node is not None:
                    await self._node.close()
                self._send(Reply(request.number))
                return
            task = asyncio.create_task(self._answer(request))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _answer(self, request: Request) -> None:
        try:
            reply = await self._reply(request.body)
        except (FingerpostError, ImportError, OSError, RuntimeError, ValueError) as error:
            reply = Reply(0, error=f"{type(error).__name__}: {error}")
        self._send(msgspec.structs.replace(reply, number=request.number))

    async def _reply(self, body: Start | Announce | Withdraw | Find | Ping | Stop) -> Reply:
        if isinstance(body, Ping):
            return Reply(0)
        if isinstance(body, Start):
            self._node = DhtNode(body)
            return Reply(0, port=self._node.port)
        if self._node is None:
            raise RuntimeError("a request before the node was started")
        if isinstance(body, Find):
            return await self._node.find(body)
        if isinstance(body, Announce):
            await self._node.announce(body)
        elif isinstance(body, Withdraw):
            await self._node.withdraw(body)
        return Reply(0)

    def _send(self, reply: Reply) -> None:
        """Write a reply, waiting for the parent: one that does not read has no use for this process."""
        encoded = memoryview(to_bytes(reply))
        while encoded:
            encoded = encoded[os.write(self._output, encoded) :]


def settle(future: asyncio.Future[Any], result: Any) -> None:
    """Give a future its result, unless whoever waited has gone."""
    if not future.done():
        future.set_result(result)


def usable_port(bind: str, port: int) -> int:
    """Return ``port``, or a free one for 0. Raises ``OSError`` when it is taken."""
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.bind((bind, port))
        return int(probe.getsockname()[1])


def die_with(parent: int) -> None:
    """Let the kernel kill this process when its parent dies; end it when that has happened already."""
    ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGKILL)  # 1 is PR_SET_PDEATHSIG
    if os.getppid() != parent:
        os._exit(1)


async def serve(input_: int, output: int) -> None:
    """Serve requests that come in on one file descriptor, with replies on another."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 21)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(input_, "rb", buffering=0))
    await Server(reader, output).run()


def main() -> None:
    """Run, and leave without the interpreter's farewell, in which a runner could be collected."""
    die_with(int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent says when to stop
    output = os.dup(1)
    os.dup2(2, 1)  # whatever a library prints must not land among the replies
    status = 1
    try:
        asyncio.run(serve(os.dup(0), output))
        status = 0
    except Exception:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    main()
