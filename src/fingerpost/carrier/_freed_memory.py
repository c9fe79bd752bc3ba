"""Frames come and go by the megabyte: the memory that one has left is kept for the next."""

from __future__ import annotations

from functools import cache

from fingerpost.limits import FRAME_SIZE_BYTES_MAX

KEPT_SIZE_BYTES = 8 * FRAME_SIZE_BYTES_MAX


@cache
def keep_freed_memory() -> None:
    """Have glibc keep the memory of freed frames, at most twice ``KEPT_SIZE_BYTES`` at the end of each of its heaps.

    It gives back to the kernel what is free there beyond twice the largest block that was freed so far. With frames of
    1 MiB that is almost each of them, and the page faults of having the memory back cost more than moving the frame.
    Freeing one larger block raises the bound (mallopt(3), M_MMAP_THRESHOLD), unless the environment has set it.
    """
    bytes(KEPT_SIZE_BYTES)  # Zeroed by the kernel once it is touched, so never.
