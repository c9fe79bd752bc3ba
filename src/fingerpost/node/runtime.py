"""The running node: it owns the clock, the home directory and the carrier, and lets the engine decide.

``AsyncNode`` lives on an event loop of the caller's. ``Node`` is the same for synchronous code: its work runs on one
background loop that all nodes of the process share.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fingerpost.carrier.base import Address, Peer
from fingerpost.directory.record import HolderRecord
from fingerpost.directory.region import Region
from fingerpost.errors import NetworkError, RecordError, TableError
from fingerpost.ids import NodeId, PublicKey, node_id
from fingerpost.limits import (
    ANNOUNCE_SECONDS,
    RECORD_LIFETIME_SECONDS_DEFAULT,
    STORE_QUOTA_PACKETS_DEFAULT,
)
from fingerpost.node import asking
from fingerpost.node.emission import Observations, observation, observations_of_table, require_emittable
from fingerpost.node.engine import Engine, Event, PacketsArrived, PacketsKept, WantAnswered
from fingerpost.node.network import Reach, SignerIdentity
from fingerpost.node.opening import open_signer, open_store, read_template
from fingerpost.node.status import NodeStatus, Watch, read_status
from fingerpost.packet import packet_ids
from fingerpost.ports import Clock, Entropy, day_of
from fingerpost.store.retention import compaction_due
from fingerpost.system import SystemClock, SystemEntropy
from fingerpost.template import RowProblem, Template

if TYPE_CHECKING:
    from fingerpost.carrier.base import Carrier
    from fingerpost.directory.base import Directory
    from fingerpost.synthesis import Answer
    from fingerpost.synthesis.receipt import Receipt

ANSWER_SECONDS_MAX = 10.0
ANNOUNCE_AGAIN_SECONDS = 5.0  # after the directory was out of reach
EMIT_ROWS_AT_ONCE = 8_192


@dataclass(frozen=True, slots=True, kw_only=True)
class Emission:
    """What a table turned into: ``packet_ids`` in row order (hex), rows left out, bytes, and holders that have it."""

    packet_ids: tuple[str, ...]
    problems: tuple[RowProblem, ...]
    size_bytes: int
    holders: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """An answer met its outcome: the packet that says so, and -ln of the probability that the answer gave it."""

    packet_id: str
    log_loss: float | None


class AsyncNode:
    """One participant: it emits outcomes as signed packets and answers questions from everybody's packets."""

    def __init__(
        self,
        engine: Engine,
        template: Template,
        *,
        identity: SignerIdentity,
        clock: Clock,
        close_store: Callable[[], None],
        state: Path | None,
        watch: Watch,
    ) -> None:
        self._engine = engine
        self._watch = watch
        self._identity = identity
        self._state = state
        self._template = template
        self._clock = clock
        self._close_store = close_store
        self._directory: Directory | None = None
        self._carrier: Carrier | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._addresses: dict[PublicKey, Address] = {}
        self._network: Reach | None = None
        self._waiting: dict[int, asyncio.Future[Event]] = {}
        self._record: HolderRecord | None = None
        self._arrived = 0

    @classmethod
    async def open(
        cls,
        template: Template | str | Path,
        *,
        home: str | Path | None = None,
        network: Reach | None = None,
        clock: Clock | None = None,
        entropy: Entropy | None = None,
    ) -> AsyncNode:
        """Open a node on ``home``, or in memory only when there is none, and join ``network`` if one is given.

        A home without an identity gets one. Raises ``TemplateError``, ``KeyFileError`` and ``StoreError``.
        """
        clock, entropy = clock or SystemClock(), entropy or SystemEntropy()
        value = read_template(template)
        root = None if home is None else Path(home)
        signer = open_signer(root, entropy=entropy, now=clock.now())
        store = open_store(root, template=value)
        admits = None if network is None else network.admits
        engine = Engine(signer=signer, store=store, entropy=entropy, admits=admits)
        engine.serve(value)
        node = cls(
            engine,
            value,
            identity=SignerIdentity(signer),
            clock=clock,
            close_store=store.close,
            state=None if root is None else root / "directory",
            watch=Watch(store=store),
        )
        try:
            if network is not None:
                await node._join(network)
        except BaseException:
            await node.close()
            raise
        return node

    @property
    def template(self) -> Template:
        """The template that this node speaks."""
        return self._template

    @property
    def node_id(self) -> NodeId:
        """The id under which others know this node."""
        return node_id(self._engine.public_key)

    @property
    def public_key(self) -> PublicKey:
        """The Ed25519 key that this node signs with: what others name to admit it."""
        return self._engine.public_key

    @property
    def bytes_received(self) -> int:
        """Bytes of all frames that arrived so far."""
        return self._watch.received_bytes

    @property
    def bytes_sent(self) -> int:
        """Bytes of all frames that left so far."""
        return self._watch.sent_bytes

    async def emit(
        self,
        *,
        situation: Mapping[str, object],
        outcome: object,
        action: object = None,
        conditions: Mapping[str, object] | None = None,
        confidence: float = 1.0,
    ) -> str:
        """Tell what happened in one situation; return the id of the packet (hex) once it is durable here.

        Raises ``RecordError`` for a value that does not fit the template; then nothing left this node.
        """
        require_emittable(self._template)
        one = observation(
            self._template,
            situation,
            outcome=outcome,
            action=action,
            conditions=conditions,
            confidence=confidence,
        )
        return (await self._emit(one)).packet_ids[0]

    async def emit_table(
        self,
        columns: Mapping[str, object],
        *,
        skip_bad_rows: bool = False,
        progress: Callable[[int, int], None] | None = None,
        require_holder: bool = True,
    ) -> Emission:
        """Tell the outcomes of a whole table, columns by name; ``progress`` is called with (rows done, rows in all).

        Raises ``RecordError`` for the first row that does not fit, before anything is written; with
        ``skip_bad_rows`` such rows are left out and listed in the result. Raises ``NetworkError`` (``peer-silent``)
        when there are other holders and none answers; without ``require_holder`` the result then says 0 holders.
        """
        require_emittable(self._template)
        rows = _row_count(columns)
        all_rows, problems = observations_of_table(self._template, columns, rows=rows)
        if problems and not skip_bad_rows:
            raise _first_problem(problems, rows)
        bad = np.array(sorted({problem.row - 1 for problem in problems}), np.intp)
        return await self._emit(
            all_rows.without(bad), problems=problems, progress=progress, require_holder=require_holder
        )

    async def ask(self, situation: Mapping[str, object], *, conditions: Mapping[str, object] | None = None) -> Answer:
        """Return what happened elsewhere in situations like this one; fields left out count as missing."""
        now = self._clock.now()
        return asking.ask(self._engine, self._template, situation, conditions=conditions or {}, now=now)

    async def ask_table(self, columns: Mapping[str, object]) -> list[Answer]:
        """Return an answer for each row of a table, columns by name; absent columns count as missing.

        Raises ``RecordError`` for the first row that does not fit.
        """
        return asking.ask_table(self._engine, self._template, columns, rows=_row_count(columns), now=self._clock.now())

    async def confirm(
        self,
        answer: Answer,
        *,
        situation: Mapping[str, object],
        outcome: object,
        action: object = None,
    ) -> Confirmation:
        """Tell how the situation of an answer turned out: it becomes a packet like any other, and a score."""
        packet_id = await self.emit(situation=situation, outcome=outcome, action=action)
        return Confirmation(packet_id=packet_id, log_loss=asking.log_loss(answer, outcome))

    async def receipt(self, answer: Answer) -> Receipt:
        """Return the evidence of an answer, for ``verify_receipt`` to check anywhere."""
        return asking.receipt(self._engine, self._template, answer, now=self._clock.now())

    async def find_packets(self, ids: Sequence[str]) -> npt.NDArray[np.void]:
        """Return the live packets with these ids (64 hex digits each), in their order, without those not here."""
        return self._watch.store.get(np.frombuffer(bytes.fromhex("".join(ids)), np.uint8).reshape(-1, 32))

    async def status(self, *, look_up: bool = False) -> NodeStatus:
        """Return what this node holds, knows and has done; ``look_up`` asks the directory first who is there."""
        if look_up:
            await self._holders()
        return read_status(
            self._watch,
            public_key=self.public_key,
            template=self._template,
            network=self._network,
            carrier=self._carrier,
            directory=self._directory,
            addresses=self._addresses,
        )

    async def tend(self) -> None:
        """Drop what is expired, and rewrite the store when dead bytes have been in it for long enough."""
        store, day = self._watch.store, day_of(self._clock.now())
        store.expire(day)
        if compaction_due(store.stats(), day=day):
            store.compact(day)

    async def packets(self) -> npt.NDArray[np.void]:
        """Return every live packet that this node holds of its template, (n,) of ``fingerpost.packet.PACKET_DTYPE``."""
        return self._engine.packets(self._template.template_id, now=self._clock.now())

    async def synchronise(self) -> int:
        """Fetch every packet that the network holds for the template; return how many were new here.

        It says nothing about any situation: all of a template's packets come, and questions are answered locally.
        """
        before = self._arrived
        wants = {self._engine.want(self._template.template_id, of=peer): peer for peer in await self._holders()}
        await self._exchange(wants)
        return self._arrived - before

    async def close(self) -> None:
        """Leave the network and close the store; calling it twice is harmless."""
        for task in self._tasks:
            task.cancel()
        if self._directory is not None:
            if self._record is not None:
                with contextlib.suppress(NetworkError):  # The record is gone by itself within minutes.
                    await self._directory.withdraw(self._region, self._record)
            await self._directory.close()
        if self._carrier is not None:
            await self._carrier.close()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._directory = self._carrier = None
        self._tasks.clear()
        self._close_store()

    async def __aenter__(self) -> AsyncNode:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _emit(
        self,
        observations: Observations,
        *,
        problems: Sequence[RowProblem] = (),
        progress: Callable[[int, int], None] | None = None,
        require_holder: bool = True,
    ) -> Emission:
        ids: list[str] = [""] * len(observations)
        size_bytes = holders = 0
        for start in range(0, len(observations), EMIT_ROWS_AT_ONCE):
            chunk = observations.part(slice(start, start + EMIT_ROWS_AT_ONCE))
            packets, rows = self._engine.emit(self._template.template_id, chunk, now=self._clock.now())
            for row, packet_id in zip(rows, packet_ids(packets), strict=True):
                ids[start + int(row)] = packet_id.tobytes().hex()
            self._watch.emitted_packets += len(packets)
            try:
                holders = await self._spread(packets)
            except NetworkError:
                if require_holder:
                    raise
                holders = 0
            self._watch.acknowledged_packets += len(packets) if holders else 0
            size_bytes += packets.nbytes
            if progress is not None:
                progress(min(start + EMIT_ROWS_AT_ONCE, len(observations)), len(observations))
            await asyncio.sleep(0)  # Between two chunks the caller may cancel.
        return Emission(packet_ids=tuple(ids), problems=tuple(problems), size_bytes=size_bytes, holders=holders)

    async def _spread(self, packets: Any) -> int:
        """Hand packets to every holder and wait until each keeps them or is found silent; return how many keep them."""
        holders = await self._holders()
        offers = {number: peer for peer in holders for number in self._engine.offer(packets, to=[peer])}
        missed = await self._exchange(offers)
        return len(set(holders) - missed)

    @property
    def _region(self) -> Region:
        return Region(template_id=self._template.template_id)

    async def _holders(self) -> list[PublicKey]:
        """Return the other admitted holders that the directory knows, and note where they are."""
        if self._directory is None or self._network is None:
            return []
        found = await self._directory.find(self._region)
        usable = [
            record
            for record in found
            if record.public_key != self._engine.public_key
            and record.carrier == self._network.carrier_name
            and self._network.admits(record.public_key)
        ]
        for record in usable:
            self._addresses[record.public_key] = Address(endpoint=record.endpoint, channel_key=record.channel_key)
        self._watch.listed({record.public_key for record in usable})
        return [record.public_key for record in usable]

    async def _join(self, network: Reach) -> None:
        self._network = network
        self._carrier = await network.open_carrier(self._identity)
        self._directory = await network.open_directory(clock=self._clock, state=self._state)
        self._tasks.append(asyncio.create_task(self._read(self._carrier)))
        pause = await self._announce(network, self._carrier, self._directory)
        keeping = self._keep_announcing(network, self._carrier, self._directory, pause=pause)
        self._tasks.append(asyncio.create_task(keeping))
        with contextlib.suppress(NetworkError):  # A holder that is gone must not keep anybody from joining.
            await self.synchronise()

    async def _announce(self, network: Reach, carrier: Carrier, directory: Directory) -> float:
        """Tell the directory where this node is; return the seconds until it is to be told again."""
        record = HolderRecord(
            template_id=self._template.template_id,
            public_key=self._engine.public_key,
            carrier=network.carrier_name,
            endpoint=carrier.address.endpoint,
            channel_key=carrier.address.channel_key,
            organisation="",
            capacity_packets=STORE_QUOTA_PACKETS_DEFAULT,
            issued_at=int(self._clock.now()),
            lifetime_seconds=RECORD_LIFETIME_SECONDS_DEFAULT,
        )
        self._record = record.signed(self._identity.sign, network_id=network.network_id)
        try:
            await directory.announce(self._region, self._record)
        except NetworkError as error:
            if error.code != "directory-unreachable":
                raise
            return ANNOUNCE_AGAIN_SECONDS
        return ANNOUNCE_SECONDS

    async def _keep_announcing(self, network: Reach, carrier: Carrier, directory: Directory, *, pause: float) -> None:
        while True:
            await asyncio.sleep(pause)
            pause = await self._announce(network, carrier, directory)

    async def _exchange(self, requests: Mapping[int, PublicKey]) -> set[PublicKey]:
        """Send what is due and wait for the answers to these requests; return the peers that left one unanswered.

        Raises ``NetworkError`` (``peer-silent``) when nobody answered at all.
        """
        if not requests:
            return set()
        loop = asyncio.get_running_loop()
        futures: dict[int, asyncio.Future[Event]] = {number: loop.create_future() for number in requests}
        self._waiting |= futures
        try:
            for peer in await self._flush():
                for number, to in requests.items():
                    if to == peer:
                        futures[number].cancel()
            await asyncio.wait(futures.values(), timeout=ANSWER_SECONDS_MAX)
        finally:
            for number in requests:
                self._waiting.pop(number, None)
        missed = {requests[number] for number, future in futures.items() if not future.done() or future.cancelled()}
        for peer in missed:
            self._watch.silent(peer)
        if missed == set(requests.values()):
            raise NetworkError(
                "peer-silent",
                f"none of {len(missed)} peers answered within {ANSWER_SECONDS_MAX:.0f} s",
                hint="what was emitted is durable here; try again when the peers are back",
            )
        return missed

    async def _flush(self) -> set[PublicKey]:
        """Send what is due; return the peers that could not be reached."""
        carrier, unreachable = self._carrier, set()
        for outgoing in self._engine.frames_to_send():
            if carrier is None or outgoing.to in unreachable:
                continue
            try:
                peer = Peer(public_key=outgoing.to, address=self._addresses.get(outgoing.to))
                await carrier.send(outgoing.frame, to=peer)
                self._watch.sent(outgoing.to, size_bytes=len(outgoing.frame))
            except NetworkError:
                unreachable.add(outgoing.to)
                self._watch.silent(outgoing.to)
        return unreachable

    async def _read(self, carrier: Carrier) -> None:
        while True:
            try:
                delivery = await carrier.receive()
            except NetworkError:
                return
            now = self._clock.now()
            self._watch.heard(delivery.sender, size_bytes=len(delivery.frame), now=now)
            self._engine.receive(delivery.frame, peer=delivery.sender, now=now)
            self._settle()
            await self._flush()

    def _settle(self) -> None:
        while (event := self._engine.next_event()) is not None:
            self._watch.note(event)
            if isinstance(event, (PacketsKept, WantAnswered)):
                future = self._waiting.get(event.number)
                if future is not None and not future.done():
                    future.set_result(event)
            elif isinstance(event, PacketsArrived):
                self._arrived += event.stored


def _row_count(columns: Mapping[str, object]) -> int:
    if not columns:
        raise TableError("table-empty", "a table without columns has nothing to tell")
    return len(next(iter(columns.values())))  # type: ignore[arg-type]


def _first_problem(problems: Sequence[RowProblem], rows: int) -> RecordError:
    first, bad = problems[0], len({problem.row for problem in problems})
    return RecordError(
        first.code,
        f"row {first.row}, {first.message} ({bad} of {rows} rows have a problem; nothing was written)",
        hint=first.hint,
        field=first.field,
        row=first.row,
    )
