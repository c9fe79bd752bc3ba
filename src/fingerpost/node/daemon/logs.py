"""What a running node writes to standard error: one JSON object a line, or plain text on a terminal.

Lines hold counts, codes and ids of nodes. No situation, action, outcome or key is ever logged; of an exception only its
class and the places in the code, because its message may quote a value.
"""

from __future__ import annotations

import datetime
import json
import logging
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

ROOT_NAME = "fingerpost"


def log_event(logger: logging.Logger, event: str, **facts: object) -> None:
    """Write an event of the node's life with named facts (texts, numbers, lists of them)."""
    logger.info("%s", event, extra={"facts": facts})


@contextmanager
def logging_to(stream: TextIO, *, level: str) -> Iterator[None]:
    """Write what fingerpost logs from ``level`` on, and warnings of others, to a stream while the block lasts.

    ``level`` is one of ``fingerpost.node.config.LOG_LEVELS``. It holds for the whole process.
    """
    root, ours = logging.getLogger(), logging.getLogger(ROOT_NAME)
    before = root.level, ours.level
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Plain() if stream.isatty() else _Json())
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    ours.setLevel(level.upper())
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(before[0])
        ours.setLevel(before[1])


class _Json(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message, and the facts by name."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        line: dict[str, Any] = {
            "time": _time(record).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name, value in _facts(record).items() if name not in line}
        if record.exc_info:
            line["exception"], line["trace"] = _exception(record)
        return json.dumps(line, ensure_ascii=False, default=str)


class _Plain(logging.Formatter):
    """Text for people: time, level, message and facts."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record; control characters are written out."""
        facts = "".join(f" {name}={value}" for name, value in _facts(record).items())
        text = f"{_time(record):%H:%M:%S} {record.levelname.lower():<7} {record.getMessage()}{facts}"
        if record.exc_info:
            name, trace = _exception(record)
            text += f" {name} at {' < '.join(trace)}"
        return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _time(record: logging.LogRecord) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(record.created, tz=datetime.UTC)


def _facts(record: logging.LogRecord) -> Mapping[str, object]:
    facts: Mapping[str, object] = getattr(record, "facts", {})
    return facts


def _exception(record: logging.LogRecord) -> tuple[str, list[str]]:
    """Return the class of an exception and the places it came through, the innermost first."""
    if not record.exc_info or record.exc_info[0] is None:
        return "", []
    frames = traceback.extract_tb(record.exc_info[2])
    return record.exc_info[0].__name__, [f"{f.filename}:{f.lineno} {f.name}" for f in reversed(frames)]
