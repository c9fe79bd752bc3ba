"""What a node knows of each group of cells: whether it holds it, with whom it has compared, what it has promised."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from fingerpost.ids import PublicKey
from fingerpost.node.inventory import Inventory


@dataclass(slots=True)
class Group:
    """One group of one template, as this node sees it. Times are seconds since 1970."""

    template_id: bytes
    number: int
    current: tuple[PublicKey, ...] = ()  # the holders at the last look
    holds: bool = False  # this node is one of them
    follows: bool = False  # this node keeps what is there: as a holder, or because it keeps the whole template
    unheard: set[PublicKey] = field(default_factory=set)  # not compared with since this node became a holder
    due: dict[PublicKey, float] = field(default_factory=dict)  # when to compare with whom
    busy_with: PublicKey | None = None  # the one being compared with
    again_with: set[PublicKey] = field(default_factory=set)  # whom to compare with once more, when that is over
    promised_until: float = 0.0  # what is here was promised to be kept until then
    audit_at: float = float("inf")
    auditing: bool = False
    covered_since: float | None = None  # since when every audit found all packets at all current holders

    @property
    def complete(self) -> bool:
        """Whether this node holds the group and has compared with every holder within its reach."""
        return self.holds and not self.unheard


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupStatus:
    """One group of cells at one moment, as this node sees it.

    ``holders`` are its current holders, this node among them if it ``holds`` the group. ``packets`` are here,
    withdrawals included, and ``digest`` (16 bytes) is that of their ids: holders of the same packets have the same one.
    ``complete`` says that this node holds the group and has compared it with every holder within its reach.
    """

    number: int
    holders: tuple[PublicKey, ...]
    holds: bool
    complete: bool
    packets: int
    digest: bytes


def status_of(groups: Iterable[Group], inventory: Inventory) -> tuple[GroupStatus, ...]:
    """Return each of these groups that this node holds, or of which its inventory has something."""
    return tuple(
        GroupStatus(
            number=group.number,
            holders=group.current,
            holds=group.holds,
            complete=group.complete,
            packets=len(inventory.shelf(group.number)),
            digest=inventory.shelf(group.number).root(),
        )
        for group in groups
        if group.holds or len(inventory.shelf(group.number))
    )
