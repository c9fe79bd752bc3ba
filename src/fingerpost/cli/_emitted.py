"""Which tables were emitted, and how far: so that no row counts twice by mistake, not even after an interruption."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from fingerpost.node.home import Home
    from fingerpost.template import Template


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far the emission of one table came: ``rows`` of the ``total`` rows that fit, on ``day``."""

    rows: int
    total: int
    day: int

    @property
    def is_whole(self) -> bool:
        """Whether nothing of the table is left to emit."""
        return self.rows == self.total


def table_digest(template: Template, file: Path) -> str:
    """Return what names the content of a table under a template (hex): its file may be moved or copied."""
    with file.open("rb") as opened:
        content = hashlib.file_digest(opened, "blake2s").digest()
    return hashlib.blake2s(template.template_id + content).hexdigest()


def read_progress(home: Home, digest: str) -> Progress | None:
    """Return how far this table was emitted, or None when it never was. A damaged note counts as none."""
    try:
        found = json.loads((home.emitted / f"{digest}.json").read_text(encoding="utf-8"))
        return Progress(rows=int(found["rows"]), total=int(found["total"]), day=int(found["day"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_progress(home: Home, digest: str, progress: Progress) -> None:
    """Note how far this table is emitted; durable when it returns."""
    from fingerpost.files import write_atomically

    home.emitted.mkdir(parents=True, exist_ok=True)
    write_atomically(home.emitted / f"{digest}.json", json.dumps(asdict(progress)))
