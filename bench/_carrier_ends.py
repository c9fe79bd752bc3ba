"""One end of a measurement of ``bench.carriers``, in a process of its own: it moves as many frames as it is told.

``python -m bench._carrier_ends receive ARM SETTINGS`` prints a line of JSON that says where it is, then counts as many
frames as each line of its standard input says and prints ``done``; ``send ARM WHERE`` sends as many. ``ours`` is the
carrier as a node uses it. Everything else is the bare library: one way, no identities, no bound on what waits beyond
the library's own.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import nats
import pyarrow as pa
import pyarrow.flight as flight
import zmq
from nats.aio.msg import Msg

from fingerpost.carrier._flight import open_flight_carrier
from fingerpost.carrier._grpc import open_grpc_carrier
from fingerpost.carrier._nats import open_nats_carrier
from fingerpost.carrier._tls import SERVER_NAME, make_tls_identity
from fingerpost.carrier._zeromq import open_zeromq, open_zeromq_unencrypted
from fingerpost.carrier.base import Address, Carrier, CarrierOptions, Peer
from fingerpost.limits import FRAME_SIZE_BYTES_MAX
from fingerpost.testing.channel_identities import NumberedIdentity

FRAME = bytes(FRAME_SIZE_BYTES_MAX)
SENDER, RECEIVER = NumberedIdentity(1), NumberedIdentity(2)

Settings = dict[str, Any]
Move = Callable[[int], Awaitable[None]]  # a number of frames
Sending = AbstractAsyncContextManager[Move]
Receiving = AbstractAsyncContextManager[tuple[Settings, Move]]  # where it is, and what waits for frames
Open = Callable[[CarrierOptions], Awaitable[Carrier]]

OURS: dict[str, Open] = {
    "zeromq": open_zeromq,
    "zeromq_unencrypted": open_zeromq_unencrypted,
    "grpc": open_grpc_carrier,
    "flight": open_flight_carrier,
    "nats": open_nats_carrier,
}
NO_PROXY = [("grpc.enable_http_proxy", 0)]
SIZES = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
NATS_SUBJECT, NATS_TAKEN = "bench", "bench.taken"
NATS_MESSAGES_AHEAD = 64


class Counter:
    """Counts frames on any thread; ``wait`` returns once so many have come since the last one."""

    def __init__(self) -> None:
        self._arrived = 0
        self._changed = threading.Condition()

    def add(self) -> None:
        """Count one frame."""
        with self._changed:
            self._arrived += 1
            self._changed.notify_all()

    async def wait(self, frames: int) -> None:
        """Wait for frames, and take them off the count."""
        await asyncio.to_thread(self._wait, frames)

    def _wait(self, frames: int) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._arrived >= frames)
            self._arrived -= frames


@asynccontextmanager
async def _receive_ours(name: str, settings: Settings) -> AsyncIterator[tuple[Settings, Move]]:
    carrier = await OURS[name](_options(RECEIVER, settings, listen="127.0.0.1:0"))

    async def receive(frames: int) -> None:
        for _ in range(frames):
            await carrier.receive()

    where = {"endpoint": carrier.address.endpoint, "channel_key": carrier.address.channel_key.hex()}
    yield where | {"settings": settings}, receive
    await carrier.close()


@asynccontextmanager
async def _send_ours(name: str, where: Settings) -> AsyncIterator[Move]:
    carrier = await OURS[name](_options(SENDER, where["settings"], listen=""))
    address = Address(endpoint=where["endpoint"], channel_key=bytes.fromhex(where["channel_key"]))
    to = Peer(public_key=RECEIVER.public_key, address=address)

    async def send(frames: int) -> None:
        for _ in range(frames):
            await carrier.send(FRAME, to=to)

    yield send
    await carrier.close()


def _options(identity: NumberedIdentity, settings: Settings, *, listen: str) -> CarrierOptions:
    return CarrierOptions(
        identity=identity, network_id="bench", listen=listen, admits=lambda _public_key: True, settings=settings
    )


@asynccontextmanager
async def _receive_zeromq(settings: Settings) -> AsyncIterator[tuple[Settings, Move]]:
    with zmq.Context() as context, context.socket(zmq.PULL) as pull:
        where: Settings = {}
        if settings["encrypts"]:
            public, secret = zmq.curve_keypair()
            pull.curve_secretkey = secret
            pull.curve_server = True
            where["key"] = public.decode()
        port = pull.bind_to_random_port("tcp://127.0.0.1")

        async def receive(frames: int) -> None:
            for _ in range(frames):
                pull.recv(copy=False)

        yield where | {"port": port}, receive


@asynccontextmanager
async def _send_zeromq(where: Settings) -> AsyncIterator[Move]:
    with zmq.Context() as context, context.socket(zmq.PUSH) as push:
        if "key" in where:
            push.curve_publickey, push.curve_secretkey = zmq.curve_keypair()
            push.curve_serverkey = where["key"].encode()
        push.connect(f"tcp://127.0.0.1:{where['port']}")

        async def send(frames: int) -> None:
            for _ in range(frames):
                push.send(FRAME, copy=False)

        yield send


@asynccontextmanager
async def _receive_grpc(settings: Settings) -> AsyncIterator[tuple[Settings, Move]]:
    counter = Counter()

    async def count(_requests: AsyncIterator[bytes], context: Any) -> None:
        while isinstance(await context.read(), bytes):
            counter.add()

    server = grpc.aio.server(options=SIZES)
    handler = grpc.stream_stream_rpc_method_handler(count)
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("bench", {"count": handler})])
    where = _tls_of(settings)
    if where:
        pair = (where["key"].encode(), where["certificate"].encode())
        where["port"] = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    else:
        where["port"] = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield where, counter.wait
    await server.stop(0)


@asynccontextmanager
async def _send_grpc(where: Settings) -> AsyncIterator[Move]:
    target = f"127.0.0.1:{where['port']}"
    options: list[tuple[str, object]] = [*SIZES, *NO_PROXY]
    if "certificate" in where:
        credentials = grpc.ssl_channel_credentials(where["certificate"].encode())
        options.append(("grpc.ssl_target_name_override", SERVER_NAME))
        channel = grpc.aio.secure_channel(target, credentials, options=options)
    else:
        channel = grpc.aio.insecure_channel(target, options=options)
    call: Any = channel.stream_stream("/bench/count")()

    async def send(frames: int) -> None:
        for _ in range(frames):
            await call.write(FRAME)

    yield send
    await call.done_writing()
    await channel.close()


class _FlightCounter(flight.FlightServerBase):  # type: ignore[misc]
    def __init__(self, counter: Counter, certificates: list[tuple[bytes, bytes]]) -> None:
        super().__init__(("127.0.0.1", 0), tls_certificates=certificates)
        self._counter = counter

    def do_put(self, context: Any, descriptor: Any, reader: Any, writer: Any) -> None:  # noqa: ARG002
        for _chunk in reader:
            self._counter.add()


@asynccontextmanager
async def _receive_flight(settings: Settings) -> AsyncIterator[tuple[Settings, Move]]:
    counter, where = Counter(), _tls_of(settings)
    certificates = [(where["certificate"].encode(), where["key"].encode())] if where else []
    server = _FlightCounter(counter, certificates)
    yield where | {"port": server.port}, counter.wait
    await asyncio.to_thread(server.shutdown)


@asynccontextmanager
async def _send_flight(where: Settings) -> AsyncIterator[Move]:
    is_secure = "certificate" in where
    trust = {"tls_root_certs": where["certificate"].encode(), "override_hostname": SERVER_NAME} if is_secure else {}
    scheme = "grpc+tls" if is_secure else "grpc+tcp"
    client = flight.connect(f"{scheme}://127.0.0.1:{where['port']}", generic_options=NO_PROXY, **trust)
    packets = pa.Array.from_buffers(pa.binary(512), len(FRAME) // 512, [None, pa.py_buffer(FRAME)])
    batch = pa.record_batch([packets], names=["packet"])
    writer, _answers = client.do_put(flight.FlightDescriptor.for_path("bench"), batch.schema)

    async def send(frames: int) -> None:
        for _ in range(frames):
            writer.write_batch(batch)

    yield send
    writer.close()
    client.close()


@asynccontextmanager
async def _receive_nats(settings: Settings) -> AsyncIterator[tuple[Settings, Move]]:
    client = await nats.connect(settings["servers"])
    subscription = await client.subscribe(NATS_SUBJECT)
    await client.flush()

    taken = itertools.count(1)

    async def receive(frames: int) -> None:
        for _ in range(frames * settings["messages_a_frame"]):
            await subscription.next_msg(timeout=30)
            if next(taken) % (NATS_MESSAGES_AHEAD // 2) == 0:
                await client.publish(NATS_TAKEN)

    yield settings, receive
    await client.close()


@asynccontextmanager
async def _send_nats(where: Settings) -> AsyncIterator[Move]:
    client = await nats.connect(where["servers"])
    message = FRAME[: len(FRAME) // where["messages_a_frame"]]
    room = asyncio.Semaphore(NATS_MESSAGES_AHEAD)

    async def note(_taken: Msg) -> None:
        for _ in range(NATS_MESSAGES_AHEAD // 2):
            room.release()

    await client.subscribe(NATS_TAKEN, cb=note)
    await client.flush()

    async def send(frames: int) -> None:
        for _ in range(frames * where["messages_a_frame"]):
            await room.acquire()
            await client.publish(NATS_SUBJECT, message)
        await client.flush()

    yield send
    await client.close()


def _tls_of(settings: Settings) -> Settings:
    """Return the kind of certificate and key that the carriers on TLS have, in PEM, or nothing."""
    if not settings["encrypts"]:
        return {}
    tls = make_tls_identity(RECEIVER, b"bench")
    return {"certificate": tls.certificate_pem.decode(), "key": tls.key_pem.decode()}


BARE: dict[str, tuple[Callable[[Settings], Receiving], Callable[[Settings], Sending]]] = {
    "zeromq": (_receive_zeromq, _send_zeromq),
    "grpc": (_receive_grpc, _send_grpc),
    "flight": (_receive_flight, _send_flight),
    "nats": (_receive_nats, _send_nats),
}


def _receiving(kind: str, name: str, settings: Settings) -> Receiving:
    return _receive_ours(name, settings) if kind == "ours" else BARE[name][0](settings)


def _sending(kind: str, name: str, where: Settings) -> Sending:
    return _send_ours(name, where) if kind == "ours" else BARE[name][1](where)


async def main(role: str, arm: str, argument: str) -> None:
    """Be one end of an arm, ``ours/NAME`` or ``bare/NAME``, until standard input ends."""
    kind, _, name = arm.partition("/")
    settings: Settings = json.loads(argument)
    if role == "receive":
        async with _receiving(kind, name, settings) as (where, move):
            print(json.dumps(where), flush=True)
            await _obey(move)
    else:
        async with _sending(kind, name, settings) as move:
            print("ready", flush=True)
            await _obey(move)


async def _obey(move: Move) -> None:
    while line := await asyncio.to_thread(sys.stdin.readline):
        await move(int(line))
        print("done", flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
