"""A directory in the configuration: the peers that a table of the settings lists, trusted as they stand there.

::

    [[directory.peers]]
    public_key = "64 hex digits"
    carrier = "zeromq"
    endpoint = "192.0.2.7:7000"
    channel_key = "64 hex digits, or left out for a carrier that does not encrypt"
    organisation = "St. Mary"
    capacity = 1000000
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fingerpost.directory.base import DirectoryOptions
from fingerpost.directory.reading import RegionReading, believable
from fingerpost.directory.record import HolderRecord
from fingerpost.directory.region import Region
from fingerpost.errors import NetworkError
from fingerpost.ids import PublicKey
from fingerpost.limits import (
    ANNOUNCE_SECONDS,
    RECORD_LIFETIME_SECONDS_DEFAULT,
    RECORDS_READ_MAX,
    STORE_QUOTA_PACKETS_DEFAULT,
)
from fingerpost.ports import Clock

KEY_SIZE_BYTES = 32
TEXT_LENGTH_MAX = 256
_REQUIRED = ("public_key", "carrier", "endpoint")
_OPTIONAL = ("channel_key", "organisation", "capacity")


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticPeer:
    """One peer of the configuration; an ``organisation`` left out is a name of its own, the public key in hex."""

    public_key: PublicKey
    carrier: str
    endpoint: str
    channel_key: bytes
    organisation: str
    capacity_packets: int

    def record(self, region: Region, *, now: float) -> HolderRecord:
        """Return an unsigned record that says the peer holds this template: who lists it vouches for it."""
        return HolderRecord(
            template_id=region.template_id,
            public_key=self.public_key,
            carrier=self.carrier,
            endpoint=self.endpoint,
            channel_key=self.channel_key,
            organisation=self.organisation,
            capacity_packets=self.capacity_packets,
            issued_at=int(now),
            lifetime_seconds=RECORD_LIFETIME_SECONDS_DEFAULT,
        )


class StaticDirectory:
    """The peers of a list, for every template; see ``fingerpost.directory.base.Directory``.

    It cannot tell anybody anything: a record that is announced is found by this directory alone, and a listed peer
    is found until the configuration changes. Its records carry no signature, for none is needed.
    """

    def __init__(self, peers: tuple[StaticPeer, ...], *, network_id: str, clock: Clock) -> None:
        self._peers = peers
        self._network_id = network_id
        self._clock = clock
        self._own: dict[tuple[bytes, PublicKey], HolderRecord] = {}
        self._closed = False

    async def announce(self, region: Region, record: HolderRecord) -> None:
        """Remember an own record, which this directory's ``find`` then returns in place of a listed one."""
        self._require_open()
        believable(record, region, network_id=self._network_id, now=self._clock.now())
        place = region.key(self._network_id), record.public_key
        known = self._own.get(place)
        if known is None or known.issued_at <= record.issued_at:
            self._own[place] = record

    async def withdraw(self, region: Region, record: HolderRecord) -> None:
        """Forget an own record."""
        self._require_open()
        self._own.pop((region.key(self._network_id), record.public_key), None)

    async def find(self, region: Region) -> tuple[HolderRecord, ...]:
        """Return the listed peers whose id falls into the region, and own records, ordered by public key."""
        self._require_open()
        now, key = self._clock.now(), region.key(self._network_id)
        own = {public_key: record for (place, public_key), record in self._own.items() if place == key}
        reading = RegionReading(region, network_id=self._network_id, now=now, known=own.keys(), salt=b"")
        for peer in self._peers:
            if peer.public_key not in own:
                reading.add_record(peer.record(region, now=now))
        for record in own.values():
            reading.add_record(record)
        return reading.records()

    async def close(self) -> None:
        """Stop; the list stays what it is."""
        self._closed = True

    def _require_open(self) -> None:
        if self._closed:
            raise NetworkError("directory-closed", "this directory was closed")


async def open_directory(options: DirectoryOptions) -> StaticDirectory:
    """Open the directory of the ``peers`` in the settings: a list of tables, or none."""
    unknown = sorted(options.settings.keys() - {"peers"})
    if unknown:
        raise _wrong(f"the static directory knows no setting {unknown[0]!r}", "its only setting is 'peers'")
    tables = options.settings.get("peers", [])
    if not isinstance(tables, list | tuple):
        raise _wrong("'peers' is no list of tables", "write one [[directory.peers]] table for each peer")
    if len(tables) > RECORDS_READ_MAX:
        raise _wrong(
            f"{len(tables)} peers; at most {RECORDS_READ_MAX}", "use the opendht directory for a larger network"
        )
    peers = tuple(read_peer(table, number) for number, table in enumerate(tables, start=1))
    seen: dict[PublicKey, int] = {}
    for number, peer in enumerate(peers, start=1):
        if peer.public_key in seen:
            raise _wrong(f"peers {seen[peer.public_key]} and {number} have the same public_key", "list each peer once")
        seen[peer.public_key] = number
    return StaticDirectory(peers, network_id=options.network_id, clock=options.clock)


def read_peer(table: Any, number: int) -> StaticPeer:
    """Read the table of peer ``number``, from 1. Raises ``NetworkError`` (``directory-settings``) naming the field."""
    where = f"peer {number} of the static directory"
    if not isinstance(table, Mapping):
        raise _wrong(f"{where} is no table", "write one [[directory.peers]] table for each peer")
    for name in table:
        if name not in _REQUIRED + _OPTIONAL:
            raise _wrong(f"{where} has an unknown field {name!r}", f"a peer has {', '.join(_REQUIRED + _OPTIONAL)}")
    for name in _REQUIRED:
        if name not in table:
            raise _wrong(f"{where} has no {name}", f"a peer needs {', '.join(_REQUIRED)}")
    capacity = table.get("capacity", STORE_QUOTA_PACKETS_DEFAULT)
    if not isinstance(capacity, int) or isinstance(capacity, bool) or not 0 <= capacity < 1 << 63:
        raise _wrong(f"capacity of {where} is {capacity!r}", "a capacity is a number of packets, zero or more")
    public_key = PublicKey(_key(table["public_key"], f"public_key of {where}"))
    channel_key = table.get("channel_key", "")
    return StaticPeer(
        public_key=public_key,
        carrier=_text(table["carrier"], f"carrier of {where}"),
        endpoint=_text(table["endpoint"], f"endpoint of {where}"),
        channel_key=b"" if channel_key == "" else _key(channel_key, f"channel_key of {where}"),
        organisation=_text(table.get("organisation", public_key.hex()), f"organisation of {where}"),
        capacity_packets=capacity,
    )


def _key(value: Any, what: str) -> bytes:
    try:
        key = bytes.fromhex(value)
    except (TypeError, ValueError):
        key = b""
    if len(key) != KEY_SIZE_BYTES or len(value) != 2 * KEY_SIZE_BYTES:
        raise _wrong(f"{what} is {str(value)[:80]!r}", f"a key is {2 * KEY_SIZE_BYTES} hex digits")
    return key


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= TEXT_LENGTH_MAX:
        raise _wrong(f"{what} is {str(value)[:80]!r}", f"it is a text of 1 to {TEXT_LENGTH_MAX} characters")
    return value


def _wrong(message: str, hint: str) -> NetworkError:
    return NetworkError("directory-settings", message, hint=hint)


if not ANNOUNCE_SECONDS < RECORD_LIFETIME_SECONDS_DEFAULT:
    raise AssertionError("a listed peer that is found is believed until it is looked up again")
