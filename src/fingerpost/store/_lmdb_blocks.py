"""How a block of packets lies in the LMDB file, and how a whole file is written anew.

===============  ==========================  ==========================================================================
table            key                         value
===============  ==========================  ==========================================================================
``packets``      sequence, 8 B big-endian    a block: 1 to 256 packets of 512 B, as they were added
``ids``          the same                    checksum of block and ids, 4 B; the packet ids, 32 B each
``gone``         the same                    checksum of key and bits; one bit a packet, the first highest: 1 if dead
``withdrawals``  emitter, packet id; 64 B    checksum of key and packet; the withdrawal, 512 B
``records``      table name, 0, key          checksum of key and value; the value
``meta``         name                        the same; ``format``, and in decimal ``generation`` and ``dead-since``
===============  ==========================  ==========================================================================

A checksum is a CRC-32, 4 bytes, little-endian: LMDB has none. Sequence numbers grow, so that blocks are appended and
the tree stays dense. A packet that dies gets its bit in ``gone`` at once, and loses its bytes when ``compact`` writes a
new file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from fingerpost.errors import StoreError
from fingerpost.limits import PACKET_SIZE_BYTES
from fingerpost.packet import PACKET_DTYPE
from fingerpost.store._lmdb_file import (
    CHECKSUM_SIZE_BYTES,
    CORRUPT_HINT,
    LmdbWriter,
    Transaction,
    checksum,
    get_item,
    is_found,
    put_item,
    require_count,
)
from fingerpost.store.base import Ids, Packets
from fingerpost.store.retention import ID_SIZE_BYTES, Mask, Rows

KEY_SIZE_BYTES: Final = 8
COPY_STEP_BYTES: Final = 1 << 22  # of keys and values, in one step of writing a table anew


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One stored block as views of the file; the arrays are empty unless it ``is_whole``."""

    number: int
    packets: Packets
    ids: Ids  # (n, 32)
    alive: Mask  # (n,)
    is_whole: bool


def block_key(number: int) -> bytes:
    """Return the key of a block."""
    return number.to_bytes(KEY_SIZE_BYTES, "big")


def stored_blocks(transaction: Transaction, tables: dict[str, Any]) -> Iterator[Block]:
    """Yield all blocks, ascending, valid until the transaction ends. Raises ``StoreError`` (``store-corrupt``)."""
    found = {"packets": 0, "ids": 0, "gone": 0}
    with transaction.cursor(tables["packets"]) as cursor:
        for key, value in cursor:
            if len(key) != KEY_SIZE_BYTES:
                raise StoreError("store-corrupt", "the store is damaged: a block has no number", hint=CORRUPT_HINT)
            index = transaction.get(key, db=tables["ids"])
            gone = get_item(transaction, tables, "gone", bytes(key))
            found["packets"] += is_found(transaction, tables, "packets", bytes(key))
            found["ids"] += index is not None
            found["gone"] += gone is not None
            number, count = int.from_bytes(key, "big"), len(value) // PACKET_SIZE_BYTES
            if _is_whole(value, index, gone):
                yield Block(
                    number=number,
                    packets=np.frombuffer(value, PACKET_DTYPE),
                    ids=_ids_in(index),
                    alive=~gone_flags(gone, count),
                    is_whole=True,
                )
            else:
                yield Block(
                    number=number,
                    packets=np.empty(0, PACKET_DTYPE),
                    ids=np.empty((0, ID_SIZE_BYTES), np.uint8),
                    alive=np.empty(0, np.bool_),
                    is_whole=False,
                )
    for table, count in found.items():
        require_count(transaction, tables, table, count)


def put_block(transaction: Transaction, tables: dict[str, Any], number: int, packets: Packets, ids: Ids) -> None:
    """Write a block, a new one or in the place of one of the same length."""
    octets, index = packets.view(np.uint8).data, ids.tobytes()  # LMDB makes the one copy that is needed.
    transaction.put(block_key(number), octets, db=tables["packets"])
    transaction.put(block_key(number), checksum(octets, index) + index, db=tables["ids"])


def change_packets(
    transaction: Transaction, tables: dict[str, Any], number: int, slots: Rows, packets: Packets
) -> None:
    """Put packets in the place of others with the same ids."""
    block = np.frombuffer(bytearray(transaction.get(block_key(number), db=tables["packets"])), PACKET_DTYPE)
    block[slots] = packets
    ids = _ids_in(bytes(transaction.get(block_key(number), db=tables["ids"])))
    put_block(transaction, tables, number, block, ids)


def mark_gone(transaction: Transaction, tables: dict[str, Any], number: int, slots: Rows) -> None:
    """Set the bits of these packets; a block in which none is left goes at once."""
    key = block_key(number)
    count = len(transaction.get(key, db=tables["packets"])) // PACKET_SIZE_BYTES
    gone = gone_flags(get_item(transaction, tables, "gone", key), count)
    gone[slots] = True
    if gone.all():
        for table in ("packets", "ids", "gone"):
            transaction.delete(key, db=tables[table])
    else:
        put_item(transaction, tables, "gone", key, np.packbits(gone).tobytes())


def gone_flags(stored: bytes | None, count: int) -> Mask:
    """Return the bits of a block as flags, shape (count,)."""
    if stored is None:
        return np.zeros(count, np.bool_)
    return np.unpackbits(np.frombuffer(stored, np.uint8), count=count).astype(np.bool_)


def write_blocks(writer: LmdbWriter, blocks: list[tuple[int, Packets, Ids]]) -> None:
    """Put numbered blocks into a new file, in one step."""

    def change(transaction: Transaction) -> None:
        for number, packets, ids in blocks:
            put_block(transaction, writer.tables, number, packets, ids)

    writer.write(change)


def write_items(writer: LmdbWriter, table: str, items: Iterable[tuple[bytes, bytes]]) -> None:
    """Put items, ascending by key, into a table of a new file, in steps."""
    step: list[tuple[bytes, bytes]] = []
    size = 0

    def change(transaction: Transaction) -> None:
        for key, value in step:
            put_item(transaction, writer.tables, table, key, value)

    for item in items:
        step.append(item)
        size += len(item[0]) + len(item[1])
        if size >= COPY_STEP_BYTES:
            writer.write(change)
            step.clear()
            size = 0
    writer.write(change)


def _is_whole(value: memoryview, index: memoryview | None, gone: bytes | None) -> bool:
    count, rest = divmod(len(value), PACKET_SIZE_BYTES)
    return (
        count > 0
        and not rest
        and index is not None
        and len(index) == CHECKSUM_SIZE_BYTES + count * ID_SIZE_BYTES
        and (gone is None or len(gone) == (count + 7) // 8)
        and index[:CHECKSUM_SIZE_BYTES] == checksum(value, index[CHECKSUM_SIZE_BYTES:])
    )


def _ids_in(index: memoryview | bytes) -> Ids:
    return np.frombuffer(index, np.uint8, offset=CHECKSUM_SIZE_BYTES).reshape(-1, ID_SIZE_BYTES)
