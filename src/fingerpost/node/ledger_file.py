"""The privacy ledger of a home, on disk: one process at a time, durable before anything leaves.

A release goes through four steps, in this order: its packets are written to ``privacy/releases``, its entry is appended
to ``privacy/ledger`` and reaches the disk (from here on it is paid for), its packets go into the store, its file in
``privacy/releases`` is removed. After a crash ``unpublished`` gives what was paid for and not yet stored; what was not
paid for is removed.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fingerpost.errors import PrivacyError
from fingerpost.files import write_atomically
from fingerpost.node.home import Home
from fingerpost.packet import PACKET_DTYPE, packet_ids, packets_from_frame
from fingerpost.ports import Entropy
from fingerpost.privacy.ledger import HEADER, LEDGER_ID_SIZE_BYTES, Ledger, damaged, read_ledger
from fingerpost.privacy.subjects import SubjectKeys

Packets = npt.NDArray[np.void]


class LedgerFile:
    """A ledger that is open and locked. Made by ``open_ledger``."""

    def __init__(self, home: Home, handle: int, ledger: Ledger) -> None:
        self._home = home
        self._handle = handle
        self.ledger = ledger

    def spend(
        self,
        packets: Packets,
        subjects: SubjectKeys,
        *,
        day: int,
        template_id: bytes,
        profile: str,
        cost_milli: int,
        cap_milli: int,
        rest_days: int = 1,
    ) -> None:
        """Pay for a release; durable when it returns. Raises ``PrivacyError`` as ``Ledger.spend`` does."""
        number = len(self.ledger.entries) + 1
        self._home.releases.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(self._packets_file(number), packets.tobytes(), mode=0o600)
        data = self.ledger.spend(
            subjects,
            day=day,
            template_id=template_id,
            profile=profile,
            cost_milli=cost_milli,
            cap_milli=cap_milli,
            packet_ids=packet_ids(packets).tobytes(),
            rest_days=rest_days,
        )
        os.lseek(self._handle, 0, os.SEEK_END)
        while data:
            data = data[os.write(self._handle, data) :]
        os.fsync(self._handle)

    def published(self) -> None:
        """Note that everything that was paid for is in the store."""
        for file in self._home.releases.glob("*.packets"):
            file.unlink()

    def unpublished(self) -> list[Packets]:
        """Return the packets of releases that were paid for and may not be in the store, oldest first."""
        found = []
        for number, entry in enumerate(self.ledger.entries, start=1):
            file = self._packets_file(number)
            if not file.exists():
                continue
            packets = packets_from_frame(file.read_bytes())
            if packet_ids(packets).tobytes() != entry.packet_ids:
                raise damaged(f"the packets of release {number} are not those that were paid for")
            found.append(packets.astype(PACKET_DTYPE))
        return found

    def _packets_file(self, number: int) -> Path:
        return self._home.releases / f"{number:08d}.packets"

    def drop_unpaid(self) -> None:
        """Remove packets that were made before a crash and never paid for: nobody has seen them."""
        for file in self._home.releases.glob("*.packets"):
            if not file.stem.isdigit() or int(file.stem) > len(self.ledger.entries):
                file.unlink()


@contextmanager
def open_ledger(home: Home, *, entropy: Entropy) -> Iterator[LedgerFile]:
    """Give the ledger of ``home`` to this process alone, made there if it has none yet.

    Raises ``PrivacyError``: ``ledger-busy`` while another process has it, ``ledger-damaged``.
    """
    home.privacy.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(home.ledger_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PrivacyError(
                "ledger-busy",
                f"another process is making a release from {home.root}",
                hint="wait for it to end, and try again",
            ) from None
        file = LedgerFile(home, handle, _read(handle, home, entropy))
        file.drop_unpaid()
        yield file
    finally:
        os.close(handle)


def look_at_ledger(home: Home) -> Ledger | None:
    """Return the ledger of ``home`` as it is now, without locking or changing it; None where there is none."""
    try:
        data = home.ledger_file.read_bytes()
    except FileNotFoundError:
        return None
    return read_ledger(data)[0] if data else None


def _read(handle: int, home: Home, entropy: Entropy) -> Ledger:
    size = os.fstat(handle).st_size
    data = bytearray()
    while len(data) < size:
        part = os.pread(handle, size - len(data), len(data))
        if not part:
            break
        data += part
    if len(data) < len(HEADER) + LEDGER_ID_SIZE_BYTES and HEADER.startswith(bytes(data[: len(HEADER)])):
        if any(home.privacy.glob("releases/*.packets")):
            raise damaged("it is empty, but releases were made")
        ledger = Ledger(ledger_id=entropy.read(LEDGER_ID_SIZE_BYTES))
        os.ftruncate(handle, 0)
        os.pwrite(handle, ledger.header(), 0)
        os.fsync(handle)
        _sync_folder(home.privacy)
        return ledger
    ledger, whole = read_ledger(bytes(data))
    if whole < len(data):
        os.ftruncate(handle, whole)
        os.fsync(handle)
    return ledger


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
