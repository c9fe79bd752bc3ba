"""The file that says where the running node of a home is: its address, the token of its control API, its process.

Whoever can read the file (mode 0600) may speak for the node. It is written by the process that has the lock of the
home's store, and removed when that process stops. A killed process leaves it behind; readers see that by the process:
its number may be another's by now, but then that one was started at another moment.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from fingerpost.processes import start_tick

if TYPE_CHECKING:
    from fingerpost.node.home import Home

FILE_SIZE_BYTES_MAX = 4_096
TOKEN_SIZE_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """Where a running node listens, the token (hex) that it obeys, and its process with the tick it was started at."""

    host: str
    port: int
    token: str = field(repr=False)
    process: int
    started_tick: int

    @property
    def is_alive(self) -> bool:
        """Whether the process that wrote this still runs."""
        return start_tick(self.process) == self.started_tick


def write_presence(home: Home, *, host: str, port: int, token: str) -> None:
    """Say that this process is the running node of a home. Raises ``OSError``."""
    from fingerpost.files import write_atomically

    process = os.getpid()
    presence = Presence(host=host, port=port, token=token, process=process, started_tick=start_tick(process) or 0)
    write_atomically(home.control_file, json.dumps(asdict(presence)) + "\n", mode=0o600)


def remove_presence(home: Home) -> None:
    """Say that there is no running node in this home any more."""
    with suppress(OSError):
        home.control_file.unlink()


def read_presence(home: Home) -> Presence | None:
    """Return where the running node of a home is; None when none runs, or only a file of a killed one is left."""
    try:
        with home.control_file.open("rb") as file:
            found = json.loads(file.read(FILE_SIZE_BYTES_MAX))
        presence = Presence(
            host=str(found["host"]),
            port=int(found["port"]),
            token=str(found["token"]),
            process=int(found["process"]),
            started_tick=int(found["started_tick"]),
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return presence if presence.is_alive else None
