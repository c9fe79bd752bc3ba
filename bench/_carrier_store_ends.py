"""One end of ``bench.carrier_store``, in a process of its own; started and spoken to as ``bench._carrier_ends`` is.

``ours`` receives by the carrier of nodes and keeps what arrives as a node does, on one thread: it verifies a frame,
makes it durable and adds it to the index before it takes the next. ``bare`` receives by pyzmq and forgets.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import zmq

from bench._carrier_ends import RECEIVER, SENDER, Move, Receiving, Sending, Settings
from bench._packets import BITS, DAY, LAYOUT, frames_of, signed_packets
from fingerpost.carrier._zeromq import open_zeromq
from fingerpost.carrier.base import Address, CarrierOptions, Peer
from fingerpost.packet import RootCache, packet_ids, packets_from_frame, payloads, verify_packets
from fingerpost.store._lmdb import LmdbStore
from fingerpost.store.index import FingerprintIndex

SEED = 5
FRAME_PACKETS = 1_792  # seven batches of 256


class Keeper:
    """Keeps the packets of frames: a store in a folder, an index, and a memory of roots."""

    def __init__(self, folder: Path) -> None:
        self.store = LmdbStore(folder)
        self.index = FingerprintIndex(BITS)
        self.roots = RootCache()

    def keep(self, frame: bytes | memoryview) -> None:
        """Verify packets, make them durable, and make them searchable."""
        packets = packets_from_frame(frame)
        ids = packet_ids(packets)
        if not verify_packets(packets, cache=self.roots, ids=ids).all():
            raise AssertionError("a packet was refused")
        if self.store.add(packets, day=DAY, packet_ids=ids).any():
            raise AssertionError("a packet was not new")
        self.index.add(payloads(packets, LAYOUT)["fingerprint"], ids)


@asynccontextmanager
async def receive_ours(settings: Settings) -> AsyncIterator[tuple[Settings, Move]]:
    """Receive by the carrier, and keep."""
    carrier = await open_zeromq(_options(RECEIVER, listen="127.0.0.1:0"))
    with tempfile.TemporaryDirectory() as folder:
        keeper = Keeper(Path(folder))

        async def receive(frames: int) -> None:
            for _ in range(frames):
                keeper.keep((await carrier.receive()).frame)

        where = {"endpoint": carrier.address.endpoint, "channel_key": carrier.address.channel_key.hex()}
        yield where | settings, receive
        keeper.store.close()
    await carrier.close()


@asynccontextmanager
async def send_ours(where: Settings) -> AsyncIterator[Move]:
    """Send by the carrier."""
    carrier = await open_zeromq(_options(SENDER, listen=""))
    address = Address(endpoint=where["endpoint"], channel_key=bytes.fromhex(where["channel_key"]))
    to = Peer(public_key=RECEIVER.public_key, address=address)
    signed = iter(_frames(where))

    async def send(frames: int) -> None:
        for _ in range(frames):
            await carrier.send(next(signed), to=to)

    yield send
    await carrier.close()


@asynccontextmanager
async def receive_bare(settings: Settings) -> AsyncIterator[tuple[Settings, Move]]:
    """Receive by pyzmq."""
    with zmq.Context() as context, context.socket(zmq.PULL) as pull:
        where: Settings = {}
        if settings["encrypts"]:
            public, pull.curve_secretkey = zmq.curve_keypair()
            pull.curve_server = True
            where["key"] = public.decode()
        where["port"] = pull.bind_to_random_port("tcp://127.0.0.1")

        async def receive(frames: int) -> None:
            for _ in range(frames):
                pull.recv(copy=False)

        yield where | settings, receive


@asynccontextmanager
async def send_bare(where: Settings) -> AsyncIterator[Move]:
    """Send by pyzmq."""
    with zmq.Context() as context, context.socket(zmq.PUSH) as push:
        if "key" in where:
            push.curve_publickey, push.curve_secretkey = zmq.curve_keypair()
            push.curve_serverkey = where["key"].encode()
        push.connect(f"tcp://127.0.0.1:{where['port']}")
        signed = iter(_frames(where))

        async def send(frames: int) -> None:
            for _ in range(frames):
                push.send(next(signed), copy=False)

        yield send


def _frames(where: Settings) -> list[bytes]:
    """Return all frames of the measurement, each of them once: what came before would be a duplicate."""
    return frames_of(signed_packets(where["frames"] * FRAME_PACKETS, batch=256, seed=SEED))


def _options(identity: object, *, listen: str) -> CarrierOptions:
    return CarrierOptions(
        identity=identity,  # type: ignore[arg-type]
        network_id="bench",
        listen=listen,
        admits=lambda _public_key: True,
        settings={},
    )


def receiving(kind: str, settings: Settings) -> Receiving:
    """Return the receiving end of an arm."""
    return receive_ours(settings) if kind == "ours" else receive_bare(settings)


def sending(kind: str, where: Settings) -> Sending:
    """Return the sending end of an arm."""
    return send_ours(where) if kind == "ours" else send_bare(where)


async def main(role: str, arm: str, argument: str) -> None:
    """Be one end of an arm, ``ours/zeromq`` or ``bare/zeromq``, until standard input ends."""
    kind = arm.partition("/")[0]
    settings: Settings = json.loads(argument)
    if role == "receive":
        async with receiving(kind, settings) as (where, move):
            print(json.dumps(where), flush=True)
            await _obey(move)
    else:
        async with sending(kind, settings) as move:
            print("ready", flush=True)
            await _obey(move)


async def _obey(move: Move) -> None:
    while line := await asyncio.to_thread(sys.stdin.readline):
        await move(int(line))
        print("done", flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
