"""What a holder signs about its packets: that it has them, and what lies in a cell.

Both statements name the asker, so that nobody else can pass them off as said to itself; both can be shown to anybody
later, as evidence that a holder left something out.
"""

from __future__ import annotations

import hashlib

from fingerpost.ids import PublicKey

_HAVE = b"fingerpost have v1\0"
_CELLS = b"fingerpost cells v1\0"


def have_statement(packet_ids: bytes, *, asker: PublicKey, at: int) -> bytes:
    """Return the bytes to sign for "I keep these packets": ``packet_ids`` joined, ``at`` in seconds since 1970."""
    return _HAVE + asker + at.to_bytes(8, "big") + hashlib.blake2s(packet_ids).digest()


def cells_statement(
    cells: list[int], digests: bytes, *, template_id: bytes, asker: PublicKey, at: int, complete: bool
) -> bytes:
    """Return the bytes to sign for "these are the digests of my packets in these cells"."""
    numbers = b"".join(cell.to_bytes(4, "big") for cell in cells)
    content = hashlib.blake2s(template_id + len(cells).to_bytes(4, "big") + numbers + digests).digest()
    return _CELLS + asker + at.to_bytes(8, "big") + bytes([complete]) + content
