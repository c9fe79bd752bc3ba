"""Both sides of the experiment, one after the other, and what came of them as plain values."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fingerpost.lab.coordinator.fingerpost_side import NodeCrash, crash_nodes
from fingerpost.lab.coordinator.flower_side import FlowerCrash, crash_flower

if TYPE_CHECKING:
    from collections.abc import Callable

DOES_NOT_SHOW = (
    "One machine, loopback, one kill of each kind: no network partition, no machine that is lost for ever. Nodes that "
    "were killed had been fetched from; one that dies before its packets are acknowledged loses those. Models that "
    "were handed out before the kill still answer in federated learning: what stops is learning, and joining."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Coordinator:
    """``flower``: a SuperLink killed in the middle of a run. ``nodes``: each of our nodes killed in turn."""

    flower: FlowerCrash
    nodes: tuple[NodeCrash, ...]
    processes_started: int
    processes_left: int

    def to_document(self) -> dict[str, Any]:
        """Return ``failure_modes.coordinator``: seconds, counts and sentences."""
        worst = max(self.nodes, key=lambda crash: crash.answer_seconds)
        flower = self.flower
        verdict = (
            f"Federated learning did {flower.rounds_while_away} rounds while its SuperLink was away, and the next one "
            f"{flower.next_round_seconds:.0f} s after the kill, {'by itself' if flower.went_on_by_itself else 'once'}"
            f"{'' if flower.went_on_by_itself else ' an operator had started the run again from its checkpoint'}. "
            f"With any one node killed, the slowest answer of the others took {worst.answer_seconds:.2f} s, and "
            f"{sum(crash.lost for crash in self.nodes)} acknowledged packets were lost."
        )
        return {
            "federated": {**_rounded(asdict(flower)), "next_round_seconds": round(flower.next_round_seconds, 3)},
            "outcome_routing": [_rounded(asdict(crash)) for crash in self.nodes],
            "processes_started": self.processes_started,
            "processes_left": self.processes_left,
            "verdict": verdict,
            "does_not_show": DOES_NOT_SHOW,
        }


def measure_coordinator(
    *, rounds: int = 4, watch_seconds: float = 20.0, progress: Callable[[str], None] = lambda _step: None
) -> Coordinator:
    """Run both sides with real processes on loopback; minutes. No process and no folder is left behind.

    Raises ``DaemonError`` when a process does not start or a round does not end.
    """
    with tempfile.TemporaryDirectory(prefix="fingerpost-coordinator-") as folder:
        ours, theirs = Path(folder) / "ours", Path(folder) / "theirs"
        ours.mkdir()
        theirs.mkdir()
        progress("outcome routing: each of four nodes is killed in turn")
        nodes, ended = crash_nodes(ours)
        progress("federated learning: the SuperLink is killed in the middle of a run")
        flower, started, left = crash_flower(theirs, rounds=rounds, watch_seconds=watch_seconds)
    return Coordinator(
        flower=flower, nodes=nodes, processes_started=started + ended.started, processes_left=left + ended.left
    )


def _rounded(tree: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in tree.items()}
