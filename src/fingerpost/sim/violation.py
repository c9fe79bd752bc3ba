"""What a checker raises."""

from __future__ import annotations


class ViolationError(Exception):
    """An invariant that did not hold: which one, and what was seen instead."""

    def __init__(self, invariant: str, seen: str) -> None:
        super().__init__(f"{invariant}: {seen}")
        self.invariant = invariant
        self.seen = seen
