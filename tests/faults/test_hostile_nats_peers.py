"""Whoever is on the same NATS server, or runs it, sees sizes and subjects; all else they try is counted."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import nats
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from fingerpost.carrier._nats import NatsCarrier, open_nats_carrier
from fingerpost.carrier._nats_channel import Kind, OpenerKeys, SealedChannel
from fingerpost.carrier._nats_session import CREDIT_SIZE_BYTES, PART_SIZE_BYTES_MAX
from fingerpost.carrier.base import CarrierOptions, Peer
from fingerpost.carrier.nats_servers import NatsServers
from fingerpost.carrier.proof import ChannelBinding, make_proof
from fingerpost.errors import NetworkError
from fingerpost.ids import node_id
from fingerpost.limits import FRAME_SIZE_BYTES_MAX
from fingerpost.testing.channel_identities import NumberedIdentity
from tests.faults.hostile_peers import GOOD, HOSTILE, NODE, OPTIONS, STRANGER, a_node, counted

INBOX = f"hostile.node.{node_id(NODE.public_key).hex()}"

Open = Callable[[CarrierOptions], Coroutine[Any, Any, NatsCarrier]]


def with_a_server(test: Callable[[Open, Client], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Run a test with what opens carriers on a fresh server, and with a bare client of that server."""

    @functools.wraps(test)
    def run() -> None:
        with NatsServers() as servers:

            async def open_carrier(options: CarrierOptions) -> NatsCarrier:
                return await open_nats_carrier(replace(options, settings={"servers": servers.urls}))

            async def main() -> None:
                client = await nats.connect(servers.urls[0], max_reconnect_attempts=1)
                try:
                    await test(open_carrier, client)
                finally:
                    await client.close()

            asyncio.run(main())

    del run.__wrapped__  # or pytest takes the arguments for fixtures
    return run


@with_a_server
async def test_openings_that_are_garbage_or_for_another_key_are_counted(open_carrier: Open, client: Client) -> None:
    async with a_node(open_carrier) as node:
        for opening in (b"", b"?" * 32, bytes(200), bytes(900_000)):
            await client.publish(INBOX, opening, reply=f"{INBOX}.me.1")
        for_another = OpenerKeys("hostile", NatsKey.another()).opening()
        for_another_network = OpenerKeys("elsewhere", node.address.channel_key).opening()
        await client.publish(INBOX, for_another or b"", reply=f"{INBOX}.me.1")
        await client.publish(INBOX, for_another_network or b"", reply=f"{INBOX}.me.1")
        await client.publish(INBOX, b"?" * 32)
        await client.publish(INBOX, b"?" * 32, reply="somebody.else")
        await counted(node, "hello-channel-key", times=6)
        await counted(node, "hello-reply", times=2)
        assert node.counts.refused == {"hello-channel-key": 6, "hello-reply": 2}


@with_a_server
async def test_an_opening_that_is_recorded_and_sent_again_comes_to_nothing(open_carrier: Open, client: Client) -> None:
    async with a_node(open_carrier) as node, everything_said(client) as said:
        await exchange(open_carrier, node, b"once")
        openings = [message for message in said if message.subject == INBOX]
        for _ in range(3):
            await client.publish(INBOX, openings[0].data, reply=openings[0].reply)
        await counted(node, "hello-timeout", times=3)
        assert node.counts.refused == {"hello-timeout": 3}


@with_a_server
async def test_what_is_recorded_can_not_be_read_and_is_not_taken_twice(open_carrier: Open, client: Client) -> None:
    async with a_node(open_carrier) as node, everything_said(client) as said:
        good = await open_carrier(replace(OPTIONS, identity=GOOD, listen=""))
        to = Peer(public_key=NODE.public_key, address=node.address)
        frames = [b"the outcome of case %d" % number for number in range(5)]
        for frame in frames:
            await good.send(frame, to=to)
            assert (await node.receive()).frame == frame
        recorded = list(said)
        for message in recorded:
            assert b"outcome" not in message.data
            assert bytes(GOOD.public_key) not in message.data
            await client.publish(message.subject, message.data, reply=message.reply)
        await client.flush()
        await counted(node, "replayed", times=len(frames))
        await good.send(b"the last", to=to)
        assert (await node.receive()).frame == b"the last", "nothing came between"
        await good.close()


@with_a_server
async def test_who_sits_on_the_subject_of_another_node_is_not_told_a_word(open_carrier: Open, client: Client) -> None:
    async with a_node(open_carrier) as node:
        gone = NumberedIdentity(9)
        heard: list[bytes] = []

        async def answer(message: Msg) -> None:
            heard.append(message.data)
            await client.publish(message.reply, bytes(80), reply=f"{message.subject}.me.1")

        await client.subscribe(f"hostile.node.{node_id(gone.public_key).hex()}", cb=answer)
        for _ in range(2):
            await client.flush()
        opener = await open_carrier(replace(OPTIONS, identity=GOOD, listen=""))
        address = replace(node.address, endpoint=f"nats:{node_id(gone.public_key).hex()}")
        with pytest.raises(NetworkError, match="another key"):
            await opener.send(b"secret", to=Peer(public_key=gone.public_key, address=address))
        assert opener.counts.refused == {"channel-key": 1}
        assert [len(message) for message in heard] == [len(OpenerKeys("", bytes([9]) * 32).opening() or b"") + 7]
        await opener.close()


@with_a_server
async def test_a_peer_that_is_not_admitted_is_counted_and_gets_nothing(open_carrier: Open, client: Client) -> None:
    async with a_node(open_carrier) as node:
        stranger = await open_carrier(replace(OPTIONS, identity=STRANGER, listen=""))
        with pytest.raises(NetworkError, match="does not let this node in"):
            await stranger.send(b"let me in", to=Peer(public_key=NODE.public_key, address=node.address))
        assert node.counts.refused == {"not-admitted": 1}
        await stranger.close()


@with_a_server
async def test_a_proof_of_another_channel_proves_nothing(open_carrier: Open, client: Client) -> None:
    async with a_node(open_carrier) as node:
        member = await Member.arrive(client, node, listener_of_proof=bytes(32))
        assert await member.next_message() is None
        await counted(node, "hello-signature")


@with_a_server
async def test_a_member_that_sends_too_much_is_cut_off(open_carrier: Open, client: Client) -> None:
    part = bytes(PART_SIZE_BYTES_MAX)
    async with a_node(open_carrier) as node:
        member = await Member.arrive(client, node)
        for _ in range(3):
            await member.say(Kind.PART, part)
        await counted(node, "frame-too-large")
        member = await Member.arrive(client, node)
        await member.say(Kind.LAST_PART, b"")
        await counted(node, "frame-empty")
        flood = await Member.arrive(client, node)
        for _ in range(12 * CREDIT_SIZE_BYTES // FRAME_SIZE_BYTES_MAX):
            await flood.say(Kind.PART, part)
            await flood.say(Kind.LAST_PART, part)
        await counted(node, "credit-exceeded")
        taken = await frames_that_wait(node)
        assert len(taken) * FRAME_SIZE_BYTES_MAX <= 2 * CREDIT_SIZE_BYTES, "what it was told it may send, and no more"


@with_a_server
async def test_a_message_that_is_lost_or_forged_never_becomes_a_frame(open_carrier: Open, client: Client) -> None:
    async with a_node(open_carrier) as node:
        member = await Member.arrive(client, node)
        await client.publish(member.there, b"?", reply=member.here)
        await client.publish(member.there, bytes(100), reply=member.here)
        await counted(node, "sealed-message", times=2)
        await member.say(Kind.PART, b"first half, ")
        member.channel.seal(Kind.PART, b"lost, ")
        await member.say(Kind.LAST_PART, b"second half")
        await counted(node, "messages-lost")
        assert await frames_that_wait(node) == []


class NatsKey:
    """A channel key that nobody here holds."""

    @staticmethod
    def another() -> bytes:
        return OpenerKeys("", bytes(32)).public


class Member:
    """An admitted node that speaks the protocol by hand, so that it can break it."""

    def __init__(self, client: Client, channel: SealedChannel, *, here: str, there: str) -> None:
        self.client = client
        self.channel = channel
        self.here = here
        self.there = there
        self.messages: asyncio.Queue[Msg] = asyncio.Queue()

    @classmethod
    async def arrive(cls, client: Client, node: Any, *, listener_of_proof: bytes = b"") -> Member:
        keys = OpenerKeys("hostile", node.address.channel_key)
        here = f"hostile.node.{node_id(HOSTILE.public_key).hex()}.me.{client.new_inbox()[7:]}"
        answers: asyncio.Queue[Msg] = asyncio.Queue()
        await client.subscribe(here, cb=answers.put)
        await client.publish(INBOX, keys.opening() or b"", reply=here)
        answer = await asyncio.wait_for(answers.get(), 20)
        channel = keys.channel(answer.data[:32])
        assert channel is not None, answer.headers
        assert channel.open(answer.data[32:]) == (Kind.CHALLENGE, b"")
        member = cls(client, channel, here=here, there=answer.reply)
        member.messages = answers
        binding = ChannelBinding(
            carrier="nats opener",
            network_id="hostile",
            opener=keys.public,
            listener=listener_of_proof or node.address.channel_key,
            challenge=answer.data[:32],
        )
        await member.say(Kind.HELLO, make_proof(HOSTILE, binding))
        if not listener_of_proof:
            opened = await member.next_message()
            assert opened is not None
            assert opened[0] == Kind.WELCOME
        return member

    async def say(self, kind: Kind, body: bytes) -> None:
        await self.client.publish(self.there, self.channel.seal(kind, body), reply=self.here)

    async def next_message(self) -> tuple[Kind, bytes] | None:
        """Return the next message, or None when none comes soon."""
        try:
            message = await asyncio.wait_for(self.messages.get(), 1)
        except TimeoutError:
            return None
        opened = self.channel.open(message.data)
        assert isinstance(opened, tuple)
        return opened


@asynccontextmanager
async def everything_said(client: Client) -> AsyncIterator[list[Msg]]:
    """Listen to every subject, as a server can."""
    said: list[Msg] = []

    async def note(message: Msg) -> None:
        said.append(message)

    subscription = await client.subscribe(">", cb=note)
    for _ in range(2):  # as in NatsCarrier.connect
        await client.flush()
    yield said
    await subscription.unsubscribe()


async def exchange(open_carrier: Open, node: Any, frame: bytes) -> None:
    good = await open_carrier(replace(OPTIONS, identity=GOOD, listen=""))
    await good.send(frame, to=Peer(public_key=NODE.public_key, address=node.address))
    assert (await node.receive()).frame == frame
    await good.close()


async def frames_that_wait(node: Any) -> list[bytes]:
    """Take frames until none comes for a moment."""
    taken = []
    while True:
        try:
            taken.append((await asyncio.wait_for(node.receive(), 0.5)).frame)
        except TimeoutError:
            return taken
