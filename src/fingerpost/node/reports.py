"""What a node reports of what it did for its user."""

from __future__ import annotations

from dataclasses import dataclass

from fingerpost.template import RowProblem


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
