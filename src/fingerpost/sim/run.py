"""Running seeds, and saying what came of each: a report that repeats itself from its first line."""

from __future__ import annotations

import traceback
from dataclasses import dataclass, field
from typing import Any

from fingerpost.sim.options import SimulationOptions
from fingerpost.sim.parts import Parts
from fingerpost.sim.violation import ViolationError
from fingerpost.sim.world import World

EVENTS_SHOWN = 60
ENGINE_RAISED = "hostile bytes become an event, never an exception"


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """An invariant that did not hold, at ``at`` seconds of virtual time from the start, and the last events before."""

    invariant: str
    seen: str
    at: float
    last_events: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationReport:
    """What came of one seed. The same seed, options and code give the same ``digest``, that of every event."""

    seed: int
    options: SimulationOptions
    digest: str
    events: int
    seconds: float  # of virtual time
    counts: dict[str, int] = field(default_factory=dict)
    violation: Violation | None = None

    @property
    def command(self) -> str:
        """The command that repeats this run."""
        return f"fingerpost sim run --seed {self.seed} {self.options.as_arguments()}"

    def to_document(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        found = self.violation
        return {
            "seed": self.seed,
            "nodes": self.options.nodes,
            "steps": self.options.steps,
            "digest": self.digest,
            "events": self.events,
            "virtual_seconds": round(self.seconds, 3),
            "counts": self.counts,
            "violation": None
            if found is None
            else {
                "invariant": found.invariant,
                "seen": found.seen,
                "at_seconds": round(found.at, 6),
                "last_events": list(found.last_events),
            },
        }


def run_seed(
    seed: int,
    options: SimulationOptions | None = None,
    *,
    parts: Parts | None = None,
) -> SimulationReport:
    """Run one seed to its end, or to the first invariant that does not hold. Raises nothing that the network does."""
    options = options or SimulationOptions()
    world = World(seed, options, parts=parts)
    violation = None
    try:
        world.run()
    except ViolationError as error:
        violation = _violation(world, error.invariant, error.seen)
    except Exception as error:  # Whatever an engine lets out is our bug, and a finding.
        where = traceback.extract_tb(error.__traceback__)[-1]
        seen = f"{type(error).__name__}: {error} ({where.name}, line {where.lineno})"
        violation = _violation(world, ENGINE_RAISED, seen)
    return SimulationReport(
        seed=seed,
        options=options,
        digest=world.trace.digest,
        events=world.trace.events,
        seconds=world.schedule.now - world.start,
        counts=world.counts(),
        violation=violation,
    )


def _violation(world: World, invariant: str, seen: str) -> Violation:
    return Violation(
        invariant=invariant,
        seen=seen,
        at=world.schedule.now - world.start,
        last_events=tuple(world.trace.last(EVENTS_SHOWN)),
    )
