"""A store that lives in memory: plain dictionaries, so that it is easy to see that it is right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from fingerpost.errors import StoreFullError
from fingerpost.limits import (
    PACKET_SIZE_BYTES,
    STORE_BLOCK_PACKETS_MAX,
    STORE_QUOTA_PACKETS_DEFAULT,
    STORE_SIZE_BYTES_DEFAULT,
)
from fingerpost.packet import PACKET_DTYPE, RootCache, packet_ids
from fingerpost.store._arguments import (
    checked_changes,
    checked_day,
    checked_ids,
    checked_key,
    checked_limits,
    checked_packets,
    checked_table,
    checked_template_id,
    closed,
    smaller_quota,
)
from fingerpost.store._inspection import inspect_packets, inspect_withdrawals
from fingerpost.store.base import Ids, Packets, Problem, StoreStats, Verdicts
from fingerpost.store.retention import DERIVED_TABLES_PREFIX, Plan, end_days, plan_addition

_TEMPLATE = slice(13, 29)
_EMITTER = slice(45, 77)


@dataclass(slots=True)
class MemoryDisk:
    """What a memory store would have on disk: a new ``MemoryStore`` over it continues where the last one was."""

    packets: dict[bytes, bytes] = field(default_factory=dict)  # packet id -> 512 bytes
    withdrawals: dict[bytes, bytes] = field(default_factory=dict)  # emitter and packet id -> 512 bytes
    records: dict[str, dict[bytes, bytes]] = field(default_factory=dict)
    generation: int = 0


class MemoryStore:
    """A ``PacketStore`` in memory. ``disk`` outlives it; without one, everything is gone with the store."""

    def __init__(
        self,
        disk: MemoryDisk | None = None,
        *,
        quota_packets: int = STORE_QUOTA_PACKETS_DEFAULT,
        size_bytes_max: int = STORE_SIZE_BYTES_DEFAULT,
    ) -> None:
        checked_limits(quota_packets, size_bytes_max)
        self._open: MemoryDisk | None = MemoryDisk() if disk is None else disk
        self._quota = quota_packets
        self._size_max = size_bytes_max
        self._packets_of = Counter(packet[_EMITTER] for packet in self._disk.packets.values())
        self._withdrawals_of = Counter(packet[_EMITTER] for packet in self._disk.withdrawals.values())
        self._withdrawal_keys = {_id_of(packet): key for key, packet in self._disk.withdrawals.items()}
        self._record_bytes = sum(
            len(key) + len(value) for table in self._disk.records.values() for key, value in table.items()
        )

    @property
    def generation(self) -> int:
        """See ``PacketStore``."""
        return self._disk.generation

    def add(
        self, packets: Packets, *, day: int, packet_ids: Ids | None = None, quota_packets: int | None = None
    ) -> Verdicts:
        """See ``PacketStore``."""
        packets = checked_packets(packets, packet_ids)
        ids = _ids_of(packets) if packet_ids is None else checked_ids(packet_ids)
        quota = smaller_quota(self._quota, quota_packets)
        plan = plan_addition(packets, ids, day=checked_day(day), quota=quota, held=self)
        disk = self._disk
        new_withdrawals = sum(key not in disk.withdrawals for key in plan.withdrawals)
        self._make_room(PACKET_SIZE_BYTES * (len(plan.stored) + new_withdrawals - len(plan.removed_ids)))
        self._carry_out(plan)
        return plan.verdicts

    def scan(self, template_id: bytes | None = None) -> Iterator[Packets]:
        """See ``PacketStore``."""
        wanted = checked_template_id(template_id)
        packets = self._disk.packets
        due = [key for key, packet in packets.items() if wanted is None or packet[_TEMPLATE] == wanted]
        return self._blocks(packets, due)

    def withdrawals(self) -> Iterator[Packets]:
        """See ``PacketStore``."""
        withdrawals = self._disk.withdrawals
        return self._blocks(withdrawals, list(withdrawals))

    def get(self, packet_ids: Ids) -> Packets:
        """See ``PacketStore``."""
        found = [self._find(row.tobytes()) for row in checked_ids(packet_ids)]
        return _array([packet for packet in found if packet is not None])

    def contains(self, packet_ids: Ids) -> npt.NDArray[np.bool_]:
        """See ``PacketStore``."""
        return np.array([self._find(row.tobytes()) is not None for row in checked_ids(packet_ids)], np.bool_)

    def expire(self, day: int) -> int:
        """See ``PacketStore``."""
        day, disk = checked_day(day), self._disk
        packets, withdrawals = _dead(disk.packets, day), _dead(disk.withdrawals, day)
        for packet_id in packets:
            self._forget_packet(packet_id)
        for key in withdrawals:
            self._forget_withdrawal(key)
        disk.generation += bool(packets)
        return len(packets) + len(withdrawals)

    def drop(self, packet_ids: Ids, *, day: int) -> int:
        """See ``PacketStore``."""
        checked_day(day)
        wanted = {row.tobytes() for row in checked_ids(packet_ids)}
        due = wanted & self._disk.packets.keys()
        for packet_id in due:
            self._forget_packet(packet_id)
        self._disk.generation += bool(due)
        return len(due)

    def templates(self) -> Ids:
        """See ``PacketStore``."""
        found = sorted({packet[_TEMPLATE] for packet in self._disk.packets.values()})
        return np.frombuffer(b"".join(found), np.uint8).reshape(-1, 16)

    def stats(self) -> StoreStats:
        """See ``PacketStore``."""
        disk = self._disk
        return StoreStats(
            packets=len(disk.packets),
            withdrawals=len(disk.withdrawals),
            emitters=len(+self._packets_of),
            templates=len(self.templates()),
            dead_packets=0,
            dead_since=None,
            size_bytes=self._size(),
            generation=disk.generation,
        )

    def check(self) -> list[Problem]:
        """See ``PacketStore``."""
        disk, cache = self._disk, RootCache()
        ids = np.frombuffer(b"".join(disk.packets), np.uint8).reshape(-1, 32)
        problems = list(inspect_packets(_array(list(disk.packets.values())), ids, cache=cache))
        withdrawals = _array(list(disk.withdrawals.values()))
        return problems + list(inspect_withdrawals(withdrawals, list(disk.withdrawals), cache=cache))

    def compact(self, day: int) -> None:
        """See ``PacketStore``; of dead bytes there are none here but in what was derived."""
        self.expire(day)
        for table in [name for name in self._disk.records if name.startswith(DERIVED_TABLES_PREFIX)]:
            self.put_records(table, dict.fromkeys(self._disk.records[table]))

    def put_records(self, table: str, changes: Mapping[bytes, bytes | None]) -> None:
        """See ``PacketStore``."""
        checked, disk = checked_changes(changes), self._disk
        kept = disk.records.get(checked_table(table), {})
        growth = 0
        for key, value in checked.items():
            growth += 0 if value is None else len(key) + len(value)
            growth -= len(key) + len(kept[key]) if key in kept else 0
        self._make_room(growth)
        self._record_bytes += growth
        after = {**kept, **checked}
        disk.records[table] = {key: value for key, value in sorted(after.items()) if value is not None}

    def put_record(self, table: str, key: bytes, value: bytes) -> None:
        """See ``PacketStore``."""
        self.put_records(table, {key: value})

    def get_record(self, table: str, key: bytes) -> bytes | None:
        """See ``PacketStore``."""
        return self._disk.records.get(checked_table(table), {}).get(checked_key(key))

    def records(self, table: str) -> Iterator[tuple[bytes, bytes]]:
        """See ``PacketStore``."""
        return self._record_items(checked_table(table), list(self._disk.records.get(table, {})))

    def close(self) -> None:
        """See ``PacketStore``."""
        self._open = None

    def held_packets(self, packet_ids: Ids) -> tuple[npt.NDArray[np.bool_], Packets]:
        """See ``Holdings``."""
        found = [self._disk.packets.get(row.tobytes()) for row in packet_ids]
        is_held = np.array([packet is not None for packet in found], np.bool_)
        return is_held, _array([packet for packet in found if packet is not None])

    def held_withdrawal(self, key: bytes) -> bytes | None:
        """See ``Holdings``."""
        return self._disk.withdrawals.get(key)

    def holds_withdrawals(self) -> bool:
        """See ``Holdings``."""
        return bool(self._disk.withdrawals)

    def counts(self, emitter: bytes) -> tuple[int, int]:
        """See ``Holdings``."""
        return self._packets_of[emitter], self._withdrawals_of[emitter]

    @property
    def _disk(self) -> MemoryDisk:
        if self._open is None:
            raise closed()
        return self._open

    def _size(self) -> int:
        disk = self._disk
        return PACKET_SIZE_BYTES * (len(disk.packets) + len(disk.withdrawals)) + self._record_bytes

    def _make_room(self, growth: int) -> None:
        if growth > 0 and self._size() + growth > self._size_max:
            raise StoreFullError(
                "store-full",
                f"the store may have at most {self._size_max} bytes",
                hint="let packets expire, withdraw some, or allow the store more room",
            )

    def _carry_out(self, plan: Plan) -> None:
        disk = self._disk
        for row in plan.removed_ids:
            self._forget_packet(row.tobytes())
        for key, packet in plan.withdrawals.items():
            if key in disk.withdrawals:
                self._forget_withdrawal(key)
            disk.withdrawals[key] = packet
            self._withdrawals_of[packet[_EMITTER]] += 1
            self._withdrawal_keys[_id_of(packet)] = key
        for row, stored in zip(plan.stored_ids, plan.stored, strict=True):
            packet = stored.tobytes()
            disk.packets[row.tobytes()] = packet
            self._packets_of[packet[_EMITTER]] += 1
        for row, improved in zip(plan.improved_ids, plan.improved, strict=True):
            disk.packets[row.tobytes()] = improved.tobytes()
        disk.generation += plan.changes_live_packets

    def _forget_packet(self, packet_id: bytes) -> None:
        self._packets_of[self._disk.packets.pop(packet_id)[_EMITTER]] -= 1

    def _forget_withdrawal(self, key: bytes) -> None:
        packet = self._disk.withdrawals.pop(key)
        self._withdrawals_of[packet[_EMITTER]] -= 1
        del self._withdrawal_keys[_id_of(packet)]

    def _find(self, packet_id: bytes) -> bytes | None:
        """Return the live packet or the withdrawal with this id."""
        key = self._withdrawal_keys.get(packet_id, b"")
        return self._disk.packets.get(packet_id) or self._disk.withdrawals.get(key)

    def _blocks(self, kept: dict[bytes, bytes], due: list[bytes]) -> Iterator[Packets]:
        for start in range(0, len(due), STORE_BLOCK_PACKETS_MAX):
            if self._open is None:
                raise closed()
            keys = due[start : start + STORE_BLOCK_PACKETS_MAX]
            block = [kept[key] for key in keys if key in kept]
            if block:
                yield _array(block)

    def _record_items(self, table: str, due: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
        for key in due:
            value = self.get_record(table, key)
            if value is not None:
                yield key, value


def _array(packets: list[bytes]) -> Packets:
    return np.frombuffer(bytearray(b"".join(packets)), PACKET_DTYPE)


def _ids_of(packets: Packets) -> Ids:
    return packet_ids(packets)


def _id_of(packet: bytes) -> bytes:
    return packet_ids(np.frombuffer(packet, PACKET_DTYPE)).tobytes()


def _dead(kept: dict[bytes, bytes], day: int) -> list[bytes]:
    keys = list(kept)
    return [keys[row] for row in np.flatnonzero(end_days(_array(list(kept.values()))) <= day)]
