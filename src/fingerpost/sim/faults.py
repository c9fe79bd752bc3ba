"""What goes wrong in a simulated network, and when: drawn step by step after the plan of the seed.

Nothing is lost for ever beyond what the protocol promises to survive: at most two disks between two moments at which
every packet was whole again, a holder that lies counted as one of them. Everything else may happen at any time.
"""

from __future__ import annotations

from collections.abc import Callable

from fingerpost.sim.chance import Chance
from fingerpost.sim.ledger import Ledger
from fingerpost.sim.network import SimulatedNetwork
from fingerpost.sim.options import LOSSES_MAX, NODES_MAX, Plan
from fingerpost.sim.schedule import Schedule
from fingerpost.sim.station import Station
from fingerpost.sim.trace import Trace

DOWN_SECONDS = (0.5, 40.0)  # between a crash and the start on the same disk
SPLIT_SECONDS = (3.0, 60.0)
CALLS_UNTIL_CUT_MAX = 6
CLOCK_TURN_SECONDS_MAX = 20.0
STATIONS_RUNNING_MIN = 4
NEWCOMERS_MAX = 8  # in all, unless more come at once
JOIN_SECONDS = 1.5  # in which a crowd of newcomers comes


class Faults:
    """Breaks things, and mends them."""

    def __init__(
        self,
        schedule: Schedule,
        trace: Trace,
        chance: Chance,
        plan: Plan,
        *,
        network: SimulatedNetwork,
        ledger: Ledger,
        stations: list[Station],
        join: Callable[[], Station],
        lost: Callable[[], None],
    ) -> None:
        self._schedule = schedule
        self._trace = trace
        self._chance = chance
        self._plan = plan
        self._network = network
        self._ledger = ledger
        self._stations = stations
        self._join = join
        self._lost = lost
        self._originals = list(stations) if plan.turnover else []
        self.are_on = True
        self.crashes = 0
        self.partitions = 0
        self.last_at = float("-inf")  # when something last broke, or was mended
        self.joined_at = schedule.now

    def step(self) -> None:
        """Let the faults of one step happen."""
        plan, chance = self._plan, self._chance
        if chance.happens(plan.restarts):
            self._with_one(self._running(), self._crash)
        if chance.happens(plan.torn_writes):
            self._with_one(self._running(), self._plan_cut)
        if chance.happens(plan.partitions) and not self._network.is_split:
            self._split()
        if chance.happens(plan.clock_turns):
            self._with_one(self._running(), self._turn_clock)
        if chance.happens(plan.losses):
            self.lose_one(self._stations)
        if chance.happens(plan.leaves):
            self.lose_one(self._running())
        if self._originals and self.lose_one(self._originals):
            self._originals = [each for each in self._originals if not each.is_lost]
            self._add()
        if chance.happens(plan.joins) and len(self._stations) < plan.nodes + max(plan.newcomers, NEWCOMERS_MAX):
            for _ in range(min(plan.newcomers, NODES_MAX - len(self._stations))):
                self._schedule.after(chance.between(0, JOIN_SECONDS), self._add)

    def after_acknowledgement(self, station: Station, packet_ids: list[bytes]) -> None:
        """Lose as many as may be lost of those that have packets which were acknowledged a moment ago."""
        if not self.are_on or not packet_ids or not self._chance.happens(self._plan.losses_at_acknowledgement):
            return
        keepers = [each for each in self._stations if packet_ids[0] in each.disk.packets]
        victims = self._chance.some_of(keepers, LOSSES_MAX)

        def strike() -> None:
            for victim in victims:
                self.lose_one([victim])

        self._trace.note(self._schedule.now, station.name, "and those that have it are struck")
        self._schedule.after(0, strike)

    def lose_one(self, among: list[Station]) -> bool:
        """Lose one of these stations for ever, if another loss may be survived; say whether that was done."""
        liars = sum(not each.is_honest for each in self._stations)
        losses = self._ledger.losses_since(self._ledger.whole_at)
        due = [each for each in among if not each.is_lost and each.is_honest]
        running = sum(each.is_running for each in self._stations)
        if not self.are_on or not due or losses + liars >= LOSSES_MAX or running <= STATIONS_RUNNING_MIN:
            return False
        victim = self._chance.one_of(due)
        self.last_at = self._schedule.now
        self._ledger.losses.append(self._schedule.now)
        victim.lose_disk()
        self._lost()
        return True

    def restart_later(self, station: Station) -> None:
        """Start a crashed station on its disk after a while."""
        self.last_at = self._schedule.now

        def start() -> None:
            if not station.is_running and not station.is_lost:
                self.last_at = self._schedule.now
                station.start()

        self._schedule.after(self._chance.between(*DOWN_SECONDS), start)

    def stop(self) -> None:
        """Mend everything: from now on nothing breaks, and who is down comes back."""
        self.are_on = False
        self.last_at = self._schedule.now
        self._trace.note(self._schedule.now, "", "faults stop")
        self._network.heal()
        self._network.is_faulty = False
        for station in self._stations:
            station.disk.keep_power()
            if not station.is_honest and not station.is_lost:
                station.lose_disk()
            elif not station.is_running and not station.is_lost:
                station.start()

    def _running(self) -> list[Station]:
        return [each for each in self._stations if each.is_running]

    def _with_one(self, stations: list[Station], action: Callable[[Station], None]) -> None:
        if stations:
            action(self._chance.one_of(stations))

    def _crash(self, station: Station) -> None:
        self.crashes += 1
        station.stop()
        self.restart_later(station)

    def _plan_cut(self, station: Station) -> None:
        call = self._chance.integer(0, CALLS_UNTIL_CUT_MAX)
        station.disk.cut_power_at(call=call, before=self._chance.happens(0.5))

    def _turn_clock(self, station: Station) -> None:
        if self._plan.clocks:
            seconds = self._chance.between(-CLOCK_TURN_SECONDS_MAX, CLOCK_TURN_SECONDS_MAX)
            self._trace.note(self._schedule.now, station.name, f"has its clock turned by {seconds:.1f} s")
            station.clock.turn(seconds)

    def _split(self) -> None:
        keys = [each.public_key for each in self._stations]
        minority = self._chance.some_of(keys, self._chance.integer(1, max(1, len(keys) // 2)))
        sides = [minority, [key for key in keys if key not in minority]]
        if self._chance.happens(0.5):
            sides.reverse()
        one_way = self._chance.happens(0.25)
        names = [each.name for each in self._stations if each.public_key in minority]
        self._trace.note(
            self._schedule.now, "", f"{', '.join(names)} split off{' in one direction' if one_way else ''}"
        )
        self.partitions += 1
        self._network.split(sides, one_way=one_way)
        self.last_at = self._schedule.now

        def heal() -> None:
            if self._network.is_split:
                self._trace.note(self._schedule.now, "", "the partition heals")
                self.last_at = self._schedule.now
                self._network.heal()

        self._schedule.after(self._chance.between(*SPLIT_SECONDS), heal)

    def _add(self) -> None:
        self.joined_at = self._schedule.now
        self._join()
