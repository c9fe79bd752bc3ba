"""What is kept, refused and dropped: the rules that all stores share, as pure functions.

A backend answers three questions about what it holds (``Holdings``) and carries out a ``Plan``. It decides nothing.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from fingerpost.limits import ERASURE_DAYS_MAX, PACKET_SIZE_BYTES, STORE_BLOCK_PACKETS_MAX, WITHDRAWAL_DAYS
from fingerpost.packet import BODY_SIZE_BYTES, PACKET_DTYPE, Kind
from fingerpost.store.base import Ids, Packets, StoreStats, Verdict, Verdicts

Rows: TypeAlias = npt.NDArray[np.int64]
Mask: TypeAlias = npt.NDArray[np.bool_]

DERIVED_TABLES_PREFIX: Final = "derived-"  # records made of packets, some of which may have died since
ID_SIZE_BYTES: Final = 32
KEY_SIZE_BYTES: Final = 32  # of an emitter
_TARGET: Final = slice(10, 10 + ID_SIZE_BYTES)  # of a withdrawal's payload: behind its header, where the outcome lies
_EPOCH: Final = slice(5, 7)


class Holdings(Protocol):
    """What a backend says about what it holds, in one moment."""

    def held_packets(self, packet_ids: Ids) -> tuple[Mask, Packets]:
        """Say which of these ids (n, 32) are live packets here, and return those packets in the same order."""
        ...

    def held_withdrawal(self, key: bytes) -> bytes | None:
        """Return the 512 bytes of the withdrawal with this ``withdrawal_key``, if there is one."""
        ...

    def holds_withdrawals(self) -> bool:
        """Say whether there are withdrawals at all."""
        ...

    def counts(self, emitter: bytes) -> tuple[int, int]:
        """Return how many live packets and how many withdrawals of this emitter are here."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What adding some packets comes to. All of it is to happen, or nothing."""

    verdicts: Verdicts
    stored: Packets  # new, each with the smallest proof that came
    stored_ids: Ids
    improved: Packets  # live ones, with a smaller proof
    improved_ids: Ids
    withdrawals: dict[bytes, bytes]  # by withdrawal_key; they replace what is there
    removed_ids: Ids  # live ones that their emitter withdraws

    @property
    def changes_nothing(self) -> bool:
        """Whether there is nothing to write."""
        return not (len(self.stored) or len(self.improved) or self.withdrawals or len(self.removed_ids))

    @property
    def changes_live_packets(self) -> bool:
        """Whether another set of packets is live afterwards."""
        return bool(len(self.stored) or len(self.removed_ids))


def end_days(packets: Packets) -> Rows:
    """Return the first day on which each packet is dead, shape (n,), int64.

    A withdrawal's own time to live does not count: it lives until all that it could name, if dated at most a day after
    it, is dead.
    """
    lives = np.where(packets["kind"] == Kind.WITHDRAWAL, WITHDRAWAL_DAYS, packets["ttl_days"]).astype(np.int64)
    return packets["epoch"].astype(np.int64) + lives


def proofs(packets: Packets) -> npt.NDArray[np.uint8]:
    """Return a view of the batch proofs, shape (n, 195): all that is not body."""
    return np.ascontiguousarray(packets).view(np.uint8).reshape(-1, PACKET_SIZE_BYTES)[:, BODY_SIZE_BYTES:]


def is_smaller_proof(new: Packets, held: Packets) -> Mask:
    """Say of each pair whether the new proof comes before the held one, compared as bytes."""
    ours, theirs = proofs(held), proofs(new)
    first = (ours != theirs).argmax(axis=1)
    rows = np.arange(len(new))
    smaller: Mask = theirs[rows, first] < ours[rows, first]
    return smaller


def withdrawal_key(packet: bytes) -> bytes:
    """Return what a withdrawal of 512 bytes is kept under: its emitter and the packet id that it names, 64 bytes."""
    record = np.frombuffer(packet, PACKET_DTYPE)[0]
    return bytes(record["emitter"].tobytes() + record["payload"][_TARGET].tobytes())


def withdrawal_keys(packets: Packets, packet_ids: Ids) -> list[bytes]:
    """Return, for each packet, the key of the withdrawal that would end it."""
    joined = np.hstack([packets["emitter"], packet_ids]).tobytes()
    size = KEY_SIZE_BYTES + ID_SIZE_BYTES
    return [joined[at : at + size] for at in range(0, len(joined), size)]


def plan_addition(packets: Packets, packet_ids: Ids, *, day: int, quota: int, held: Holdings) -> Plan:
    """Decide what becomes of each packet, as if the withdrawals came first and then one row after the other.

    The questions are, in this order: expired? withdrawn? here already? over quota?
    """
    verdicts = np.full(len(packets), Verdict.STORED, np.uint8)
    verdicts[end_days(packets) <= day] = Verdict.EXPIRED
    is_withdrawal = packets["kind"] == Kind.WITHDRAWAL
    withdrawing = _Withdrawing(quota=quota, held=held)
    for row in np.flatnonzero(is_withdrawal & (verdicts == Verdict.STORED)):
        verdicts[row] = withdrawing.verdict_on(packets[row].tobytes())
    removed_ids, freed = withdrawing.effects()
    if withdrawing.accepted or held.holds_withdrawals():
        rows = np.flatnonzero(~is_withdrawal & (verdicts == Verdict.STORED))
        for row, key in zip(rows, withdrawal_keys(packets[rows], packet_ids[rows]), strict=True):
            if withdrawing.standing(key) is not None:
                verdicts[row] = Verdict.WITHDRAWN
    rows = np.flatnonzero(~is_withdrawal & (verdicts == Verdict.STORED))
    stored, improved = _settle(packets, packet_ids, rows, verdicts, quota=quota, held=held, freed=freed)
    every = slice(None) if len(stored) == len(packets) else stored  # All are new: nothing to copy.
    return Plan(
        verdicts=verdicts,
        stored=packets[every],
        stored_ids=packet_ids[every],
        improved=packets[improved],
        improved_ids=packet_ids[improved],
        withdrawals=withdrawing.accepted,
        removed_ids=removed_ids,
    )


def compaction_due(stats: StoreStats, *, day: int) -> bool:
    """Say whether the store should be compacted: dead bytes reached their last day, or outweigh the live ones."""
    overdue = stats.dead_since is not None and day - stats.dead_since >= ERASURE_DAYS_MAX - 1
    return overdue or stats.dead_packets > max(stats.packets, STORE_BLOCK_PACKETS_MAX)


class _Withdrawing:
    """The withdrawals of one addition, on top of those that are held."""

    def __init__(self, *, quota: int, held: Holdings) -> None:
        self.accepted: dict[bytes, bytes] = {}
        self._new: list[bytes] = []
        self._quota = quota
        self._held = held
        self._room: dict[bytes, int] = {}

    def standing(self, key: bytes) -> bytes | None:
        """Return the withdrawal under this key as it will be."""
        return self.accepted.get(key) or self._held.held_withdrawal(key)

    def verdict_on(self, packet: bytes) -> Verdict:
        """Take one withdrawal and say what becomes of it."""
        key = withdrawal_key(packet)
        rival = self.standing(key)
        if rival is None:
            emitter = key[:KEY_SIZE_BYTES]
            room = self._room.get(emitter)
            if room is None:
                room = self._quota - self._held.counts(emitter)[1]
            self._room[emitter] = room - 1
            if room <= 0:
                return Verdict.OVER_QUOTA
            self._new.append(key)
        elif packet[:BODY_SIZE_BYTES] == rival[:BODY_SIZE_BYTES]:
            if packet >= rival:
                return Verdict.DUPLICATE
            self.accepted[key] = packet
            return Verdict.PROOF_IMPROVED
        elif not _lasts_longer(packet, rival):
            return Verdict.DUPLICATE
        self.accepted[key] = packet
        return Verdict.TOMBSTONE

    def effects(self) -> tuple[Ids, Counter[bytes]]:
        """Return the ids of the live packets that end now, and how many of each emitter they are."""
        ids = _ids([key[KEY_SIZE_BYTES:] for key in self._new])
        emitters = _ids([key[:KEY_SIZE_BYTES] for key in self._new])
        is_held, packets = self._held.held_packets(ids)
        own = (packets["emitter"] == emitters[is_held]).all(axis=1)
        return ids[is_held][own], Counter(emitter.tobytes() for emitter in packets["emitter"][own])


def _settle(
    packets: Packets, ids: Ids, rows: Rows, verdicts: Verdicts, *, quota: int, held: Holdings, freed: Counter[bytes]
) -> tuple[Rows, Rows]:
    """Judge the rows that are neither dead nor withdrawn; return the rows to store and those that improve a proof."""
    heads, copies = _first_of_each(ids, rows)
    is_held, held_packets = held.held_packets(ids[heads])
    known, fresh = heads[is_held], heads[~is_held]
    improves = np.zeros(len(packets), np.bool_)
    improves[known] = is_smaller_proof(packets[known], held_packets)
    verdicts[known] = np.where(improves[known], Verdict.PROOF_IMPROVED, Verdict.DUPLICATE)
    verdicts[_over_quota(packets, fresh, quota=quota, held=held, freed=freed)] = Verdict.OVER_QUOTA

    best = np.arange(len(packets))
    at_known = {int(row): place for place, row in enumerate(known)} if copies else {}
    for copy, head in copies:
        if verdicts[head] == Verdict.OVER_QUOTA:
            verdicts[copy] = Verdict.OVER_QUOTA
            continue
        place = at_known.get(head)
        rival = packets[best[head]] if place is None or improves[head] else held_packets[place]
        is_better = packets[copy].tobytes() < rival.tobytes()  # one id, one body: the proof decides
        verdicts[copy] = Verdict.PROOF_IMPROVED if is_better else Verdict.DUPLICATE
        if is_better:
            best[head] = copy
            improves[head] = place is not None
    return best[fresh[verdicts[fresh] == Verdict.STORED]], best[known[improves[known]]]


def _first_of_each(ids: Ids, rows: Rows) -> tuple[Rows, list[tuple[int, int]]]:
    """Return the rows on which an id comes for the first time, and (row, its first row) for all others."""
    if len(np.unique(ids[rows, :8].copy().view(np.uint64))) == len(rows):
        return rows, []
    first: dict[bytes, int] = {}
    copies = []
    for row in rows.tolist():
        head = first.setdefault(ids[row].tobytes(), row)
        if head != row:
            copies.append((row, head))
    return np.array(list(first.values()), np.int64), copies


def _over_quota(packets: Packets, rows: Rows, *, quota: int, held: Holdings, freed: Counter[bytes]) -> Rows:
    """Return those of the new rows that their emitter has no room for; the first to come have room first."""
    if not len(rows):
        return rows
    emitters = np.ascontiguousarray(packets["emitter"][rows])
    if (emitters == emitters[0]).all():
        emitter = emitters[0].tobytes()
        return rows[max(quota - held.counts(emitter)[0] + freed[emitter], 0) :]
    room: dict[bytes, int] = {}
    over = []
    for row, emitter_row in zip(rows, emitters, strict=True):
        emitter = emitter_row.tobytes()
        if emitter not in room:
            room[emitter] = quota - held.counts(emitter)[0] + freed[emitter]
        room[emitter] -= 1
        if room[emitter] < 0:
            over.append(row)
    return np.array(over, np.int64)


def _lasts_longer(packet: bytes, rival: bytes) -> bool:
    """Say which of two different withdrawals of one packet stays: the later, else the one whose bytes come first."""
    epoch, rival_epoch = (int.from_bytes(each[_EPOCH], "little") for each in (packet, rival))
    return (-epoch, packet) < (-rival_epoch, rival)


def _ids(values: list[bytes]) -> Ids:
    return np.frombuffer(b"".join(values), np.uint8).reshape(-1, ID_SIZE_BYTES)
