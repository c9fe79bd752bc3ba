"""What a store shows, in a form that is easy to compare; for the kit that checks stores."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from fingerpost.packet import PACKET_DTYPE, packet_ids
from fingerpost.store.base import Packets, PacketStore


def joined(blocks: Iterable[Packets]) -> Packets:
    """Return the packets of all blocks as one array."""
    return np.concatenate([np.empty(0, PACKET_DTYPE), *blocks])


def by_id(packets: Packets) -> dict[bytes, bytes]:
    """Return the bytes of each packet by its id. Raises ``AssertionError`` when one is there twice."""
    found = {row.tobytes(): packet.tobytes() for row, packet in zip(packet_ids(packets), packets, strict=True)}
    if len(found) != len(packets):
        raise AssertionError("broken promise: a packet is here once")
    return found


def live(store: PacketStore) -> dict[bytes, bytes]:
    """Return the live packets of a store by id."""
    return by_id(joined(store.scan()))


def kept_withdrawals(store: PacketStore) -> dict[bytes, bytes]:
    """Return the withdrawals of a store by id."""
    return by_id(joined(store.withdrawals()))
