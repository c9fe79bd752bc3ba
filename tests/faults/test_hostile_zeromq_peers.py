"""Raw sockets against a real ZeroMQ carrier: each attack ends in a counted refusal, and a good peer is served on."""

from __future__ import annotations

import asyncio
import os

import pytest

from fingerpost.carrier._zeromq import open_zeromq, open_zeromq_unencrypted
from fingerpost.carrier._zeromq_hello import Channel, opening
from fingerpost.carrier._zeromq_sockets import Security
from fingerpost.carrier.base import Address, Peer
from fingerpost.errors import NetworkError
from fingerpost.limits import FRAME_SIZE_BYTES_MAX
from tests.faults.zeromq_peers import (
    GOOD,
    GREETING,
    HOSTILE,
    LISTENER,
    STRANGER,
    RawPeer,
    Scene,
    check_service_under,
    connect,
    options,
    raw_peer,
    until_closed,
)

BOTH = pytest.mark.parametrize("open_carrier", [open_zeromq, open_zeromq_unencrypted], ids=["curve", "unencrypted"])


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


def test_a_peer_that_does_not_encrypt_gets_nothing_from_a_node_that_does() -> None:
    async def attack(scene: Scene) -> None:
        plain = await open_zeromq_unencrypted(options(HOSTILE))
        scene.stack.push_async_callback(plain.close)
        for key in (b"", scene.listener.address.channel_key):
            address = Address(endpoint=scene.listener.address.endpoint, channel_key=key)
            with pytest.raises(NetworkError) as refused:
                await plain.send(b"in the clear", to=Peer(public_key=LISTENER.public_key, address=address))
            assert refused.value.code == "carrier-unreachable"
        await scene.until_refused("hello-missing")

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
