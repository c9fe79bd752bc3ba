"""Files of packets: 512 bytes each, one after another, and nothing else."""

from __future__ import annotations

import io
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from fingerpost.errors import PacketError
from fingerpost.limits import PACKET_SIZE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class PacketFile:
    """Packets one after another in a seekable file; nothing is read before it is asked for."""

    def __init__(self, opened: BinaryIO, name: str) -> None:
        size = opened.seek(0, io.SEEK_END)
        _check_length(size, name)
        self._opened = opened
        self.packets = size // PACKET_SIZE_BYTES

    def read(self, first: int, count: int) -> bytes:
        """Return the bytes of up to ``count`` packets from number ``first`` (from 0) on."""
        self._opened.seek(first * PACKET_SIZE_BYTES)
        return self._opened.read(count * PACKET_SIZE_BYTES)


@contextmanager
def open_packets(file: Path) -> Iterator[PacketFile]:
    """Open a file of packets, or read them all from standard input when it is called ``-``.

    Raises ``PacketError`` (``packet-length``) for what is not a whole number of packets, and ``OSError``.
    """
    if str(file) == "-":
        yield PacketFile(io.BytesIO(sys.stdin.buffer.read()), "standard input")
        return
    with file.open("rb") as opened:
        yield PacketFile(opened, str(file))


def _check_length(size: int, name: str) -> None:
    if size == 0:
        raise PacketError("packet-length", f"{name} is empty", hint="a packet has 512 bytes")
    if size % PACKET_SIZE_BYTES:
        raise PacketError(
            "packet-length",
            f"{name} has {size:,} bytes, which is not a whole number of packets of 512 bytes",
            hint="is it a file of packets? something may be cut off or added",
        )
