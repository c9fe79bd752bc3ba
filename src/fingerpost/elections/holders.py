"""Which holders of a group to ask: those that were not caught leaving packets out, then those that answer soonest.

A holder's *delay* is how long it took to answer, averaged so that the latest answer counts a quarter; a question that
it left unanswered, or answered with what it did not sign, counts as long as one waits at most. A holder never asked has
no delay yet and comes first, so that each is tried; and delays fade, by half in ten minutes, so that one that was slow
once is tried again. Delays within a factor of two are alike: then the order of placement decides, and chance does not
move the choice to and fro.

Being caught is evidence (a signed promise to keep a packet, and a signed list without it), so it does not fade: a
holder that was caught is asked only where too few others are left.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

LATEST_COUNTS = 0.25
HALF_LIFE_SECONDS = 600.0
ALIKE_BELOW_SECONDS = 0.01
HolderName = TypeVar("HolderName", bound=bytes)


@dataclass(slots=True)
class Record:
    """What is known of one holder; ``delay_seconds`` is as of ``at``, None before it was asked."""

    delay_seconds: float | None = None
    at: float = 0.0
    answers: int = 0
    failures: int = 0
    omissions: int = 0


class HolderElection:
    """Remembers how holders answered, and chooses whom to ask. Times are seconds since 1970."""

    def __init__(self) -> None:
        self._records: dict[bytes, Record] = {}

    def answered(self, holder: bytes, *, seconds: float, now: float) -> None:
        """Note that a holder answered a question after ``seconds``."""
        self._record(holder).answers += 1
        self._note(holder, seconds, now)

    def failed(self, holder: bytes, *, seconds: float, now: float) -> None:
        """Note that a holder did not answer as it should have, within ``seconds`` that one waits at most."""
        self._record(holder).failures += 1
        self._note(holder, seconds, now)

    def omits(self, holder: bytes) -> None:
        """Note that a holder was caught leaving packets out."""
        self._record(holder).omissions += 1

    def record_of(self, holder: bytes) -> Record:
        """Return what is known of a holder."""
        return self._records.get(holder, Record())

    def choose(self, holders: Sequence[HolderName], *, count: int, now: float) -> list[HolderName]:
        """Return the ``count`` holders to ask, best first, of those of a group in the order of placement."""
        return sorted(holders, key=lambda holder: self._rank(holder, now))[:count]

    def _rank(self, holder: bytes, now: float) -> tuple[bool, int]:
        record = self.record_of(holder)
        if record.delay_seconds is None:
            return record.omissions > 0, 0
        age = max(now - record.at, 0.0)
        delay = record.delay_seconds * 0.5 ** (age / HALF_LIFE_SECONDS)
        return record.omissions > 0, max(math.ceil(math.log2(max(delay, 1e-9) / ALIKE_BELOW_SECONDS)), 0)

    def _note(self, holder: bytes, seconds: float, now: float) -> None:
        record = self._record(holder)
        before = seconds if record.delay_seconds is None else record.delay_seconds
        record.delay_seconds = before + LATEST_COUNTS * (seconds - before)
        record.at = now

    def _record(self, holder: bytes) -> Record:
        return self._records.setdefault(holder, Record())
