"""The files that a report of minutes goes to: checked before it is made, written whole or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fingerpost.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path


def check_targets(files: Iterable[Path]) -> None:
    """Refuse now what could not be written minutes later. Raises ``UsageError`` (``report-target``)."""
    for file in files:
        if file.is_dir() or not file.parent.is_dir():
            raise UsageError("report-target", f"{file}: cannot be written", hint="name a file in a folder that exists")


def write_reports(
    document: Mapping[str, Any],
    *,
    json: Path | None,
    report: Path | None,
    page_of: Callable[[Mapping[str, Any]], str],
) -> None:
    """Write a report as JSON, and as the HTML page that ``page_of`` makes of it, each where a file was named."""
    from json import dumps

    from fingerpost.files import write_atomically

    if json is not None:
        write_atomically(json, (dumps(document, indent=2, allow_nan=False) + "\n").encode())
    if report is not None:
        write_atomically(report, page_of(document).encode())
