"""What the LMDB store knows without reading the file: where each packet is, whose it is, and when it ends.

It is rebuilt from the file on opening and never stored, so that it cannot contradict what is stored. 52 bytes a packet,
and 16 for finding it by its id.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fingerpost.limits import STORE_BLOCK_PACKETS_MAX
from fingerpost.store.base import Ids, Packets
from fingerpost.store.retention import ID_SIZE_BYTES, Mask, Rows, end_days

TAIL_ROWS_MAX: Final = 65_536  # merging so many takes about a tenth of a millisecond
ROWS_MIN: Final = 1_024

ROW_DTYPE: Final = np.dtype(
    [("block", "<i8"), ("end_day", "<i4"), ("emitter", "<i4"), ("template", "<i4"), ("slot", "<u2"), ("alive", "?")]
)


class Catalog:
    """One row for each packet in the file, dead ones included, numbered from 0 in the order of the file."""

    def __init__(self) -> None:
        self.size = 0
        self.dead = 0
        self._ids: Ids = np.empty((ROWS_MIN, ID_SIZE_BYTES), np.uint8)
        self._rows: npt.NDArray[np.void] = np.empty(ROWS_MIN, ROW_DTYPE)
        self._finder = _Finder()
        self._emitters: dict[bytes, int] = {}
        self._templates: dict[bytes, int] = {}
        self._live_of_emitter: Rows = np.zeros(0, np.int64)

    @property
    def ids(self) -> Ids:
        """The packet ids, shape (size, 32)."""
        return self._ids[: self.size]

    @property
    def rows(self) -> npt.NDArray[np.void]:
        """The rows, shape (size,), ``ROW_DTYPE``."""
        return self._rows[: self.size]

    @property
    def live(self) -> int:
        """How many packets are live."""
        return self.size - self.dead

    def append(self, packets: Packets, packet_ids: Ids, *, block: int | Rows, alive: Mask | None = None) -> None:
        """Add the packets of one block, in their order there, or of blocks in a row, named row by row.

        All of these blocks but the last are full. ``alive`` says which packets are, by default all.
        """
        start, end = self.size, self.size + len(packets)
        if end > len(self._rows):
            self._ids = _grown(self._ids, end)
            self._rows = _grown(self._rows, end)
        self._ids[start:end] = packet_ids
        rows = self._rows[start:end]
        rows["block"] = block
        rows["slot"] = np.arange(len(packets)) % STORE_BLOCK_PACKETS_MAX
        rows["end_day"] = end_days(packets)
        rows["emitter"] = _numbers_of(packets["emitter"], self._emitters)
        rows["template"] = _numbers_of(packets["template_id"], self._templates)
        rows["alive"] = True if alive is None else alive
        self.size = end
        self.dead += len(rows) - int(rows["alive"].sum())
        counts = np.bincount(rows["emitter"][rows["alive"]], minlength=len(self._emitters))
        counts[: len(self._live_of_emitter)] += self._live_of_emitter
        self._live_of_emitter = counts
        self._finder.append(packet_ids[rows["alive"]], np.flatnonzero(rows["alive"]) + start, alive=self.rows["alive"])

    def find(self, packet_ids: Ids) -> Rows:
        """Return the live row of each id (n, 32), or -1."""
        return self._finder.find(packet_ids, ids=self._ids, alive=self._rows["alive"])

    def kill(self, rows: Rows) -> None:
        """Mark live rows as dead."""
        self.rows["alive"][rows] = False
        self.dead += len(rows)
        np.subtract.at(self._live_of_emitter, self.rows["emitter"][rows], 1)

    def live_rows(self, template_id: bytes | None = None) -> Rows:
        """Return the live rows, of one template or of all, ascending."""
        alive = self.rows["alive"]
        if template_id is not None:
            alive = alive & (self.rows["template"] == self._templates.get(template_id, -1))
        return np.flatnonzero(alive)

    def live_rows_of_block(self, block: int) -> Rows:
        """Return the live rows of one block, ascending."""
        return np.flatnonzero(self.rows["alive"] & (self.rows["block"] == block))

    def ended_rows(self, day: int) -> Rows:
        """Return the live rows whose time to live is over on ``day``."""
        return np.flatnonzero(self.rows["alive"] & (self.rows["end_day"] <= day))

    def live_count(self, emitter: bytes) -> int:
        """Return how many live packets this emitter has."""
        number = self._emitters.get(emitter)
        return 0 if number is None else int(self._live_of_emitter[number])

    def live_emitters(self) -> int:
        """Return how many emitters have live packets."""
        return int((self._live_of_emitter > 0).sum())

    def live_templates(self) -> list[bytes]:
        """Return the templates that have live packets, sorted."""
        used = np.bincount(self.rows["template"][self.rows["alive"]], minlength=len(self._templates))
        return sorted(template for template, number in self._templates.items() if used[number])


class _Finder:
    """Rows by packet id: two arrays sorted by the first eight bytes, a large one and a small one that grows.

    A binary search finds the first row with the same eight bytes; whole ids are compared from there on, so that ids
    made to begin alike cost time, never a wrong answer.
    """

    def __init__(self) -> None:
        self._runs = [_EMPTY_RUN, _EMPTY_RUN]
        self._fresh: list[_Run] = []
        self._fresh_rows = 0

    def append(self, packet_ids: Ids, rows: Rows, *, alive: Mask) -> None:
        """Add rows; ``alive`` lets a merge forget those that died. They are merged when there are many, or to find."""
        self._fresh.append((_words_of(packet_ids), rows))
        self._fresh_rows += len(rows)
        if self._fresh_rows > TAIL_ROWS_MAX:
            self._merge(alive)

    def _merge(self, alive: Mask) -> None:
        if not self._fresh:
            return
        main, tail = self._runs
        tail = _merged(tail, *self._fresh)
        self._fresh, self._fresh_rows = [], 0
        if len(tail[0]) > max(TAIL_ROWS_MAX, len(main[0]) // 8):
            keep = alive[main[1]]
            main, tail = _merged((main[0][keep], main[1][keep]), tail), _EMPTY_RUN
        self._runs = [main, tail]

    def find(self, packet_ids: Ids, *, ids: Ids, alive: Mask) -> Rows:
        """Return the live row of each id, or -1."""
        self._merge(alive)
        words = _words_of(packet_ids)
        found = np.full(len(words), -1, np.int64)
        for run_words, run_rows in self._runs:
            pending = np.flatnonzero(found < 0)
            places = np.searchsorted(run_words, words[pending])
            while len(pending):
                inside = places < len(run_words)
                pending, places = pending[inside], places[inside]
                alike = run_words[places] == words[pending]
                pending, places = pending[alike], places[alike]
                rows = run_rows[places]
                same = alive[rows] & (ids[rows] == packet_ids[pending]).all(axis=1)
                found[pending[same]] = rows[same]
                pending, places = pending[~same], places[~same] + 1
        return found


_Run = tuple[npt.NDArray[np.uint64], Rows]
_EMPTY_RUN: Final[_Run] = (np.empty(0, np.uint64), np.empty(0, np.int64))


def _words_of(packet_ids: Ids) -> npt.NDArray[np.uint64]:
    """Return the first eight bytes of each id as an integer: hashes, so any byte order will do."""
    return np.ascontiguousarray(packet_ids[:, :8]).view(np.uint64)[:, 0]


def _merged(*runs: _Run) -> _Run:
    words = np.concatenate([words for words, _ in runs])
    order = np.argsort(words, kind="stable")  # finds the sorted parts and merges them
    return words[order], np.concatenate([rows for _, rows in runs])[order]


def _numbers_of(values: npt.NDArray[np.uint8], known: dict[bytes, int]) -> npt.NDArray[np.int64]:
    """Return the number of each value, shape (n,), giving new values the next ones."""
    if len(values) and (values == values[0]).all():
        return np.full(len(values), known.setdefault(values[0].tobytes(), len(known)), np.int64)
    return np.array([known.setdefault(value.tobytes(), len(known)) for value in values], np.int64)


def _grown(array: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    larger = np.empty((max(size, 2 * len(array)), *array.shape[1:]), array.dtype)
    larger[: len(array)] = array
    return larger
