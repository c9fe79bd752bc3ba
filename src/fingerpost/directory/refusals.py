"""Counting what a directory refused or lost, and telling the log of it, in the same words for every backend."""

from __future__ import annotations

import logging

_LOG = logging.getLogger("fingerpost.directory")


def count_refusals(counts: dict[str, int], reason: str, count: int = 1) -> None:
    """Add to the count of a reason; log it whenever it has come to twice as many: a flood must not fill the disk."""
    before = counts.get(reason, 0)
    counts[reason] = before + count
    if before.bit_length() != counts[reason].bit_length():
        _LOG.warning("refused in the directory: %s (%d times so far)", reason, counts[reason])
