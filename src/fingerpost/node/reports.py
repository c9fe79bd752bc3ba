"""What a node reports of what it did for its user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fingerpost.node.events import Acknowledged, Unacknowledged
from fingerpost.template import RowProblem


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseReport:
    """What a release took in and left out.

    ``rows`` are counted, each of another subject. Left out are ``same_subject`` rows (their subject is counted already,
    by this release or an earlier one that it rests from), ``spent`` rows, whose subject has spent what it may in a
    lifetime, and ``ungrouped`` rows, too few for a group. ``holders_checked`` other holders had no release of this node
    that its ledger does not know. Of ``groups``, ``unanimous`` ones had a single outcome: whoever knows that somebody
    is in such a group knows how it went. ``parties`` nodes added up their counts, 1 where this one released alone.
    """

    number: int
    rows: int
    same_subject: int
    spent: int
    epsilon: float
    lifetime_epsilon: float
    holders_checked: int
    groups: int = 0
    unanimous: int = 0
    ungrouped: int = 0
    parties: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Emission:
    """What a table turned into: ``packet_ids`` in row order (hex), rows left out, and bytes.

    Every packet is durable here and at ``holders`` other holders. ``acknowledged`` says that this is enough for any two
    of them, this node among them, to be lost for ever; if not, the node goes on handing them over. ``learnt`` counts
    the rows that say how a situation turned out that this node had asked about.
    """

    packet_ids: tuple[str, ...]
    problems: tuple[RowProblem, ...]
    size_bytes: int
    holders: int
    acknowledged: bool
    release: ReleaseReport | None = None  # where the ledger keeps account; ``packet_ids`` then say nothing of rows
    learnt: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """An answer met its outcome: the packet that says so, and -ln of the probability that the answer gave it.

    ``learnt`` says whether the standings of calculators changed: they do when the node that confirms is the one that
    asked.
    """

    packet_id: str
    log_loss: float | None
    learnt: bool


def emission_of(
    ids: Sequence[str],
    problems: Sequence[RowProblem],
    reports: Sequence[Acknowledged | Unacknowledged | None],
    *,
    size_bytes: int,
    learnt: int,
) -> Emission:
    """Return what a table turned into, of which ``reports`` say how each part of it went."""
    return Emission(
        packet_ids=tuple(ids),
        problems=tuple(problems),
        size_bytes=size_bytes,
        holders=min((0 if report is None else report.holders for report in reports), default=0),
        acknowledged=bool(reports) and all(isinstance(report, Acknowledged) for report in reports),
        learnt=learnt,
    )
