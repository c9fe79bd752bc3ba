"""Packets that were fetched to answer a question: verified, kept in memory, never handed on as this node's copy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt

from fingerpost.node.inventory import Inventory, Shelf
from fingerpost.node.wire import PACKET_ID_SIZE_BYTES
from fingerpost.packet import PACKET_DTYPE, Kind, packet_ids, packets_from_frame
from fingerpost.store.base import PacketStore
from fingerpost.store.retention import end_days, withdrawal_key

CACHED_PACKETS_MAX = 200_000  # of one template, 100 MB; beyond, the whole cache is dropped and fetched anew

Packets = npt.NDArray[np.void]


class CellCache:
    """What this node knows of some cells of one template: what it fetched, beside what its store keeps."""

    def __init__(self, store: PacketStore, inventory: Callable[[], Inventory]) -> None:
        self._store = store
        self._inventory_now = inventory
        self._shelves: dict[int, tuple[Inventory, int, int, Shelf]] = {}
        self._version = 0
        self._packets: dict[bytes, bytes] = {}
        self._cells: dict[int, set[bytes]] = {}
        self._withdrawn: set[bytes] = set()  # withdrawal keys
        self._day = 0

    @property
    def _inventory(self) -> Inventory:
        return self._inventory_now()

    def __contains__(self, packet_id: bytes) -> bool:
        return packet_id in self._packets or packet_id in self._inventory

    def add(self, packets: Packets, ids: npt.NDArray[np.uint8]) -> None:
        """Keep packets that were verified and judged welcome, with their ids (n, 32)."""
        if len(self._packets) + len(packets) > CACHED_PACKETS_MAX:
            self._packets.clear()
            self._cells.clear()
            self._shelves.clear()
            self._withdrawn.clear()
        self._version += 1
        for row, packet_id in enumerate(ids):
            key = packet_id.tobytes()
            if key not in self._inventory:
                self._packets[key] = packets[row].tobytes()
                self._cells.setdefault(int(packets["cell"][row]), set()).add(key)
        for row in np.flatnonzero(packets["kind"] == Kind.WITHDRAWAL).tolist():
            self._withdrawn.add(withdrawal_key(packets[row].tobytes()))

    def shelf(self, cell: int) -> Shelf:
        """Return the ids known in a cell, what was withdrawn left out."""
        inventory = self._inventory
        known = self._shelves.get(cell)
        if known is not None and known[:3] == (inventory, inventory.version, self._version):
            return known[3]
        fetched, kept = self._live(self._cells.get(cell, ())), inventory.cell(cell)
        shelf = Shelf([*kept, *fetched]) if fetched else kept
        if fetched:
            self._shelves[cell] = inventory, inventory.version, self._version, shelf
        return shelf

    def packets(self, ids: Iterable[bytes]) -> Packets:
        """Return the packets with these ids that are known, what was withdrawn left out."""
        wanted = list(ids)
        here = b"".join(self._packets[each] for each in self._live(wanted))
        stored = [each for each in wanted if each in self._inventory]
        parts = [np.frombuffer(here, PACKET_DTYPE)]
        if stored:
            parts.append(self._store.get(np.frombuffer(b"".join(stored), np.uint8).reshape(-1, PACKET_ID_SIZE_BYTES)))
        return np.concatenate(parts)

    def lasting(self, ids: Iterable[bytes], *, beside: Iterable[bytes], day: int) -> set[bytes]:
        """Return those of these ids that are known, outlive ``day``, and that nothing known here ends.

        A packet is ended by a withdrawal, a withdrawal by another of the same packet among the ids ``beside``.
        """
        packets, others = self.packets(ids), self.packets(beside)
        known = packet_ids(packets)
        standing = {withdrawal_key(each.tobytes()) for each in others[others["kind"] == Kind.WITHDRAWAL]}
        lasting = set()
        for packet, packet_id, end in zip(packets, known, end_days(packets).tolist(), strict=True):
            key = packet["emitter"].tobytes() + packet_id.tobytes()
            ended = key in self._withdrawn or (
                packet["kind"] == Kind.WITHDRAWAL and withdrawal_key(packet.tobytes()) in standing
            )
            if end > day and not ended:
                lasting.add(packet_id.tobytes())
        return lasting

    def in_cells(self, cells: Iterable[int]) -> Packets:
        """Return the packets that are known in some cells."""
        return self.packets(packet_id for cell in cells for packet_id in self.shelf(cell))

    def choice(
        self, cells: Sequence[int] | None, ids: Sequence[bytes] | None
    ) -> tuple[Callable[[], Packets], tuple[object, ...]]:
        """Return what reads the known packets of ``cells`` or, without any, those with ``ids``; and a name for them."""
        if cells is not None:
            return lambda: self.in_cells(cells), tuple((cell, self.shelf(cell).root()) for cell in cells)
        return lambda: self.packets(ids or ()), tuple(ids or ())

    def expire(self, day: int) -> None:
        """Forget what is over on ``day``."""
        if day == self._day or not self._packets:
            return
        self._day = day
        ids = list(self._packets)
        ends = end_days(np.frombuffer(b"".join(self._packets.values()), PACKET_DTYPE))
        for packet_id, end in zip(ids, ends.tolist(), strict=True):
            if end <= day:
                self._version += 1
                del self._packets[packet_id]

    @staticmethod
    def ids_of(frame: bytes) -> list[bytes]:
        """Return the ids of packets in a frame."""
        return [each.tobytes() for each in packet_ids(packets_from_frame(frame))]

    def _live(self, ids: Iterable[bytes]) -> list[bytes]:
        live = [each for each in ids if each in self._packets and each not in self._inventory]
        if not self._withdrawn:
            return live
        emitter = slice(*_EMITTER)
        return [each for each in live if self._packets[each][emitter] + each not in self._withdrawn]


def _field(name: str) -> tuple[int, int]:
    kind, start = dict(PACKET_DTYPE.fields or {})[name][:2]
    return start, start + kind.itemsize


_EMITTER = _field("emitter")
