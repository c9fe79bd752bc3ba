"""Simulated disks: what a store's calls leave behind when the power goes at the worst moment.

A ``PacketStore`` promises that what a call has returned survives, and that a call happens whole or not at all. So the
moments that matter are the calls that change something: a power cut can come before one, and the caller never learns
that nothing happened, or behind one, and the caller never learns that it did.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import numpy.typing as npt

from fingerpost.limits import STORE_QUOTA_PACKETS_DEFAULT, STORE_SIZE_BYTES_DEFAULT
from fingerpost.store._memory import MemoryDisk, MemoryStore
from fingerpost.store.base import Ids, Packets, Problem, StoreStats, Verdicts


class PowerCut(BaseException):
    """The process is gone in the middle of a call of its store; no handler of errors may catch that."""


class SimulatedDisk:
    """The disk of one node. ``packets`` is what would survive a power cut right now."""

    def __init__(self) -> None:
        self._content = MemoryDisk()
        self._calls_left: int | None = None
        self._cut_before = False
        self.power_cuts = 0
        self.let_go = 0  # packets that a store dropped because others keep them
        self.expired = 0
        self.when_less: Callable[[], None] = lambda: None  # called after packets left the disk

    @property
    def content(self) -> MemoryDisk:
        """What is on the disk now."""
        return self._content

    @property
    def packets(self) -> Mapping[bytes, bytes]:
        """The durable packets by their id."""
        return self._content.packets

    @property
    def withdrawals(self) -> Mapping[bytes, bytes]:
        """The durable withdrawals, by emitter and packet id."""
        return self._content.withdrawals

    def cut_power_at(self, *, call: int, before: bool) -> None:
        """Let the power go at the ``call``-th changing call from now (0 is the next), ``before`` or behind it."""
        self._calls_left, self._cut_before = call, before

    def keep_power(self) -> None:
        """Forget a planned power cut."""
        self._calls_left = None

    def lose(self) -> None:
        """Lose everything, for ever. A store that is still open on it writes into the void."""
        self._content = MemoryDisk()
        self._calls_left = None

    def changing(self, change: Callable[[], object]) -> None:
        """Carry out one changing call of a store, unless the power goes first. Raises ``PowerCut``."""
        due = self._calls_left == 0
        if self._calls_left is not None:
            self._calls_left -= 1
        if due:
            self._calls_left = None
            self.power_cuts += 1
        if due and self._cut_before:
            raise PowerCut
        before = len(self._content.packets)
        change()
        if len(self._content.packets) < before:
            self.when_less()
        if due:
            raise PowerCut


class SimulatedStore:
    """The ``PacketStore`` of one node on its simulated disk."""

    def __init__(
        self,
        disk: SimulatedDisk,
        *,
        quota_packets: int = STORE_QUOTA_PACKETS_DEFAULT,
        size_bytes_max: int = STORE_SIZE_BYTES_DEFAULT,
    ) -> None:
        self._disk = disk
        self._store = MemoryStore(disk.content, quota_packets=quota_packets, size_bytes_max=size_bytes_max)

    @property
    def generation(self) -> int:
        """See ``PacketStore``."""
        return self._store.generation

    def add(
        self, packets: Packets, *, day: int, packet_ids: Ids | None = None, quota_packets: int | None = None
    ) -> Verdicts:
        """See ``PacketStore``."""
        found: list[Verdicts] = []
        self._disk.changing(
            lambda: found.append(self._store.add(packets, day=day, packet_ids=packet_ids, quota_packets=quota_packets))
        )
        return found[0]

    def scan(self, template_id: bytes | None = None) -> Iterator[Packets]:
        """See ``PacketStore``."""
        return self._store.scan(template_id)

    def withdrawals(self) -> Iterator[Packets]:
        """See ``PacketStore``."""
        return self._store.withdrawals()

    def get(self, packet_ids: Ids) -> Packets:
        """See ``PacketStore``."""
        return self._store.get(packet_ids)

    def contains(self, packet_ids: Ids) -> npt.NDArray[np.bool_]:
        """See ``PacketStore``."""
        return self._store.contains(packet_ids)

    def expire(self, day: int) -> int:
        """See ``PacketStore``."""
        counts: list[int] = []
        self._disk.changing(lambda: counts.append(self._store.expire(day)))
        self._disk.expired += counts[0]
        return counts[0]

    def drop(self, packet_ids: Ids, *, day: int) -> int:
        """See ``PacketStore``."""
        counts: list[int] = []
        self._disk.changing(lambda: counts.append(self._store.drop(packet_ids, day=day)))
        self._disk.let_go += counts[0]
        return counts[0]

    def templates(self) -> Ids:
        """See ``PacketStore``."""
        return self._store.templates()

    def stats(self) -> StoreStats:
        """See ``PacketStore``."""
        return self._store.stats()

    def check(self) -> list[Problem]:
        """See ``PacketStore``."""
        return self._store.check()

    def compact(self, day: int) -> None:
        """See ``PacketStore``."""
        self._disk.changing(lambda: self._store.compact(day))

    def put_records(self, table: str, changes: Mapping[bytes, bytes | None]) -> None:
        """See ``PacketStore``."""
        self._disk.changing(lambda: self._store.put_records(table, changes))

    def put_record(self, table: str, key: bytes, value: bytes) -> None:
        """See ``PacketStore``."""
        self.put_records(table, {key: value})

    def get_record(self, table: str, key: bytes) -> bytes | None:
        """See ``PacketStore``."""
        return self._store.get_record(table, key)

    def records(self, table: str) -> Iterator[tuple[bytes, bytes]]:
        """See ``PacketStore``."""
        return self._store.records(table)

    def close(self) -> None:
        """See ``PacketStore``."""
        self._store.close()
