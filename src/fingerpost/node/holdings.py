"""What a node has: its templates, the packets it keeps of them, and what else it knows of their cells.

Everything that enters the store enters here, after it was judged, so that digests and evidence always fit it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fingerpost.errors import UsageError
from fingerpost.ids import PublicKey, TemplateId, node_id
from fingerpost.limits import TTL_DAYS_MAX
from fingerpost.node.admission import Refusal, judge, judge_emitters
from fingerpost.node.budget import SignatureBudget
from fingerpost.node.cache import CellCache
from fingerpost.node.events import FrameRefused, PacketsArrived
from fingerpost.node.inventory import Inventory
from fingerpost.node.knowledge import Knowledge
from fingerpost.node.quarantine import Quarantine
from fingerpost.node.roster import MEMBER, Roster, Standing
from fingerpost.packet import PACKET_DTYPE, RootCache, packet_ids, packets_from_frame
from fingerpost.ports import day_of
from fingerpost.store.base import HELD, PacketStore, Verdict
from fingerpost.template import Template

Packets = npt.NDArray[np.void]
Ids = npt.NDArray[np.uint8]
PEER_MUTED = "peer-muted"
REFUSED_UNASKED = "refused-unasked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What became of packets from elsewhere: the ids (n, 32) of those kept, how many were new, refusals by reason.

    ``withdrawals`` are those that ended some of them before: whoever has such a packet lacks its withdrawal. With
    ``muted`` none was looked at, because too many others from the same peer had bad signatures.
    """

    kept: Ids
    stored: int
    refused: dict[str, int]
    withdrawals: Packets = field(default_factory=lambda: np.zeros(0, PACKET_DTYPE))
    muted: bool = False


def arrival(taken: Taken, peer: PublicKey) -> PacketsArrived | FrameRefused:
    """Return the event that tells what became of a peer's packets."""
    if taken.muted:
        return FrameRefused(
            peer=peer,
            code=PEER_MUTED,
            message=f"{taken.refused[PEER_MUTED]} packets were not checked: too many of this peer had bad signatures",
        )
    return PacketsArrived(peer=peer, stored=taken.stored, refused=taken.refused)


class Holdings:
    """The packets of one node. ``roster`` says whose packets are welcome."""

    def __init__(self, store: PacketStore, *, me: PublicKey, roster: Roster) -> None:
        self.store = store
        self._me = me
        self._roster = roster
        self._quarantine: Quarantine | None = None
        if roster.open_admission is not None:
            self._quarantine = Quarantine(store, rules=roster.open_admission, is_named=self._is_named)
        self._roots = RootCache()
        self._budget = SignatureBudget()
        self._templates: dict[bytes, Template] = {}
        self._knowledge: dict[bytes, Knowledge] = {}
        self._inventories: dict[bytes, Inventory] = {}
        self._caches: dict[bytes, CellCache] = {}
        self._expired_on = -1

    def serve(self, template: Template) -> None:
        """Take packets of a template from now on."""
        self._templates[template.template_id] = template

    def templates(self) -> list[TemplateId]:
        """Return the ids of the templates that are served."""
        return [template.template_id for template in self._templates.values()]

    def template(self, template_id: bytes) -> Template:
        """Return a template that is served. Raises ``UsageError`` (``template-not-served``)."""
        if template_id not in self._templates:
            raise UsageError("template-not-served", f"this node does not serve the template {template_id.hex()}")
        return self._templates[template_id]

    def knowledge(self, template_id: bytes) -> Knowledge:
        """Return what a template's packets say."""
        if template_id not in self._knowledge:
            released = None if self._quarantine is None else self._quarantine.released
            self._knowledge[template_id] = Knowledge(
                self.store, self.template(template_id), asker=node_id(self._me), released=released
            )
        return self._knowledge[template_id]

    def inventory(self, template_id: bytes) -> Inventory:
        """Return which packets of a template are kept."""
        if template_id not in self._inventories:
            template = self.template(template_id)
            shift = template.cell_bits - template.group_bits
            self._inventories[template_id] = Inventory(
                self.store, template_id, own=self._me, group_of=lambda cell: cell >> shift
            )
        return self._inventories[template_id]

    def cache(self, template_id: bytes) -> CellCache:
        """Return what is known of a template's cells beyond what is kept."""
        if template_id not in self._caches:
            self._caches[template_id] = CellCache(self.store, lambda: self.inventory(template_id))
        return self._caches[template_id]

    def put(self, template_id: bytes, packets: Packets, ids: Ids, *, now: float) -> None:
        """Keep this node's own new packets, durably. Raises ``UsageError`` (``quota-exceeded``)."""
        verdicts = self.store.add(packets, day=day_of(now), packet_ids=ids)
        beyond = int((verdicts == Verdict.OVER_QUOTA).sum())
        if beyond:
            self._inventories.pop(template_id, None)
            raise UsageError(
                "quota-exceeded",
                f"{beyond} of {len(packets)} packets are beyond the quota of one emitter",
                hint="withdraw or let expire what is old, or open the store with a larger quota",
            )
        self._note(packets, ids, verdicts)

    def take(self, packets: Packets, *, peer: PublicKey, now: float) -> Taken:
        """Judge packets from a peer and keep the welcome ones, durably."""
        if self._budget.is_muted(peer, now=now):
            return _muted(packets)
        day, ids = day_of(now), packet_ids(packets)
        refusals = self._judge(packets, ids, peer, now)
        welcome = refusals == Refusal.WELCOME
        verdicts = self._keep(packets[welcome], ids[welcome], day)
        held = np.isin(verdicts, HELD)
        refused = _counted(refusals)
        refused.update(f"refused-{Verdict(int(verdict)).name.lower().replace('_', '-')}" for verdict in verdicts[~held])
        kept = ids[welcome][held]
        if (verdicts == Verdict.TOMBSTONE).any():  # It may have ended what came with it.
            kept = kept[self.store.contains(kept)]
        ended = verdicts == Verdict.WITHDRAWN
        return Taken(
            kept=kept,
            stored=int((verdicts == Verdict.STORED).sum()),
            refused=dict(refused),
            withdrawals=self._withdrawals_of(packets[welcome][ended], ids[welcome][ended]),
        )

    def take_for_answers(
        self, frame: bytes, template_id: bytes, *, cells: Collection[int] | None, peer: PublicKey, now: float
    ) -> Taken:
        """Judge packets from a peer, and know the welcome ones of this template without keeping them.

        Packets of other templates, or of other cells than ``cells`` (None: any), were not asked for: they are refused
        unread.
        """
        packets = packets_from_frame(frame)
        if self._budget.is_muted(peer, now=now):
            return _muted(packets)
        asked = (packets["template_id"] == np.frombuffer(template_id, np.uint8)).all(axis=1)
        if cells is not None:
            asked &= np.isin(packets["cell"], list(cells))
        packets, unasked = packets[asked], int((~asked).sum())
        ids = packet_ids(packets)
        refusals = self._judge(packets, ids, peer, now)
        welcome = refusals == Refusal.WELCOME
        self.cache(template_id).add(packets[welcome], ids[welcome])
        refused = dict(_counted(refusals)) | ({REFUSED_UNASKED: unasked} if unasked else {})
        return Taken(kept=ids[welcome], stored=0, refused=refused)

    def let_go(self, template_id: bytes, ids: list[bytes], *, now: float) -> None:
        """Drop packets that others keep."""
        joined = np.frombuffer(b"".join(ids), np.uint8).reshape(-1, 32)
        self.store.drop(joined, day=day_of(now))
        stay = self.store.contains(joined)
        self.inventory(template_id).remove(each for each, stays in zip(ids, stay, strict=True) if not stays)

    def expire(self, now: float) -> None:
        """Drop what is over, once a day."""
        if day_of(now) == self._expired_on:
            return
        is_first = self._expired_on < 0
        self._expired_on = day_of(now)
        gone = self.store.expire(self._expired_on)
        if is_first and self._roster.has_revocations:
            gone += self._drop_revoked(self._expired_on)
        if gone:
            self._inventories.clear()
        if self._quarantine is not None:
            self._tend_quarantine(self._quarantine, is_first=is_first, day=self._expired_on)
        for cache in self._caches.values():
            cache.expire(self._expired_on)

    def _withdrawals_of(self, packets: Packets, ids: Ids) -> Packets:
        if not len(packets):
            return np.zeros(0, PACKET_DTYPE)
        found = [each for name in self.templates() for each in self.inventory(name).withdrawals_of(packets, ids)]
        return self.store.get(np.frombuffer(b"".join(found), np.uint8).reshape(-1, 32))

    def _judge(self, packets: Packets, ids: Ids, peer: PublicKey, now: float) -> npt.NDArray[np.uint8]:
        refusals = judge(
            packets, ids, templates=self._templates, day=day_of(now), roots=self._roots, standing=self._standing
        )
        self._budget.charge(peer, int((refusals == Refusal.SIGNATURE).sum()), now=now)
        if self._quarantine is not None:
            welcome = np.flatnonzero(refusals == Refusal.WELCOME)
            remembered = self._quarantine.meet(packets[welcome], day=day_of(now))
            refusals[welcome[~remembered]] = Refusal.CROWDED
        return refusals

    def _keep(self, packets: Packets, ids: Ids, day: int) -> npt.NDArray[np.uint8]:
        """Put judged packets into the store, those of emitters that nobody named within their smaller quota."""
        if self._quarantine is None:
            verdicts = self.store.add(packets, day=day, packet_ids=ids)
            self._note(packets, ids, verdicts)
            return verdicts
        verdicts = np.zeros(len(packets), np.uint8)
        newcomers = self._quarantine.newcomers(packets)
        for rows, quota in ((~newcomers, None), (newcomers, self._quarantine.quota_packets)):
            verdicts[rows] = self.store.add(packets[rows], day=day, packet_ids=ids[rows], quota_packets=quota)
            self._note(packets[rows], ids[rows], verdicts[rows])
        return verdicts

    def _note(self, packets: Packets, ids: Ids, verdicts: npt.NDArray[np.uint8]) -> None:
        new = (verdicts == Verdict.STORED) | (verdicts == Verdict.TOMBSTONE)
        for template_id, inventory in self._inventories.items():
            rows = np.flatnonzero(new & (packets["template_id"] == np.frombuffer(template_id, np.uint8)).all(axis=1))
            if len(rows):
                inventory.add(packets[rows], ids[rows])

    def _tend_quarantine(self, quarantine: Quarantine, *, is_first: bool, day: int) -> None:
        """Meet, at the start, whose packets came here under other rules; forget those of whom nothing can be left."""
        for packets in self.store.scan() if is_first else ():
            quarantine.meet(packets, day=day)
        ttl_days = max((template.ttl_days for template in self._templates.values()), default=TTL_DAYS_MAX)
        quarantine.forget(day=day, ttl_days=ttl_days)

    def _drop_revoked(self, day: int) -> int:
        """Let go of what came before its emitter's key was revoked, so that no answer rests on it; return how much."""
        dropped = 0
        for packets in self.store.scan():
            revoked = judge_emitters(packets, standing=self._standing) == Refusal.REVOKED
            if revoked.any():
                dropped += self.store.drop(packet_ids(packets[revoked]), day=day)
        return dropped

    def _standing(self, emitter: PublicKey) -> Standing:
        """Return when packets of an emitter count here; this node's own always do."""
        return MEMBER if emitter == self._me else self._roster.standing(emitter)

    def _is_named(self, emitter: PublicKey) -> bool:
        return emitter == self._me or self._roster.is_named(emitter)


def _muted(packets: Packets) -> Taken:
    return Taken(kept=np.zeros((0, 32), np.uint8), stored=0, refused={PEER_MUTED: len(packets)}, muted=True)


def _counted(refusals: npt.NDArray[np.uint8]) -> Counter[str]:
    return Counter(Refusal(int(reason)).code for reason in refusals[refusals != Refusal.WELCOME])
