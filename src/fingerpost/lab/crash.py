"""What the demo shows of its network: who joined, what a crash cost, who came back, and what was left running."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from fingerpost.lab.hospital_process import Ended, Joined
from fingerpost.packet import packet_ids

if TYPE_CHECKING:
    from fingerpost.lab.exchange import HospitalNode
    from fingerpost.synthesis import Answer

MEMORY = "memory"
CARRIER_DEFAULT = "zeromq"


@dataclass(frozen=True, slots=True, kw_only=True)
class Crash:
    """One hospital was killed, and another one asked again straight away.

    ``seconds`` is how long that answer took; ``same_evidence`` whether it rests on the same packets as before, and
    ``difference`` the largest difference of a probability. Of ``acknowledged`` packets ``copies`` tells how many are at
    how many of the nodes that still run.
    """

    hospital: str
    process: int
    answer: Answer
    seconds: float
    same_evidence: bool
    difference: float
    acknowledged: int
    copies: dict[int, int]

    @property
    def lost(self) -> int:
        """Acknowledged packets that no running node has."""
        return self.acknowledged - sum(self.copies.values())

    @property
    def fewest_copies(self) -> int:
        """The running nodes that have the packet that the fewest have."""
        return 0 if self.lost else min(self.copies, default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Return:
    """The hospital that was killed runs again, on the disk that it had: seconds from the start of the new process.

    ``missed`` packets were emitted while it was away; ``held_after`` is when it had all ``packets``.
    """

    hospital: str
    process: int
    ready_seconds: float
    held_after: float
    missed: int
    packets: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkPart:
    """Everything about the network of one demo; in memory nobody joins, and nobody can be killed."""

    carrier: str
    joined: tuple[Joined, ...]
    crash: Crash | None
    back: Return | None
    ended: Ended | None

    @property
    def join_seconds(self) -> float:
        """Seconds from the start of a process until its node had found all others, of the one that took longest."""
        return max((max(one.found.values()) for one in self.joined), default=0.0)

    def to_document(self) -> dict[str, Any]:
        """Return this as plain values; ``docs/reference/demo.md`` describes them."""
        crash, back, ended = self.crash, self.back, self.ended
        return {
            "carrier": self.carrier,
            "directory": "opendht" if self.joined else MEMORY,
            "processes": [_rounded(asdict(one)) for one in self.joined],
            "join_seconds": round(self.join_seconds, 3),
            "killed": None if crash is None else crash.hospital,
            "acknowledged": None if crash is None else crash.acknowledged,
            "lost": None if crash is None else crash.lost,
            "copies": None if crash is None else {str(n): packets for n, packets in sorted(crash.copies.items())},
            "answer_seconds": None if crash is None else round(crash.seconds, 3),
            "same_evidence": None if crash is None else crash.same_evidence,
            "probability_difference": None if crash is None else crash.difference,
            "missed": None if back is None else back.missed,
            "restart_seconds": None if back is None else round(back.ready_seconds, 3),
            "catch_up_seconds": None if back is None else round(back.held_after, 3),
            "processes_started": 0 if ended is None else ended.started,
            "processes_left": 0 if ended is None else ended.left,
        }


def count_copies(nodes: Mapping[str, HospitalNode], ids: Sequence[str]) -> dict[int, int]:
    """Ask each node for all packets with these ids; return, by number of nodes, how many packets so many have."""
    holders: Counter[bytes] = Counter()
    for node in nodes.values():
        holders.update({packet_id.tobytes() for packet_id in packet_ids(node.find_packets(ids))})
    return dict(Counter(holders.values()))


def largest_difference(one: Answer, other: Answer) -> float:
    """Return the largest difference between two answers' probabilities of a level; 1 where their levels differ."""
    if one.probabilities.keys() != other.probabilities.keys():
        return 1.0
    return max((abs(p - other.probabilities[level]) for level, p in one.probabilities.items()), default=0.0)


def _rounded(tree: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _rounded(value) if isinstance(value, dict) else round(value, 3) if isinstance(value, float) else value
        for name, value in tree.items()
    }
