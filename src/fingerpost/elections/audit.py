"""Which confirmations would help most: situations where calculators, nodes or one's own experience leave doubt.

Three kinds of doubt, each from 0 to 1:

* ``apart``      calculators give different forecasts: the Jensen-Shannon divergence of those that are awake, by their
                 weights, in units of its largest value; for numbers the share of the variance that lies between them;
* ``contested``  nodes report different outcomes nearby: the same divergence between the nodes of the nearest packets;
* ``unknown``    the asker's own packets have nothing to say here.

They are ranked by the sum. The one thing that no vote of others replaces is an outcome of one's own in a place where a
majority may be lying, so unknown places count like contested ones.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fingerpost.synthesis.calculators import ALONE

if TYPE_CHECKING:
    from fingerpost.synthesis import Answer

SHOWN_ABOVE = 0.25  # doubts that are worth a word
IMAGINED = 0.5  # records of each outcome at every node: one packet is no proof of a quarrel


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """How much a confirmation would help in one situation; ``place`` says which of the answers it is about."""

    place: int
    score: float
    apart: float
    contested: float
    unknown: float

    @property
    def reasons(self) -> tuple[str, ...]:
        """Return why, in words, the weightiest first."""
        found = [
            (self.contested, "nodes report different outcomes here"),
            (self.apart, "calculators disagree"),
            (self.unknown, "none of your own outcomes is near"),
        ]
        return tuple(text for doubt, text in sorted(found, key=lambda one: -one[0]) if doubt >= SHOWN_ABOVE)


def rank_doubts(answers: Sequence[Answer], *, count: int) -> list[Doubt]:
    """Return the ``count`` answers whose confirmation would help most, the most helpful first.

    Situations whose nearest packets are the same as those of one that is listed already are left out: one confirmation
    serves them all.
    """
    doubts = sorted((_doubt(place, answer) for place, answer in enumerate(answers)), key=lambda d: (-d.score, d.place))
    chosen: list[Doubt] = []
    seen: list[frozenset[str]] = []
    for doubt in doubts:
        near = frozenset(packet.packet_id for packet in answers[doubt.place].nearest)
        if any(len(near & other) * 2 > len(near | other) for other in seen):
            continue
        chosen.append(doubt)
        seen.append(near)
        if len(chosen) == count:
            break
    return chosen


def _doubt(place: int, answer: Answer) -> Doubt:
    apart, contested, unknown = _apart(answer), _contested(answer), _unknown(answer)
    score = apart + contested + unknown
    return Doubt(place=place, score=score, apart=apart, contested=contested, unknown=unknown)


def _apart(answer: Answer) -> float:
    if answer.calculation is None:
        return 0.0
    awake = [share for share in answer.calculation.calculators if share.awake]
    if answer.number is None:
        return _divergence([(share.weight, share.probabilities) for share in awake])
    means = [(share.weight, share.mean or 0.0, share.deviation or 0.0) for share in awake]
    mean = math.fsum(weight * each for weight, each, _ in means)
    between = math.fsum(weight * (each - mean) ** 2 for weight, each, _ in means)
    within = math.fsum(weight * deviation**2 for weight, _, deviation in means)
    return between / (between + within) if between > 0 else 0.0


def _contested(answer: Answer) -> float:
    """Return how different the outcomes of the nearest packets are between nodes that have some of them."""
    by_node: dict[str, list[Mapping[str, float]]] = defaultdict(list)
    for packet in answer.nearest:
        by_node[packet.node_id].append(_shares(packet.outcome, answer))
    if len(by_node) < 2:
        return 0.0
    names = sorted({name for packets in by_node.values() for shares in packets for name in shares})
    parts = []
    for packets in by_node.values():
        counts = [IMAGINED + math.fsum(shares.get(name, 0.0) for shares in packets) for name in names]
        total = math.fsum(counts)
        parts.append((len(packets) / len(answer.nearest), tuple(count / total for count in counts)))
    return _divergence(parts)


def _shares(outcome: str | float | dict[str, int], answer: Answer) -> Mapping[str, float]:
    """Return the outcome of a packet as shares of names; a number is above or below the estimate."""
    if isinstance(outcome, dict):
        total = sum(outcome.values())
        return {name: count / total for name, count in outcome.items()}
    if isinstance(outcome, str):
        return {outcome: 1.0}
    middle = answer.number.mean if answer.number is not None else 0.0
    return {"above" if outcome > middle else "below": 1.0}


def _unknown(answer: Answer) -> float:
    if answer.calculation is None:
        return 1.0
    return float(not any(share.name == ALONE and share.awake for share in answer.calculation.calculators))


def _divergence(parts: Sequence[tuple[float, Sequence[float]]]) -> float:
    """Return the Jensen-Shannon divergence of weighted distributions over ln min(parts, outcomes), in [0, 1]."""
    if len(parts) < 2:
        return 0.0
    total = math.fsum(weight for weight, _ in parts)
    width = len(parts[0][1])
    mean = [math.fsum(weight / total * shares[k] for weight, shares in parts) for k in range(width)]
    apart = _entropy(mean) - math.fsum(weight / total * _entropy(shares) for weight, shares in parts)
    largest = math.log(min(len(parts), width)) if width > 1 else 1.0
    return min(max(apart / largest, 0.0), 1.0)


def _entropy(shares: Sequence[float]) -> float:
    return -math.fsum(share * math.log(share) for share in shares if share > 0)
