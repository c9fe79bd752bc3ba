"""A simulated network: what the port ``Carrier`` promises, and everything that it does not.

Frames arrive whole, at most once and in order while a connection lasts; they may take their time, and a connection
that breaks takes with it what was on its way. A partition breaks connections until it heals. Whether a sender hears of
a loss is a matter of chance, as a carrier promises nothing about it.

``mangled_frames`` goes beyond the port: single frames come twice, late or never. The engine has to survive that too,
since no carrier can keep a peer from sending such frames itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from fingerpost.ids import PublicKey
from fingerpost.sim.chance import Chance
from fingerpost.sim.options import Plan
from fingerpost.sim.schedule import Schedule

GIVE_UP_SECONDS = (0.05, 4.0)  # until a sender learns that a peer cannot be reached
SLOW_SECONDS_MAX = 2.0
MANGLED_SECONDS_MAX = 20.0
GAP_SECONDS = 1e-6  # between two frames of one connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One process of a node as its peers reach it: gone with the process, also when the node comes back."""

    public_key: PublicKey
    name: str
    deliver: Callable[[bytes, PublicKey], None]
    give_up: Callable[[PublicKey], None]


@dataclass(slots=True)
class _Connection:
    """One direction between two processes."""

    free_at: float = 0.0  # when the frame before has arrived
    times_broken: int = 0


class SimulatedNetwork:
    """The links between all nodes of a run."""

    def __init__(self, schedule: Schedule, chance: Chance, plan: Plan) -> None:
        self._schedule = schedule
        self._chance = chance
        self._plan = plan
        self._endpoints: dict[PublicKey, Endpoint] = {}
        self._connections: dict[tuple[PublicKey, PublicKey], _Connection] = {}
        self._sides: dict[PublicKey, int] = {}
        self._one_way = False
        self.is_faulty = True
        self.frames = 0
        self.lost = 0

    @property
    def is_split(self) -> bool:
        """Whether a partition keeps nodes apart now."""
        return bool(self._sides)

    @property
    def loses_frames(self) -> bool:
        """Whether frames may be lost although nobody is cut off."""
        return self.is_faulty and max(self._plan.broken_links, self._plan.mangled_frames) > 0

    def open(self, endpoint: Endpoint) -> None:
        """Let a process be reached."""
        self._endpoints[endpoint.public_key] = endpoint

    def close(self, endpoint: Endpoint) -> None:
        """End a process; what it sent before may still arrive."""
        if self._endpoints.get(endpoint.public_key) is endpoint:
            del self._endpoints[endpoint.public_key]

    def split(self, sides: Sequence[Iterable[PublicKey]], *, one_way: bool) -> None:
        """Keep sides apart until ``heal``; ``one_way`` lets frames pass from a later side to an earlier one."""
        self._sides = {key: number for number, side in enumerate(sides) for key in side}
        self._one_way = one_way
        for sender, to in list(self._connections):
            if self._is_cut(sender, to):
                self._break(sender, to)

    def heal(self) -> None:
        """End the partition."""
        self._sides = {}

    def reaches(self, sender: PublicKey, to: PublicKey) -> bool:
        """Say whether no partition keeps what ``sender`` says from ``to``."""
        return not self._is_cut(sender, to)

    def send(self, frame: bytes, *, sender: Endpoint, to: PublicKey) -> None:
        """Put one frame on its way."""
        self.frames += 1
        receiver = self._endpoints.get(to)
        if receiver is None or self._is_cut(sender.public_key, to):
            self._fail(sender, to)
            return
        connection = self._connections.setdefault((sender.public_key, to), _Connection())
        if self.is_faulty and self._chance.happens(self._plan.broken_links):
            self._break(sender.public_key, to)
            self._fail(sender, to, heard_of=0.5)
            return
        if self.is_faulty and self._chance.happens(self._plan.mangled_frames):
            self._mangle(frame, sender, receiver)
            return
        arrival = max(self._schedule.now + self._delay(), connection.free_at + GAP_SECONDS)
        connection.free_at = arrival
        self._plan_delivery(frame, sender, receiver, arrival=arrival, connection=connection)

    def _delay(self) -> float:
        latency = self._plan.latency_seconds
        if self.is_faulty and self._chance.happens(self._plan.slow_frames):
            return self._chance.between(latency, SLOW_SECONDS_MAX)
        return self._chance.between(0.5, 1.5) * latency

    def _plan_delivery(
        self, frame: bytes, sender: Endpoint, receiver: Endpoint, *, arrival: float, connection: _Connection | None
    ) -> None:
        times_broken = connection.times_broken if connection is not None else 0

        def arrive() -> None:
            broken = connection is not None and connection.times_broken != times_broken
            if broken or self._endpoints.get(receiver.public_key) is not receiver:
                self.lost += 1
            else:
                receiver.deliver(frame, sender.public_key)

        self._schedule.at(arrival, arrive)

    def _mangle(self, frame: bytes, sender: Endpoint, receiver: Endpoint) -> None:
        for _ in range(self._chance.integer(0, 3)):
            arrival = self._schedule.now + self._chance.between(0, MANGLED_SECONDS_MAX)
            self._plan_delivery(frame, sender, receiver, arrival=arrival, connection=None)

    def _fail(self, sender: Endpoint, to: PublicKey, *, heard_of: float = 0.9) -> None:
        self.lost += 1
        if not self._chance.happens(heard_of):
            return

        def give_up() -> None:
            if self._endpoints.get(sender.public_key) is sender:
                sender.give_up(to)

        self._schedule.after(self._chance.between(*GIVE_UP_SECONDS), give_up)

    def _break(self, sender: PublicKey, to: PublicKey) -> None:
        self._connections[sender, to].times_broken += 1

    def _is_cut(self, sender: PublicKey, to: PublicKey) -> bool:
        if not self._sides:
            return False
        from_side, to_side = self._sides.get(sender, 0), self._sides.get(to, 0)
        return from_side < to_side if self._one_way else from_side != to_side
