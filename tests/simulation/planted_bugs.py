"""Bugs that a simulation has to find, each planted into the parts of the engine by its name; none is in the product.

``planted("only one acknowledgement")`` is a context in which every station has that bug; it gives the ``Parts`` to
run with.
"""

from __future__ import annotations

import contextlib
import hashlib
import sys
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

import numpy as np
import numpy.typing as npt

from fingerpost.directory import regions
from fingerpost.ids import PublicKey, TemplateId
from fingerpost.node import admission, audit, outbox, replication
from fingerpost.node.engine import Engine
from fingerpost.packet import packet_ids
from fingerpost.sim.disk import SimulatedDisk, SimulatedStore
from fingerpost.sim.parts import Parts
from fingerpost.store._memory import MemoryDisk, MemoryStore
from fingerpost.store.base import Ids, Packets, Verdict, Verdicts

WRITES_BEHIND = 3


class RepeatingStore(SimulatedStore):
    """Keeps a packet once more whenever it comes again."""

    def __init__(self, disk: SimulatedDisk) -> None:
        super().__init__(disk)
        self._again: list[bytes] = []

    def add(
        self, packets: Packets, *, day: int, packet_ids: Ids | None = None, quota_packets: int | None = None
    ) -> Verdicts:
        verdicts = super().add(packets, day=day, packet_ids=packet_ids, quota_packets=quota_packets)
        repeated = verdicts == Verdict.DUPLICATE
        self._again += [row.tobytes() for row in packets[repeated]]
        verdicts[repeated] = Verdict.STORED
        return verdicts

    def scan(self, template_id: bytes | None = None) -> Iterator[Packets]:
        yield from super().scan(template_id)
        if self._again:
            yield np.frombuffer(b"".join(self._again), packet_dtype())


class WriteBehindStore(SimulatedStore):
    """Says that packets are durable when they are in memory; the disk has them a few writes later."""

    def __init__(self, disk: SimulatedDisk) -> None:
        super().__init__(disk)
        self._durable = self._store
        content = disk.content
        records = {table: dict(kept) for table, kept in content.records.items()}
        self._store = MemoryStore(
            MemoryDisk(dict(content.packets), dict(content.withdrawals), records, content.generation)
        )
        self._due: list[Callable[[], object]] = []

    def add(
        self, packets: Packets, *, day: int, packet_ids: Ids | None = None, quota_packets: int | None = None
    ) -> Verdicts:
        verdicts = self._store.add(packets, day=day, packet_ids=packet_ids, quota_packets=quota_packets)
        self._due.append(
            lambda: self._durable.add(packets, day=day, packet_ids=packet_ids, quota_packets=quota_packets)
        )
        while len(self._due) > WRITES_BEHIND:
            self._disk.changing(self._due.pop(0))
        return verdicts


class StoreWithoutTombstones(SimulatedStore):
    """Drops a packet that is withdrawn, and keeps nothing that would stop it from coming back."""

    def __init__(self, disk: SimulatedDisk) -> None:
        super().__init__(disk)
        self._disk_below = disk

    def add(
        self, packets: Packets, *, day: int, packet_ids: Ids | None = None, quota_packets: int | None = None
    ) -> Verdicts:
        verdicts = super().add(packets, day=day, packet_ids=packet_ids, quota_packets=quota_packets)
        self._disk_below.content.withdrawals.clear()
        return verdicts


class WithoutOutbox(Engine):
    """Hands its packets over and keeps none of them, unless it holds their group."""

    def put_out(self, template_id: TemplateId, packets: Packets, *, now: float) -> int:
        number = super().put_out(template_id, packets, now=now)
        ids = packet_ids(packets)
        held = [
            self.group(template_id, self._holdings.inventory(template_id).group_of(row.tobytes()) or 0).holds
            for row in ids
        ]
        gone = ids[~np.array(held, np.bool_)]
        self._store.drop(gone, day=0)
        self._holdings.inventory(template_id).remove(row.tobytes() for row in gone)
        return number


def packet_dtype() -> np.dtype[np.void]:
    from fingerpost.packet import PACKET_DTYPE

    return PACKET_DTYPE


@contextlib.contextmanager
def _no_dedup() -> Iterator[Parts]:
    yield Parts(store=RepeatingStore)


@contextlib.contextmanager
def _acknowledge_before_durable() -> Iterator[Parts]:
    yield Parts(store=WriteBehindStore)


@contextlib.contextmanager
def _withdrawals_are_not_kept() -> Iterator[Parts]:
    yield Parts(store=StoreWithoutTombstones)


@contextlib.contextmanager
def _one_acknowledgement() -> Iterator[Parts]:
    with patch.object(outbox, "ACKNOWLEDGEMENTS", 1):
        yield Parts()


@contextlib.contextmanager
def _no_outbox() -> Iterator[Parts]:
    yield Parts(engine=WithoutOutbox)


@contextlib.contextmanager
def _newcomers_agree_with_each_other() -> Iterator[Parts]:
    def end(self: Any, group: Any, peer: Any, now: float, *, heard: bool) -> None:
        if heard:  # Another one that has the same, be it as new as this one, is enough.
            group.unheard.clear()
            group.due = {each: at for each, at in group.due.items() if each == peer or each in group.current}
        original(self, group, peer, now, heard=heard)

    original = replication.Replication._end
    with patch.object(replication.Replication, "_end", end):
        yield Parts()


@contextlib.contextmanager
def _let_go_before_haves() -> Iterator[Parts]:
    def holders_changed(self: Any, group: Any, *, now: float) -> None:
        original(self, group, now=now)
        inventory = self._inventory(group.template_id)
        foreign = [each for each in inventory.shelf(group.number) if each not in inventory.own]
        if not group.follows and foreign:
            self._let_go(group.template_id, foreign, now)

    original = audit.Audit.holders_changed
    with patch.object(audit.Audit, "holders_changed", holders_changed):
        yield Parts()


@contextlib.contextmanager
def _id_over_the_proof() -> Iterator[Parts]:
    def ids_of_everything(packets: npt.NDArray[np.void]) -> npt.NDArray[np.uint8]:
        digests = [hashlib.blake2s(row.tobytes()).digest() for row in packets]
        return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32)

    product = [
        module
        for name, module in sys.modules.items()
        if name.startswith(("fingerpost.node.", "fingerpost.store.", "fingerpost.synthesis."))
        and getattr(module, "packet_ids", None) is packet_ids
    ]
    with contextlib.ExitStack() as stack:
        for module in product:
            stack.enter_context(patch.object(module, "packet_ids", ids_of_everything))
        yield Parts()


@contextlib.contextmanager
def _split_without_the_union() -> Iterator[Parts]:
    def found(self: Any, region: Any, records: Any) -> None:
        original(self, region, records)
        sight = self._seen[region]
        if sight.is_divided:  # Those who have not moved yet are still there, and nowhere else.
            sight.members.clear()

    original = regions.HolderSearch.found
    with patch.object(regions.HolderSearch, "found", found):
        yield Parts()


@contextlib.contextmanager
def _signatures_unchecked() -> Iterator[Parts]:
    def believe(packets: npt.NDArray[np.void], **_: Any) -> npt.NDArray[np.bool_]:
        return np.ones(len(packets), np.bool_)

    with patch.object(admission, "verify_packets", believe):
        yield Parts()


class RemembersEverything(Engine):
    """Keeps every frame that ever came."""

    def receive(self, frame: bytes, *, peer: PublicKey, now: float) -> None:
        vars(self).setdefault("came", []).append(frame)
        super().receive(frame, peer=peer, now=now)


@contextlib.contextmanager
def _a_table_without_a_bound() -> Iterator[Parts]:
    yield Parts(engine=RemembersEverything)


@contextlib.contextmanager
def _holders_fetch_nothing() -> Iterator[Parts]:
    with patch.object(replication.Replication, "step", lambda *_, **__: None):
        yield Parts()


PLANTED: dict[str, Callable[[], contextlib.AbstractContextManager[Parts]]] = {
    "no dedup": _no_dedup,
    "acknowledge before durable": _acknowledge_before_durable,
    "withdrawals are not kept": _withdrawals_are_not_kept,
    "only one acknowledgement": _one_acknowledgement,
    "no outbox": _no_outbox,
    "newcomers complete by agreeing with each other": _newcomers_agree_with_each_other,
    "let go before every holder has it": _let_go_before_haves,
    "split of a region without reading the union": _split_without_the_union,
    "packet id over the batch proof": _id_over_the_proof,
    "signatures are not checked": _signatures_unchecked,
    "a table without a bound": _a_table_without_a_bound,
    "holders do not fetch what they lack": _holders_fetch_nothing,
}


def planted(name: str) -> contextlib.AbstractContextManager[Parts]:
    """Plant the bug with this name for as long as the context lasts."""
    return PLANTED[name]()
