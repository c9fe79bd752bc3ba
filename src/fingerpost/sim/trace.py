"""The trace of a run: every event goes into one digest, and the last ones are kept for whoever reads a failure."""

from __future__ import annotations

import hashlib
from collections import deque

EVENTS_KEPT = 400


class Trace:
    """What happened, in order. Two runs are the same when their digests are."""

    def __init__(self, *, start: float) -> None:
        self._start = start
        self._digest = hashlib.blake2s()
        self._last: deque[str] = deque(maxlen=EVENTS_KEPT)
        self.events = 0

    def note(self, now: float, who: str, what: str, *, content: bytes = b"", is_routine: bool = False) -> None:
        """Note that ``what`` happened to ``who`` at ``now`` (seconds).

        ``content`` counts for the digest, but is not shown; what is routine would crowd out the rest, and is not kept.
        """
        line = f"{now - self._start:12.6f} {who:<4} {what}"
        self._digest.update(line.encode())
        self._digest.update(content)
        self.events += 1
        if not is_routine:
            self._last.append(line)

    @property
    def digest(self) -> str:
        """The digest of everything noted so far, 32 hex digits."""
        return self._digest.hexdigest()[:32]

    def last(self, count: int) -> list[str]:
        """Return the last ``count`` events that are kept, oldest first: seconds since the start, who, what."""
        return list(self._last)[-count:]
