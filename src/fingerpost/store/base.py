"""The port ``PacketStore``: what a store of packets promises, whichever backend keeps them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

Packets: TypeAlias = npt.NDArray[np.void]  # (n,) of fingerpost.packet.PACKET_DTYPE
Ids: TypeAlias = npt.NDArray[np.uint8]  # (n, 32), or (n, 16) for templates
Verdicts: TypeAlias = npt.NDArray[np.uint8]  # (n,) of Verdict


class Verdict(IntEnum):
    """What became of one packet that was added."""

    STORED = 0  # it is new and kept
    DUPLICATE = 1  # it was here already
    PROOF_IMPROVED = 2  # it was here already, and now has the smaller of two valid batch proofs
    TOMBSTONE = 3  # it is a withdrawal, and kept: what it names is gone and stays out
    WITHDRAWN = 4  # refused: its emitter has withdrawn it
    EXPIRED = 5  # refused: its time to live is over
    OVER_QUOTA = 6  # refused: its emitter has as many packets here as one emitter may


# After one of these verdicts the packet is durable here, and may be acknowledged.
HELD = (Verdict.STORED, Verdict.DUPLICATE, Verdict.PROOF_IMPROVED, Verdict.TOMBSTONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreStats:
    """Counts of one moment. ``dead_since`` is the day since which dead bytes wait for ``compact``, or None."""

    packets: int
    withdrawals: int
    emitters: int
    templates: int
    dead_packets: int
    dead_since: int | None
    size_bytes: int
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that ``check`` found; ``code`` is stable, ``packet_id`` is set when one packet is to blame."""

    code: str
    message: str
    packet_id: bytes | None = None


class PacketStore(Protocol):
    """Keeps verified packets, the withdrawals of their emitters, and small records of the node that owns it.

    Its guarantees, each checked by ``fingerpost.testing.store_kit.check_store``:

    - **Durable.** What a call has returned survives a crash of the process and of the machine.
    - **All or nothing.** A call that raises has changed nothing, neither in memory nor on disk.
    - **One packet an id.** Of the valid batch proofs of one packet the smallest stays, compared as bytes; a packet's
      id never depends on it.
    - **Order has no meaning.** The same packets in any order and grouping leave the same live packets, as long as no
      quota is reached. A withdrawal works before, with and after the packet it names, for the emitter of that packet
      alone, and outlives every packet that it could name.
    - **Nothing dead is shown.** What is withdrawn, or expired at the last ``expire``, comes back from no method, also
      after reopening.
    - **Iterators are snapshots.** A packet that is live from the start of ``scan`` to the moment it is due comes
      exactly once, whatever is added, removed or compacted in between. Arrays are copies and belong to the caller.

    The caller has verified what it adds (``verify_packets``) and judged whether it is welcome. ``day`` is a day number
    (days since 1970-01-01); every call is judged by its own, so a clock may go back. A packet is live while
    ``day < epoch + ttl_days``. One thread at a time.

    Every method may raise ``StoreError``: ``store-closed`` after ``close``, ``store-corrupt`` when the data are
    damaged, ``store-io`` when the disk fails. Methods that write may raise ``StoreFullError`` (``store-full``).
    A wrong argument raises ``UsageError`` (``store-argument``).
    """

    @property
    def generation(self) -> int:
        """A number that grows whenever the set of live packets changes, also across reopening."""
        ...

    def add(
        self, packets: Packets, *, day: int, packet_ids: Ids | None = None, quota_packets: int | None = None
    ) -> Verdicts:
        """Keep ``packets`` and return a ``Verdict`` for each, shape (n,), uint8.

        ``packet_ids`` (n, 32) may pass in ``fingerpost.packet.packet_ids(packets)`` where it is at hand; it is trusted.
        Withdrawals (kind 5) go the same way and act first, whatever their place in the array. An emitter may have as
        many live packets as the quota says, and as many withdrawals. ``quota_packets``, at least 1, is a smaller quota
        for the emitters of these packets than the store's own.
        """
        ...

    def scan(self, template_id: bytes | None = None) -> Iterator[Packets]:
        """Yield the live packets, of one template or of all, in arrays of 1 to 256, in no promised order."""
        ...

    def withdrawals(self) -> Iterator[Packets]:
        """Yield the withdrawals that are kept, in arrays of 1 to 256: they travel and replicate like packets."""
        ...

    def get(self, packet_ids: Ids) -> Packets:
        """Return the live packets and withdrawals with these ids (n, 32), in that order, without those not here."""
        ...

    def contains(self, packet_ids: Ids) -> npt.NDArray[np.bool_]:
        """Say of each id (n, 32) whether ``get`` would return it."""
        ...

    def expire(self, day: int) -> int:
        """Drop what is expired on ``day``; return how many packets and withdrawals that were."""
        ...

    def drop(self, packet_ids: Ids, *, day: int) -> int:
        """Let go of the live packets with these ids (n, 32), which others keep; return how many were here.

        Nothing remembers a dropped packet: it is STORED again when it comes back. Withdrawals are not dropped.
        """
        ...

    def templates(self) -> Ids:
        """Return the ids of the templates that have live packets, sorted, shape (n, 16)."""
        ...

    def stats(self) -> StoreStats:
        """Return how much is here."""
        ...

    def check(self) -> list[Problem]:
        """Look at every byte: ids, structure, signatures, indexes. An empty list says that all is well."""
        ...

    def compact(self, day: int) -> None:
        """Drop what is expired, then rewrite the store without a byte of what was ever dropped.

        Records go along, but for tables whose names begin with ``derived-``: these can be made anew, and may tell of
        packets that were dropped.

        The owner calls it when ``fingerpost.store.retention.compaction_due`` says so, which bounds the days until
        withdrawn and expired bytes are gone from the store's files. (Whether a disk forgets the blocks of a deleted
        file is the business of the disk.)
        """
        ...

    def put_records(self, table: str, changes: Mapping[bytes, bytes | None]) -> None:
        """Write records of a named table, all or none; the value None removes one.

        A table's name has 1 to 64 of ``a-z``, ``0-9`` and ``-``; a key has 1 to 256 bytes, a value up to 16 MiB.
        """
        ...

    def put_record(self, table: str, key: bytes, value: bytes) -> None:
        """Write one record."""
        ...

    def get_record(self, table: str, key: bytes) -> bytes | None:
        """Return the value of one record, or None."""
        ...

    def records(self, table: str) -> Iterator[tuple[bytes, bytes]]:
        """Yield the records of a table as (key, value), by ascending key: those here from now until they are due."""
        ...

    def close(self) -> None:
        """Let go of files and locks; a second call does nothing."""
        ...
