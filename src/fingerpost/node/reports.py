"""What a node reports of what it did for its user."""

from __future__ import annotations

from dataclasses import dataclass

from fingerpost.node.release import ReleaseReport
from fingerpost.template import RowProblem


@dataclass(frozen=True, slots=True, kw_only=True)
class Emission:
    """What a table turned into: ``packet_ids`` in row order (hex), rows left out, and bytes.

    Every packet is durable here and at ``holders`` other holders. ``acknowledged`` says that this is enough for any two
    of them, this node among them, to be lost for ever; if not, the node goes on handing them over.
    """

    packet_ids: tuple[str, ...]
    problems: tuple[RowProblem, ...]
    size_bytes: int
    holders: int
    acknowledged: bool
    release: ReleaseReport | None = None  # under differential privacy; ``packet_ids`` then say nothing of rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """An answer met its outcome: the packet that says so, and -ln of the probability that the answer gave it."""

    packet_id: str
    log_loss: float | None
