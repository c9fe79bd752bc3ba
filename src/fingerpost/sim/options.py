"""What a run is made of: the few things that a person chooses, and the plan of faults that follows from the seed.

Each seed switches a random part of all faults on ("swarm testing"; Groce et al., ISSTA 2012): a network with everything
at once rarely gets far enough for the subtle failures.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from fingerpost.errors import UsageError
from fingerpost.sim.chance import Chance

NODES_MIN = 4  # three holders of a group and somebody who is none
NODES_MAX = 50
NODES_DRAWN = (5, 7)
NODES_QUIET = (5, 6)
CROWD_DRAWN = (230, 420)
STEPS_DEFAULT = 16
STEPS_MAX = 100_000
QUIET_SEEDS = 0.15  # in which nothing breaks
LOSSES_MAX = 2  # what any packet has to survive at once

# Two clocks differ by at most 200 s: beyond 240 s a reader takes every record of a directory for expired.
CLOCK_SECONDS_MAX = 100.0
CLOCK_DRIFT_MAX = 2e-4


class Lie(StrEnum):
    """What a holder that cannot be trusted does."""

    NONE = "none"
    OMIT = "omit"  # leaves packets out of whatever it hands over
    SWAP = "swap"  # answers with packets, ids and digests of something else
    GARBAGE = "garbage"  # sends random, cut, altered and oversized frames
    REPLAY = "replay"  # sends what it and others sent before once more
    FORGE = "forge"  # says that it has what it has not, also in the name of others
    FORGET = "forget"  # promises to keep packets, and drops them
    FLOOD = "flood"  # asks and offers without end


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationOptions:
    """What a person chooses. ``nodes`` None lets the seed choose; ``steps`` counts what users do.

    Raises ``UsageError`` (``simulation-options``).
    """

    nodes: int | None = None
    steps: int = STEPS_DEFAULT

    def __post_init__(self) -> None:
        """Refuse what makes no network."""
        if self.nodes is not None and not NODES_MIN <= self.nodes <= NODES_MAX:
            raise UsageError(
                "simulation-options",
                f"a simulation has {NODES_MIN} to {NODES_MAX} nodes, not {self.nodes}",
                hint="choose --nodes in that range, or leave it out: then the seed says",
            )
        if not 1 <= self.steps <= STEPS_MAX:
            raise UsageError(
                "simulation-options",
                f"a simulation has 1 to {STEPS_MAX} steps, not {self.steps}",
                hint="choose --steps in that range",
            )

    def as_arguments(self) -> str:
        """Return the options as they are written behind ``fingerpost sim run``."""
        return (f"--nodes {self.nodes} " if self.nodes is not None else "") + f"--steps {self.steps}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What may go wrong in one run, and how the network is made. Probabilities are per frame or per step."""

    nodes: int
    group_bits: int
    organisations: bool
    crowd: int  # holders that only stand in the directory: so many that its regions divide
    followers: float  # share of the nodes that keep a whole template, besides those that hold a group
    near_midnight: bool  # packets of one day's life expire in the middle of the run
    directory_seconds: float  # until a record is found by everybody
    missed_records: float  # of those that a look-up should have found
    latency_seconds: float
    slow_frames: float  # arrive after up to two seconds
    broken_links: float  # the connection breaks: what is on its way is lost
    mangled_frames: float  # arrive twice, late, or not at all, which no carrier does
    clocks: bool
    clock_turns: float
    partitions: float
    restarts: float  # a crash, with the disk as it was
    torn_writes: float  # a crash in the middle of a call of the store
    losses: float  # a node dies and its disk with it
    losses_at_acknowledgement: float
    joins: float
    leaves: float
    turnover: bool
    withdrawals: float
    lie: Lie
    bad_emitter: bool
    newcomers: int  # that come at once, or almost
    asks_after_joins: int  # by anybody, in the first seconds of a newcomer
    long_pauses: float  # of minutes, in which records of the dead expire and old holders let go

    @classmethod
    def drawn_for(cls, seed: int, options: SimulationOptions) -> Plan:
        """Draw the plan of a seed."""
        return cls.drawn(chance_of(seed).stream("plan"), options)

    @classmethod
    def drawn(cls, chance: Chance, options: SimulationOptions) -> Plan:
        """Draw a plan."""

        def sometimes(probability: float, low: float, high: float) -> float:
            return chance.between(low, high) if chance.happens(probability) else 0.0

        if chance.happens(QUIET_SEEDS):
            return cls._quiet(chance, options)
        lies = [Lie.NONE] * 4 + [lie for lie in Lie if lie is not Lie.NONE]
        return cls(
            nodes=options.nodes if options.nodes is not None else chance.integer(*NODES_DRAWN),
            group_bits=chance.one_of((0, 0, 1, 1, 2)),
            organisations=chance.happens(0.2),
            crowd=chance.integer(*CROWD_DRAWN) if chance.happens(0.025) else 0,
            followers=chance.one_of((0.0, 0.0, 0.3, 1.0)),
            near_midnight=chance.happens(0.15),
            directory_seconds=chance.between(0.1, 4),
            missed_records=sometimes(0.5, 0.01, 0.06),
            latency_seconds=chance.between(0.001, 0.08),
            slow_frames=sometimes(0.4, 0.01, 0.15),
            broken_links=sometimes(0.5, 0.005, 0.05),
            mangled_frames=sometimes(0.25, 0.02, 0.15),
            clocks=chance.happens(0.5),
            clock_turns=sometimes(0.2, 0.02, 0.1),
            partitions=sometimes(0.4, 0.05, 0.2),
            restarts=sometimes(0.5, 0.05, 0.2),
            torn_writes=sometimes(0.5, 0.05, 0.25),
            losses=sometimes(0.6, 0.05, 0.3),
            losses_at_acknowledgement=sometimes(0.5, 0.1, 0.5),
            joins=sometimes(0.4, 0.04, 0.12),
            leaves=sometimes(0.3, 0.05, 0.15),
            turnover=chance.happens(0.15),
            withdrawals=sometimes(0.4, 0.05, 0.2),
            lie=chance.one_of(lies),
            bad_emitter=chance.happens(0.3),
            newcomers=chance.integer(1, 4),
            asks_after_joins=0,
            long_pauses=sometimes(0.2, 0.02, 0.06),
        )

    @classmethod
    def _quiet(cls, chance: Chance, options: SimulationOptions) -> Plan:
        """Draw the plan of a network in which nothing breaks and newcomers come in crowds: it owes complete answers."""
        return cls(
            nodes=options.nodes if options.nodes is not None else chance.integer(*NODES_QUIET),
            group_bits=chance.integer(1, 2),
            organisations=False,
            crowd=0,
            followers=0.0,
            near_midnight=False,
            directory_seconds=0.2,
            missed_records=0.0,
            latency_seconds=chance.between(0.1, 0.5),
            slow_frames=0.1,
            broken_links=0.0,
            mangled_frames=0.0,
            clocks=chance.happens(0.5),
            clock_turns=0.0,
            partitions=0.0,
            restarts=0.0,
            torn_writes=0.0,
            losses=0.0,
            losses_at_acknowledgement=0.0,
            joins=0.12,
            leaves=0.0,
            turnover=False,
            withdrawals=0.05,
            lie=Lie.NONE,
            bad_emitter=chance.happens(0.3),
            newcomers=chance.integer(9, 12),
            asks_after_joins=10,
            long_pauses=0.0,
        )


def chance_of(seed: int) -> Chance:
    """Return what everything in the run of a seed is drawn from."""
    return Chance(f"fingerpost simulation {seed}")
