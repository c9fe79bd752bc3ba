"""What a node has: its templates, the packets it keeps of them, and what else it knows of their cells.

Everything that enters the store enters here, after it was judged, so that digests and evidence always fit it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fingerpost.errors import UsageError
from fingerpost.ids import PublicKey, TemplateId
from fingerpost.node.admission import Refusal, judge
from fingerpost.node.cache import CellCache
from fingerpost.node.inventory import Inventory
from fingerpost.node.knowledge import Knowledge
from fingerpost.packet import RootCache, packet_ids, packets_from_frame
from fingerpost.ports import day_of
from fingerpost.store.base import HELD, PacketStore, Verdict
from fingerpost.template import Template

Packets = npt.NDArray[np.void]
Ids = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What became of packets from elsewhere: the ids (n, 32) of those kept, how many were new, refusals by reason."""

    kept: Ids
    stored: int
    refused: dict[str, int]


class Holdings:
    """The packets of one node. ``admits`` says whose packets are welcome, by the emitter's key."""

    def __init__(self, store: PacketStore, *, me: PublicKey, admits: Callable[[PublicKey], bool] | None) -> None:
        self.store = store
        self._me = me
        self._admits = admits
        self._roots = RootCache()
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
            self._knowledge[template_id] = Knowledge(self.store, self.template(template_id))
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

    def take(self, packets: Packets, *, now: float) -> Taken:
        """Judge packets from elsewhere and keep the welcome ones, durably."""
        day, ids = day_of(now), packet_ids(packets)
        refusals = self._judge(packets, ids, day)
        welcome = refusals == Refusal.WELCOME
        verdicts = self.store.add(packets[welcome], day=day, packet_ids=ids[welcome])
        self._note(packets[welcome], ids[welcome], verdicts)
        held = np.isin(verdicts, HELD)
        refused = _counted(refusals)
        refused.update(f"refused-{Verdict(int(verdict)).name.lower().replace('_', '-')}" for verdict in verdicts[~held])
        kept = ids[welcome][held]
        if (verdicts == Verdict.TOMBSTONE).any():  # It may have ended what came with it.
            kept = kept[self.store.contains(kept)]
        return Taken(kept=kept, stored=int((verdicts == Verdict.STORED).sum()), refused=dict(refused))

    def take_for_answers(self, frame: bytes, template_id: bytes, *, now: float) -> Taken:
        """Judge packets from elsewhere, and know the welcome ones of this template without keeping them."""
        packets = packets_from_frame(frame)
        packets = packets[(packets["template_id"] == np.frombuffer(template_id, np.uint8)).all(axis=1)]
        ids = packet_ids(packets)
        refusals = self._judge(packets, ids, day_of(now))
        welcome = refusals == Refusal.WELCOME
        self.cache(template_id).add(packets[welcome], ids[welcome])
        return Taken(kept=ids[welcome], stored=0, refused=dict(_counted(refusals)))

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
        self._expired_on = day_of(now)
        if self.store.expire(self._expired_on):
            self._inventories.clear()
        for cache in self._caches.values():
            cache.expire(self._expired_on)

    def _judge(self, packets: Packets, ids: Ids, day: int) -> npt.NDArray[np.uint8]:
        return judge(packets, ids, templates=self._templates, day=day, roots=self._roots, admits=self._welcomes)

    def _note(self, packets: Packets, ids: Ids, verdicts: npt.NDArray[np.uint8]) -> None:
        new = (verdicts == Verdict.STORED) | (verdicts == Verdict.TOMBSTONE)
        for template_id, inventory in self._inventories.items():
            rows = np.flatnonzero(new & (packets["template_id"] == np.frombuffer(template_id, np.uint8)).all(axis=1))
            if len(rows):
                inventory.add(packets[rows], ids[rows])

    def _welcomes(self, emitter: PublicKey) -> bool:
        """Say whether packets of an emitter are kept here: members' and this node's own."""
        return self._admits is None or emitter == self._me or self._admits(emitter)


def _counted(refusals: npt.NDArray[np.uint8]) -> Counter[str]:
    return Counter(Refusal(int(reason)).code for reason in refusals[refusals != Refusal.WELCOME])
