"""Reading a region that anybody may have written to: what of it a node may believe, and how much of it is read.

Every directory reads through here, so that all of them refuse the same things. No I/O.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable

from fingerpost.directory.record import HolderRecord, decode_record, encode_record
from fingerpost.directory.region import Region
from fingerpost.errors import NetworkError, UsageError
from fingerpost.ids import PublicKey
from fingerpost.limits import RECORDS_READ_MAX

VALUES_READ_MAX = 4 * RECORDS_READ_MAX  # of one region in one look-up, good or bad: what a flood can cost


class RegionReading:
    """Judges values as they come in and keeps the latest valid record of each holder.

    Feed it with ``add`` until it returns False, then take ``records``; ``refused`` counts what was dropped, by reason.
    At most ``VALUES_READ_MAX`` values are looked at. Of more than ``RECORDS_READ_MAX`` valid records those of ``known``
    holders stay, then those that come first by a hash keyed with ``salt``: a flood of valid records by minted
    identities gets its share of the answer by chance, and can neither choose whom it displaces nor displace holders
    that were known before.
    """

    def __init__(
        self, region: Region, *, network_id: str, now: float, known: Collection[PublicKey] = (), salt: bytes = b""
    ) -> None:
        self.refused: dict[str, int] = {}
        self._region = region
        self._network_id = network_id
        self._now = now
        self._known = frozenset(known)
        self._salt = salt
        self._latest: dict[PublicKey, HolderRecord] = {}
        self._values_left = VALUES_READ_MAX

    def add(self, encoded: bytes) -> bool:
        """Look at one value, which may be hostile; return whether another one will be looked at."""
        if self._values_left <= 0:
            self._refuse("read-bound")
            return False
        self._values_left -= 1
        try:
            self.add_record(decode_record(encoded, network_id=self._network_id, now=self._now))
        except NetworkError as error:
            self._refuse(error.code)
        return self._values_left > 0

    def add_record(self, record: HolderRecord) -> None:
        """Take a record whose signature has been checked before; it may be over by now, or of another region."""
        if not belongs(record, self._region):
            self._refuse("record-region")
        elif not record.is_live(self._now):
            self._refuse("record-expired")
        elif is_later(record, than=self._latest.get(record.public_key)):
            self._latest[record.public_key] = record

    def records(self) -> tuple[HolderRecord, ...]:
        """Return what was kept, at most ``RECORDS_READ_MAX`` records, ordered by public key."""
        kept: Iterable[HolderRecord] = self._latest.values()
        if len(self._latest) > RECORDS_READ_MAX:
            kept = sorted(kept, key=self._rank)[:RECORDS_READ_MAX]
        return tuple(sorted(kept, key=lambda record: record.public_key))

    def _rank(self, record: HolderRecord) -> tuple[bool, bytes]:
        drawn = hashlib.blake2s(record.public_key, key=self._salt[:32]).digest()
        return record.public_key not in self._known, drawn

    def _refuse(self, reason: str) -> None:
        self.refused[reason] = self.refused.get(reason, 0) + 1


def belongs(record: HolderRecord, region: Region) -> bool:
    """Say whether a record is of a region's template and its holder's id starts with the region's bits."""
    if record.template_id != region.template_id:
        return False
    return int.from_bytes(record.node_id[:4], "big") >> (32 - region.depth) == region.prefix


def believable(record: HolderRecord, region: Region, *, network_id: str, now: float) -> bytes:
    """Return the bytes of a record that readers of the region will believe.

    Raises what ``encode_record`` and ``decode_record`` raise, and ``UsageError`` (``record-region``).
    """
    if not belongs(record, region):
        raise UsageError(
            "record-region",
            f"a record of holder {record.node_id.hex()[:16]} does not belong into depth {region.depth},"
            f" prefix {region.prefix} of template {region.template_id.hex()}",
        )
    encoded = encode_record(record)
    decode_record(encoded, network_id=network_id, now=now)
    return encoded


def is_later(record: HolderRecord, *, than: HolderRecord | None) -> bool:
    """Say which of two records of one holder counts: the later issued; of two of one second, any, but the same one."""
    return than is None or (record.issued_at, record.signature) > (than.issued_at, than.signature)
