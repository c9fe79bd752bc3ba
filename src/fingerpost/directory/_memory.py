"""A directory inside one process: a board that all its nodes write to and read from."""

from __future__ import annotations

import secrets

from fingerpost.directory.base import DirectoryOptions
from fingerpost.directory.reading import VALUES_READ_MAX, RegionReading, believable
from fingerpost.directory.record import HolderRecord
from fingerpost.directory.refusals import count_refusals
from fingerpost.directory.region import Region
from fingerpost.errors import NetworkError
from fingerpost.ids import PublicKey
from fingerpost.ports import Clock

VERIFIED_MAX = 65_536


class MemoryBoard:
    """Keeps whatever is written, by region key and slot; readers judge it. Its directories share one event loop."""

    def __init__(self) -> None:
        self._regions: dict[bytes, dict[bytes, bytes]] = {}
        self._verified: dict[str, dict[bytes, HolderRecord]] = {}

    def write(self, region_key: bytes, slot: bytes, value: bytes) -> None:
        """Put a value into a slot of a region; of too many slots the oldest is dropped."""
        slots = self._regions.setdefault(region_key, {})
        slots.pop(slot, None)
        slots[slot] = value
        if len(slots) > VALUES_READ_MAX:
            del slots[next(iter(slots))]

    def erase(self, region_key: bytes, slot: bytes) -> None:
        """Empty a slot, if there is something in it."""
        self._regions.get(region_key, {}).pop(slot, None)

    def verified(self, network_id: str) -> dict[bytes, HolderRecord]:
        """Return the values whose signature was checked in a network: once a process, not once a reader."""
        verified = self._verified.setdefault(network_id, {})
        if len(verified) > VERIFIED_MAX:
            verified.clear()
        return verified

    def read(self, region_key: bytes) -> list[bytes]:
        """Return the values of a region, oldest first."""
        return list(self._regions.get(region_key, {}).values())


class MemoryDirectory:
    """One node's view of a board; see ``fingerpost.directory.base.Directory``."""

    def __init__(
        self, board: MemoryBoard, *, network_id: str, clock: Clock, members: frozenset[PublicKey] = frozenset()
    ) -> None:
        self.refused: dict[str, int] = {}
        self._board = board
        self._network_id = network_id
        self._clock = clock
        self._members = members
        self._salt = secrets.token_bytes(32)  # also sets this directory's slots apart from those of others
        self._issued: dict[tuple[bytes, PublicKey], int] = {}
        self._closed = False

    async def announce(self, region: Region, record: HolderRecord) -> None:
        """Write a record into this directory's slot for the holder, unless it wrote a later one there."""
        self._require_open()
        encoded = believable(record, region, network_id=self._network_id, now=self._clock.now())
        place = region.key(self._network_id), record.public_key
        if record.issued_at >= self._issued.get(place, record.issued_at):
            self._issued[place] = record.issued_at
            self._board.write(place[0], self._salt + record.public_key, encoded)

    async def withdraw(self, region: Region, record: HolderRecord) -> None:
        """Empty this directory's slot for the holder."""
        self._require_open()
        place = region.key(self._network_id), record.public_key
        self._issued.pop(place, None)
        self._board.erase(place[0], self._salt + record.public_key)

    async def find(self, region: Region) -> tuple[HolderRecord, ...]:
        """Return the valid records on the board, ordered by public key."""
        self._require_open()
        verified = self._board.verified(self._network_id)
        reading = RegionReading(
            region,
            network_id=self._network_id,
            now=self._clock.now(),
            salt=self._salt,
            known=self._members,
            verified=verified,
        )
        for value in self._board.read(region.key(self._network_id)):
            if not reading.add(value):
                break
        records = reading.records()
        for reason, count in reading.refused.items():
            count_refusals(self.refused, reason, count)
        verified |= reading.checked
        return records

    async def close(self) -> None:
        """Leave the board as it is: other nodes of this process use it too."""
        self._closed = True

    def _require_open(self) -> None:
        if self._closed:
            raise NetworkError("directory-closed", "this directory was closed")


_BOARD = MemoryBoard()


async def open_directory(options: DirectoryOptions) -> MemoryDirectory:
    """Open the directory of this process, or that of the ``board`` in the settings."""
    unknown = sorted(options.settings.keys() - {"board"})
    board = options.settings.get("board", _BOARD)
    if unknown or not isinstance(board, MemoryBoard):
        wrong = ", ".join(unknown) or "board"
        raise NetworkError(
            "directory-settings",
            f"the memory directory cannot use the setting {wrong}",
            hint="it takes no settings but a MemoryBoard as 'board'",
        )
    return MemoryDirectory(board, network_id=options.network_id, clock=options.clock, members=options.members)
