"""What users do in a simulated network: they tell what they saw, take some of it back, and ask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fingerpost.node.emission import NONCE_SIZE_BYTES
from fingerpost.node.engine import Engine, Refreshed
from fingerpost.node.outbox import Acknowledged
from fingerpost.node.wire import Offer, encode_message
from fingerpost.packet import Kind, Packet, Payload, Withdrawn, encode, packet_ids, sign_batch
from fingerpost.ports import SECONDS_PER_DAY, day_of
from fingerpost.sim.chance import Chance
from fingerpost.sim.checkers import DurabilityChecker, SoundnessChecker, ViolationError
from fingerpost.sim.ledger import Ledger, Told
from fingerpost.sim.options import CLOCK_SECONDS_MAX
from fingerpost.sim.schedule import Schedule
from fingerpost.sim.station import Station
from fingerpost.sim.subject import RECORDS, records_of
from fingerpost.sim.trace import Trace
from fingerpost.template import Template

EMISSION_PACKETS_MAX = 6
COMPLETE_PEERS = 2  # holders that a refresh must have heard for its answer to count as complete
INCOMPLETE = "a complete answer misses nothing"

Asked = tuple[str, int, int]  # a station, its process and the number that its engine gave


@dataclass(slots=True, kw_only=True)
class Question:
    """An ask under way. ``owed`` is what a complete answer must have, None when a fault was active at its start."""

    station: Station
    asked_at: float
    owed: list[bytes] | None


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
        is_calm: Callable[[], bool],
    ) -> None:
        self._schedule = schedule
        self._trace = trace
        self._chance = chance
        self._ledger = ledger
        self._template = template
        self._durability = durability
        self._soundness = soundness
        self._is_calm = is_calm
        self._emissions: dict[Asked, list[bytes]] = {}
        self._questions: dict[Asked, Question] = {}
        self._withdrawals: list[tuple[Station, bytes]] = []
        self.answers = 0
        self.complete_answers = 0
        self.emissions = 0

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
        self._hand_out(station, packet, among)

    def withdraw_again(self, among: list[Station]) -> None:
        """Let all users repeat what they took back, for those who were out of reach."""
        for station, packet in self._withdrawals:
            self._hand_out(station, packet, among)

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
        """Let a user ask; the answer comes as an event."""
        owed = [told.packet_id for told in self.owed()] if self._is_calm() else None
        asked_at = self._schedule.now

        def begin(engine: Engine, now: float) -> None:
            number = engine.refresh(self._template.template_id, now=now)
            self._questions[station.name, station.process, number] = Question(
                station=station, asked_at=asked_at, owed=owed
            )
            self._trace.note(asked_at, station.name, f"asks as {number}")

        station.act(begin)

    def answered(self, station: Station, event: Refreshed) -> None:
        """Take in that a question can be answered now, and look at what it would be answered from."""
        engine, now = station.engine, self._schedule.now
        question = self._questions.pop((station.name, station.process, event.number), None)
        self._trace.note(now, station.name, f"is answered {event.number} by {event.peers} holders")
        if question is None or engine is None or not station.is_honest:
            return
        packets = [row.tobytes() for row in engine.packets(self._template.template_id, now=station.clock.now())]
        self.answers += 1
        self._soundness.check_answer(packets, where=station.name, now=now)
        if question.owed is None or event.peers < COMPLETE_PEERS or not self._is_calm():
            return
        self.complete_answers += 1
        found = {
            row.tobytes() for row in packet_ids(engine.packets(self._template.template_id, now=station.clock.now()))
        }
        still_owed = {told.packet_id for told in self.owed()}
        missing = [each for each in question.owed if each in still_owed and each not in found]
        if missing:
            raise ViolationError(
                INCOMPLETE,
                f"{station.name} asked {now - question.asked_at:.1f} s ago, is answered by {event.peers} holders and "
                f"misses {len(missing)} of {len(question.owed)}: {', '.join(each.hex()[:12] for each in missing[:3])}",
            )

    def forget(self, station: Station) -> None:
        """Take in that the process of a station is gone, and with it who waited for what."""
        gone = station.name, station.process
        self._emissions = {key: value for key, value in self._emissions.items() if key[:2] != gone}
        self._questions = {key: value for key, value in self._questions.items() if key[:2] != gone}

    def owed(self) -> list[Told]:
        """Return the acknowledged packets that must be somewhere now."""
        return self._ledger.owed(now=self._schedule.now, slack_seconds=2 * CLOCK_SECONDS_MAX)
