"""What users do in a simulated network: they tell what they saw, take some of it back, and ask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from fingerpost.ids import PublicKey
from fingerpost.node.asking import Situation, locate
from fingerpost.node.emission import NONCE_SIZE_BYTES
from fingerpost.node.engine import Engine
from fingerpost.node.events import Acknowledged, Fetched, HolderOmits, Refreshed
from fingerpost.node.wire import Offer, encode_message
from fingerpost.packet import Kind, Packet, Payload, Withdrawn, encode, packet_ids, sign_batch
from fingerpost.ports import SECONDS_PER_DAY, day_of
from fingerpost.sim.chance import Chance
from fingerpost.sim.checkers import DurabilityChecker, SoundnessChecker
from fingerpost.sim.ledger import Ledger, Told, packet_id_of
from fingerpost.sim.options import CLOCK_SECONDS_MAX
from fingerpost.sim.schedule import Schedule
from fingerpost.sim.station import Station
from fingerpost.sim.subject import RECORDS, records_of
from fingerpost.sim.trace import Trace
from fingerpost.sim.violation import ViolationError
from fingerpost.template import Template

EMISSION_PACKETS_MAX = 6
COMPLETE_PEERS = 2  # holders of each group that a refresh must have heard for its answer to miss nothing
INCOMPLETE = "a complete answer misses nothing"
ONLY_LIARS = "only liars are accused"
NEAREST = 8
CELLS_ASKED_MAX = 2  # besides that of the situation
ANSWERED_IN_EARNEST = 0.03  # of all answers

Asked = tuple[str, int, int]  # a station, its process and the number that its engine gave


@dataclass(slots=True, kw_only=True)
class Question:
    """An ask under way. ``owed`` is what a complete answer must have, None when a fault was active at its start."""

    mode: str
    where: Situation
    asked_at: float
    owed: list[Told] | None


class Workload:
    """The users of all stations, and what they were told."""

    def __init__(
        self,
        schedule: Schedule,
        trace: Trace,
        chance: Chance,
        *,
        ledger: Ledger,
        template: Template,
        durability: DurabilityChecker,
        soundness: SoundnessChecker,
        is_calm: Callable[..., bool],
        station_of: Callable[[PublicKey], Station],
    ) -> None:
        self._schedule = schedule
        self._trace = trace
        self._chance = chance
        self._ledger = ledger
        self._template = template
        self._durability = durability
        self._soundness = soundness
        self._is_calm = is_calm
        self._station_of = station_of
        self._emissions: dict[Asked, list[bytes]] = {}
        self._questions: dict[Asked, Question] = {}
        self._withdrawals: list[tuple[Station, bytes]] = []
        self._taken_back: list[bytes] = []  # packets, of which somebody may have an old copy
        self.answers = 0
        self.complete_answers = 0
        self.emissions = 0
        self.caught = 0

    @property
    def open_questions(self) -> int:
        """How many asks wait for their answer."""
        return len(self._questions)

    def emit(self, station: Station) -> None:
        """Let a user tell a few outcomes."""
        count = self._chance.integer(1, EMISSION_PACKETS_MAX)
        rows = np.array(self._chance.some_of(range(RECORDS), count), np.intp)
        records = records_of(self._template).part(rows)
        template_id = self._template.template_id

        def tell(engine: Engine, now: float) -> None:
            emitted = engine.emit(template_id, records, now=now)
            ids = [row.tobytes() for row in packet_ids(emitted.packets)]
            self._emissions[station.name, station.process, emitted.number] = ids
            ends_at = float((day_of(now) + self._template.ttl_days) * SECONDS_PER_DAY)
            self._ledger.emit(
                [row.tobytes() for row in emitted.packets],
                emitter=station.public_key,
                now=self._schedule.now,
                ends_at=ends_at,
                cells=emitted.packets["cell"].tolist(),
            )
            self._trace.note(self._schedule.now, station.name, f"emits {count} packets as {emitted.number}")

        self.emissions += 1
        station.meet()
        station.act(tell)

    def withdraw(self, station: Station, *, among: list[Station]) -> None:
        """Let a user take back a packet that this station emitted: its signed word goes to whoever can be reached."""
        now = self._schedule.now
        mine = [told for told in self.owed() if told.emitter == station.public_key]
        if not mine:
            return
        told = self._chance.one_of(mine)
        word = Packet(
            kind=Kind.WITHDRAWAL,
            profile=self._template.profile,
            epoch=day_of(station.clock.now()),
            ttl_days=1,
            template_id=self._template.template_id,
            nonce=self._chance.octets(NONCE_SIZE_BYTES),
            emitter=station.public_key,
            cell=told.cell,
            payload=Payload(outcome=Withdrawn(packet_id=told.packet_id), confidence=0),
        )
        packet = encode(sign_batch([word], station.signer)[0])
        self._trace.note(now, station.name, f"takes back {told.packet_id.hex()[:12]}")
        self._ledger.withdraw(told.packet_id, now=now)
        self._withdrawals.append((station, packet))
        copies = (each.disk.packets[told.packet_id] for each in among if told.packet_id in each.disk.packets)
        self._taken_back += [*copies][:1]
        self._hand_out(station, packet, among)

    def withdraw_again(self, among: list[Station]) -> None:
        """Let all users repeat what they took back, for those who were out of reach."""
        for station, packet in self._withdrawals:
            self._hand_out(station, packet, among)

    def hand_in_old_copies(self, among: list[Station]) -> None:
        """Let somebody offer everybody what was taken back: a packet is signed for good, so whoever has it can."""
        running = [each for each in among if each.is_running]
        for packet in self._taken_back:
            keeper = self._chance.one_of(running)
            self._trace.note(self._schedule.now, keeper.name, f"hands in {packet_id_of(packet).hex()[:12]} again")
            self._hand_out(keeper, packet, among)

    def _hand_out(self, station: Station, packet: bytes, among: list[Station]) -> None:
        frame = encode_message(Offer(number=self._chance.integer(1, 2**40), packets=packet))
        for other in among:
            if other is station:
                station.act(lambda engine, now: engine.receive(frame, peer=among[0].public_key, now=now))
            elif station.is_running:
                station.hand_over(frame, other.public_key)

    def acknowledged(self, station: Station, event: Acknowledged) -> list[bytes]:
        """Take in that an emission was acknowledged; return the ids of its packets."""
        ids = self._emissions.pop((station.name, station.process, event.number), [])
        now = self._schedule.now
        self._trace.note(now, station.name, f"has {event.number} acknowledged by {event.holders} holders")
        if station.is_honest:
            self._ledger.acknowledge(ids, now=now)
            owed = {told.packet_id for told in self.owed()}
            self._durability.check(self._ledger.told[each] for each in ids if each in owed)
        return ids

    def ask(self, station: Station) -> None:
        """Let a user ask, in one of the three modes; the answer comes as an event."""
        template_id, chance, asked_at = self._template.template_id, self._chance, self._schedule.now
        mode = chance.one_of(("sync", "cells", "cells", "direct") if station.follows else ("cells", "cells", "direct"))
        cells = tuple(chance.some_of(range(1 << self._template.cell_bits), chance.integer(0, CELLS_ASKED_MAX)))
        warmth = chance.integer(0, 100)
        owed = self.owed() if self._is_calm(strictly=mode == "sync") else None

        def begin(engine: Engine, now: float) -> None:
            where = locate(engine, self._template, {"warmth": warmth})
            where = replace(where, cells=(*dict.fromkeys((*where.cells, *cells)),))
            if mode == "sync":
                number = engine.refresh(template_id, now=now)
            elif mode == "cells":
                number = engine.fetch_cells(template_id, where.cells, now=now)
            else:
                fingerprint = where.query.fingerprint
                number = engine.fetch_nearest(template_id, fingerprint, cells=where.cells, count=NEAREST, now=now)
            question = Question(mode=mode, where=where, asked_at=asked_at, owed=owed)
            self._questions[station.name, station.process, number] = question
            self._trace.note(asked_at, station.name, f"asks as {number}: {mode}")

        station.meet()
        station.act(begin)

    def answered(self, station: Station, event: Refreshed | Fetched) -> None:
        """Take in that a question can be answered now, answer it, and look at what that rests on."""
        engine, now = station.engine, self._schedule.now
        question = self._questions.pop((station.name, station.process, event.number), None)
        self._trace.note(now, station.name, f"can answer {event.number}")
        if question is None or engine is None or not station.is_honest:
            return
        behind = self._behind_answer(engine, question, event, now=station.clock.now())
        self.answers += 1
        self._soundness.check_answer((row.tobytes() for row in behind), where=station.name, now=now)
        if isinstance(event, Fetched):
            is_complete = event.complete and question.mode == "cells"
        else:
            is_complete = event.peers >= COMPLETE_PEERS << self._template.group_bits
        if is_complete and question.owed is not None and self._is_calm(strictly=isinstance(event, Refreshed)):
            self._check_complete(station, question, {row.tobytes() for row in packet_ids(behind)})

    def _behind_answer(
        self, engine: Engine, question: Question, event: Refreshed | Fetched, *, now: float
    ) -> npt.NDArray[np.void]:
        """Return the packets that an answer rests on; now and then answer in earnest, which takes longer."""
        template_id, cells = self._template.template_id, question.where.cells
        if question.mode == "cells":
            synthesizer = engine.synthesizer(template_id, cells=cells, conditions={}, now=now)
        elif isinstance(event, Fetched):
            synthesizer = engine.synthesizer(template_id, ids=event.packet_ids, conditions={}, now=now)
        else:
            synthesizer = engine.synthesizer(template_id, conditions={}, now=now)
        if self._chance.happens(ANSWERED_IN_EARNEST):
            synthesizer.ask(question.where.query)
        return engine.packets_behind(template_id, synthesizer.evidence_digest, now=now)

    def omitted(self, station: Station, event: HolderOmits) -> None:
        """Take in that a holder was caught leaving packets out. Raises ``ViolationError`` when it is honest."""
        accused = self._station_of(event.peer)
        self._trace.note(self._schedule.now, station.name, f"catches {accused.name} leaving packets out")
        self.caught += 1
        if station.is_honest and accused.is_honest:
            raise ViolationError(ONLY_LIARS, f"{station.name} says that {accused.name} leaves packets out")

    def _check_complete(self, station: Station, question: Question, found: set[bytes]) -> None:
        self.complete_answers += 1
        still_owed = {told.packet_id for told in self.owed()}
        cells = question.where.cells if question.mode == "cells" else range(1 << self._template.cell_bits)
        missing = [
            told.packet_id.hex()[:12]
            for told in question.owed or ()
            if told.cell in cells and told.packet_id in still_owed and told.packet_id not in found
        ]
        if missing:
            waited = self._schedule.now - question.asked_at
            raise ViolationError(
                INCOMPLETE,
                f"{station.name} asked {waited:.1f} s ago ({question.mode}), has {len(found)} packets and misses "
                f"{len(missing)} that were acknowledged before: {', '.join(missing[:3])}",
            )

    def forget(self, station: Station) -> None:
        """Take in that the process of a station is gone, and with it who waited for what."""
        gone = station.name, station.process
        self._emissions = {key: value for key, value in self._emissions.items() if key[:2] != gone}
        self._questions = {key: value for key, value in self._questions.items() if key[:2] != gone}

    def owed(self) -> list[Told]:
        """Return the acknowledged packets that must be somewhere now."""
        return self._ledger.owed(now=self._schedule.now, slack_seconds=2 * CLOCK_SECONDS_MAX)
