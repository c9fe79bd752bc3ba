"""Raw sockets against a real ZeroMQ carrier: each attack ends in a counted refusal, and a good peer is served on."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import zmq
import zmq.asyncio

from fingerpost.carrier._zeromq import open_zeromq, open_zeromq_unencrypted
from fingerpost.carrier._zeromq_hello import Channel, opening
from fingerpost.carrier._zeromq_sockets import Security, pending_events
from fingerpost.carrier.base import Address, Carrier, CarrierOptions, Peer
from fingerpost.errors import NetworkError
from fingerpost.limits import FRAME_SIZE_BYTES_MAX
from fingerpost.testing.channel_identities import NumberedIdentity
from tests.faults.hostile_peers import carrier_log, require_logged

LISTENER, GOOD, HOSTILE, STRANGER = (NumberedIdentity(number) for number in range(1, 5))
PATIENCE_SECONDS = 30.0
GREETING = bytes.fromhex("ff00000000000000017f") + b"\x03"  # what a ZMTP 3 peer sends before it names its mechanism
BOTH = pytest.mark.parametrize("open_carrier", [open_zeromq, open_zeromq_unencrypted], ids=["curve", "unencrypted"])


@dataclass
class Scene:
    """A listener that answers every frame with the same frame, and a good peer that is connected to it."""

    open_carrier: Callable[[CarrierOptions], Awaitable[Carrier]]
    listener: Carrier
    good: Carrier
    stack: AsyncExitStack
    pings: int = 0
    answered: int = 0

    @property
    def host_and_port(self) -> tuple[str, int]:
        host, port = self.listener.address.endpoint.split(":")
        return host, int(port)

    def refused(self, reason: str) -> int:
        return self.listener.counts.refused.get(reason, 0)

    async def until_refused(self, reason: str, times: int = 1) -> None:
        while self.refused(reason) < times:
            await asyncio.sleep(0.02)

    async def answer_everyone(self) -> None:
        while True:
            delivery = await self.listener.receive()
            self.answered += 1
            try:
                await self.listener.send(delivery.frame, to=Peer(public_key=delivery.sender))
            except NetworkError as error:
                if error.code != "carrier-unreachable":
                    raise

    async def ping(self, carrier: Carrier) -> None:
        self.pings += 1
        frame = b"ping %d" % self.pings
        await carrier.send(frame, to=Peer(public_key=LISTENER.public_key, address=self.listener.address))
        assert (await carrier.receive()).frame == frame


def check_service_under(
    attack: Callable[[Scene], Coroutine[Any, Any, None]],
    open_carrier: Callable[[CarrierOptions], Awaitable[Carrier]] = open_zeromq,
    **settings: float,
) -> None:
    """Run an attack while a good peer asks; it and another one must be answered afterwards, and refusals logged."""

    async def keep_asking(scene: Scene) -> None:
        while True:
            await scene.ping(scene.good)
            await asyncio.sleep(0.01)

    async def run() -> None:
        async with asyncio.timeout(2 * PATIENCE_SECONDS), AsyncExitStack() as stack:
            listener = await open_carrier(options(LISTENER, "127.0.0.1:0", **settings))
            stack.push_async_callback(listener.close)
            good = await open_carrier(options(GOOD))
            stack.push_async_callback(good.close)
            scene = Scene(open_carrier, listener, good, stack)
            answering = asyncio.create_task(scene.answer_everyone())
            stack.callback(answering.cancel)
            await scene.ping(good)
            asking = asyncio.create_task(keep_asking(scene))
            stack.callback(asking.cancel)
            await asyncio.wait_for(attack(scene), PATIENCE_SECONDS)
            pings = scene.pings
            while scene.pings < pings + 3:
                assert not asking.done()
                assert not answering.done()
                await asyncio.sleep(0.01)
            late = await open_carrier(options(NumberedIdentity(9)))
            stack.push_async_callback(late.close)
            await scene.ping(late)
            require_logged(listener, lines)

    with carrier_log() as lines:
        asyncio.run(run())


def options(identity: NumberedIdentity, listen: str = "", **settings: float) -> CarrierOptions:
    return CarrierOptions(
        identity=identity,
        network_id="hostile",
        listen=listen,
        admits=lambda public_key: public_key != STRANGER.public_key,
        settings=settings,
    )


class RawPeer:
    """A DEALER that does what it is told. Its own CURVE key is that of ``curve``, and it looks for ``server_key``."""

    def __init__(self, scene: Scene, *, curve: NumberedIdentity = HOSTILE, server_key: bytes | None = None) -> None:
        self.scene = scene
        self.encrypts = scene.open_carrier is open_zeromq
        self.security = Security.of(curve) if self.encrypts else Security()
        self.context = zmq.asyncio.Context()
        self.dealer = self.context.socket(zmq.DEALER)
        self.dealer.linger = 0
        self.dealer.reconnect_ivl = -1
        key = scene.listener.address.channel_key if server_key is None else server_key
        self.security.protect_opener(self.dealer, key)
        self.monitor = self.dealer.get_monitor_socket()
        self.dealer.connect(f"tcp://{scene.listener.address.endpoint}")

    def channel(self, nonce: bytes) -> Channel:
        return Channel(
            carrier="zeromq" if self.encrypts else "zeromq-unencrypted",
            network_id="hostile",
            opener_key=self.security.public,
            listener_key=self.scene.listener.address.channel_key,
            listener=LISTENER.public_key,
            nonce=nonce,
        )

    async def challenge(self, nonce: bytes) -> bytes:
        await self.dealer.send(opening(nonce))
        return await self.dealer.recv()

    async def prove(self, identity: NumberedIdentity, nonce: bytes = b"n" * 32) -> bytes:
        """Say a right hello and return the proof that was shown."""
        proof = self.channel(nonce).prove_opener(identity, await self.challenge(nonce))
        await self.dealer.send(proof)
        return proof

    async def join(self, identity: NumberedIdentity = HOSTILE) -> None:
        await self.prove(identity)
        assert self.channel(b"n" * 32).check_listener(await self.dealer.recv()) == LISTENER.public_key

    async def until_cut(self) -> None:
        while zmq.Event.DISCONNECTED not in [event for event, _ in pending_events(self.monitor)]:
            await asyncio.sleep(0.02)

    def close(self) -> None:
        self.monitor.close(linger=0)
        self.dealer.close(linger=0)
        self.context.term()


@asynccontextmanager
async def raw_peer(scene: Scene, **choices: Any) -> AsyncIterator[RawPeer]:
    peer = RawPeer(scene, **choices)
    try:
        yield peer
    finally:
        peer.close()


async def until_closed(connection: socket.socket) -> None:
    """Wait until the other end has closed a TCP connection, whatever it says before."""
    loop = asyncio.get_running_loop()
    try:
        while await loop.sock_recv(connection, 4_096):
            pass
    except ConnectionError:
        pass
    connection.close()


async def connect(scene: Scene) -> socket.socket:
    connection = socket.socket()
    connection.setblocking(False)
    await asyncio.get_running_loop().sock_connect(connection, scene.host_and_port)
    return connection


@BOTH
def test_garbage_bytes_end_the_connection_and_are_counted(open_carrier) -> None:
    async def attack(scene: Scene) -> None:
        loop = asyncio.get_running_loop()
        for garbage in (os.urandom(4_096), b"GET / HTTP/1.1\r\nHost: here\r\n\r\n", b"\x16\x03\x01" + bytes(500)):
            connection = await connect(scene)
            await loop.sock_sendall(connection, garbage)
            await until_closed(connection)
        while sum(scene.listener.counts.refused.values()) < 3:
            await asyncio.sleep(0.02)

    check_service_under(attack, open_carrier)


def test_half_a_greeting_and_then_silence_is_cut_off_after_seconds() -> None:
    async def attack(scene: Scene) -> None:
        connections = [await connect(scene) for _ in range(20)]
        for number, connection in enumerate(connections):
            await asyncio.get_running_loop().sock_sendall(connection, GREETING[: number % len(GREETING)])
        await asyncio.gather(*map(until_closed, connections))
        await scene.until_refused("hello-timeout", 20)

    check_service_under(attack)


@BOTH
def test_a_connection_that_never_proves_itself_is_cut_off_after_seconds(open_carrier) -> None:
    async def attack(scene: Scene) -> None:
        async with raw_peer(scene) as silent, raw_peer(scene, curve=STRANGER) as shy:
            await shy.challenge(b"n" * 32)
            await asyncio.gather(silent.until_cut(), shy.until_cut())
            await scene.until_refused("hello-timeout", 2)

    check_service_under(attack, open_carrier)


def test_unproven_connections_beyond_the_limit_end_the_oldest() -> None:
    async def attack(scene: Scene) -> None:
        connections = [await connect(scene) for _ in range(12)]
        await asyncio.gather(*map(until_closed, connections[:8]))
        assert scene.refused("connections-max") >= 8
        for connection in connections[8:]:
            connection.close()

    check_service_under(attack, unproven_max=4)


def test_a_wrong_curve_server_key_gets_nothing_at_all() -> None:
    async def attack(scene: Scene) -> None:
        async with raw_peer(scene, server_key=Security.of(STRANGER).public) as peer:
            await peer.dealer.send(opening(b"n" * 32))
            await peer.until_cut()
            await scene.until_refused("hello-missing")
            assert not await peer.dealer.poll(0)

    check_service_under(attack)


@BOTH
def test_a_flood_without_a_hello_is_cut_off(open_carrier) -> None:
    async def attack(scene: Scene) -> None:
        async with raw_peer(scene) as peer:
            flooding = asyncio.create_task(flood(peer, bytes(65_536)))
            await peer.until_cut()
            flooding.cancel()
        assert scene.refused("hello-malformed") + scene.refused("hello-flood") == 1

    check_service_under(attack, open_carrier)


def test_a_message_of_endless_parts_is_cut_off() -> None:
    """No part is delivered before the last one, so that the carrier never sees it; it must see the connection."""

    async def attack(scene: Scene) -> None:
        connection, loop = await connect(scene), asyncio.get_running_loop()
        await loop.sock_sendall(connection, GREETING + b"\0NULL".ljust(53, b"\0"))
        await loop.sock_sendall(connection, b"\x04\x1c\x05READY\x0bSocket-Type\0\0\0\x06DEALER")
        part = b"\x03" + (65_536).to_bytes(8, "big") + bytes(65_536)  # another one follows, says its first byte

        async def send_parts() -> None:
            while True:
                await loop.sock_sendall(connection, part)
                await asyncio.sleep(0)

        sending = asyncio.create_task(send_parts())
        while await loop.sock_recv(connection, 4_096):
            pass
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        connection.close()
        cut_off = scene.refused("hello-flood"), scene.refused("hello-missing")  # the latter on a slow machine
        assert sum(cut_off) == 1

    check_service_under(attack, open_zeromq_unencrypted)


async def flood(peer: RawPeer, message: bytes) -> None:
    for _ in range(100_000):
        await peer.dealer.send(message)
        await asyncio.sleep(0)


@BOTH
def test_a_proof_by_another_key_is_refused(open_carrier) -> None:
    async def attack(scene: Scene) -> None:
        async with raw_peer(scene) as peer:
            proof = peer.channel(b"n" * 32).prove_opener(HOSTILE, await peer.challenge(b"n" * 32))
            await peer.dealer.send(GOOD.public_key + proof[32:])
            await peer.until_cut()
        await scene.until_refused("hello-signature")

    check_service_under(attack, open_carrier)


@BOTH
def test_a_replayed_proof_is_refused_on_every_other_connection(open_carrier) -> None:
    async def attack(scene: Scene) -> None:
        async with raw_peer(scene) as peer:
            proof = await peer.prove(HOSTILE)
            assert await peer.dealer.recv()
            for number, curve in enumerate((HOSTILE, STRANGER), start=1):  # The same CURVE key again, and another one.
                async with raw_peer(scene, curve=curve) as replaying:
                    await replaying.challenge(b"n" * 32)
                    await replaying.dealer.send(proof)
                    await replaying.until_cut()
                await scene.until_refused("hello-signature", number)

    check_service_under(attack, open_carrier)


def test_a_proof_made_for_one_listener_proves_nothing_to_another() -> None:
    """A listener that passes a challenge on gets a proof that names itself."""

    async def attack(scene: Scene) -> None:
        async with raw_peer(scene) as peer:
            channel = peer.channel(b"n" * 32)
            elsewhere = Channel(
                carrier=channel.carrier,
                network_id=channel.network_id,
                opener_key=b"",
                listener_key=b"",
                listener=STRANGER.public_key,
                nonce=channel.nonce,
            )
            await peer.dealer.send(elsewhere.prove_opener(GOOD, await peer.challenge(b"n" * 32)))
            await peer.until_cut()
        await scene.until_refused("hello-signature")

    check_service_under(attack, open_zeromq_unencrypted)


@BOTH
def test_an_identity_that_is_not_admitted_is_cut_off(open_carrier) -> None:
    async def attack(scene: Scene) -> None:
        async with raw_peer(scene) as peer:
            await peer.prove(STRANGER)
            await peer.until_cut()
            assert not await peer.dealer.poll(0)
        await scene.until_refused("not-admitted")

    check_service_under(attack, open_carrier)


@pytest.mark.parametrize("size", [FRAME_SIZE_BYTES_MAX + 1, 2 * FRAME_SIZE_BYTES_MAX])
def test_an_oversized_frame_ends_the_connection_it_came_on(size: int) -> None:
    async def attack(scene: Scene) -> None:
        async with raw_peer(scene) as peer:
            await peer.join()
            await peer.dealer.send(bytes(size))
            await peer.until_cut()
            assert not await peer.dealer.poll(0)
        if size == FRAME_SIZE_BYTES_MAX + 1:  # The library itself ends what is larger.
            await scene.until_refused("frame-too-large")

    check_service_under(attack)


@pytest.mark.parametrize(("parts", "reason"), [([b""], "frame-empty"), ([b"two", b"parts"], "message-malformed")])
def test_a_message_that_is_no_frame_ends_the_connection(parts: list[bytes], reason: str) -> None:
    async def attack(scene: Scene) -> None:
        async with raw_peer(scene) as peer:
            await peer.join()
            await peer.dealer.send_multipart(parts)
            await peer.until_cut()
        await scene.until_refused(reason)

    check_service_under(attack)


def test_a_peer_that_sends_too_many_frames_a_second_is_cut_off() -> None:
    async def attack(scene: Scene) -> None:
        async with raw_peer(scene) as peer:
            await peer.join()
            for _ in range(2_000):
                await peer.dealer.send(b"flood")
            await peer.until_cut()
        await scene.until_refused("frames-per-second")
        assert scene.answered < 2_000

    check_service_under(attack, frames_per_second_max=200)


def test_more_connections_than_a_peer_may_have_end_its_oldest() -> None:
    async def attack(scene: Scene) -> None:
        peers = []
        for _ in range(5):
            peers.append(await scene.stack.enter_async_context(raw_peer(scene)))
            await peers[-1].join()
        await peers[0].until_cut()
        assert scene.refused("connections-max") == 1
        await peers[4].dealer.send(b"still here")
        assert await peers[4].dealer.recv() == b"still here"

    check_service_under(attack)


@BOTH
def test_a_listener_that_says_nothing_is_unreachable_within_seconds(open_carrier) -> None:
    """What accepts a connection and stays silent, or answers with what is no ZeroMQ, is not what was looked for."""

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(4_096):
            pass
        writer.close()

    async def say_something(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.6\r\n" * 20)
        await writer.drain()
        writer.close()

    async def attack(scene: Scene) -> None:
        for answer in (say_nothing, say_something):
            server = await asyncio.start_server(answer, "127.0.0.1", 0)
            port = server.sockets[0].getsockname()[1]
            address = Address(endpoint=f"127.0.0.1:{port}", channel_key=scene.listener.address.channel_key)
            with pytest.raises(NetworkError) as refused:
                await scene.good.send(b"?", to=Peer(public_key=HOSTILE.public_key, address=address))
            assert refused.value.code == "carrier-unreachable"
            server.close()

    check_service_under(attack, open_carrier)


@pytest.mark.parametrize(
    ("endpoint", "key"),
    [("ipc:///etc", b"k" * 32), ("inproc://zeromq.zap.01", b"k" * 32), ("127.0.0.1;127.0.0.2:5", b"k" * 32),
     ("127.0.0.1:99999", b"k" * 32), ("127.0.0.1:1", b""), ("127.0.0.1:1", b"k" * 31), ("", b"k" * 32)],
)  # fmt: skip
def test_a_hostile_address_is_unreachable_and_nothing_else(endpoint: str, key: bytes) -> None:
    async def attack(scene: Scene) -> None:
        to = Peer(public_key=HOSTILE.public_key, address=Address(endpoint=endpoint, channel_key=key))
        with pytest.raises(NetworkError) as refused:
            await scene.good.send(b"?", to=to)
        assert refused.value.code == "carrier-unreachable"

    check_service_under(attack)


@BOTH
def test_a_connection_that_is_cut_on_the_way_comes_back_with_a_new_hello(open_carrier) -> None:
    async def attack(scene: Scene) -> None:
        connections: list[asyncio.StreamWriter] = []

        async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            there, back = await asyncio.open_connection(*scene.host_and_port)
            connections.extend([writer, back])
            await asyncio.gather(copy(reader, back), copy(there, writer))

        async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                while piece := await reader.read(65_536):
                    writer.write(piece)
            except ConnectionError:
                pass
            writer.close()

        proxy = await asyncio.start_server(pass_on, "127.0.0.1", 0)
        port = proxy.sockets[0].getsockname()[1]
        address = Address(endpoint=f"127.0.0.1:{port}", channel_key=scene.listener.address.channel_key)
        peer = await scene.open_carrier(options(HOSTILE))
        scene.stack.push_async_callback(peer.close)
        for turn in range(3):
            answered = asyncio.create_task(peer.receive())
            while not answered.done():
                try:
                    await peer.send(b"turn %d" % turn, to=Peer(public_key=LISTENER.public_key, address=address))
                except NetworkError as error:
                    if error.code != "carrier-unreachable":
                        raise
                await asyncio.wait({answered}, timeout=0.5)
            while (await answered).frame != b"turn %d" % turn:
                answered = asyncio.create_task(peer.receive())
            for writer in connections:
                writer.transport.abort()
            connections.clear()
        proxy.close()
        assert not scene.listener.counts.refused

    check_service_under(attack, open_carrier)
