"""The machine's own clock and entropy: the only module that reads time or chance."""

from __future__ import annotations

import os
import time


class SystemClock:
    """The wall clock of this machine."""

    def now(self) -> float:
        return time.time()


class SystemEntropy:
    """The kernel's random number generator."""

    def read(self, size: int) -> bytes:
        return os.urandom(size)
