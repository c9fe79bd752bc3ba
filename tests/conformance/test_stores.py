"""Both stores keep every promise of the port, and the kit sees stores that break one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from fingerpost.errors import StoreFullError
from fingerpost.packet import PACKET_DTYPE, Kind, packet_ids
from fingerpost.packet import packet_ids as all_ids
from fingerpost.store._lmdb import LmdbStore
from fingerpost.store._memory import MemoryDisk, MemoryStore
from fingerpost.store.base import Problem, Verdict
from fingerpost.testing.store_kit import check_store


class Disks:
    """Makes memory stores that find their disk again by the name of a directory."""

    def __init__(self, kind: Callable[..., MemoryStore] = MemoryStore) -> None:
        self.kind = kind
        self.disks: dict[Path, MemoryDisk] = {}

    def __call__(self, directory: Path, **options: int) -> MemoryStore:
        return self.kind(self.disks.setdefault(directory, MemoryDisk()), **options)


def test_the_lmdb_store_keeps_every_promise(tmp_path: Path) -> None:
    check_store(LmdbStore, tmp_path)


def test_the_memory_store_keeps_every_promise(tmp_path: Path) -> None:
    check_store(Disks(), tmp_path)


class Forgetful(MemoryStore):
    def __init__(self, _disk: MemoryDisk, **options: int) -> None:
        super().__init__(None, **options)


class ForgetsWithdrawals(MemoryStore):
    def close(self) -> None:
        if self._open is not None:
            self._open.withdrawals.clear()
        super().close()


class TakesDuplicates(MemoryStore):
    def scan(self, template_id=None):
        return (np.concatenate([block[:128], block[:128]]) for block in super().scan(template_id))


class KeepsTheFirstProof(MemoryStore):
    def add(self, packets, *, day, packet_ids=None, **more):
        known = dict(self._disk.packets)
        verdicts = super().add(packets, day=day, packet_ids=packet_ids, **more)
        for key in known.keys() & self._disk.packets.keys():
            self._disk.packets[key] = known[key]
        return verdicts


class IgnoresWithdrawals(MemoryStore):
    def add(self, packets, *, day, packet_ids=None, **more):
        verdicts = np.full(len(packets), Verdict.TOMBSTONE, np.uint8)
        observations = packets["kind"] != Kind.WITHDRAWAL
        verdicts[observations] = super().add(packets[observations], day=day, **more)
        return verdicts


class WithdrawsOnlyWhatIsHere(MemoryStore):
    def held_withdrawal(self, key):
        return None


class LetsAnyoneWithdraw(MemoryStore):
    def add(self, packets, *, day, packet_ids=None, **more):
        verdicts = super().add(packets, day=day, packet_ids=packet_ids, **more)
        for packet in packets[packets["kind"] == Kind.WITHDRAWAL]:
            self._disk.packets.pop(packet["payload"][10:42].tobytes(), None)
        return verdicts


class DropsWithdrawalsByTheirOwnDays(MemoryStore):
    def expire(self, day):
        dead = [key for key in self._disk.withdrawals if day > 20_001]
        for key in dead:
            self._forget_withdrawal(key)
        return super().expire(day) + len(dead)


class NeverExpires(MemoryStore):
    def expire(self, day):
        return 0


class NeverDrops(MemoryStore):
    def drop(self, packet_ids, *, day):
        return int(self.contains(packet_ids).sum())


class RemembersWhatItDropped(MemoryStore):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.dropped = set()

    def drop(self, packet_ids, *, day):
        self.dropped |= {row.tobytes() for row in packet_ids}
        return super().drop(packet_ids, day=day)

    def add(self, packets, *, day, packet_ids=None, **more):
        ids = [row.tobytes() for row in all_ids(packets)] if len(self.dropped) else []
        fresh = np.array([each not in self.dropped for each in ids], bool) if ids else slice(None)
        verdicts = np.full(len(packets), Verdict.DUPLICATE, np.uint8)
        verdicts[fresh] = super().add(packets[fresh], day=day, **more)
        return verdicts


class ShowsExpiredAgain(MemoryStore):
    buried: Any = MappingProxyType({})

    def expire(self, day):
        before = dict(self._disk.packets)
        dropped = super().expire(day)
        self.buried = {key: before[key] for key in before.keys() - self._disk.packets.keys()}
        return dropped

    def close(self):
        if self._open is not None:
            self._open.packets.update(self.buried)
        super().close()


class LivesADayTooLong(MemoryStore):
    def add(self, packets, *, day, packet_ids=None, **more):
        return super().add(packets, day=day - 1, packet_ids=packet_ids, **more)

    def expire(self, day):
        return super().expire(day - 1)


class HasNoQuota(MemoryStore):
    def __init__(self, disk: MemoryDisk, *, quota_packets: int, **options: int) -> None:
        super().__init__(disk, **options)


class IgnoresTheQuotaOfACall(MemoryStore):
    def add(self, packets, *, day, packet_ids=None, quota_packets=None):
        return super().add(packets, day=day, packet_ids=packet_ids)


class SharesOneQuota(MemoryStore):
    def counts(self, emitter):
        return len(self._disk.packets), len(self._disk.withdrawals)


class WritesInPart(MemoryStore):
    def add(self, packets, *, day, packet_ids=None, **more):
        try:
            return super().add(packets, day=day, **more)
        except StoreFullError:
            super().add(packets[:10], day=day, **more)
            raise


class WritesRecordsInPart(MemoryStore):
    def put_records(self, table, changes):
        for key, value in changes.items():
            super().put_records(table, {key: value})


class NeverFull(MemoryStore):
    def _make_room(self, growth):
        pass


class ScansLive(MemoryStore):
    def scan(self, template_id=None):
        for start in range(0, 4_096, 256):
            block = [p for p in self._disk.packets.values() if template_id in {None, p[13:29]}][start : start + 256]
            if block:
                yield np.frombuffer(bytearray(b"".join(block)), PACKET_DTYPE)


class LendsItsMemory(MemoryStore):
    def scan(self, template_id=None):
        for block in super().scan(template_id):
            keys = [row.tobytes() for row in packet_ids(block)]
            yield block
            for key, packet in zip(keys, block, strict=True):  # what the caller did to its array is done to the store
                if key in self._disk.packets:
                    self._disk.packets[key] = packet.tobytes()


class LosesInCompaction(MemoryStore):
    def compact(self, day):
        super().compact(day)
        if self._disk.packets:
            self._disk.packets.popitem()


class NeverErases(LmdbStore):
    def compact(self, day):
        self.expire(day)


class MixesTables(MemoryStore):
    def put_records(self, table, changes):
        super().put_records(table[:1], changes)

    def get_record(self, table, key):
        return super().get_record(table[:1], key)

    def records(self, table):
        return super().records(table[:1])


class KeepsWhatWasDerived(MemoryStore):
    def compact(self, day):
        kept = dict(self.records("derived-a"))
        super().compact(day)
        self.put_records("derived-a", kept)


class GivesRecordsInAnyOrder(MemoryStore):
    def records(self, table):
        return iter(list(super().records(table))[::-1])


class GivesPacketsInAnyOrder(MemoryStore):
    def get(self, packet_ids):
        return super().get(np.unique(packet_ids, axis=0))


class ContainsEverything(MemoryStore):
    def contains(self, packet_ids):
        return super().contains(packet_ids) | True


class StandsStill(MemoryStore):
    generation = 0


class GoesOnAfterClosing(MemoryStore):
    def close(self):
        pass


class TakesAnything(MemoryStore):
    def add(self, packets, *, day, packet_ids=None, **more):
        return super().add(np.ascontiguousarray(packets).view(PACKET_DTYPE).reshape(-1), day=max(day, 0), **more)


class AlwaysComplains(MemoryStore):
    def check(self):
        return [Problem(code="packet-changed", message="something")]


class KnowsNoTemplates(MemoryStore):
    def templates(self):
        return super().templates()[::-1]


PLANTED: list[Any] = [
    (Forgetful, "packets are here after reopening"),
    (ForgetsWithdrawals, "withdrawals are here after reopening"),
    (TakesDuplicates, "a packet is here once"),
    (KeepsTheFirstProof, "the smallest proof stays"),
    (IgnoresWithdrawals, "withdrawals are here after reopening"),
    (WithdrawsOnlyWhatIsHere, "a withdrawal holds after reopening"),
    (LetsAnyoneWithdraw, "by its emitter alone"),
    (DropsWithdrawalsByTheirOwnDays, "withdrawals are here after reopening"),
    (NeverExpires, "and no dead ones"),
    (NeverDrops, "drop says how many|the generation grows when packets are dropped"),
    (RemembersWhatItDropped, "what was dropped is STORED"),
    (ShowsExpiredAgain, "and no dead ones"),
    (LivesADayTooLong, "and no dead ones"),
    (HasNoQuota, "an emitter has its quota"),
    (IgnoresTheQuotaOfACall, "the smaller quota of a call holds"),
    (SharesOneQuota, "makes room for another"),
    (WritesInPart, "a write that fails leaves nothing behind"),
    (WritesRecordsInPart, "not written in part"),
    (NeverFull, "a store that is full raises StoreFullError"),
    (ScansLive, "scan gives all that lived throughout"),
    (LendsItsMemory, "arrays are copies"),
    (LosesInCompaction, "compact drops what is dead"),
    (NeverErases, "compact leaves nothing dead"),
    (MixesTables, "records come by key"),
    (KeepsWhatWasDerived, "compact drops what was derived"),
    (GivesRecordsInAnyOrder, "records come by key"),
    (GivesPacketsInAnyOrder, "get keeps the order"),
    (ContainsEverything, "contains agrees with get"),
    (StandsStill, "the generation grows"),
    (GoesOnAfterClosing, "store-closed"),
    (TakesAnything, "store-argument"),
    (AlwaysComplains, "check finds nothing wrong"),
    (KnowsNoTemplates, "templates are sorted"),
]


@pytest.mark.parametrize(("broken", "promise"), PLANTED)
def test_the_kit_sees_a_store_that_breaks_a_promise(broken: Any, promise: str, tmp_path: Path) -> None:
    make = Disks(broken) if issubclass(broken, MemoryStore) else broken
    with pytest.raises(AssertionError, match=promise):
        check_store(make, tmp_path)
