"""Looking at packets that were trusted when they came: do they still hold?"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fingerpost.packet import RootCache, packet_ids, verify_packets
from fingerpost.store.base import Ids, Packets, Problem
from fingerpost.store.retention import withdrawal_key


def inspect_packets(packets: Packets, ids: Ids, *, cache: RootCache) -> Iterator[Problem]:
    """Yield what is wrong with packets that are kept under ``ids`` (n, 32)."""
    actual = packet_ids(packets)
    matches = (actual == ids).all(axis=1)
    for row in np.flatnonzero(~matches):
        kept_as = ids[row].tobytes()
        yield Problem(
            code="packet-changed",
            message=f"the packet kept as {kept_as.hex()} has the id {actual[row].tobytes().hex()}",
            packet_id=kept_as,
        )
    for row in np.flatnonzero(matches & ~verify_packets(packets, cache=cache, ids=actual)):
        packet_id = ids[row].tobytes()
        yield Problem(
            code="packet-invalid",
            message=f"the packet {packet_id.hex()} is not valid, or its signature does not hold",
            packet_id=packet_id,
        )


def inspect_withdrawals(packets: Packets, keys: list[bytes], *, cache: RootCache) -> Iterator[Problem]:
    """Yield what is wrong with withdrawals that are kept under ``keys``."""
    for packet, key in zip(packets, keys, strict=True):
        if withdrawal_key(packet.tobytes()) != key:
            yield Problem(code="withdrawal-changed", message=f"a withdrawal is kept for another packet: {key.hex()}")
    yield from inspect_packets(packets, packet_ids(packets), cache=cache)
