"""Where a key stands in a template file: best effort, because the TOML reader of Python keeps no positions."""

from __future__ import annotations

import re

_PART = r"""(?:"(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_-]+)"""
_KEY = rf"{_PART}(?:\s*\.\s*{_PART})*"
_TABLE_LINE = re.compile(rf"\s*\[\s*({_KEY})\s*\]")
_VALUE_LINE = re.compile(rf"\s*({_KEY})\s*=")


class Source:
    """The text of a template file and the name to call it in errors."""

    def __init__(self, text: str, *, name: str) -> None:
        self.name = name
        self._text = text
        self._lines: dict[tuple[str, ...], int] | None = None

    def line_of(self, path: tuple[str, ...]) -> int | None:
        """Return the line (from 1) of a key, or of the closest table around it, or None."""
        if self._lines is None:
            self._lines = _lines_of_keys(self._text)
        for length in range(len(path), 0, -1):
            line = self._lines.get(path[:length])
            if line is not None:
                return line
        return None


def _lines_of_keys(text: str) -> dict[tuple[str, ...], int]:
    lines: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), start=1):
        header, value = _TABLE_LINE.match(line), _VALUE_LINE.match(line)
        if header:
            table = _parts(header[1])
            lines.setdefault(table, number)
        elif value:
            lines.setdefault(table + _parts(value[1]), number)
    return lines


def _parts(key: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in re.findall(_PART, key))
