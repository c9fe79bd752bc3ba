"""What the tests of hostile members share: honest nodes on a real carrier, and a member that says what it is told to.

The nodes talk over ZeroMQ with CURVE on loopback and find each other on a board that anybody may write to.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fingerpost import AsyncNode
from fingerpost.carrier._zeromq import open_zeromq
from fingerpost.carrier.base import Carrier, CarrierOptions, ChannelIdentity, Peer
from fingerpost.directory._memory import MemoryBoard, MemoryDirectory
from fingerpost.directory.base import Directory
from fingerpost.directory.record import HolderRecord
from fingerpost.directory.region import Region
from fingerpost.errors import NetworkError
from fingerpost.fingerprint import Fingerprinter
from fingerpost.ids import PublicKey
from fingerpost.node.emission import build_packets, observation
from fingerpost.node.haves import cells_statement, have_statement
from fingerpost.node.inventory import Shelf
from fingerpost.node.network import ShownCells, SignerIdentity
from fingerpost.node.placement import weight
from fingerpost.node.roster import Roster
from fingerpost.node.status import NodeStatus
from fingerpost.node.wire import (
    Beat,
    CellsHeld,
    Check,
    Compare,
    Compared,
    Get,
    Have,
    List,
    Listed,
    Message,
    Nearest,
    Offer,
    Packets,
    WantCells,
    decode_message,
    encode_message,
)
from fingerpost.packet import Signer, packet_ids, packets_from_frame
from fingerpost.ports import Clock, day_of
from fingerpost.system import SystemClock, SystemEntropy
from fingerpost.template import Template, parse_template

NETWORK_ID = "hostile"
PATIENCE_SECONDS = 60.0
TEMPLATE = """
format = 1
name = "sizes"
data_class = "non_personal"
[situation.size]
kind = "number"
range = [0, 100]
[outcome]
kind = "category"
levels = ["failed", "worked"]
[cells]
kind = "prefix"
bits = 4
[retention]
ttl_days = 30
[privacy]
profile = "open"
"""
HONEST = ("one", "two")
SEEDS = {name: hashlib.blake2s(name.encode()).digest() for name in ("hostile", "stranger")}


class LoopbackNetwork:
    """A network over ZeroMQ on loopback; whoever is added to ``members`` is one from then on."""

    network_id = NETWORK_ID
    carrier_name = "zeromq"

    def __init__(self, *, records: Sequence[bytes] = (), **carrier_settings: Any) -> None:
        self.members: set[bytes] = set()
        self.roster = Roster(members=self.members, records=records)
        self.board = MemoryBoard()
        self.clock: Clock = SystemClock()
        self._carrier_settings = carrier_settings

    def admits(self, public_key: PublicKey) -> bool:
        return self.roster.admits(public_key, day=day_of(self.clock.now()))

    def organisation(self, public_key: PublicKey) -> str:
        del public_key
        return ""

    async def open_carrier(self, identity: ChannelIdentity, *, cells: ShownCells | None = None) -> Carrier:
        del cells
        return await open_zeromq(
            CarrierOptions(
                identity=identity,
                network_id=NETWORK_ID,
                listen="127.0.0.1:0",
                admits=self.admits,
                settings=self._carrier_settings,
            )
        )

    async def open_directory(self, *, clock: Clock, state: Path | None) -> Directory:
        del state
        members = frozenset(PublicKey(key) for key in self.members)
        return MemoryDirectory(self.board, network_id=NETWORK_ID, clock=clock, members=members)


class HostilePeer:
    """A carrier of its own that sends what a test tells it, and answers by ``answer`` (nothing for None)."""

    def __init__(self, network: LoopbackNetwork, carrier: Carrier, template: Template, signer: Signer) -> None:
        self.network = network
        self.carrier = carrier
        self.template = template
        self.signer = signer
        self.public_key = PublicKey(self.signer.public_key)
        self.heard: list[Message] = []
        self.answer: Callable[[Message, PublicKey], Message | None] = self.lie
        self.shown: dict[bytes, bytes] = {}  # what it lists in whatever cells it is asked for
        self.numbers = 10_000

    def record(self, **changes: Any) -> HolderRecord:
        """Return a signed record of this peer as a holder."""
        details: dict[str, Any] = {
            "template_id": self.template.template_id,
            "public_key": self.public_key,
            "carrier": self.network.carrier_name,
            "endpoint": self.carrier.address.endpoint,
            "channel_key": self.carrier.address.channel_key,
            "organisation": "",
            "capacity_packets": 1_000,
            "issued_at": int(self.network.clock.now()),
            "lifetime_seconds": 300,
        }
        return HolderRecord(**(details | changes)).signed(self.signer.sign, network_id=NETWORK_ID)

    async def announce(self) -> None:
        """Stand in the directory as a holder of the template."""
        directory = await self.network.open_directory(clock=self.network.clock, state=None)
        await directory.announce(Region(template_id=self.template.template_id), self.record())

    async def send(self, message: Message, node: AsyncNode) -> None:
        """Send a message of the protocol."""
        await self.send_frame(encode_message(message), node)

    async def send_frame(self, frame: bytes, node: AsyncNode) -> None:
        """Send any bytes as one frame."""
        await self.carrier.send(frame, to=Peer(public_key=node.public_key, address=node.address))

    async def offer(self, packets: npt.NDArray[np.void], node: AsyncNode) -> None:
        """Hand packets to a node."""
        self.numbers += 1
        await self.send(Offer(number=self.numbers, packets=packets.tobytes()), node)

    def packets(self, *sizes: float, outcome: str = "worked", day: int | None = None) -> npt.NDArray[np.void]:
        """Return valid packets that this peer signed, one a size."""
        fingerprinter, entropy = Fingerprinter(self.template), SystemEntropy()
        today = day_of(self.network.clock.now()) if day is None else day
        made = [
            build_packets(
                self.template,
                fingerprinter,
                observation(self.template, {"size": size}, outcome=outcome),
                signer=self.signer,
                day=today,
                entropy=entropy,
            )[0]
            for size in sizes
        ]
        return np.concatenate(made)

    def lie(self, question: Message, asker: PublicKey) -> Message | None:
        """Answer like a holder that keeps whatever it is handed, and lists and gives nothing but what is ``shown``."""
        match question:
            case Beat(answers=0):
                return Beat(number=0, answers=question.number)
            case Offer():
                ids = packet_ids(packets_from_frame(question.packets)).tobytes()
                return self.have(question.number, ids, asker)
            case Check():
                return self.have(question.number, question.packet_ids, asker)
            case Compare():
                return Compared(answers=question.number, root=question.root)
            case List():
                return Listed(answers=question.number, packet_ids=b"")
            case WantCells():
                return self.cells(question, asker)
            case Get() | Nearest():
                return Packets(answers=question.number, packets=b"".join(self.shown.values()))
        return None

    def have(self, number: int, ids: bytes, asker: PublicKey) -> Have:
        """Return the signed promise to keep these packets."""
        at = int(self.network.clock.now())
        signature = self.signer.sign(have_statement(ids, asker=asker, at=at))
        return Have(answers=number, packet_ids=ids, at=at, signature=signature)

    def cells(self, question: WantCells, asker: PublicKey) -> CellsHeld:
        """Return signed digests of what is shown, as if all of it lay in the first cell asked for."""
        at = int(self.network.clock.now())
        shelves = [Shelf(self.shown), *(Shelf() for _ in question.cells[1:])]
        digests = b"".join(shelf.root() for shelf in shelves)
        statement = cells_statement(
            question.cells, digests, template_id=question.template_id, asker=asker, at=at, complete=True
        )
        return CellsHeld(
            answers=question.number,
            digests=digests,
            packet_ids=b"".join(sorted(self.shown)),
            more=False,
            complete=True,
            at=at,
            signature=self.signer.sign(statement),
        )

    def show(self, packets: npt.NDArray[np.void]) -> None:
        """List and give these packets from now on."""
        ids = packet_ids(packets)
        self.shown = {ids[row].tobytes(): packets[row].tobytes() for row in range(len(packets))}

    async def work(self) -> None:
        """Answer whoever asks, until the carrier is closed."""
        while True:
            try:
                delivery = await self.carrier.receive()
                message = decode_message(delivery.frame)
                self.heard.append(message)
                answer = self.answer(message, delivery.sender)
                if answer is not None:
                    await self.carrier.send(encode_message(answer), to=Peer(public_key=delivery.sender))
            except NetworkError as error:
                if error.code == "carrier-closed":
                    return


@asynccontextmanager
async def two_nodes_and(
    *names: str,
    members: Iterable[str] = ("hostile",),
    records: Sequence[bytes] = (),
    seeds: Mapping[str, bytes] = SEEDS,
    **carrier_settings: Any,
) -> AsyncIterator[tuple[AsyncNode, AsyncNode, list[HostilePeer]]]:
    """Open two honest members and these peers, and check at the end that the nodes still serve."""
    network, template = LoopbackNetwork(records=records, **carrier_settings), parse_template(TEMPLATE)
    network.members.update(Signer(seeds[name]).public_key for name in members)
    async with asyncio.timeout(3 * PATIENCE_SECONDS), contextlib.AsyncExitStack() as stack:
        nodes = []
        for name in HONEST:
            entropy = OwnKey(name)
            network.members.add(Signer(entropy.seed).public_key)
            nodes.append(
                await stack.enter_async_context(
                    await AsyncNode.open(template, network=network, entropy=entropy, follow=name == "one")
                )
            )
        peers = []
        for name in names:
            signer = Signer(seeds[name])
            carrier = await network.open_carrier(SignerIdentity(signer))
            stack.push_async_callback(carrier.close)
            peer = HostilePeer(network, carrier, template, signer)
            stack.callback(asyncio.create_task(peer.work()).cancel)
            peers.append(peer)
        yield nodes[0], nodes[1], peers
        await serves(*nodes)


async def serves(one: AsyncNode, two: AsyncNode) -> None:
    """Check that what one node tells reaches the other's answers."""
    before = len(await two.packets())
    for size in (90, 91, 92, 93):
        await one.emit(situation={"size": size}, outcome="failed")
    assert len(await two.packets()) >= before + 4
    for mode in ("cells", "direct"):
        answer = await two.ask({"size": 91}, mode=mode, cells=16)
        assert answer.packets >= 4, (mode, answer)
        assert answer.probabilities["failed"] > 0.5, (mode, answer)


def minted_for(group: bytes, count: int) -> dict[str, bytes]:
    """Return seeds of so many keys, each of which outranks both honest nodes for the group with this key."""
    honest = [PublicKey(Signer(OwnKey(name).seed).public_key) for name in HONEST]
    best = max(weight(group, key) for key in honest)
    tries = (hashlib.blake2s(b"minted %d" % number).digest() for number in itertools.count())
    heavier = (seed for seed in tries if weight(group, PublicKey(Signer(seed).public_key)) > best)
    return {f"minted {number}": seed for number, seed in enumerate(itertools.islice(heavier, count))}


class OwnKey:
    """Entropy whose first bytes, which become the identity, a test knows beforehand; the rest is real."""

    def __init__(self, name: str) -> None:
        self.seed = hashlib.blake2s(name.encode()).digest()
        self._first = True
        self._rest = SystemEntropy()

    def read(self, size: int) -> bytes:
        """Return the next ``size`` bytes."""
        if self._first:
            self._first = False
            assert size == len(self.seed)
            return self.seed
        return self._rest.read(size)


async def refused(node: AsyncNode, layer: str, reason: str, *, times: int = 1) -> NodeStatus:
    """Wait until a node has counted a refusal."""
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (status := await node.status()).refused[layer].get(reason, 0) < times:
                await asyncio.sleep(0.02)
    except TimeoutError:
        counted = (await node.status()).refused
        raise AssertionError(f"{layer}: {reason} was not counted {times} times: {counted}") from None
    return status
