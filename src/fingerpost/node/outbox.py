"""What this node emitted and its holders do not yet all have: handed over again and again until they do.

A packet counts as acknowledged when it is durable here and at ``ACKNOWLEDGEMENTS`` other holders. It stays in the
outbox until every current holder of its group has said so. The packets themselves are in the store, where a node's own
packets stay until they end; all that must outlive a restart is the mark that some may be unsettled, upon which own
packets are audited (``fingerpost.node.audit``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fingerpost.ids import PublicKey
from fingerpost.limits import ACKNOWLEDGEMENTS, FRAME_PACKETS_MAX
from fingerpost.node.events import Acknowledged, Unacknowledged
from fingerpost.node.peers import Peers
from fingerpost.node.placement import Placement
from fingerpost.node.requests import Requests
from fingerpost.node.wire import Answer, Have, Offer
from fingerpost.store.base import PacketStore

OUTBOX_TABLE = "outbox"
RETRY_SECONDS = 5.0  # until packets are offered again to a holder that did not take them
ENTRY_SECONDS_MAX = 60.0  # in the outbox; then the audit of own packets takes over
OFFERS_OPEN_MAX = 8  # to one holder

Packets = npt.NDArray[np.void]
Mask = npt.NDArray[np.bool_]


@dataclass(slots=True)
class _Emission:
    """One call of ``emit``: in how many of its groups something is left to do."""

    number: int
    unacknowledged: int
    untried: int
    reported: bool = False


@dataclass(slots=True)
class _Entry:
    """The packets of one emission that belong to one group."""

    serial: int
    emission: _Emission
    template_id: bytes
    group: int
    packets: Packets
    rows: dict[bytes, int]
    since: float
    has: dict[PublicKey, Mask] = field(default_factory=dict)
    open: dict[PublicKey, int] = field(default_factory=dict)
    tried_at: dict[PublicKey, float] = field(default_factory=dict)
    acknowledged: bool = False
    tried: bool = False

    def missing(self, peer: PublicKey) -> npt.NDArray[np.intp]:
        """Return the rows that a holder has not said it has."""
        mask = self.has.get(peer)
        return np.arange(len(self.packets)) if mask is None else np.flatnonzero(~mask)

    def holders(self, peers: Peers) -> int:
        """Return at how many holders that are live each packet is, at least: who died since may be gone for ever."""
        masks = [mask for peer, mask in self.has.items() if peers.is_live(peer)]
        return int(np.sum(masks, axis=0).min()) if masks else 0


Report = Callable[[Acknowledged | Unacknowledged], None]


class Outbox:
    """Hands emissions over to the holders of their groups, and reports what became of them."""

    def __init__(
        self,
        *,
        store: PacketStore,
        peers: Peers,
        placement: Placement,
        requests: Requests,
        report: Report,
        have_holds: Callable[[Have, PublicKey], bool],
    ) -> None:
        self._store = store
        self._peers = peers
        self._placement = placement
        self._requests = requests
        self._report = report
        self._have_holds = have_holds
        self._entries: dict[int, _Entry] = {}
        self._serial = 0
        self._open: dict[PublicKey, int] = {}
        self._left: set[bytes] = set()  # templates of entries that left before every holder had them
        self._marked = {key for key, _ in store.records(OUTBOX_TABLE)}

    def __len__(self) -> int:
        return len(self._entries)

    def is_unsettled(self, template_id: bytes) -> bool:
        """Say whether own packets of a template may be missing at a holder, as far as is known durably."""
        return template_id in self._marked

    def begin(self, template_id: bytes) -> None:
        """Note durably, before packets are stored, that they are not settled."""
        if template_id not in self._marked:
            self._store.put_record(OUTBOX_TABLE, template_id, b"unsettled")
            self._marked.add(template_id)

    def put(
        self, number: int, template_id: bytes, groups: dict[int, tuple[Packets, list[bytes]]], *, now: float
    ) -> None:
        """Take stored packets of one emission, by group with their ids, and begin to hand them over."""
        emission = _Emission(number=number, unacknowledged=len(groups), untried=len(groups))
        entries = []
        for group, (packets, ids) in groups.items():
            rows = {packet_id: row for row, packet_id in enumerate(ids)}
            self._serial += 1
            entries.append(_Entry(self._serial, emission, template_id, group, packets, rows, now))
        self._entries |= {entry.serial: entry for entry in entries}
        for entry in entries:
            self._advance(entry, now)

    def settle(self, template_id: bytes) -> None:
        """Note that an audit found every own packet of a template at every current holder."""
        if template_id in self._marked and not any(
            entry.template_id == template_id for entry in self._entries.values()
        ):
            self._left.discard(template_id)
            self._store.put_records(OUTBOX_TABLE, {template_id: None})
            self._marked.discard(template_id)

    def is_waiting(self, template_id: bytes) -> bool:
        """Say whether own packets wait for an audit, because they left the outbox too early."""
        return template_id in self._left

    def step(self, *, now: float) -> None:
        """Offer what is due, report what became of it, and let go of what is settled."""
        for entry in list(self._entries.values()):
            self._advance(entry, now)

    def _advance(self, entry: _Entry, now: float) -> None:
        others = self._placement.others(entry.template_id, entry.group)
        for peer in others:
            self._offer(entry, peer, now)
        self._judge(entry, others)
        settled = bool(others) and not any(len(entry.missing(peer)) for peer in others)
        if not settled and now - entry.since >= ENTRY_SECONDS_MAX:
            self._left.add(entry.template_id)
            settled = True
        if settled:
            self._entries.pop(entry.serial, None)

    def _offer(self, entry: _Entry, peer: PublicKey, now: float) -> None:
        if entry.open.get(peer) or entry.tried_at.get(peer, float("-inf")) + RETRY_SECONDS > now:
            return
        missing = entry.missing(peer)
        chunks = [missing[at : at + FRAME_PACKETS_MAX] for at in range(0, len(missing), FRAME_PACKETS_MAX)]
        if not chunks or self._open.get(peer, 0) + len(chunks) > max(OFFERS_OPEN_MAX, len(chunks)):
            return
        entry.tried_at[peer] = now
        for rows in chunks:
            entry.open[peer] = entry.open.get(peer, 0) + 1
            self._open[peer] = self._open.get(peer, 0) + 1
            self._offer_rows(entry, peer, entry.packets[rows].tobytes(), now)

    def _offer_rows(self, entry: _Entry, peer: PublicKey, packets: bytes, now: float) -> None:
        def closed() -> None:
            entry.open[peer] -= 1
            self._open[peer] -= 1

        def answered(answer: Answer, *, now: float) -> None:
            closed()
            if isinstance(answer, Have) and self._have_holds(answer, peer):
                mask = entry.has.setdefault(peer, np.zeros(len(entry.packets), np.bool_))
                for at in range(0, len(answer.packet_ids), 32):
                    row = entry.rows.get(answer.packet_ids[at : at + 32])
                    if row is not None:
                        mask[row] = True
            self._advance(entry, now)

        def failed(*, now: float) -> None:
            closed()
            self._advance(entry, now)

        self._requests.ask(
            peer,
            lambda number: Offer(number=number, packets=packets),
            expects=Have,
            answered=answered,
            failed=failed,
            now=now,
        )

    def _judge(self, entry: _Entry, others: list[PublicKey]) -> None:
        emission = entry.emission
        if not entry.acknowledged and entry.holders(self._peers) >= ACKNOWLEDGEMENTS:
            entry.acknowledged = True
            emission.unacknowledged -= 1
            if not emission.unacknowledged:
                emission.reported = True
                self._report(Acknowledged(number=emission.number, holders=self._holders_of(emission)))
        if not entry.tried and not any(entry.open.get(peer) or peer not in entry.tried_at for peer in others):
            entry.tried = True
            emission.untried -= 1
        if not emission.untried and not emission.reported:
            emission.reported = True
            self._report(Unacknowledged(number=emission.number, holders=self._holders_of(emission)))

    def _holders_of(self, emission: _Emission) -> int:
        return min(
            (entry.holders(self._peers) for entry in self._entries.values() if entry.emission is emission), default=0
        )
