"""A node's connection to a network: its carrier, its place in the directory, and the timers of its engine."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fingerpost.carrier.base import Address, Delivery, Peer
from fingerpost.directory.record import HolderRecord
from fingerpost.errors import FingerpostError, NetworkError
from fingerpost.fingerprint.cells import group_of
from fingerpost.ids import PublicKey, TemplateId
from fingerpost.limits import ANNOUNCE_SECONDS, RECORD_LIFETIME_SECONDS_DEFAULT, STORE_QUOTA_PACKETS_DEFAULT
from fingerpost.node.engine import Engine
from fingerpost.node.finding import Finding
from fingerpost.node.network import Reach, SignerIdentity
from fingerpost.node.peers import Holder
from fingerpost.node.placement import group_key
from fingerpost.node.post import Post
from fingerpost.node.status import Connected, Watch
from fingerpost.node.tables import CellTables
from fingerpost.ports import Clock
from fingerpost.privacy.secure_sum import is_of_a_sum

if TYPE_CHECKING:
    from fingerpost.carrier.base import Carrier
    from fingerpost.directory.base import Directory

ANNOUNCE_AGAIN_SECONDS = 5.0  # after the directory was out of reach
JOIN_SECONDS = 0.5  # that a node which opens waits for its announcement, which goes on meanwhile
FIND_SECONDS = 5.0  # between two looks into the directory of a small network in which something has changed
FIND_SECONDS_A_PEER = 0.25  # by which looks are further apart in larger ones: each look reads everybody's record
FIND_SECONDS_MAX = 30.0  # between two looks; they come twice as late after each that brought nothing new
ASKED_SECONDS = 60.0  # that the holders of a group are looked up after it was asked for, or emitted to
ASIDE_FRAMES_MAX = 256
FIND_SECONDS_MIN = 0.5  # between two looks because a stranger knocked
KNOCK_SECONDS_A_PEER = 0.05  # over which the peers at which a stranger knocks all at once spread their looks


class Connection:
    """Moves frames between an engine and its peers, and keeps both informed of who is there and what time it is.

    ``changed`` is called whenever the engine may have events.
    """

    def __init__(
        self,
        engine: Engine,
        template_id: TemplateId,
        *,
        reach: Reach,
        identity: SignerIdentity,
        clock: Clock,
        watch: Watch,
        changed: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._template_id = template_id
        self._reach = reach
        self._identity = identity
        self._clock = clock
        self._watch = watch
        self._changed = changed
        self._carrier: Carrier | None = None
        self._directory: Directory | None = None
        self._post: Post | None = None
        self._finding: Finding | None = None
        self._addresses: dict[PublicKey, Address] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._knocked = asyncio.Event()
        self._asked: dict[int, float] = {}  # until when the holders of a group are looked up
        self._placed: Collection[int] | None = None  # the groups looked up; None where everybody is known
        self.aside: asyncio.Queue[Delivery] = asyncio.Queue(maxsize=ASIDE_FRAMES_MAX)  # frames of sums

    @property
    def address(self) -> Address:
        """Where peers reach this node; empty once it is closed."""
        return Address(endpoint="") if self._carrier is None else self._carrier.address

    def connected(self) -> Connected:
        """Return the parts of this connection that a status tells of."""
        return Connected(
            network=self._reach,
            carrier=self._carrier,
            directory=self._directory,
            addresses=self._addresses,
            peers=self._engine.peers,
        )

    async def open(self, *, state: Path | None) -> None:
        """Open carrier and directory, announce this node and find the others. Raises ``NetworkError``."""
        template = self._engine.template(self._template_id)
        cells = CellTables(self._engine, template, loop=asyncio.get_running_loop())
        self._carrier = await self._reach.open_carrier(self._identity, cells=cells)
        self._directory = await self._reach.open_directory(clock=self._clock, state=state)
        self._finding = Finding(
            self._directory,
            template_id=self._template_id,
            public_key=self._engine.public_key,
            network_id=self._reach.network_id,
            sign=self._identity.sign,
            admits=self._reach.admits,
            clock=self._clock,
            group_bits=template.group_bits,
            is_usable=lambda record: record.carrier == self._reach.carrier_name,
            stranger=self._watch.stranger,
        )
        self._post = Post(self._carrier, find=self.peer, unreachable=self._unreachable, sent=self._sent)
        announcing = asyncio.create_task(self._announce(self._carrier, self._finding))
        self._tasks.append(asyncio.create_task(self._keep_announcing(self._carrier, self._finding, first=announcing)))
        await self.find()
        done, _ = await asyncio.wait({announcing}, timeout=JOIN_SECONDS)
        for task in done:
            task.result()
        for work in (self._read(self._carrier), self._keep_time(), self._keep_finding()):
            self._tasks.append(asyncio.create_task(work))

    async def close(self) -> None:
        """Leave the network; calling it twice is harmless."""
        for task in self._tasks:
            task.cancel()
        if self._post is not None:
            await self._post.close()
        if self._directory is not None:
            if self._finding is not None:
                with contextlib.suppress(NetworkError):  # The record is gone by itself within minutes.
                    await self._finding.withdraw()
            await self._directory.close()
        if self._carrier is not None:
            await self._carrier.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._directory = self._carrier = self._finding = None
        self._tasks.clear()

    async def find(self) -> None:
        """Look into the directory, and tell the engine whom it names."""
        self._knocked.clear()
        if self._finding is None:
            return
        found = await self._finding.look(self._concerned())
        usable = [
            record
            for record in found.records
            if record.carrier == self._reach.carrier_name and self._reach.admits(record.public_key)
        ]
        for record in usable:
            self._addresses[record.public_key] = Address(endpoint=record.endpoint, channel_key=record.channel_key)
        holders = [
            Holder(public_key=record.public_key, organisation=self._reach.organisation(record.public_key))
            for record in usable
        ]
        candidates = found.candidates
        self._placed = candidates
        own = self._engine.public_key
        self._watch.listed({holder.public_key for holder in holders if holder.public_key != own})
        self._engine.know(
            holders,
            candidates=None
            if candidates is None
            else {group_key(self._template_id, group): each for group, each in candidates.items()},
            now=self._clock.now(),
        )
        self.flush()

    async def meet(self, cells: npt.NDArray[np.uint32] | None = None) -> None:
        """Look into the directory if somebody has knocked who was not known at the last look.

        So it does where it does not know the holders of ``cells``, which are asked for, or emitted to, next.
        """
        groups: list[int] = []
        if cells is not None and self._placed is not None:
            template = self._engine.template(self._template_id)
            groups = np.unique(group_of(cells, template)).tolist()
            until = self._clock.now() + ASKED_SECONDS
            self._asked |= dict.fromkeys(groups, until)
        if self._knocked.is_set() or any(group not in (self._placed or ()) for group in groups):
            await self.find()

    def _concerned(self) -> set[int]:
        """Return the groups that this node keeps, has something of, or lately asked for or emitted to."""
        now = self._clock.now()
        self._asked = {group: until for group, until in self._asked.items() if until > now}
        followed = {group.number for group in self._engine.groups(self._template_id) if group.follows}
        kept = {group.number for group in self._engine.group_status(self._template_id)}
        return followed | kept | set(self._asked)

    def flush(self) -> None:
        """Send what the engine has to say, and let its events be seen."""
        for outgoing in self._engine.frames_to_send():
            if self._post is not None:
                self._post.put(outgoing)
        self._changed()

    async def send_aside(self, frame: bytes, *, to: Peer) -> None:
        """Send a frame that is not the engine's. Raises ``NetworkError``."""
        if self._carrier is not None:
            await self._carrier.send(frame, to=to)
            self._sent(to.public_key, len(frame))

    def peer(self, public_key: PublicKey) -> Peer:
        """Return a peer, with its address where the directory has named it."""
        return Peer(public_key=public_key, address=self._addresses.get(public_key))

    def _sent(self, public_key: PublicKey, size_bytes: int) -> None:
        self._watch.sent(public_key, size_bytes=size_bytes)

    def _unreachable(self, public_key: PublicKey) -> None:
        self._watch.silent(public_key)
        self._engine.unreachable(public_key, now=self._clock.now())
        self.flush()

    async def _read(self, carrier: Carrier) -> None:
        while True:
            try:
                delivery = await carrier.receive()
            except NetworkError:
                return
            now = self._clock.now()
            self._watch.heard(delivery.sender, size_bytes=len(delivery.frame), now=now)
            if delivery.sender not in self._addresses:
                self._knocked.set()
            if is_of_a_sum(delivery.frame):
                with contextlib.suppress(asyncio.QueueFull):  # Nobody here adds anything up.
                    self.aside.put_nowait(delivery)
            else:
                self._engine.receive(delivery.frame, peer=delivery.sender, now=now)
            self.flush()
            await asyncio.sleep(0)  # Frames that are here already must not keep everybody else waiting.

    async def _keep_time(self) -> None:
        while True:
            self._engine.handle_timer(now=self._clock.now())
            self.flush()
            await asyncio.sleep(max(self._engine.timer_at - self._clock.now(), 0.0))

    async def _keep_finding(self) -> None:
        pause = 0.0
        while True:
            before = self._sight()
            pause = min(max(2 * pause, self._pause()), FIND_SECONDS_MAX) if self._engine.peers.all() else self._pause()
            await self._until_due(pause, before)
            try:
                await self.find()
                if self._sight() != before:
                    pause = 0.0
            except (FingerpostError, OSError, ValueError, RuntimeError) as error:
                if isinstance(error, NetworkError) and error.code == "directory-closed":
                    return
                self._watch.failed("find", error)
                pause = 0.0
            await asyncio.sleep(FIND_SECONDS_MIN)

    async def _until_due(self, seconds: float, before: object) -> None:
        """Wait until the next look: so many seconds, fewer when a peer falls silent, comes back or knocks."""
        loop = asyncio.get_running_loop()
        due = loop.time() + seconds
        while (left := due - loop.time()) > 0 and not self._knocked.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, FIND_SECONDS)):
                    await self._knocked.wait()
            if self._sight() != before:
                break
        if self._knocked.is_set():
            await asyncio.sleep(self._spread() * KNOCK_SECONDS_A_PEER * len(self._engine.peers.all()))

    def _sight(self) -> object:
        """Return what changes when a peer comes, goes, falls silent, is back or moves."""
        return self._engine.peers.version, len(self._addresses), hash(frozenset(self._addresses.items()))

    def _pause(self) -> float:
        """Return the seconds between two looks while things change, never the same, so that nodes do not keep step."""
        peers = len(self._engine.peers.all())
        return min(max(FIND_SECONDS, FIND_SECONDS_A_PEER * peers), FIND_SECONDS_MAX) * (0.75 + self._spread() / 2)

    def _spread(self) -> float:
        return secrets.randbelow(1_024) / 1_024

    async def _announce(self, carrier: Carrier, finding: Finding) -> float:
        """Tell the directory where this node is; return the seconds until it is to be told again."""
        record = HolderRecord(
            template_id=self._template_id,
            public_key=self._engine.public_key,
            carrier=self._reach.carrier_name,
            endpoint=carrier.address.endpoint,
            channel_key=carrier.address.channel_key,
            organisation=self._reach.organisation(self._engine.public_key),
            capacity_packets=STORE_QUOTA_PACKETS_DEFAULT,
            issued_at=int(self._clock.now()),
            lifetime_seconds=RECORD_LIFETIME_SECONDS_DEFAULT,
        )
        try:
            await finding.announce(record)
        except NetworkError as error:
            if error.code != "directory-unreachable":
                raise
            return ANNOUNCE_AGAIN_SECONDS
        return ANNOUNCE_SECONDS

    async def _keep_announcing(self, carrier: Carrier, finding: Finding, *, first: asyncio.Task[float]) -> None:
        announcing = first
        while True:
            try:
                pause = await announcing
            except (FingerpostError, OSError, ValueError, RuntimeError) as error:
                if isinstance(error, NetworkError) and error.code == "directory-closed":
                    return
                # A node that is announced no more is lost to the others within minutes: whatever the matter is, go on.
                self._watch.failed("announce", error)
                pause = ANNOUNCE_AGAIN_SECONDS
            await asyncio.sleep(pause)
            announcing = asyncio.create_task(self._announce(carrier, finding))
