"""How many frames a second a peer may send on one connection until it is cut off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fingerpost.errors import NetworkError

SETTING = "frames_per_second_max"
FRAMES_PER_SECOND_MAX = 100_000.0
BURST_SECONDS = 2.0  # how long a peer may send faster than it may in the long run


@dataclass(slots=True, kw_only=True)
class Allowance:
    """A leaky bucket that holds what may come within ``BURST_SECONDS``."""

    frames: float = 0.0
    at: float = 0.0

    def takes_one(self, *, now: float, per_second: float) -> bool:
        """Put a frame in; whether it has room. ``now`` is in seconds of any clock that only goes forward."""
        self.frames = max(0.0, self.frames - (now - self.at) * per_second) + 1
        self.at = now
        return self.frames <= max(1.0, per_second * BURST_SECONDS)


def frames_per_second_max(settings: Mapping[str, Any]) -> float:
    """Return the setting of this name, or what it is by default. Raises ``NetworkError``: ``carrier-settings``."""
    named = settings.get(SETTING, FRAMES_PER_SECOND_MAX)
    if isinstance(named, bool) or not isinstance(named, int | float) or not named > 0:
        raise NetworkError("carrier-settings", f"{SETTING} is a number above 0, not {named!r}")
    return float(named)
