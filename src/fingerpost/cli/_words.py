"""How days, ids and sizes are written for people."""

from __future__ import annotations

import datetime

from fingerpost.ports import day_of
from fingerpost.system import SystemClock

_EPOCH = datetime.date(1970, 1, 1)


def today() -> int:
    """Return the current day (days since 1970-01-01 UTC)."""
    return day_of(SystemClock().now())


def date_text(day: int) -> str:
    """Return a day as YYYY-MM-DD."""
    return (_EPOCH + datetime.timedelta(days=day)).isoformat()


def short_id(identifier: bytes | str) -> str:
    """Return the first 8 bytes of an id in hex: enough to tell ids apart by eye."""
    text = identifier if isinstance(identifier, str) else identifier.hex()
    return f"{text[:16]}…"


def size_text(size: int) -> str:
    """Return a size in bytes, with a rounded decimal unit behind it when it is long."""
    for unit, scale in (("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)):
        if size >= 10 * scale:
            return f"{size:,} bytes ({size / scale:,.1f} {unit})"
    return f"{size:,} bytes"


def count_text(count: int, singular: str, plural: str | None = None) -> str:
    """Return a count with its noun: ``1 row``, ``920 rows``."""
    return f"{count:,} {singular if count == 1 else plural or singular + 's'}"
