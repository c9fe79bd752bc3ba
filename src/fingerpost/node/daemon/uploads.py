"""Tables that are too long for one request: their parts wait here until the last one has come.

What leaves as one release must be counted as one, so it cannot be emitted part by part.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from fingerpost.errors import UsageError

UPLOAD_BYTES_MAX = 1 << 29
UPLOAD_SECONDS_MAX = 600.0  # for all parts; then they are forgotten


class Uploads:
    """The parts of one table, columns by name; the first part of another table takes their place."""

    def __init__(self) -> None:
        self._name = ""
        self._parts: list[Mapping[str, Any]] = []
        self._size_bytes = 0
        self._end: asyncio.TimerHandle | None = None

    def add(self, name: str, columns: Mapping[str, Any]) -> None:
        """Keep one more part of the table with this name. Raises ``UsageError`` (``request-rows``)."""
        if name != self._name:
            self._drop()
            self._name = name
            self._end = asyncio.get_running_loop().call_later(UPLOAD_SECONDS_MAX, self._drop)
        self._size_bytes += sum(column.nbytes for column in columns.values())
        if self._size_bytes > UPLOAD_BYTES_MAX:
            self._drop()
            raise UsageError(
                "request-rows", "the parts of the table are too large together", hint="stop the node, and emit alone"
            )
        self._parts.append(columns)

    def whole(self, name: str, last: Mapping[str, Any]) -> dict[str, Any]:
        """Return the table with this name, of which ``last`` is the last part, and forget it.

        Raises ``UsageError`` (``request-malformed``) when earlier parts are gone, or are of another shape.
        """
        import pyarrow as pa  # here, not above: only tables need it

        if name != self._name:
            raise _incomplete("its earlier parts are gone")
        parts = [*self._parts, last]
        self._drop()
        try:
            table = pa.concat_tables([pa.table(dict(part)) for part in parts])
        except (pa.ArrowException, ValueError) as error:
            raise _incomplete(str(error).splitlines()[0][:300]) from None
        return {column: table.column(column).combine_chunks() for column in table.column_names}

    def _drop(self) -> None:
        if self._end is not None:
            self._end.cancel()
        self._name, self._parts, self._size_bytes, self._end = "", [], 0, None


def _incomplete(why: str) -> UsageError:
    return UsageError("request-malformed", f"the table cannot be put together: {why}", hint="send all of it again")
