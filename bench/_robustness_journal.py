"""What a long measurement has found so far, point by point, so that it may be cut and continued.

A journal is a file of JSON lines beside the results. Every line has a key, the values found, and a stamp of the source
files that decide them: a line of other sources is not read, so no figure mixes versions.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bench._figures import RESULTS

ROOT = Path(__file__).resolve().parents[1]


class Deadline:
    """The time at which a measurement stops taking up new points."""

    def __init__(self, seconds: float | None) -> None:
        self._until = None if seconds is None else time.monotonic() + seconds

    @property
    def has_passed(self) -> bool:
        """Whether nothing new is to be begun."""
        return self._until is not None and time.monotonic() > self._until


class Journal:
    """Points of one measurement, by key. ``sources`` are files and folders below the root that decide the values."""

    def __init__(self, name: str, *, sources: Sequence[str], folder: Path | None = None) -> None:
        self._path = (RESULTS if folder is None else folder) / f"robustness-{name}.jsonl"
        self._stamp = stamp_of(sources)
        self._known: dict[str, dict[str, float]] = {}
        if self._path.exists():
            for line in self._path.read_text(encoding="utf-8").splitlines():
                self._take(line)

    def __len__(self) -> int:
        return len(self._known)

    def find(self, key: str) -> Mapping[str, float] | None:
        """Return what was found at a point, None if it has not been measured."""
        return self._known.get(key)

    def found(
        self, key: str, measure: Callable[[], Mapping[str, float]], *, deadline: Deadline
    ) -> Mapping[str, float] | None:
        """Return what was found at a point, measuring it now unless it is known; None when there is no time left."""
        if key in self._known:
            return self._known[key]
        if deadline.has_passed:
            return None
        values = {name: float(value) for name, value in measure().items()}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"key": key, "stamp": self._stamp, "values": values}) + "\n")
        self._known[key] = values
        return values

    def _take(self, line: str) -> None:
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:  # the line that was being written when the run was cut
            return
        if entry.get("stamp") == self._stamp:
            self._known[entry["key"]] = entry["values"]


def stamp_of(sources: Sequence[str]) -> str:
    """Return a digest of all Python and TOML files at these places."""
    digest = hashlib.blake2s(digest_size=8)
    for source in sources:
        place = ROOT / source
        files = [place] if place.is_file() else sorted(p for p in place.rglob("*") if p.suffix in (".py", ".toml"))
        if not files:
            raise FileNotFoundError(place)
        for file in files:
            digest.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()
