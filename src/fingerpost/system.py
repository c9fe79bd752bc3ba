"""The machine's own clock and entropy: the only module that reads time or chance."""

from __future__ import annotations

import os
import time


class SystemClock:
    """The wall clock of this machine."""

    def now(self) -> float:
        """Return seconds since 1970-01-01 UTC."""
        return time.time()


class SystemEntropy:
    """The kernel's random number generator."""

    def read(self, size: int) -> bytes:
        """Return ``size`` unpredictable bytes."""
        return os.urandom(size)
