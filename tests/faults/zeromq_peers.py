"""What the tests of hostile ZeroMQ peers share: a scene with a good peer in it, and raw sockets that obey."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import zmq
import zmq.asyncio

from fingerpost.carrier._zeromq import open_zeromq
from fingerpost.carrier._zeromq_hello import Channel, opening
from fingerpost.carrier._zeromq_sockets import Security, pending_events
from fingerpost.carrier.base import Carrier, CarrierOptions, Peer
from fingerpost.errors import NetworkError
from fingerpost.testing.channel_identities import NumberedIdentity
from tests.faults.hostile_peers import carrier_log, require_logged

LISTENER, GOOD, HOSTILE, STRANGER = (NumberedIdentity(number) for number in range(1, 5))
PATIENCE_SECONDS = 30.0
GREETING = bytes.fromhex("ff00000000000000017f") + b"\x03"  # what a ZMTP 3 peer sends before it names its mechanism


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
