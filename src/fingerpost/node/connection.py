"""A node's connection to a network: its carrier, its place in the directory, and the timers of its engine."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from fingerpost.carrier.base import Address, Delivery, Peer
from fingerpost.directory.record import HolderRecord
from fingerpost.errors import FingerpostError, NetworkError
from fingerpost.ids import PublicKey, TemplateId
from fingerpost.limits import ANNOUNCE_SECONDS, RECORD_LIFETIME_SECONDS_DEFAULT, STORE_QUOTA_PACKETS_DEFAULT
from fingerpost.node.engine import Engine
from fingerpost.node.finding import Finding
from fingerpost.node.network import Reach, SignerIdentity
from fingerpost.node.peers import Holder
from fingerpost.node.post import Post
from fingerpost.node.status import Connected, Watch
from fingerpost.node.tables import CellTables
from fingerpost.ports import Clock
from fingerpost.privacy.secure_sum import is_of_a_sum

if TYPE_CHECKING:
    from fingerpost.carrier.base import Carrier
    from fingerpost.directory.base import Directory

ANNOUNCE_AGAIN_SECONDS = 5.0  # after the directory was out of reach
FIND_SECONDS = 5.0  # between two looks into the directory
ASIDE_FRAMES_MAX = 256
FIND_SECONDS_MIN = 0.5  # between two looks because a stranger knocked


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
        cells = CellTables(self._engine, self._engine.template(self._template_id), loop=asyncio.get_running_loop())
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
        )
        self._post = Post(self._carrier, find=self.peer, unreachable=self._unreachable, sent=self._sent)
        _, pause = await asyncio.gather(self.find(), self._announce(self._carrier, self._finding))
        for work in (self._read(self._carrier), self._keep_time(), self._keep_finding()):
            self._tasks.append(asyncio.create_task(work))
        self._tasks.append(asyncio.create_task(self._keep_announcing(self._carrier, self._finding, pause=pause)))

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
        found = await self._finding.find()
        usable = [
            record
            for record in found
            if record.carrier == self._reach.carrier_name and self._reach.admits(record.public_key)
        ]
        for record in usable:
            self._addresses[record.public_key] = Address(endpoint=record.endpoint, channel_key=record.channel_key)
        holders = [
            Holder(public_key=record.public_key, organisation=self._reach.organisation(record.public_key))
            for record in usable
        ]
        own = self._engine.public_key
        self._watch.listed({holder.public_key for holder in holders if holder.public_key != own})
        self._engine.know(holders, now=self._clock.now())
        self.flush()

    async def meet(self) -> None:
        """Look into the directory if somebody has knocked who was not known at the last look."""
        if self._knocked.is_set():
            await self.find()

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
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(FIND_SECONDS):
                    await self._knocked.wait()
            try:
                await self.find()
            except (FingerpostError, OSError, ValueError, RuntimeError) as error:
                if isinstance(error, NetworkError) and error.code == "directory-closed":
                    return
                self._watch.failed("find", error)
            await asyncio.sleep(FIND_SECONDS_MIN)

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

    async def _keep_announcing(self, carrier: Carrier, finding: Finding, *, pause: float) -> None:
        while True:
            await asyncio.sleep(pause)
            try:
                pause = await self._announce(carrier, finding)
            except (FingerpostError, OSError, ValueError, RuntimeError) as error:
                if isinstance(error, NetworkError) and error.code == "directory-closed":
                    return
                # A node that is announced no more is lost to the others within minutes: whatever the matter is, go on.
                self._watch.failed("announce", error)
                pause = ANNOUNCE_AGAIN_SECONDS
