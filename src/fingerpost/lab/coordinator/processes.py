"""Real programs that are started, killed and counted: none of them outlives this process."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from fingerpost.processes import ProcessMark, family_of, start_bound

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Condition: TypeAlias = Callable[[], bool]

LOOK_SECONDS = 0.1
END_SECONDS_MAX = 20.0


class Program:
    """One program with all that it starts itself. ``name`` names its log in ``folder``."""

    def __init__(self, name: str, command: Sequence[str], *, folder: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._command = command
        self._folder = folder
        self._environment = environment
        self._running: subprocess.Popen[bytes] | None = None
        self._seen: set[ProcessMark] = set()

    def start(self) -> None:
        """Start the program, once everything that it had started before is gone."""
        wait_for_end(self._seen)
        with self.log.open("ab") as log:
            self._running = start_bound(
                self._command, output=log, folder=self._folder, environment=self._environment, end_signal=signal.SIGKILL
            )
        self.look()

    def look(self) -> bool:
        """Remember which processes it has now, and say whether it runs."""
        if self._running is None or self._running.poll() is not None:
            return False
        self._seen.update(family_of(self._running.pid))
        return True

    def kill(self) -> None:
        """End it, and all that it started, at once, as when its machine loses power."""
        self.look()
        for mark in self._seen:
            if mark.is_running:
                with suppress(ProcessLookupError):
                    os.kill(mark.process, signal.SIGKILL)
        if self._running is not None:
            self._running.wait()

    def seen(self) -> set[ProcessMark]:
        """Return every process that it had."""
        return set(self._seen)

    def last_words(self) -> str:
        """Return the end of its log."""
        return self.log.read_text(encoding="utf-8", errors="replace")[-500:] if self.log.exists() else "it said nothing"


def wait_for_end(marks: set[ProcessMark], *, seconds: float = END_SECONDS_MAX) -> int:
    """Wait until these processes have ended; return how many have not in time."""
    wait_until(lambda: not any(mark.is_running for mark in marks), seconds=seconds)
    return sum(mark.is_running for mark in marks)


def wait_until(condition: Condition, *, seconds: float) -> bool:
    """Look again and again whether ``condition`` holds; say whether it did in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK_SECONDS)
    return True


def free_tcp_ports(count: int) -> list[int]:
    """Return as many TCP ports of the loopback interface that nobody uses now."""
    probes = [socket.socket(socket.AF_INET, socket.SOCK_STREAM) for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()
