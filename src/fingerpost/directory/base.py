"""The port that finds the holders of a template's packets.

A backend registers a ``DirectoryFactory`` under a name in the entry-point group ``fingerpost.directories``; the public
kit ``fingerpost.testing.directory_kit`` checks its promises.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from fingerpost.directory.record import HolderRecord
from fingerpost.directory.region import Region
from fingerpost.ids import PublicKey
from fingerpost.ports import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryOptions:
    """What a directory is opened with. ``state`` is a directory for its own files, or None to keep none.

    ``members`` are the only holders that will count, where that is known: a directory reads their records first, so
    that a flood of others hides nobody.
    """

    network_id: str
    clock: Clock
    state: Path | None = None
    members: frozenset[PublicKey] = frozenset()
    settings: Mapping[str, Any] = field(default_factory=dict)


class Directory(Protocol):
    """Finds who may hold the packets of a template. It discovers; it never decides what is safe.

    What a directory promises: a record announced is found by every ``find`` on a connected directory, within seconds
    and until it expires or is withdrawn; a later record of the same holder replaces the earlier one; ``find`` returns
    only records whose signature holds and whose time is not over, at most ``limits.RECORDS_READ_MAX``, one per holder,
    whoever else wrote whatever into the region; every call returns within ``limits.DIRECTORY_SECONDS_MAX``; when the
    backend is out of reach, ``find`` returns what it found last, for as long as the records live.

    What it does not promise: that the holder still lives, that it is admitted, or that all are found.

    Every method raises ``NetworkError``: ``directory-closed`` after ``close``, ``directory-unreachable`` when a record
    could not be announced (the caller tries again later).
    """

    async def announce(self, region: Region, record: HolderRecord) -> None:
        """Publish a signed record; the caller announces again before its time is over."""
        ...

    async def withdraw(self, region: Region, record: HolderRecord) -> None:
        """Take a record back as far as the backend can; withdrawing one that is not there is harmless."""
        ...

    async def find(self, region: Region) -> tuple[HolderRecord, ...]:
        """Return the valid records of a region, ordered by public key."""
        ...

    async def close(self) -> None:
        """Stop; calling it twice is harmless."""
        ...


class DirectoryFactory(Protocol):
    """Opens a directory."""

    async def __call__(self, options: DirectoryOptions) -> Directory:
        """Raises ``NetworkError``: ``directory-settings``, ``directory-unavailable``."""
        ...
