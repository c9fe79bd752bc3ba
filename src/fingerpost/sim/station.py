"""One node of a simulated network: the engine of production, its disk, its clock, and whoever owns it.

It does for the engine what ``node.runtime`` does in production: it hands in frames, the time and the holders that the
directory names, sends what is due and passes events on. It does it at once, on virtual time, and may lose power.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from fingerpost.directory.record import HolderRecord
from fingerpost.directory.regions import HolderRegions
from fingerpost.ids import PublicKey
from fingerpost.limits import ANNOUNCE_SECONDS, RECORD_LIFETIME_SECONDS_DEFAULT, STORE_QUOTA_PACKETS_DEFAULT
from fingerpost.node.engine import Engine
from fingerpost.node.events import Event
from fingerpost.node.peers import Holder
from fingerpost.node.placement import Candidates, group_key
from fingerpost.node.roster import Roster
from fingerpost.packet import Signer
from fingerpost.ports import day_of
from fingerpost.sim.adversary import ForgetfulStore, Liar
from fingerpost.sim.chance import Chance
from fingerpost.sim.directory import CARRIER, SimulatedDirectory
from fingerpost.sim.disk import PowerCut, SimulatedDisk
from fingerpost.sim.network import Endpoint, SimulatedNetwork
from fingerpost.sim.options import Lie
from fingerpost.sim.parts import Parts
from fingerpost.sim.schedule import DriftingClock, Schedule
from fingerpost.sim.trace import Trace
from fingerpost.store.base import PacketStore
from fingerpost.template import Template

LOOK_SECONDS = (4.0, 6.0)  # between two look-ups of the directory
ASKED_SECONDS = 60.0  # that the holders of groups are looked up after they were asked for, or emitted to
KNOCK_SECONDS = 0.5  # between two look-ups because a stranger knocked
TIMER_SECONDS_MIN = 0.001  # an engine whose timer is overdue is called again, but time goes on

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What all stations of a run share, and whom they tell about what happens to them."""

    schedule: Schedule
    network: SimulatedNetwork
    directory: SimulatedDirectory
    trace: Trace
    template: Template
    parts: Parts
    roster: Roster
    heard: Callable[[Station, Event], None]
    sent: Callable[[Station, bytes, PublicKey], None]
    stopped: Callable[[Station], None]
    restarted: Callable[[Station], None]


class Station:
    """A node. It is running, crashed (its disk waits for it), or lost for ever."""

    def __init__(
        self,
        name: str,
        around: Surroundings,
        *,
        chance: Chance,
        clock: DriftingClock,
        organisation: str,
        follows: bool,
        lie: Lie = Lie.NONE,
    ) -> None:
        self.name = name
        self.signer = Signer(chance.octets(32))
        self.follows = follows
        self.clock = clock
        self.organisation = organisation
        self.liar: Liar | None = None
        if lie is not Lie.NONE:
            self.liar = Liar(lie, self.signer, chance.stream("lies"), template_id=around.template.template_id)
        self.disk = SimulatedDisk()
        self.engine: Engine | None = None
        self.is_lost = False
        self.process = 0  # how often it was started
        self.endpoint: Endpoint | None = None
        self._around = around
        self._chance = chance
        self._seen: dict[PublicKey, HolderRecord] = {}
        self._placed: dict[int, Candidates] | None = None
        self._standing: HolderRegions | None = None
        self._asked_at = float("-inf")
        self._timer_at = float("inf")
        self._looked_at = self._looks_at = float("-inf")

    @property
    def public_key(self) -> PublicKey:
        """The key that this node signs with."""
        return PublicKey(self.signer.public_key)

    @property
    def is_honest(self) -> bool:
        """Whether it does what the protocol says."""
        return self.liar is None

    @property
    def is_running(self) -> bool:
        """Whether there is a process."""
        return self.engine is not None

    def start(self) -> None:
        """Start the process on what the disk holds."""
        around = self._around
        around.trace.note(around.schedule.now, self.name, "starts")
        self.process += 1
        self.endpoint = Endpoint(
            public_key=self.public_key, name=self.name, deliver=self._deliver, give_up=self._give_up
        )
        around.network.open(self.endpoint)
        self._timer_at = float("inf")
        self.engine = around.parts.engine(
            signer=self.signer,
            store=self._open_store(),
            entropy=self._chance.stream(f"entropy {around.schedule.now}"),
            roster=around.roster,
            organisation=self.organisation,
        )
        self.engine.serve(around.template, follow=self.follows)
        self._placed, self._standing = None, around.directory.standing_of(self.public_key)
        self._keep_announcing(self.endpoint, self._standing)
        self._keep_looking(self.endpoint)

    def stop(self) -> None:
        """End the process at once, between two calls; the disk stays."""
        if self.engine is None:
            return
        self._around.trace.note(self._around.schedule.now, self.name, "stops")
        if self.endpoint is not None:
            self._around.network.close(self.endpoint)
        self.engine = self.endpoint = None
        self.disk.keep_power()
        self._around.stopped(self)

    def lose_disk(self) -> None:
        """End the process and its disk for ever."""
        self.stop()
        self._around.trace.note(self._around.schedule.now, self.name, f"is lost with {len(self.disk.packets)} packets")
        self.disk.lose()
        self.is_lost = True

    def act(self, action: Callable[[Engine, float], Result]) -> Result | None:
        """Let the engine do something, then send and tell what came of it; None when the power went before the end."""
        engine = self.engine
        if engine is None:
            return None
        try:
            result = action(engine, self.clock.now())
            self._settle(engine)
        except PowerCut:
            self._lose_power()
            return None
        return result

    def hand_over(self, frame: bytes, to: PublicKey) -> None:
        """Send a frame that is none of the engine's."""
        if self.endpoint is not None:
            self._around.network.send(frame, sender=self.endpoint, to=to)

    def look(self) -> None:
        """Look the holders up in the directory and tell the engine."""
        around, now = self._around, self.clock.now()
        self._looked_at = around.schedule.now
        found = around.directory.find(
            self._concerned(),
            own=self.public_key,
            now=now,
            reaches=lambda key: around.network.reaches(key, self.public_key),
        )
        named = {record.public_key: record for record in found.records}
        placed = found.candidates
        self._placed = placed
        for key, record in self._seen.items():
            if record.is_live(now) and not around.network.reaches(key, self.public_key):
                named.setdefault(key, record)
        self._seen = named
        holders = [
            Holder(public_key=record.public_key, organisation=record.organisation)
            for record in named.values()
            if record.public_key != self.public_key
            and record.carrier == CARRIER
            and around.roster.admits(record.public_key, day=day_of(now))
        ]
        template_id = around.template.template_id
        near = None if placed is None else {group_key(template_id, group): each for group, each in placed.items()}
        self.act(lambda engine, now: engine.know(holders, candidates=near, now=now))

    def meet(self) -> None:
        """Look up the holders of all groups, where they are not known: this node is about to ask or to emit."""
        groups = range(1 << self._around.template.group_bits)
        self._asked_at = self._around.schedule.now
        if self._placed is not None and any(group not in self._placed for group in groups):
            self.look()

    def _concerned(self) -> list[int]:
        """Return the groups that this node keeps, has something of, or lately asked for or emitted to; maybe all."""
        template = self._around.template
        everything = range(1 << template.group_bits)
        if self.engine is None or self._around.schedule.now - self._asked_at < ASKED_SECONDS:
            return list(everything)
        kept = {group.number for group in self.engine.group_status(template.template_id)}
        shelved = kept | {group.number for group in self.engine.groups(template.template_id) if group.follows}
        own = [group for group in everything if self._may_hold(group)]
        return sorted(shelved.union(own))

    def _may_hold(self, group: int) -> bool:
        standing = self._standing
        return standing is None or standing.may_hold(group)

    def announce(self, standing: HolderRegions) -> None:
        """Tell the directory that this node holds packets."""
        record = HolderRecord(
            template_id=self._around.template.template_id,
            public_key=self.public_key,
            carrier=CARRIER,
            endpoint=self.name,
            channel_key=b"",
            organisation=self.organisation,
            capacity_packets=STORE_QUOTA_PACKETS_DEFAULT,
            issued_at=int(self.clock.now()),
            lifetime_seconds=RECORD_LIFETIME_SECONDS_DEFAULT,
        )
        self._around.directory.announce(record, standing)

    def _open_store(self) -> PacketStore:
        if self.liar is not None and self.liar.lie is Lie.FORGET:
            return ForgetfulStore(self.disk)
        return self._around.parts.store(self.disk)

    def _deliver(self, frame: bytes, sender: PublicKey) -> None:
        if sender not in self._seen:
            self._look_soon()
        if self.liar is not None:
            self.liar.overhear(frame, sender)
            answers = self.liar.answers_instead(frame, sender, now=self.clock.now())
            if answers is not None:
                for outgoing in answers:
                    self._send(outgoing.frame, outgoing.to)
                return
        self.act(lambda engine, now: engine.receive(frame, peer=sender, now=now))

    def _give_up(self, peer: PublicKey) -> None:
        self.act(lambda engine, now: engine.unreachable(peer, now=now))

    def _settle(self, engine: Engine) -> None:
        while (event := engine.next_event()) is not None:
            self._around.heard(self, event)
        outgoing = engine.frames_to_send()
        if self.liar is not None:
            outgoing = self.liar.instead(outgoing)
        for each in outgoing:
            self._send(each.frame, each.to)
        self._plan_timer(engine)

    def _send(self, frame: bytes, to: PublicKey) -> None:
        if self.endpoint is None:
            return
        self._around.sent(self, frame, to)
        self._around.network.send(frame, sender=self.endpoint, to=to)

    def _plan_timer(self, engine: Engine) -> None:
        schedule = self._around.schedule
        due = engine.timer_at
        if due == float("inf"):
            return
        due = max(self.clock.true_time(due), schedule.now + TIMER_SECONDS_MIN)
        if due >= self._timer_at:
            return
        self._timer_at = due

        def ring() -> None:
            if self.engine is engine and self._timer_at == due:
                self._timer_at = float("inf")
                self.act(lambda engine, now: engine.handle_timer(now=now))

        schedule.at(due, ring)

    def _keep_announcing(self, endpoint: Endpoint, standing: HolderRegions) -> None:
        if self.endpoint is endpoint:
            self.announce(standing)
            self._around.schedule.after(ANNOUNCE_SECONDS, lambda: self._keep_announcing(endpoint, standing))

    def _keep_looking(self, endpoint: Endpoint) -> None:
        if self.endpoint is endpoint:
            self.look()
            self._around.schedule.after(self._chance.between(*LOOK_SECONDS), lambda: self._keep_looking(endpoint))

    def _look_soon(self) -> None:
        """Look into the directory because somebody knocked who was not known at the last look."""
        schedule, endpoint = self._around.schedule, self.endpoint
        if self._looks_at > schedule.now:
            return
        self._looks_at = max(schedule.now, self._looked_at + KNOCK_SECONDS) + TIMER_SECONDS_MIN

        def look() -> None:
            if self.endpoint is endpoint:
                self.look()

        schedule.at(self._looks_at, look)

    def _lose_power(self) -> None:
        self._around.trace.note(self._around.schedule.now, self.name, "loses power in the middle of a write")
        self.stop()
        self._around.restarted(self)
