"""The truth about a run, which no node knows: what was emitted, acknowledged, withdrawn and lost, and when."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from fingerpost.ids import PublicKey
from fingerpost.packet import BODY_SIZE_BYTES

# How long before an acknowledgement a holder may have died unnoticed: a question that stays unanswered, and a bit.
UNNOTICED_SECONDS = 15.0


def packet_id_of(packet: bytes) -> bytes:
    """Return the id of a packet of 512 bytes as its specification has it: the hash of the body, not of the proof."""
    return hashlib.blake2s(packet[:BODY_SIZE_BYTES]).digest()


@dataclass(slots=True, kw_only=True)
class Told:
    """One packet that an honest node emitted. ``ends_at`` is when, by an ideal clock, its days are over."""

    packet_id: bytes
    emitter: PublicKey
    cell: int
    emitted_at: float
    ends_at: float
    acknowledged_at: float | None = None


@dataclass(slots=True)
class Ledger:
    """What was told and what was promised. Times are those of the ideal clock."""

    told: dict[bytes, Told] = field(default_factory=dict)
    acknowledged: dict[bytes, Told] = field(default_factory=dict)
    withdrawn: dict[bytes, float] = field(default_factory=dict)
    losses: list[float] = field(default_factory=list)
    whole_at: float = float("-inf")  # when every packet was last seen at enough holders

    def emit(
        self, packets: Iterable[bytes], *, emitter: PublicKey, now: float, ends_at: float, cells: Iterable[int]
    ) -> None:
        """Note packets that an honest node has just emitted."""
        for packet, cell in zip(packets, cells, strict=True):
            packet_id = packet_id_of(packet)
            self.told[packet_id] = Told(
                packet_id=packet_id, emitter=emitter, cell=cell, emitted_at=now, ends_at=ends_at
            )

    def acknowledge(self, packet_ids: Iterable[bytes], *, now: float) -> None:
        """Note that an honest node was told that these packets outlive any two losses."""
        for packet_id in packet_ids:
            told = self.told[packet_id]
            told.acknowledged_at = now if told.acknowledged_at is None else told.acknowledged_at
            self.acknowledged[packet_id] = told

    def withdraw(self, packet_id: bytes, *, now: float) -> None:
        """Note that the emitter took a packet back."""
        self.withdrawn[packet_id] = now

    def owed(self, *, now: float, slack_seconds: float) -> list[Told]:
        """Return the acknowledged packets that must be somewhere: neither withdrawn nor, by any clock, over."""
        return [
            told
            for packet_id, told in self.acknowledged.items()
            if packet_id not in self.withdrawn and now < told.ends_at - slack_seconds
        ]

    def losses_since(self, time: float) -> int:
        """Return how many disks were lost for ever at ``time`` or later."""
        return sum(lost >= time for lost in self.losses)

    def losses_that_count(self, told: Told) -> int:
        """Return how many losses an acknowledged packet has had to bear since it was last whole."""
        acknowledged_at = told.acknowledged_at if told.acknowledged_at is not None else told.emitted_at
        return self.losses_since(max(self.whole_at, acknowledged_at - UNNOTICED_SECONDS))
