"""The running node: it owns the clock, the home directory and the carrier, and lets the engine decide.

``AsyncNode`` lives on an event loop of the caller's; ``fingerpost.node.facade`` has the same for synchronous code.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fingerpost.carrier.base import Address
from fingerpost.ids import NodeId, PublicKey, node_id
from fingerpost.limits import PROBES_DEFAULT
from fingerpost.node import asking
from fingerpost.node.asking import Mode
from fingerpost.node.awaited import Awaited
from fingerpost.node.calculators import installed_calculators
from fingerpost.node.connection import Connection
from fingerpost.node.emission import (
    Observations,
    is_release,
    observation,
    require_emittable,
    require_single,
    row_count,
    told_of_table,
)
from fingerpost.node.engine import Engine
from fingerpost.node.events import Acknowledged, Event, Fetched, Refreshed, Unacknowledged
from fingerpost.node.freed_memory import FreedMemory
from fingerpost.node.groups import GroupStatus
from fingerpost.node.learning import Learning
from fingerpost.node.network import Reach, SignerIdentity
from fingerpost.node.opening import open_signer, open_store, read_template
from fingerpost.node.release import Shell, open_shell
from fingerpost.node.releasing import Releasing
from fingerpost.node.reports import Confirmation, Emission, emission_of
from fingerpost.node.status import NodeStatus, read_status
from fingerpost.node.subject_book import Forgotten
from fingerpost.packet import packet_ids
from fingerpost.ports import Clock, Entropy, day_of
from fingerpost.privacy.seal import KeyRing
from fingerpost.store.index import FlatNeighbours
from fingerpost.store.retention import compaction_due
from fingerpost.synthesis.answer import Gathering
from fingerpost.system import SystemClock, SystemEntropy
from fingerpost.template import RowProblem, Template

if TYPE_CHECKING:
    from fingerpost.synthesis import Answer
    from fingerpost.synthesis.evidence import Evidence
    from fingerpost.synthesis.receipt import Receipt

ANSWER_SECONDS_MAX = 10.0
EMIT_ROWS_AT_ONCE = 8_192
NEAREST_PACKETS = 1_024  # asked for in mode "direct"


class AsyncNode:
    """One participant: it emits outcomes as signed packets and answers questions from everybody's packets."""

    def __init__(self, engine: Engine, template: Template, *, clock: Clock, follow: bool, shell: Shell) -> None:
        self._engine = engine
        self._follow = follow
        self._template = template
        self._clock = clock
        self._watch, self._book, self._releaser = shell.watch, shell.book, shell.releaser
        self._ring_file = shell.ring_file
        me = node_id(engine.public_key)
        self._learning = Learning(self._watch.store, template, me=me, calculators=installed_calculators())
        self._connection: Connection | None = None
        self._awaited, self._freed = Awaited(), FreedMemory()

    @classmethod
    async def open(
        cls,
        template: Template | str | Path,
        *,
        home: str | Path | None = None,
        network: Reach | None = None,
        follow: bool = True,
        clock: Clock | None = None,
        entropy: Entropy | None = None,
        keys: KeyRing | None = None,
    ) -> AsyncNode:
        """Open a node on ``home``, or in memory only when there is none, and join ``network`` if one is given.

        With ``follow`` the node keeps every packet of the template, and answers from them without telling anybody what
        it asks; else it keeps its own packets and its share of those of others. A home without an identity gets one.
        Under the profile consortium ``keys`` seal and open packets, those of the home where there are none.
        Raises ``TemplateError``, ``KeyFileError`` and ``StoreError``.
        """
        clock, entropy = clock or SystemClock(), entropy or SystemEntropy()
        value = read_template(template)
        root = None if home is None else Path(home)
        signer = open_signer(root, entropy=entropy, now=clock.now())
        store = open_store(root, template=value)
        engine = Engine(
            signer=signer,
            store=store,
            entropy=entropy,
            roster=None if network is None else network.roster,
            organisation="" if network is None else network.organisation(PublicKey(signer.public_key)),
        )
        engine.serve(value, follow=follow)
        shell = open_shell(engine, store, root, value, signer=signer, entropy=entropy, keys=keys)
        node = cls(engine, value, clock=clock, follow=follow, shell=shell)
        try:
            engine.knowledge(value.template_id).use_keys(keys)
            engine.knowledge(value.template_id).find_with(FlatNeighbours)
            node._read_keys()
            if network is not None:
                state = None if root is None else root / "directory"
                await node._join(network, identity=SignerIdentity(signer), state=state)
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
    def bytes_received(self) -> int:
        """Bytes of all frames that arrived so far."""
        return self._watch.received_bytes

    @property
    def bytes_sent(self) -> int:
        """Bytes of all frames that left so far."""
        return self._watch.sent_bytes

    @property
    def public_key(self) -> PublicKey:
        """The Ed25519 key that this node signs with: what others name to admit it."""
        return self._engine.public_key

    @property
    def address(self) -> Address:
        """Where peers reach this node: what a static directory lists. It is empty outside of a network."""
        return Address(endpoint="") if self._connection is None else self._connection.address

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
        require_single(self._template)
        self._read_keys()
        one = observation(
            self._template, situation, outcome=outcome, action=action, conditions=conditions, confidence=confidence
        )
        return (await self._emit(one)).packet_ids[0]

    async def emit_table(
        self,
        columns: Mapping[str, object],
        *,
        skip_bad_rows: bool = False,
        subject_column: str | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Emission:
        """Tell the outcomes of a whole table, columns by name; ``progress`` is called with (rows done, rows in all).

        Raises ``RecordError`` for the first row that does not fit, before anything is written; with
        ``skip_bad_rows`` such rows are left out and listed. ``subject_column`` says whom each row is about: that stays
        here, hashed, for ``forget``. Under differential privacy it is needed, and ``PrivacyError`` may be raised.
        """
        require_emittable(self._template)
        self._read_keys()
        told, problems = told_of_table(
            self._template,
            columns,
            skip_bad_rows=skip_bad_rows,
            subject_column=subject_column,
            keys_of=self._book.keys_of,
        )
        if is_release(self._template):
            return await self._releasing().alone(told, problems)
        return await self._emit(told, problems=problems, progress=progress)

    async def emit_sum(
        self, columns: Mapping[str, object], *, subject_column: str, parties: Sequence[bytes], seconds: float
    ) -> Emission:
        """Release a table's counts added up with those of other nodes, all of which do the same within ``seconds``.

        ``parties`` are the public keys of all, this one included. Raises as ``emit_table``, and ``sum-dropout``.
        """
        told, _ = told_of_table(self._template, columns, subject_column=subject_column, keys_of=self._book.keys_of)
        return await self._releasing().together(told, parties=parties, seconds=seconds)

    async def ask(
        self,
        situation: Mapping[str, object],
        *,
        conditions: Mapping[str, object] | None = None,
        mode: Mode | None = None,
        cells: int = PROBES_DEFAULT,
        tells_situation: bool = False,
        subject: object = None,
    ) -> Answer:
        """Return what happened elsewhere in situations like this one; fields left out count as missing.

        ``mode`` says what leaves this node: ``sync`` nothing about the situation (holders are asked for what is new,
        and the answer comes from the packets kept here), ``cells`` in which cells its like may lie (``cells`` of them),
        ``direct`` its fingerprint, which for personal data needs ``tells_situation``. A node that follows its template
        asks ``sync`` unless told otherwise, any other ``cells``. What is asked about one ``subject`` on one day looks
        into the same cells. When no holder answers, the answer comes from what is known here.
        """
        chosen: Mode = asking.as_mode(mode) or ("sync" if self._follow else "cells")
        asking.require_follow(chosen, follows=self._follow)
        self._read_keys()
        if chosen == "direct":
            asking.require_direct_allowed(self._template, tells_situation=tells_situation)
        where = asking.locate(self._engine, self._template, situation, cells=cells)
        if subject is not None and chosen != "sync":
            told = self._book.cells_told(subject, self._template, where.cells, day=day_of(self._clock.now()))
            where = replace(where, cells=told)
        gathering, nearest = await self._gather(chosen, where)
        answer = asking.answer(
            self._engine,
            self._template,
            where,
            mode=chosen,
            nearest=nearest,
            conditions=conditions or {},
            learning=self._learning,
            now=self._clock.now(),
        )
        self._freed.after(answer.evidence_digest, packets=answer.packets)
        return replace(answer, gathering=gathering)

    async def ask_table(self, columns: Mapping[str, object]) -> list[Answer]:
        """Return an answer for each row of a table, columns by name; absent columns count as missing.

        The modes are those that ``ask`` takes by itself. Raises ``RecordError`` for the first row that does not fit.
        """
        if not self._follow:
            rows = asking.rows_of(columns, rows=row_count(columns))
            return [await self.ask(row) for row in rows]
        self._read_keys()
        await self._refresh()
        return asking.ask_table(
            self._engine,
            self._template,
            columns,
            rows=row_count(columns),
            learning=self._learning,
            now=self._clock.now(),
        )

    async def audit(self, *, count: int = 10) -> list[Answer]:
        """Return answers about known situations, those first whose confirmation would help most."""
        self._read_keys()
        now = self._clock.now()
        return asking.audit(self._engine, self._template, count=count, learning=self._learning, now=now)

    async def confirm(
        self,
        answer: Answer,
        *,
        situation: Mapping[str, object],
        outcome: object,
        action: object = None,
    ) -> Confirmation:
        """Tell how the situation of an answer turned out: it becomes a packet like any other, and a score.

        If this node asked, the calculators behind the answer are trusted more or less from now on.
        """
        require_emittable(self._template)
        one = observation(self._template, situation, outcome=outcome, action=action)
        emission = await self._emit(one, confirmed=[(answer.query.fingerprint, answer.calculation, outcome)])
        return Confirmation(
            packet_id=emission.packet_ids[0], log_loss=asking.log_loss(answer, outcome), learnt=emission.learnt > 0
        )

    async def forget(self, subject: object) -> Forgotten:
        """Withdraw every packet of this template that tells something about a subject, here and at all holders.

        Raises ``RecordError`` (``subject-missing``) and ``KeyFileError``.
        """
        recall = self._book.recall(subject, self._template, day=day_of(self._clock.now()))
        report = None
        if recall.recalled:
            if self._connection is not None:
                await self._connection.meet(recall.withdrawals["cell"])
            number = self._engine.put_out(self._template.template_id, recall.withdrawals, now=self._clock.now())
            self._book.done(recall)
            report = await self._report_of(number)
        holders = 0 if report is None else report.holders
        return recall.forgotten(holders=holders, acknowledged=isinstance(report, Acknowledged))

    async def receipt(self, answer: Answer) -> Receipt:
        """Return the evidence of an answer, for ``verify_receipt`` to check anywhere."""
        now = self._clock.now()
        return asking.receipt(self._engine, self._template, answer, learning=self._learning, now=now)

    async def find_packets(self, ids: Sequence[str]) -> npt.NDArray[np.void]:
        """Return the live packets with these ids (64 hex digits each), in their order, without those not here."""
        return self._watch.store.get(np.frombuffer(bytes.fromhex("".join(ids)), np.uint8).reshape(-1, 32))

    async def status(self, *, look_up: bool = False) -> NodeStatus:
        """Return what this node holds, knows and has done; ``look_up`` asks the directory first who is there."""
        if look_up and self._connection is not None:
            await self._connection.find()
        return read_status(
            self._watch,
            public_key=self.public_key,
            template=self._template,
            unsettled=self._engine.unsettled(),
            connected=None if self._connection is None else self._connection.connected(),
        )

    def evidence(self) -> Evidence:
        """Return the live packets as columns."""
        return self._engine.evidence(self._template.template_id, now=self._clock.now())

    async def explain(self, node: bytes) -> dict[str, Any]:
        """Return why the node with this id was hired or refused, as plain values."""
        now = self._clock.now()
        return asking.explained(self._engine, self._template, asker=self.node_id, node=node, now=now)

    async def graph(self) -> dict[str, Any]:
        """Return who agrees with whom, as plain values."""
        return asking.graph(self._engine, self._template, asker=self.node_id, now=self._clock.now())

    async def tend(self) -> None:
        """Drop what is expired, and rewrite the store when dead bytes have been in it for long enough."""
        store, now = self._watch.store, self._clock.now()
        self._engine.expire(now=now)
        self._read_keys()
        if compaction_due(store.stats(), day=day_of(now)):
            store.compact(day_of(now))

    async def packets(self) -> npt.NDArray[np.void]:
        """Return every live packet that this node holds of its template, (n,) of ``fingerpost.packet.PACKET_DTYPE``."""
        return self._engine.packets(self._template.template_id, now=self._clock.now())

    def groups(self) -> tuple[GroupStatus, ...]:
        """Return the groups of cells that this node holds, or of which it has something."""
        return self._engine.group_status(self._template.template_id)

    async def synchronise(self) -> int:
        """Fetch every packet that the network holds for the template; return how many were new here.

        It says nothing about any situation: all of a template's packets come, and questions are answered locally.
        Raises ``NetworkError`` (``peer-silent``) when there are holders and none answers.
        """
        before = self._awaited.arrived
        if not await self._refresh():
            raise asking.holders_silent(ANSWER_SECONDS_MAX)
        return self._awaited.arrived - before

    async def close(self) -> None:
        """Leave the network and close the store; calling it twice is harmless."""
        if self._connection is not None:
            await self._connection.close()
        self._learning.close(self._engine.knowledge(self._template.template_id))
        self._watch.store.close()

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
        confirmed: asking.Outcomes = (),
    ) -> Emission:
        before = asking.before(
            self._engine, self._template, observations, confirmed, learning=self._learning, now=self._clock.now()
        )
        ids: list[str] = [""] * len(observations)
        size_bytes, reports = 0, []
        for start in range(0, len(observations), EMIT_ROWS_AT_ONCE):
            chunk = observations.part(slice(start, start + EMIT_ROWS_AT_ONCE))
            template_id, now = self._template.template_id, self._clock.now()
            packets, rows = self._engine.build(template_id, chunk, now=now)
            if self._connection is not None:
                await self._connection.meet(packets["cell"])
            if chunk.subjects is not None:
                self._book.note(chunk.subjects[rows], packets)
            number = self._engine.put_out(template_id, packets, now=now)
            for row, packet_id in zip(rows, packet_ids(packets), strict=True):
                ids[start + int(row)] = packet_id.tobytes().hex()
            self._watch.emitted(number, len(packets))
            reports.append(await self._report_of(number))
            size_bytes += packets.nbytes
            if progress is not None:
                progress(min(start + EMIT_ROWS_AT_ONCE, len(observations)), len(observations))
            await asyncio.sleep(0)  # Between two chunks the caller may cancel.
        learnt = asking.learn(before, learning=self._learning, now=self._clock.now())
        return emission_of(ids, problems, reports, size_bytes=size_bytes, learnt=learnt)

    def _releasing(self) -> Releasing:
        return Releasing(
            engine=self._engine,
            template=self._template,
            releaser=self._releaser,
            connection=self._connection,
            watch=self._watch,
            clock=self._clock,
            event_of=self._event_of,
        )

    async def _report_of(self, number: int) -> Acknowledged | Unacknowledged | None:
        """Wait until an emission is acknowledged or cannot be for now; None when it takes too long."""
        report = await self._event_of(number)
        return report if isinstance(report, (Acknowledged, Unacknowledged)) else None

    async def _gather(self, mode: Mode, where: asking.Situation) -> tuple[Gathering, tuple[bytes, ...]]:
        """Fetch what an answer in this mode needs; return how that went, and for ``direct`` the ids to rank."""
        if mode == "sync" or self._connection is None:
            await self._refresh()
            return asking.gathering_of("sync", None), ()
        await self._connection.meet(np.array(where.cells, np.uint32))
        template_id, now = self._template.template_id, self._clock.now()
        if mode == "cells":
            number = self._engine.fetch_cells(template_id, where.cells, now=now)
        else:
            number = self._engine.fetch_nearest(
                template_id, where.query.fingerprint, cells=where.cells, count=NEAREST_PACKETS, now=now
            )
        event = await self._event_of(number)
        fetched = event if isinstance(event, Fetched) else None
        return asking.gathering_of(mode, fetched), () if fetched is None else fetched.packet_ids

    async def _refresh(self) -> bool:
        """Fetch what the holders have and this node lacks; say whether one answered, or there is none to ask."""
        if self._connection is None:
            return True
        await self._connection.meet()
        alone = not self._engine.peers.live()
        event = await self._event_of(self._engine.refresh(self._template.template_id, now=self._clock.now()))
        return alone or (isinstance(event, Refreshed) and event.peers > 0)

    async def _event_of(self, number: int) -> Event | None:
        """Wait for the event with this number; None when it takes too long."""
        future = self._awaited.expect(number)
        try:
            if self._connection is not None:
                self._connection.flush()
            self._settle()
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                return await future
        except TimeoutError:
            return None
        finally:
            self._awaited.forget(number)

    def _read_keys(self) -> None:
        """Take in what became of the consortium's keys in the home: a member joins or a key dies while a node runs."""
        if self._ring_file is not None:
            ring = self._ring_file.ring(day=day_of(self._clock.now()))
            self._engine.knowledge(self._template.template_id).use_keys(ring)

    def _settle(self) -> None:
        while (event := self._engine.next_event()) is not None:
            self._watch.note(event)
            self._awaited.take(event)

    async def _join(self, network: Reach, *, identity: SignerIdentity, state: Path | None) -> None:
        self._connection = Connection(
            self._engine,
            self._template.template_id,
            reach=network,
            identity=identity,
            clock=self._clock,
            watch=self._watch,
            changed=self._settle,
        )
        await self._connection.open(state=state)
        await self._refresh()
