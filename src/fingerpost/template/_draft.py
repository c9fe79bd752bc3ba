"""The text of a drafted template: TOML with a line of review advice at each field, and nothing else of the data."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from fingerpost.template._values import decimal_text

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_LINE_LENGTH = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftTable:
    """One table of the file: its dotted path, the lines in it, and what the owner should look at."""

    path: tuple[str, ...]
    lines: tuple[str, ...]
    review: str = ""

    def text(self) -> str:
        """Write the table, its review as a comment above."""
        header = f"[{'.'.join(_key(part) for part in self.path)}]"
        comment = "".join(f"# {line}\n" for line in _wrapped(f"review: {self.review}")) if self.review else ""
        return comment + "\n".join((header, *self.lines)) + "\n"


def quoted(text: str) -> str:
    """Write a text as a TOML string."""
    return json.dumps(text, ensure_ascii=False)


def levels_lines(levels: Sequence[str]) -> tuple[str, ...]:
    """Write the levels of a field, on several lines where they are many."""
    parts = [quoted(level) for level in levels]
    line = f"levels = [{', '.join(parts)}]"
    if len(line) <= _LINE_LENGTH:
        return (line,)
    lines, row = ["levels = ["], "   "
    for part in parts:
        if len(row) + len(part) > _LINE_LENGTH and row.strip():
            lines.append(row)
            row = "   "
        row += f" {part},"
    return (*lines, row, "]")


def range_line(low: Fraction, high: Fraction) -> str:
    """Write the ends of a range."""
    return f"range = [{decimal_text(low)}, {decimal_text(high)}]"


def draft_text(head: Sequence[str], tables: Sequence[DraftTable]) -> str:
    """Write the whole file."""
    return "\n".join(["\n".join(head) + "\n", *(table.text() for table in tables)])


def _key(part: str) -> str:
    return part if _BARE_KEY.fullmatch(part) else quoted(part)


def _wrapped(text: str) -> list[str]:
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) > _LINE_LENGTH and lines[-1]:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return lines
