"""Reading a region that anybody may have written to: what of it a node may believe, and how much of it is read.

Every directory reads through here, so that all of them refuse the same things. No I/O.

What a flood can do. Junk that does not even start like a record of the region costs a comparison. Of values that do,
``SIGNATURES_CHECKED_MAX`` are checked, drawn by a hash with a secret of the reader, so that each good record is among
them with the same chance, wherever the flood lies. Valid records of minted identities cannot be told from others here
(admission does that): of more than ``RECORDS_READ_MAX`` those of holders known before or admitted by name stay, then
those drawn. Values in the name of such a holder are checked first, and of each such name equally many.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType

import msgspec

from fingerpost.directory.record import RECORD_VERSION, HolderRecord, decode_record, encode_record
from fingerpost.directory.region import Region
from fingerpost.errors import NetworkError, UsageError
from fingerpost.ids import PublicKey
from fingerpost.limits import RECORD_SIZE_BYTES_MAX, RECORDS_READ_MAX

VALUES_READ_MAX = 16_384  # of one region in one look-up, whatever they are
SIGNATURES_CHECKED_MAX = 2_048  # of them, about 0.2 seconds of one core
_RECORD_FIELDS = 11
_KEY_SIZE_BYTES = 32


class RegionReading:
    """Collects values as they come in, then keeps the latest valid record of each holder.

    Feed it with ``add`` until it returns False, then take ``records`` once; ``refused`` then says what was dropped,
    by reason. ``salt`` is a secret of the reader, ``known`` the holders found here before and the members of the
    network, ``verified`` the values whose signature was checked before, which spares checking it again.
    """

    def __init__(
        self,
        region: Region,
        *,
        network_id: str,
        now: float,
        salt: bytes,
        known: Collection[PublicKey] = (),
        verified: Mapping[bytes, HolderRecord] = MappingProxyType({}),
    ) -> None:
        self.refused: dict[str, int] = {}
        self.checked: dict[bytes, HolderRecord] = {}
        self._region = region
        self._network_id = network_id
        self._now = now
        self._known = frozenset(known)
        self._verified = verified
        self._salt = salt[:32]
        self._start = _start_of_records(region)
        self._candidates: set[bytes] = set()
        self._latest: dict[PublicKey, HolderRecord] = {}
        self._values_left = VALUES_READ_MAX

    @property
    def cut_short(self) -> bool:
        """Say whether a bound was met, so that good records may be missing."""
        return self._values_left <= 0 or "signature-bound" in self.refused or "record-bound" in self.refused

    def add(self, encoded: bytes) -> bool:
        """Take one value, which may be hostile; return whether another one will be taken."""
        if self._values_left <= 0:
            self._refuse("value-bound")
            return False
        self._values_left -= 1
        if not encoded.startswith(self._start) or len(encoded) > RECORD_SIZE_BYTES_MAX:
            self._refuse("record-invalid")
        else:
            self._candidates.add(encoded)
        return self._values_left > 0

    def add_record(self, record: HolderRecord) -> None:
        """Take a record that needs no check of its signature; it may be over by now, or of another region."""
        if not belongs(record, self._region):
            self._refuse("record-region")
        elif not record.is_live(self._now):
            self._refuse("record-expired")
        elif is_later(record, than=self._latest.get(record.public_key)):
            self._latest[record.public_key] = record

    def records(self) -> tuple[HolderRecord, ...]:
        """Judge what was taken; return at most ``RECORDS_READ_MAX`` records, ordered by public key."""
        unknown = []
        for encoded in self._candidates:
            if encoded in self._verified:
                self.checked[encoded] = self._verified[encoded]
                self.add_record(self._verified[encoded])
            else:
                unknown.append(encoded)
        if len(unknown) > SIGNATURES_CHECKED_MAX:
            self._refuse("signature-bound", len(unknown) - SIGNATURES_CHECKED_MAX)
            unknown = self._drawn(unknown)
        for encoded in unknown:
            self._judge(encoded)
        self._candidates.clear()
        kept: Iterable[HolderRecord] = self._latest.values()
        if len(self._latest) > RECORDS_READ_MAX:
            self._refuse("record-bound", len(self._latest) - RECORDS_READ_MAX)
            kept = sorted(kept, key=self._rank)[:RECORDS_READ_MAX]
        return tuple(sorted(kept, key=lambda record: record.public_key))

    def _judge(self, encoded: bytes) -> None:
        try:
            record = decode_record(encoded, network_id=self._network_id, now=self._now)
        except NetworkError as error:
            self._refuse(error.code)
        else:
            self.checked[encoded] = record
            self.add_record(record)

    def _drawn(self, values: list[bytes]) -> list[bytes]:
        """Return the values that are checked: in the names of known holders first, by turns, then others."""
        turns: Counter[bytes] = Counter()
        order: list[tuple[bool, int, int, bytes]] = []
        for encoded in sorted(values, key=self._draw):
            name = _name_in(encoded, self._start)
            if name in self._known:
                turns[name] += 1
            order.append((name not in self._known, turns[name], len(order), encoded))
        return [entry[-1] for entry in sorted(order)[:SIGNATURES_CHECKED_MAX]]

    def _rank(self, record: HolderRecord) -> tuple[bool, bytes]:
        return record.public_key not in self._known, self._draw(record.public_key)

    def _draw(self, value: bytes) -> bytes:
        return hashlib.blake2s(value, key=self._salt).digest()

    def _refuse(self, reason: str, count: int = 1) -> None:
        self.refused[reason] = self.refused.get(reason, 0) + count


def _start_of_records(region: Region) -> bytes:
    """Return the bytes that every record of a region's template starts with."""
    array = msgspec.msgpack.encode([0] * _RECORD_FIELDS)[:1]
    return array + msgspec.msgpack.encode(RECORD_VERSION) + msgspec.msgpack.encode(region.template_id)


def claimed_holder(encoded: bytes, region: Region) -> PublicKey | None:
    """Return in whose name a value stands, whoever wrote it; None where it does not start like a record of a region."""
    start = _start_of_records(region)
    if not encoded.startswith(start) or len(encoded) > RECORD_SIZE_BYTES_MAX:
        return None
    return _name_in(encoded, start)


def _name_in(encoded: bytes, start: bytes) -> PublicKey:
    return PublicKey(encoded[len(start) + 2 :][:_KEY_SIZE_BYTES])  # after the two bytes that say its length


def belongs(record: HolderRecord, region: Region) -> bool:
    """Say whether a record is of a region's template and its holder's id starts with the region's bits."""
    if record.template_id != region.template_id:
        return False
    return region.covers(record.leading)


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
