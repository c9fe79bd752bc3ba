"""Processes of the operating system: starting one that cannot outlive its starter, and seeing who still runs. Linux.

A process id may be another's by the time one looks again; together with the moment it was started at it is not.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

# Linux sends the signal when the thread that started the process ends, however that came about; exec keeps the order.
_LAUNCHER = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, int(sys.argv[2]))
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent is gone")
os.execv(sys.argv[3], sys.argv[3:])
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessMark:
    """One process, told apart from a later one of the same id by the tick it was started at."""

    process: int
    started_tick: int

    @property
    def is_running(self) -> bool:
        """Whether it still runs; one that only waits for its parent's notice does not."""
        return start_tick(self.process) == self.started_tick


def start_bound(
    command: Sequence[str],
    *,
    output: IO[bytes],
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    end_signal: signal.Signals = signal.SIGKILL,
) -> subprocess.Popen[bytes]:
    """Start a program, by its whole path, that gets ``end_signal`` when the calling thread ends, by a crash too.

    Both of its outputs go to ``output``. An interrupt from the terminal does not reach it: its starter ends it. Raises
    ``OSError``.
    """
    # The launcher starts by isolated Python, so that no option of the environment changes what it does.
    launcher = [sys.executable, "-I", "-c", _LAUNCHER, str(os.getpid()), str(int(end_signal))]
    return subprocess.Popen(  # noqa: S603 - no shell, and the caller's own words
        [*launcher, *command],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        cwd=folder,
        env=environment,
        process_group=0,
    )


def start_tick(process: int) -> int | None:
    """Return when a process was started, in clock ticks since the machine was, or None when it does not run."""
    words = _stat(process)
    return None if words is None or words[0] in "ZX" else int(words[19])


def family_of(process: int) -> tuple[ProcessMark, ...]:
    """Return a process and all that descend from it and run, itself first; nothing when it does not run."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        words = _stat(int(entry.name))
        if words is not None:
            children.setdefault(int(words[1]), []).append(int(entry.name))
    family: list[ProcessMark] = []
    waiting = [process]
    while waiting:
        one = waiting.pop(0)
        tick = start_tick(one)
        if tick is not None:
            family.append(ProcessMark(process=one, started_tick=tick))
        waiting += children.get(one, [])
    return tuple(family)


def _stat(process: int) -> list[str] | None:
    """Return the state, the parent and what follows in /proc/PROCESS/stat."""
    try:
        text = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    words = text.rpartition(")")[2].split()  # The name before may hold anything.
    return words if len(words) > 19 else None
