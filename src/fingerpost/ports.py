"""The two things a core may not reach for itself: time and chance."""

from __future__ import annotations

from typing import Protocol

SECONDS_PER_DAY = 86_400


class Clock(Protocol):
    """Tells the time. Never raises; may jump in either direction."""

    def now(self) -> float:
        """Return seconds since 1970-01-01 UTC."""
        ...


class Entropy(Protocol):
    """Gives unpredictable bytes. Never raises."""

    def read(self, size: int) -> bytes:
        """Return ``size`` bytes."""
        ...


def day_of(now: float) -> int:
    """Return the day number (days since 1970-01-01 UTC) that ``now``, in seconds, falls on."""
    return int(now // SECONDS_PER_DAY)
