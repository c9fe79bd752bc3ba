"""What a node keeps, as digests: which packet ids lie in which group and in which cell.

The ids of a group are spread over 4,096 leaves by their first 12 bits. A leaf's digest is the hash of its ids in order,
a group's ("root") that of its leaves; two nodes whose roots agree keep the same packets, and otherwise a few exchanges
find the difference. Digests are hashes, not sums: an emitter that may choose its packets could make sums meet.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import numpy.typing as npt

from fingerpost.ids import PublicKey
from fingerpost.node.wire import DIGEST_SIZE_BYTES, LEAF_RECORD_SIZE_BYTES, LEAVES, PACKET_ID_SIZE_BYTES
from fingerpost.packet import Kind, packet_ids
from fingerpost.store.base import PacketStore
from fingerpost.store.retention import withdrawal_key

Packets = npt.NDArray[np.void]
Ids = npt.NDArray[np.uint8]


class Shelf:
    """A set of packet ids, and its digests."""

    def __init__(self, packet_ids: Iterable[bytes] = ()) -> None:
        self._leaves: dict[int, set[bytes]] = {}
        self._digests: dict[int, bytes] = {}
        self._root: bytes | None = None
        for packet_id in packet_ids:
            self.add(packet_id)

    def __len__(self) -> int:
        return sum(map(len, self._leaves.values()))

    def __iter__(self) -> Iterator[bytes]:
        """Yield every id, ascending."""
        for leaf in sorted(self._leaves):
            yield from sorted(self._leaves[leaf])

    def __contains__(self, packet_id: bytes) -> bool:
        return packet_id in self._leaves.get(leaf_of(packet_id), ())

    def add(self, packet_id: bytes) -> None:
        """Put an id in."""
        leaf = leaf_of(packet_id)
        self._leaves.setdefault(leaf, set()).add(packet_id)
        self._digests.pop(leaf, None)
        self._root = None

    def remove(self, packet_id: bytes) -> None:
        """Take an id out."""
        leaf = leaf_of(packet_id)
        ids = self._leaves[leaf]
        ids.remove(packet_id)
        if not ids:
            del self._leaves[leaf]
        self._digests.pop(leaf, None)
        self._root = None

    def root(self) -> bytes:
        """Return the digest of everything, 16 bytes."""
        if self._root is None:
            self._root = hashlib.blake2s(self.leaf_records(), digest_size=DIGEST_SIZE_BYTES).digest()
        return self._root

    def leaf_records(self) -> bytes:
        """Return number (2 bytes) and digest (16 bytes) of each leaf that is not empty, by ascending number."""
        return b"".join(leaf.to_bytes(2, "big") + self._digest(leaf) for leaf in sorted(self._leaves))

    def differing(self, records: bytes) -> list[int]:
        """Return the leaves of another shelf, given by its leaf records, that hold what this one may not have."""
        size = LEAF_RECORD_SIZE_BYTES
        theirs = {
            int.from_bytes(records[at : at + 2], "big"): records[at + 2 : at + size]
            for at in range(0, len(records), size)
        }
        return [leaf for leaf, digest in theirs.items() if leaf < LEAVES and self._digest(leaf) != digest]

    def ids(self, leaves: Iterable[int], *, after: bytes = b"", count: int) -> tuple[list[bytes], bool]:
        """Return up to ``count`` ids behind ``after`` of these leaves, ascending, and whether there are more."""
        found: list[bytes] = []
        for leaf in sorted(set(leaves)):
            if after and leaf < leaf_of(after):
                continue
            found += (each for each in sorted(self._leaves.get(leaf, ())) if each > after)
            if len(found) > count:
                return found[:count], True
        return found, False

    def _digest(self, leaf: int) -> bytes:
        if leaf not in self._digests:
            ids = b"".join(sorted(self._leaves.get(leaf, ())))
            digest = hashlib.blake2s(ids, digest_size=DIGEST_SIZE_BYTES).digest()
            if not ids:
                return digest
            self._digests[leaf] = digest
        return self._digests[leaf]


def leaf_of(packet_id: bytes) -> int:
    """Return the leaf that an id belongs to: its first 12 bits."""
    return packet_id[0] << 4 | packet_id[1] >> 4


_NOTHING = Shelf()


class Inventory:
    """The ids of one template's packets and withdrawals in a store, by group and by cell, kept up to date by its owner.

    A withdrawal lies where the packet that it names lies: it carries the same cell. ``own`` is the key of the emitter
    whose ids are listed apart.
    """

    def __init__(
        self, store: PacketStore, template_id: bytes, *, own: PublicKey, group_of: Callable[[int], int]
    ) -> None:
        self._store = store
        self.template_id = template_id
        self.group_of_cell = group_of
        self._template_id = np.frombuffer(template_id, np.uint8)
        self._own_key = np.frombuffer(own, np.uint8)
        self.rebuild()

    def rebuild(self) -> None:
        """Read everything from the store anew: at the start, and after packets expired."""
        self.version = 0  # grows whenever something comes or goes
        self.own: set[bytes] = set()
        self._cell_of: dict[bytes, int] = {}
        self._groups: dict[int, Shelf] = {}
        self._cells: dict[int, Shelf] | None = None  # made when somebody asks for cells
        self._withdrawn: dict[bytes, bytes] = {}  # withdrawal key -> id of the withdrawal that stands
        for block in self._store.scan(self._template_id.tobytes()):
            self._put(block, packet_ids(block))
        for block in self._store.withdrawals():
            mine = block[(block["template_id"] == self._template_id).all(axis=1)]
            self._put(mine, packet_ids(mine))

    def __len__(self) -> int:
        return len(self._cell_of)

    def __contains__(self, packet_id: bytes) -> bool:
        return packet_id in self._cell_of

    def add(self, packets: Packets, ids: Ids) -> None:
        """Note packets that the store now keeps and did not keep before, with their ids (n, 32)."""
        self._put(packets, ids)
        for row in np.flatnonzero(packets["kind"] == Kind.WITHDRAWAL):
            target = withdrawal_key(packets[row].tobytes())[PACKET_ID_SIZE_BYTES:]
            if target in self._cell_of and not self._store.contains(np.frombuffer(target, np.uint8).reshape(1, -1))[0]:
                self._take(target)

    def remove(self, ids: Iterable[bytes]) -> None:
        """Note packets that the store no longer keeps."""
        for packet_id in ids:
            if packet_id in self._cell_of:
                self._take(packet_id)

    def groups(self) -> list[int]:
        """Return the groups in which there is something."""
        return [group for group, shelf in self._groups.items() if len(shelf)]

    def shelf(self, group: int) -> Shelf:
        """Return the ids of a group."""
        return self._groups.get(group, _NOTHING)

    def cells(self) -> list[int]:
        """Return the cells in which there is something, ascending."""
        return sorted(set(self._cell_of.values()))

    def cell(self, cell: int) -> Shelf:
        """Return the ids of a cell."""
        if self._cells is None:
            self._cells = {}
            for packet_id, each in self._cell_of.items():
                self._cells.setdefault(each, Shelf()).add(packet_id)
        return self._cells.get(cell, _NOTHING)

    def group_of(self, packet_id: bytes) -> int | None:
        """Return the group of a packet that is kept, else None."""
        cell = self._cell_of.get(packet_id)
        return None if cell is None else self.group_of_cell(cell)

    def withdrawals_of(self, packets: Packets, ids: Ids) -> list[bytes]:
        """Return the ids of the withdrawals here that name some of these packets (ids (n, 32)) of their emitters."""
        keys = (emitter.tobytes() + ids[row].tobytes() for row, emitter in enumerate(packets["emitter"]))
        return [self._withdrawn[key] for key in keys if key in self._withdrawn]

    def _put(self, packets: Packets, ids: Ids) -> None:
        withdrawal = packets["kind"] == Kind.WITHDRAWAL
        mine = (packets["emitter"] == self._own_key).all(axis=1)
        for row, cell in enumerate(packets["cell"].tolist()):
            packet_id = ids[row].tobytes()
            if withdrawal[row]:
                key = withdrawal_key(packets[row].tobytes())
                replaced = self._withdrawn.get(key)
                if replaced is not None and replaced in self._cell_of:
                    self._take(replaced)
                self._withdrawn[key] = packet_id
            self.version += 1
            self._cell_of[packet_id] = cell
            self._groups.setdefault(self.group_of_cell(cell), Shelf()).add(packet_id)
            if self._cells is not None:
                self._cells.setdefault(cell, Shelf()).add(packet_id)
            if mine[row]:
                self.own.add(packet_id)

    def _take(self, packet_id: bytes) -> None:
        self.version += 1
        cell = self._cell_of.pop(packet_id)
        self._groups[self.group_of_cell(cell)].remove(packet_id)
        if self._cells is not None:
            self._cells[cell].remove(packet_id)
        self.own.discard(packet_id)
