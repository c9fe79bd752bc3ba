"""What every backend refuses before it does anything."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fingerpost.errors import StoreError, UsageError
from fingerpost.limits import (
    RECORD_KEY_SIZE_BYTES_MAX,
    RECORD_TABLE_LENGTH_MAX,
    RECORD_VALUE_SIZE_BYTES_MAX,
)
from fingerpost.packet import PACKET_DTYPE
from fingerpost.store.base import Ids, Packets
from fingerpost.store.retention import ID_SIZE_BYTES

TABLE_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")


def refuse(message: str) -> UsageError:
    """Return the error for a wrong argument."""
    return UsageError(
        "store-argument", message, hint="see the port fingerpost.store.base.PacketStore for what it takes"
    )


def closed() -> StoreError:
    """Return the error for a call after ``close``."""
    return StoreError("store-closed", "the store is closed", hint="open it again")


def checked_packets(packets: Packets, packet_ids: Ids | None) -> Packets:
    """Return ``packets`` as one contiguous array of shape (n,)."""
    if not isinstance(packets, np.ndarray) or packets.dtype != PACKET_DTYPE or packets.ndim != 1:
        raise refuse("packets come as an array of shape (n,) and PACKET_DTYPE")
    if packet_ids is not None and checked_ids(packet_ids).shape[0] != len(packets):
        raise refuse("there is one packet id for each packet")
    return np.ascontiguousarray(packets)


def checked_ids(packet_ids: Ids) -> Ids:
    """Return ``packet_ids`` as one contiguous array of shape (n, 32)."""
    if not isinstance(packet_ids, np.ndarray) or packet_ids.dtype != np.uint8 or packet_ids.ndim != 2:
        raise refuse("packet ids come as an array of shape (n, 32) and uint8")
    if packet_ids.shape[1] != ID_SIZE_BYTES:
        raise refuse(f"a packet id has 32 bytes, these have {packet_ids.shape[1]}")
    return np.ascontiguousarray(packet_ids)


def checked_day(day: int) -> int:
    """Return ``day`` as an int."""
    if isinstance(day, bool) or not isinstance(day, int | np.integer) or not 0 <= day < 2**31:
        raise refuse(f"a day is a number of days since 1970-01-01, not {day!r}")
    return int(day)


def checked_template_id(template_id: bytes | None) -> bytes | None:
    """Return ``template_id``, which is None or 16 bytes."""
    if template_id is not None and len(template_id) != 16:
        raise refuse(f"a template id has 16 bytes, this one {len(template_id)}")
    return template_id


def checked_limits(quota_packets: int, size_bytes_max: int) -> None:
    """Refuse a quota or a size that leaves no room at all."""
    if quota_packets < 1 or size_bytes_max < 1:
        raise refuse("the quota and the greatest size of a store are at least 1")


def smaller_quota(of_store: int, of_call: int | None) -> int:
    """Return the quota that holds for one call; one that leaves no room at all is refused."""
    if of_call is not None and of_call < 1:
        raise refuse("a quota is at least 1")
    return of_store if of_call is None else min(of_store, of_call)


def checked_table(table: str) -> str:
    """Return ``table``, the name of a table of records."""
    if not 1 <= len(table) <= RECORD_TABLE_LENGTH_MAX or not TABLE_LETTERS.issuperset(table):
        raise refuse(f"a table of records is named with 1 to {RECORD_TABLE_LENGTH_MAX} of a-z, 0-9 and -")
    return table


def checked_key(key: bytes) -> bytes:
    """Return ``key``, the key of a record."""
    if not 1 <= len(key) <= RECORD_KEY_SIZE_BYTES_MAX:
        raise refuse(f"the key of a record has 1 to {RECORD_KEY_SIZE_BYTES_MAX} bytes, this one {len(key)}")
    return bytes(key)


def checked_changes(changes: Mapping[bytes, bytes | None]) -> dict[bytes, bytes | None]:
    """Return ``changes`` to records."""
    for value in changes.values():
        if value is not None and len(value) > RECORD_VALUE_SIZE_BYTES_MAX:
            raise refuse(
                f"the value of a record has at most {RECORD_VALUE_SIZE_BYTES_MAX} bytes, this one {len(value)}"
            )
    return {checked_key(key): None if value is None else bytes(value) for key, value in changes.items()}
