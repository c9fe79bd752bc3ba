"""Valid signed holder records for tests: deterministic, told apart by a number."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache
from itertools import count

from nacl.signing import SigningKey

from fingerpost.directory.record import HolderRecord
from fingerpost.directory.region import Region
from fingerpost.ids import PublicKey, TemplateId, node_id

NOW = 1_800_000_000


class SettableClock:
    """A clock that stands still until it is set."""

    def __init__(self, now: float = NOW) -> None:
        self.time = now

    def now(self) -> float:
        """Return what it was set to."""
        return self.time


@cache
def holder_key(number: int) -> SigningKey:
    """Return the signing key of the holder with this number."""
    return SigningKey(hashlib.blake2s(b"holder %d" % number).digest())


def holder_record(
    number: int,
    *,
    template_id: TemplateId,
    network_id: str,
    issued_at: int = NOW,
    lifetime_seconds: int = 300,
    endpoint: str = "127.0.0.1:7000",
) -> HolderRecord:
    """Return the signed record of the holder with this number."""
    key = holder_key(number)
    record = HolderRecord(
        template_id=template_id,
        public_key=PublicKey(bytes(key.verify_key)),
        carrier="memory",
        endpoint=endpoint,
        channel_key=hashlib.blake2s(b"channel %d" % number).digest(),
        organisation=f"hospital {number}",
        capacity_packets=1_000_000,
        issued_at=issued_at,
        lifetime_seconds=lifetime_seconds,
    )
    return record.signed(lambda statement: key.sign(statement).signature, network_id=network_id)


def holders_in(region: Region) -> Iterator[int]:
    """Yield the numbers of holders whose ids start with the bits of a region, without end."""
    for number in count():
        leading = int.from_bytes(node_id(bytes(holder_key(number).verify_key))[:4], "big")
        if leading >> (32 - region.depth) == region.prefix:
            yield number
