"""Emitters that nobody named: since when this node knows each of them, and whether its packets may be answered from.

An identity costs nothing to make, so under open admission a new one has to wait: its packets are kept and handed on,
but take no part in answers until ``quarantine_days`` whole days have passed since this node first saw it. What was seen
is a record of the store, written before the packets are. An emitter is forgotten once no packet of it can be left
here; if it comes back, it waits again.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt

from fingerpost.ids import PublicKey
from fingerpost.limits import CLOCK_SKEW_DAYS_MAX, EMITTERS_REMEMBERED_MAX
from fingerpost.node.roster import OpenAdmission
from fingerpost.store.base import PacketStore

EMITTERS_TABLE = "emitters"
_DAYS = struct.Struct("<HH")  # first and last seen, days since 1970-01-01

Packets = npt.NDArray[np.void]
Mask = npt.NDArray[np.bool_]


class Quarantine:
    """The emitters that nobody named. ``is_named`` says of a key whether somebody did."""

    def __init__(
        self,
        store: PacketStore,
        *,
        rules: OpenAdmission,
        is_named: Callable[[PublicKey], bool],
        emitters_max: int = EMITTERS_REMEMBERED_MAX,
    ) -> None:
        self._store = store
        self._rules = rules
        self._is_named = is_named
        self._emitters_max = emitters_max
        self._seen: dict[bytes, tuple[int, int]] = {}
        for emitter, days in store.records(EMITTERS_TABLE):
            self._seen[emitter] = _DAYS.unpack(days)

    def __len__(self) -> int:
        return len(self._seen)

    @property
    def quota_packets(self) -> int:
        """How many live packets an emitter that nobody named may have here."""
        return self._rules.quota_packets

    def meet(self, packets: Packets, *, day: int) -> Mask:
        """Note, durably, whose packets came on ``day``; say of each whether its emitter can be remembered, (n,)."""
        changes: dict[bytes, tuple[int, int]] = {}
        refused = set()
        for emitter in self._unnamed(packets):
            first, last = self._seen.get(emitter, (day, -1))
            if last < 0 and len(self._seen) + len(changes) >= self._emitters_max:
                refused.add(emitter)
            elif last < day:
                changes[emitter] = first, day
        if changes:
            self._store.put_records(EMITTERS_TABLE, {key: _DAYS.pack(*days) for key, days in changes.items()})
            self._seen |= changes
        return ~_of(packets, refused)

    def newcomers(self, packets: Packets) -> Mask:
        """Say of each packet whether nobody named its emitter, so that the smaller quota holds for it, (n,)."""
        return _of(packets, self._unnamed(packets))

    def released(self, packets: Packets, day: int) -> Mask:
        """Say of each packet whether it may be answered from on ``day``, (n,)."""
        return ~_of(packets, (emitter for emitter in self._unnamed(packets) if not self._is_over(emitter, day)))

    def forget(self, *, day: int, ttl_days: int) -> None:
        """Forget emitters of which nothing can be left, if no packet lives longer than ``ttl_days``."""
        before = day - ttl_days - CLOCK_SKEW_DAYS_MAX
        gone = [emitter for emitter, (_, last) in self._seen.items() if last < before]
        for emitter in gone:
            del self._seen[emitter]
        if gone:
            self._store.put_records(EMITTERS_TABLE, dict.fromkeys(gone))

    def _is_over(self, emitter: bytes, day: int) -> bool:
        if not self._rules.quarantine_days:
            return True
        seen = self._seen.get(emitter)
        return seen is not None and day - seen[0] > self._rules.quarantine_days

    def _unnamed(self, packets: Packets) -> list[bytes]:
        return [emitter for emitter in dict.fromkeys(_emitters(packets)) if not self._is_named(PublicKey(emitter))]


def _emitters(packets: Packets) -> list[bytes]:
    found: list[bytes] = np.ascontiguousarray(packets["emitter"]).view("V32").reshape(-1).tolist()
    return found


def _of(packets: Packets, emitters: Iterable[bytes]) -> Mask:
    """Say of each packet whether its emitter is one of these, (n,)."""
    wanted = set(emitters)
    return np.fromiter((emitter in wanted for emitter in _emitters(packets)), np.bool_, len(packets))
