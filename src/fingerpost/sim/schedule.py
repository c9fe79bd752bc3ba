"""Virtual time: what is due when. Nothing here waits; the clock jumps to the next thing that is due."""

from __future__ import annotations

import heapq
from collections.abc import Callable

Action = Callable[[], None]


class Schedule:
    """Actions in order of their time; of two with the same time the one that was planned first comes first."""

    def __init__(self, *, start: float) -> None:
        self.now = start  # seconds since 1970, as an ideal clock would show it
        self._due: list[tuple[float, int, Action]] = []
        self._planned = 0

    def at(self, time: float, action: Action) -> None:
        """Plan an action; one that is overdue comes next."""
        self._planned += 1
        heapq.heappush(self._due, (max(time, self.now), self._planned, action))

    def after(self, seconds: float, action: Action) -> None:
        """Plan an action for ``seconds`` from now."""
        self.at(self.now + seconds, action)

    def next_before(self, end: float) -> Action | None:
        """Take the next action that is due by ``end`` and go to its time; without one return None and go to ``end``."""
        if not self._due or self._due[0][0] > end:
            self.now = max(self.now, end)
            return None
        time, _, action = heapq.heappop(self._due)
        self.now = time
        return action


class DriftingClock:
    """The clock of one node: it is ahead or behind, runs fast or slow, and may be set in the middle of a run."""

    def __init__(self, schedule: Schedule, *, ahead_seconds: float, drift: float) -> None:
        self._schedule = schedule
        self._origin = schedule.now
        self._ahead = ahead_seconds
        self._rate = 1 + drift

    def now(self) -> float:
        """Return what this clock shows, in seconds since 1970."""
        return self._origin + self._ahead + (self._schedule.now - self._origin) * self._rate

    def true_time(self, shown: float) -> float:
        """Return when, by the ideal clock, this one shows ``shown``."""
        return self._origin + (shown - self._ahead - self._origin) / self._rate

    def turn(self, seconds: float) -> None:
        """Set the clock forward, or back for a negative number."""
        self._ahead += seconds
