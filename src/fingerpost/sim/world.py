"""One simulated network from its seed to its end: stations, links, faults, and the rules that hold throughout."""

from __future__ import annotations

import numpy as np

from fingerpost.ids import PublicKey
from fingerpost.node.emission import build_packets
from fingerpost.node.events import Acknowledged, Event, Fetched, HolderOmits, Refreshed
from fingerpost.node.roster import Roster
from fingerpost.node.wire import Offer, encode_message
from fingerpost.packet import Signer
from fingerpost.ports import SECONDS_PER_DAY, day_of
from fingerpost.sim.adversary import unsound_packets
from fingerpost.sim.checkers import (
    DurabilityChecker,
    LimitsChecker,
    LivenessChecker,
    SoundnessChecker,
)
from fingerpost.sim.directory import Crowd, SimulatedDirectory
from fingerpost.sim.faults import Faults
from fingerpost.sim.ledger import Ledger
from fingerpost.sim.network import SimulatedNetwork
from fingerpost.sim.options import CLOCK_DRIFT_MAX, CLOCK_SECONDS_MAX, Lie, Plan, SimulationOptions, chance_of
from fingerpost.sim.parts import Parts
from fingerpost.sim.schedule import DriftingClock, Schedule
from fingerpost.sim.station import Station, Surroundings
from fingerpost.sim.subject import records_of, template_of
from fingerpost.sim.trace import Trace
from fingerpost.sim.violation import ViolationError
from fingerpost.sim.workload import Workload

NOON = 20_000 * SECONDS_PER_DAY + SECONDS_PER_DAY / 2
BEFORE_MIDNIGHT_SECONDS = 40.0
TTL_DAYS = 30
STEP_SECONDS = 2.5  # between two things that users do, on average
PAUSE_SECONDS = 330.0  # a long pause: longer than a record of the directory lives
OPENING_SECONDS = 8.0  # until the first nodes have found each other
SOON_SECONDS = 3.0  # after a newcomer came, others ask: it may hold their group, and have nothing yet
CHECK_SECONDS = 5.0
CALM_SECONDS = 20.0  # without a fault, until the network owes complete answers
WHOLE_SECONDS = 20.0  # behind a loss, until another look at whether every packet is whole again
LIVENESS_SECONDS = 420.0  # for everything to be well again once faults have stopped: more than a record lives
ROUTINE = ("beat", "compare", "compared")  # frames that come all the time
EVENTS_MAX_PER_SECOND = 5_000  # of virtual time; an engine that needs more goes round in circles


class World:
    """A network. ``run`` carries it from its first second to its last, and raises what went wrong."""

    def __init__(self, seed: int, options: SimulationOptions, *, parts: Parts | None = None) -> None:
        self.chance = chance_of(seed)
        self.options = options
        self.plan = Plan.drawn_for(seed, options)
        start = NOON
        if self.plan.near_midnight:
            start = NOON + SECONDS_PER_DAY / 2 - BEFORE_MIDNIGHT_SECONDS
        self.start = start
        self.schedule = Schedule(start=start)
        self.trace = Trace(start=start)
        self.template = template_of(
            group_bits=self.plan.group_bits, ttl_days=1 if self.plan.near_midnight else TTL_DAYS
        )
        self.network = SimulatedNetwork(self.schedule, self.chance.stream("network"), self.plan)
        self.ledger = Ledger()
        self.stations: list[Station] = []
        self.members: set[PublicKey] = set()
        self._names: dict[PublicKey, str] = {}
        self.directory = SimulatedDirectory(
            self.schedule,
            self.chance.stream("directory"),
            self.plan,
            template_id=self.template.template_id,
            admits=self.members.__contains__,
        )
        self._around = self._surroundings(parts or Parts())
        self._durability = DurabilityChecker(self.ledger, self.stations)
        self._soundness = SoundnessChecker(self.stations, self.template, members=self.members)
        self._limits = LimitsChecker()
        self._liveness = LivenessChecker(self.ledger, self.stations, self.template, candidates=self._candidates)
        self.workload = Workload(
            self.schedule,
            self.trace,
            self.chance.stream("users"),
            ledger=self.ledger,
            template=self.template,
            durability=self._durability,
            soundness=self._soundness,
            is_calm=self._is_calm,
            station_of=lambda key: next(each for each in self.stations if each.public_key == key),
        )
        self._less_on_disk = False
        self._looks = 0
        liar_place = self.chance.integer(0, self.plan.nodes - 1) if self.plan.lie is not Lie.NONE else None
        for place in range(self.plan.nodes):
            self._add_station(lie=self.plan.lie if place == liar_place else Lie.NONE)
        self.faults = Faults(
            self.schedule,
            self.trace,
            self.chance.stream("faults"),
            self.plan,
            network=self.network,
            ledger=self.ledger,
            stations=self.stations,
            join=self._join,
            lost=self._lost,
        )

    def run(self) -> None:
        """Carry the network from its first second to its last.

        Raises ``ViolationError`` for an invariant that does not hold, and whatever an engine raises.
        """
        for station in self.stations:
            self.schedule.after(self.chance.between(0, OPENING_SECONDS / 4), station.start)
        self._let_crowd_come()
        self._pass(OPENING_SECONDS)
        for _ in range(self.options.steps):
            self._user_acts()
            self.faults.step()
            if self.plan.bad_emitter and self.chance.happens(0.2):
                self._emit_unsound()
            pause = PAUSE_SECONDS if self.chance.happens(self.plan.long_pauses) else 0.0
            self._pass(pause + self.chance.waiting(STEP_SECONDS))
        self.faults.stop()
        self.directory.is_faulty = False
        self.workload.withdraw_again(self.stations)
        self._wait_until_well()
        self._end()

    def _let_crowd_come(self) -> None:
        chance = self.chance.stream("crowd")
        keys = [PublicKey(chance.octets(32)) for _ in range(self.plan.crowd)]
        self.members.update(keys)
        Crowd(self.schedule, chance, self.directory, template_id=self.template.template_id).come(keys)

    def counts(self) -> dict[str, int]:
        """Return how much has happened."""
        return {
            "stations": len(self.stations),
            "region_depth": self.directory.deepest,
            "frames": self.network.frames,
            "frames_lost": self.network.lost,
            "crashes": self.faults.crashes,
            "torn_writes": sum(each.disk.power_cuts for each in self.stations),
            "partitions": self.faults.partitions,
            "emissions": self.workload.emissions,
            "packets_acknowledged": len(self.ledger.acknowledged),
            "losses": len(self.ledger.losses),
            "let_go": sum(each.disk.let_go for each in self.stations),
            "expired": sum(each.disk.expired for each in self.stations),
            "withdrawals": len(self.ledger.withdrawn),
            "answers": self.workload.answers,
            "complete_answers": self.workload.complete_answers,
            "caught": self.workload.caught,
        }

    def _surroundings(self, parts: Parts) -> Surroundings:
        return Surroundings(
            schedule=self.schedule,
            network=self.network,
            directory=self.directory,
            trace=self.trace,
            template=self.template,
            parts=parts,
            roster=Roster(members=self.members),
            heard=self._hear,
            sent=self._note_frame,
            stopped=self._stopped,
            restarted=self._restart_later,
        )

    def _user_acts(self) -> None:
        running = [each for each in self.stations if each.is_running]
        if not running:
            return
        station = self.chance.one_of(running)
        if self.chance.happens(self.plan.withdrawals):
            self.workload.withdraw(station, among=running)
        elif self.chance.happens(0.7):
            self.workload.emit(station)
        else:
            self.workload.ask(station)

    def _pass(self, seconds: float) -> None:
        """Let virtual time pass, and look at everything now and then."""
        end = self.schedule.now + seconds
        while self.schedule.now < end:
            look_at = min(end, self.schedule.now + CHECK_SECONDS)
            most = int(EVENTS_MAX_PER_SECOND * (look_at - self.schedule.now)) + EVENTS_MAX_PER_SECOND
            while (action := self.schedule.next_before(look_at)) is not None:
                action()
                if self._less_on_disk:
                    self._less_on_disk = False
                    self._durability.check(self.workload.owed())
                most -= 1
                if not most:
                    raise ViolationError("the network comes to rest", f"{EVENTS_MAX_PER_SECOND} events a second")
            self._look()

    def _look(self) -> None:
        """Check every rule that holds at any moment."""
        now, owed = self.schedule.now, self.workload.owed()
        self._durability.check(owed)
        self._soundness.check(now=now)
        self._looks += 1
        self._check_tables(self.stations[self._looks % len(self.stations)])  # one a time: it takes the longest
        last_loss = max(self.ledger.losses, default=float("-inf"))
        if not self.network.is_split and now - last_loss >= WHOLE_SECONDS and self._durability.is_whole(owed):
            self.ledger.whole_at = now

    def _check_tables(self, station: Station) -> None:
        if station.engine is not None and station.is_honest:
            packets, peers = len(self.ledger.told), len(self.members)
            self._limits.check_engine(station.engine, who=station.name, packets=packets, peers=peers)

    def _wait_until_well(self) -> None:
        """Wait until everything is as it should be. Raises ``ViolationError`` when that takes too long."""
        began = self.schedule.now
        asked = False
        while True:
            self._pass(CHECK_SECONDS)
            problems = self._problems()
            if not problems and not asked and self._is_calm():
                asked = True
                self.workload.hand_in_old_copies(self.stations)
                for station in self.stations:
                    if station.is_running:
                        self.workload.ask(station)
                continue
            if not problems and asked:
                return
            if self.schedule.now - began > LIVENESS_SECONDS:
                raise ViolationError(
                    self._liveness.invariant, "; ".join(problems[:5]) or "the network was never calm again"
                )

    def _problems(self) -> list[str]:
        """Say what is not yet as it should be once faults have stopped."""
        problems = self._liveness.missing(now=self.schedule.now, slack_seconds=2 * CLOCK_SECONDS_MAX)
        problems += self._liveness.undead()
        for station in self.stations:
            if station.engine is not None and station.engine.unsettled():
                problems.append(f"{station.name} has {station.engine.unsettled()} emissions in its outbox")
        if self.workload.open_questions:
            problems.append(f"{self.workload.open_questions} asks have no answer")
        return problems

    def _end(self) -> None:
        self._look()
        for station in self.stations:
            self._check_tables(station)
        self.trace.note(self.schedule.now, "", f"ends with {len(self.ledger.acknowledged)} packets acknowledged")

    def _is_calm(self, *, strictly: bool = True) -> bool:
        """Say whether no fault is active, and none was for a while.

        ``strictly`` counts newcomers and links that lose frames as faults too.
        """
        last_at = self.faults.last_at
        if strictly:
            last_at = max(last_at, self.faults.joined_at, self.schedule.now if self.network.loses_frames else 0.0)
        return (
            not self.network.is_split
            and self.schedule.now - last_at >= CALM_SECONDS
            and all(each.is_lost or (each.is_running and each.is_honest) for each in self.stations)
        )

    def _candidates(self, group: int) -> frozenset[PublicKey] | None:
        return self.directory.candidates(group, now=self.schedule.now)

    def _add_station(self, *, lie: Lie) -> Station:
        name = f"n{len(self.stations)}"
        chance = self.chance.stream(name)
        ahead = chance.between(-CLOCK_SECONDS_MAX, CLOCK_SECONDS_MAX) / 2 if self.plan.clocks else 0.0
        drift = chance.between(-CLOCK_DRIFT_MAX, CLOCK_DRIFT_MAX) if self.plan.clocks else 0.0
        station = Station(
            name,
            self._around,
            chance=chance,
            clock=DriftingClock(self.schedule, ahead_seconds=ahead, drift=drift),
            organisation=f"o{chance.integer(0, self.plan.nodes)}" if self.plan.organisations else "",
            follows=chance.happens(self.plan.followers),
            lie=lie,
        )
        station.disk.when_less = self._note_less
        self.stations.append(station)
        self.members.add(station.public_key)
        self._names[station.public_key] = name
        return station

    def _join(self) -> Station:
        station = self._add_station(lie=Lie.NONE)
        station.start()
        for _ in range(self.plan.asks_after_joins):
            self.schedule.after(self.chance.between(0, SOON_SECONDS), self._somebody_asks)
        return station

    def _somebody_asks(self) -> None:
        running = [each for each in self.stations if each.is_running]
        if running:
            self.workload.ask(self.chance.one_of(running[: self.plan.nodes]))  # who was there before

    def _hear(self, station: Station, event: Event) -> None:
        if isinstance(event, Acknowledged):
            packet_ids = self.workload.acknowledged(station, event)
            self.faults.after_acknowledgement(station, packet_ids)
        elif isinstance(event, Refreshed | Fetched):
            self.workload.answered(station, event)
        elif isinstance(event, HolderOmits):
            self.workload.omitted(station, event)

    def _note_frame(self, station: Station, frame: bytes, to: PublicKey) -> None:
        kind = _kind_of(frame)
        name = self._names.get(to, "?")
        what = f"sends {name} {kind}, {len(frame)} bytes"
        self.trace.note(self.schedule.now, station.name, what, content=frame, is_routine=kind in ROUTINE)
        if station.is_honest:
            self._limits.check_frame(frame, sender=station.name)

    def _note_less(self) -> None:
        self._less_on_disk = True

    def _lost(self) -> None:
        self._less_on_disk = True

    def _stopped(self, station: Station) -> None:
        self.workload.forget(station)

    def _restart_later(self, station: Station) -> None:
        self.faults.restart_later(station)

    def _emit_unsound(self) -> None:
        """Let a member that cannot be trusted hand unsound packets to everybody, past its own engine."""
        running = [each for each in self.stations if each.is_running]
        station = self.chance.one_of(running) if running else None
        if station is None or station.engine is None:
            return
        chance = self.chance.stream(f"unsound {self.schedule.now}")
        day = day_of(station.clock.now())
        rows = np.array(chance.some_of(range(len(records_of(self.template))), 3), np.intp)
        sound, _ = build_packets(
            self.template,
            station.engine.knowledge(self.template.template_id).fingerprinter,
            records_of(self.template).part(rows),
            signer=station.signer,
            day=day,
            entropy=chance,
        )
        for kind, packets in unsound_packets(
            sound, emitter=station.signer, stranger=Signer(chance.octets(32)), chance=chance, day=day
        ):
            self.trace.note(self.schedule.now, station.name, f"hands out packets: {kind}")
            frame = encode_message(Offer(number=chance.integer(1, 2**40), packets=packets.tobytes()))
            for other in chance.some_of([each for each in running if each is not station], 3):
                station.hand_over(frame, other.public_key)


def _kind_of(frame: bytes) -> str:
    """Return the tag of a message, which comes first in its frame; a hostile frame may have none."""
    if frame[1:6] != b"\xa4type" or len(frame) < 8:
        return "no message"
    return frame[7 : 7 + (frame[6] & 0x1F)].decode("ascii", "replace")
