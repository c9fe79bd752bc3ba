"""The search over a store: the nearest fingerprints, the same ones whatever order they came in."""

from __future__ import annotations

import os
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fingerpost.errors import UsageError
from fingerpost.limits import FINGERPRINT_BITS_MAX, FINGERPRINT_BITS_STEP
from fingerpost.store.base import Ids

QUERIES_MAX: Final = 1_024  # searched at a time, so that the candidates of many queries need no more than megabytes
SPARE_MIN: Final = 16  # candidates beyond k: enough for most ties at the last distance
ROWS_MIN: Final = 1_024
COUNTED_MAX: Final = 2_048  # neighbours: counting needs up to eight bytes for each, bit by bit of a fingerprint
COUNTED_QUERIES: Final = 8  # at a time, so that this is at most 128 MiB
SORTED_ROWS: Final = 65_536
LISTS: Final = 4_096
PROBES: Final = 16
ADDED_ROWS: Final = 262_144


class FingerprintIndex:
    """Exact nearest neighbours by Hamming distance among the fingerprints of one template.

    Rows are numbered from 0 in the order of ``add``; a number is never given twice, also after ``remove``. Neighbours
    are ordered by distance, then by packet id, so that they never depend on the order of arrival: where more packets
    tie at the last distance than there is room for, those with the smallest ids come in.
    """

    def __init__(self, bits: int) -> None:
        """Make an empty index. Raises ``UsageError`` (``index-argument``) unless ``bits`` is a multiple of 64."""
        if not 0 < bits <= FINGERPRINT_BITS_MAX or bits % FINGERPRINT_BITS_STEP:
            raise _refuse(f"fingerprints have a multiple of {FINGERPRINT_BITS_STEP} bits, not {bits}")
        self.bits = bits
        self._flat: Any = _faiss().IndexBinaryFlat(bits)
        self._words = np.empty((ROWS_MIN, 4), np.uint64)  # packet ids as four numbers that order like the bytes
        self._numbers = np.empty(ROWS_MIN, np.int64)
        self._next_number = 0

    def __len__(self) -> int:
        return int(self._flat.ntotal)

    def add(self, fingerprints: npt.NDArray[np.uint8], packet_ids: Ids) -> npt.NDArray[np.int64]:
        """Add fingerprints (n, bits / 8) of packets (n, 32) that are not in the index; return their row numbers."""
        fingerprints = self._checked(fingerprints)
        if packet_ids.shape != (len(fingerprints), 32):
            raise _refuse(f"there is one packet id of 32 bytes for each fingerprint, not {packet_ids.shape}")
        start, end = len(self), len(self) + len(fingerprints)
        if end > len(self._numbers):
            self._words = _grown(self._words, end)
            self._numbers = _grown(self._numbers, end)
        rows = np.arange(self._next_number, self._next_number + len(fingerprints))
        self._words[start:end] = _words_of(packet_ids)
        self._numbers[start:end] = rows
        self._next_number += len(fingerprints)
        self._flat.add(fingerprints)
        return rows

    def remove(self, packet_ids: Ids) -> int:
        """Take packets (n, 32) out; return how many were there. Costs one pass over the index."""
        words, count = _words_of(packet_ids), len(self)
        maybe = np.flatnonzero(np.isin(self._words[:count, 0], words[:, 0]))
        wanted = {row.tobytes() for row in words}
        places = np.array([place for place in maybe if self._words[place].tobytes() in wanted], np.int64)
        if len(places):
            self._flat.remove_ids(places)  # moves the later ones up
            keep = np.ones(count, np.bool_)
            keep[places] = False
            left = count - len(places)
            self._words[:left] = self._words[:count][keep]
            self._numbers[:left] = self._numbers[:count][keep]
        return len(places)

    def packet_ids(self, rows: npt.NDArray[np.int64]) -> Ids:
        """Return the packet ids of rows that ``search`` gave, shape ``rows.shape + (32,)``."""
        places = np.searchsorted(self._numbers[: len(self)], rows)
        return self._words[places].astype(">u8").view(np.uint8).reshape(*rows.shape, 32)

    def search(
        self, fingerprints: npt.NDArray[np.uint8], k: int
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """Return the ``k`` nearest rows of each query (q, bits / 8): distances in bits and rows, both (q, k).

        With fewer than ``k`` packets in the index, there are so many columns.
        """
        queries = self._checked(fingerprints)
        if k < 0:
            raise _refuse(f"cannot search {k} neighbours")
        k = min(k, len(self))
        distances = np.empty((len(queries), k), np.int32)
        rows = np.empty((len(queries), k), np.int64)
        for start in range(0, len(queries) if k else 0, QUERIES_MAX):
            part = slice(start, start + QUERIES_MAX)
            found, places = self._nearest(queries[part], k)
            distances[part], rows[part] = found, self._numbers[places]
        return distances, rows

    def _nearest(self, queries: npt.NDArray[np.uint8], k: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        wide = min(k + max(SPARE_MIN, k // 4), len(self))
        distances, places = self._flat.search(queries, wide)
        order = np.lexsort((*self._words[places].transpose(2, 0, 1)[::-1], distances), axis=1)[:, :k]
        # Where the last candidate ties with the last neighbour, there may be more that tie.
        unsettled = np.flatnonzero(distances[:, -1] == distances[:, k - 1]) if wide < len(self) else ()
        best_distances = np.take_along_axis(distances, order, axis=1)
        best_places = np.take_along_axis(places, order, axis=1)
        for query in unsettled:
            best_distances[query], best_places[query] = self._all_within(queries[query], int(distances[query, -1]), k)
        return best_distances, best_places

    def _all_within(
        self, query: npt.NDArray[np.uint8], distance: int, k: int
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """Return the first ``k`` of all rows up to this distance."""
        _, distances, places = self._flat.range_search(query[None], distance + 1)  # faiss: nearer than the radius
        words = self._words[places]
        order = np.lexsort((*words.T[::-1], distances))[:k]
        return distances[order].astype(np.int32), places[order]

    def _checked(self, fingerprints: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        if fingerprints.dtype != np.uint8 or fingerprints.ndim != 2 or fingerprints.shape[1] * 8 != self.bits:
            raise _refuse(f"fingerprints come as (n, {self.bits // 8}) uint8, not {fingerprints.shape}")
        return np.ascontiguousarray(fingerprints)


class FlatNeighbours:
    """Exact nearest neighbours among fingerprints (n, B) that stay as they are, straight from their array.

    It is what ``fingerpost.synthesis`` calls ``Neighbours``: rows in order of distance, equal ones in row order.
    Nothing is copied or kept, so that making one costs nothing.
    """

    def __init__(self, fingerprints: npt.NDArray[np.uint8]) -> None:
        """Take fingerprints (n, B). Raises ``UsageError`` (``index-argument``) unless B is a multiple of 8."""
        if fingerprints.dtype != np.uint8 or fingerprints.ndim != 2 or fingerprints.shape[1] % 8:
            raise _refuse(f"fingerprints come as (n, bytes) uint8, not {fingerprints.shape}")
        self._fingerprints = np.ascontiguousarray(fingerprints)

    def nearest(self, queries: npt.NDArray[np.uint8], count: int) -> npt.NDArray[np.int64]:
        """Return the rows of the ``count`` (all, if there are fewer) nearest to each query (q, B), (q, count)."""
        count = min(count, len(self._fingerprints))
        found = np.empty((len(queries), count), np.int64)
        for start in range(0, len(queries) if count else 0, COUNTED_QUERIES):
            part = np.ascontiguousarray(queries[start : start + COUNTED_QUERIES])
            if count <= COUNTED_MAX:
                # Counting ("mc") keeps the rows of each distance in their order, and so the first of those that tie.
                found[start : start + len(part)] = _faiss().knn_hamming(part, self._fingerprints, count, "mc")[1]
            else:
                found[start : start + len(part)] = [self._sorted(query)[:count] for query in part]
        return found

    def _sorted(self, query: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
        distances = np.empty(len(self._fingerprints), np.uint16)
        words = query.view(np.uint64)
        for start in range(0, len(distances), SORTED_ROWS):
            part = self._fingerprints[start : start + SORTED_ROWS].view(np.uint64)
            np.bitwise_count(part ^ words).sum(axis=1, dtype=np.uint16, out=distances[start : start + SORTED_ROWS])
        return np.argsort(distances, kind="stable")


class ProbedNeighbours:
    """Nearly all of the nearest among very many fingerprints (n, B): most are never looked at.

    Every fingerprint lies in the list of the nearest of some centres, fingerprints drawn from all by ``seed``. A
    question looks into the ``probes`` lists with the nearest centres. What it finds is in order of distance, but it
    may miss some, so that answers made from it cannot be derived again by looking at all: a node uses
    ``FlatNeighbours``. Fingerprints that share little with any other, such as random bits, are mostly missed.
    """

    def __init__(
        self, fingerprints: npt.NDArray[np.uint8], *, lists: int = LISTS, probes: int = PROBES, seed: int = 0
    ) -> None:
        """Put fingerprints into lists. Raises ``UsageError`` (``index-argument``)."""
        if fingerprints.dtype != np.uint8 or fingerprints.ndim != 2 or not 0 < probes <= lists <= len(fingerprints):
            raise _refuse(
                "probing takes fingerprints (n, bytes) uint8, and no more probes than lists, or lists than rows"
            )
        chosen = np.sort(np.random.default_rng(seed).choice(len(fingerprints), lists, replace=False))
        bits = 8 * fingerprints.shape[1]
        self._centres: Any = _faiss().IndexBinaryFlat(bits)
        self._centres.add(np.ascontiguousarray(fingerprints[chosen]))
        self._lists: Any = _faiss().IndexBinaryIVF(self._centres, bits, lists)
        self._lists.is_trained = True  # the centres are there
        self._lists.nprobe = probes
        self.add(fingerprints)

    def add(self, fingerprints: npt.NDArray[np.uint8]) -> None:
        """Append fingerprints (n, B); their rows are the next ones."""
        for start in range(0, len(fingerprints), ADDED_ROWS):
            self._lists.add(np.ascontiguousarray(fingerprints[start : start + ADDED_ROWS]))

    def nearest(self, queries: npt.NDArray[np.uint8], count: int) -> npt.NDArray[np.int64]:
        """Return up to ``count`` rows for each query (q, B), nearest first, (q, count); -1 where no more were found."""
        found: npt.NDArray[np.int64] = self._lists.search(np.ascontiguousarray(queries), count)[1]
        return found


def _faiss() -> Any:
    """Import faiss when it is first needed, and keep its threads from spinning: that costs more than they bring."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import faiss

    return faiss


def _words_of(packet_ids: Ids) -> npt.NDArray[np.uint64]:
    return np.ascontiguousarray(packet_ids).view(">u8").astype(np.uint64)


def _grown(array: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    larger = np.empty((max(size, 2 * len(array)), *array.shape[1:]), array.dtype)
    larger[: len(array)] = array
    return larger


def _refuse(message: str) -> UsageError:
    return UsageError("index-argument", message, hint="see fingerpost.store.index.FingerprintIndex for what it takes")
