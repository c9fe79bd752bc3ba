"""Evidence: the packets behind an answer, as columns.

One row is one packet. Rows are ordered by packet id, so that the same packets give the same arrays however they
arrived, and a packet that arrived twice counts once.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fingerpost.errors import UsageError
from fingerpost.ids import node_id
from fingerpost.synthesis._read import columns_of, joined

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike, NDArray

    from fingerpost.template import Template

OutcomeKind = Literal["category", "number"]

DAYS_UNBOUNDED = 1 << 30  # a TTL for rows that did not come from packets: beyond every epoch plus every TTL
CONFIDENCE_CERTAIN = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The live packets of one template as columns, ordered by packet id (bytewise).

    ``n`` packets, ``B`` fingerprint bytes, ``L`` outcome levels, ``V`` nodes, ``S`` summaries. For categories ``codes``
    holds the level of an observation and -1 for a summary, whose histogram is the row of ``summary_counts`` that
    ``summary_rows`` names; ``means`` and ``squares`` are empty. For numbers ``means`` holds the value (or the mean of a
    summary) and ``squares`` the sum of squared deviations from it (0 for an observation); ``codes`` is empty.
    """

    kind: OutcomeKind
    levels: int  # L; 0 for numbers
    packet_ids: NDArray[np.uint8]  # (n, 32)
    node_ids: NDArray[np.uint8]  # (V, 32), ordered bytewise
    node_index: NDArray[np.int64]  # (n,), into node_ids
    epochs: NDArray[np.int64]  # (n,), days since 1970-01-01
    ttl_days: NDArray[np.int64]  # (n,)
    fingerprints: NDArray[np.uint8]  # (n, B)
    sketches: NDArray[np.uint8] | None  # (n, 32)
    conditions: NDArray[np.uint16]  # (n, conditions); 0 = missing, else level index + 1
    actions: NDArray[np.uint16]  # (n,); 0 = none, else level index + 1
    confidences: NDArray[np.uint8]  # (n,), 255 = certain
    records: NDArray[np.int64]  # (n,), observations behind the packet, at least 1
    codes: NDArray[np.int32]  # (n,) or (0,)
    summary_rows: NDArray[np.int64]  # (S,), ascending
    summary_counts: NDArray[np.int64]  # (S, L)
    means: NDArray[np.float64]  # (n,) or (0,)
    squares: NDArray[np.float64]  # (n,) or (0,)
    trust: NDArray[np.float64] | None = None  # (n,) in [0, 1], by elections; None: all count alike

    def __post_init__(self) -> None:
        n = len(self.packet_ids)
        columns: tuple[NDArray[Any], ...] = (self.node_index, self.epochs, self.ttl_days, self.fingerprints)
        columns += (self.conditions, self.actions, self.confidences, self.records)
        columns += (self.codes,) if self.kind == "category" else (self.means, self.squares)
        if any(len(column) != n for column in columns):
            raise UsageError("evidence-columns", "every column of evidence has one entry per packet")
        if self.sketches is not None and len(self.sketches) != n:
            raise UsageError("evidence-columns", "sketches are there for every packet or for none")
        if self.trust is not None and (len(self.trust) != n or not ((self.trust >= 0) & (self.trust <= 1)).all()):
            raise UsageError("evidence-columns", "the trust of every packet lies between 0 and 1")

    def __len__(self) -> int:
        return len(self.packet_ids)

    @property
    def bits(self) -> int:
        """Return the number of fingerprint bits."""
        return 8 * int(self.fingerprints.shape[1])

    @classmethod
    def from_arrays(
        cls,
        *,
        fingerprints: ArrayLike,
        codes: ArrayLike | None = None,
        levels: int = 0,
        counts: ArrayLike | None = None,
        values: ArrayLike | None = None,
        squares: ArrayLike | None = None,
        records: ArrayLike | None = None,
        emitters: ArrayLike | None = None,
        packet_ids: ArrayLike | None = None,
        sketches: ArrayLike | None = None,
        conditions: ArrayLike | None = None,
        actions: ArrayLike | None = None,
        confidences: ArrayLike | None = None,
        epochs: ArrayLike | None = None,
        ttl_days: ArrayLike | None = None,
    ) -> Evidence:
        """Make evidence of plain columns in any order; what is left out gets a neutral value.

        Outcomes are ``codes`` (n,) of ``levels`` levels, with -1 for a summary: ``counts`` then has a histogram (L,)
        for each -1 in turn, or for every row. Or they are ``counts`` (n, L) alone. Or they are ``values`` (n,), with
        ``squares`` and ``records`` for summaries. ``emitters`` (n, 32) are public keys (default: one node). Rows
        without ``packet_ids`` (n, 32) get ids from their position.
        """
        prints = np.ascontiguousarray(fingerprints, dtype=np.uint8)
        n = len(prints)
        columns: dict[str, Any] = {
            "fingerprints": prints,
            "packet_ids": _ids_of_positions(n) if packet_ids is None else np.asarray(packet_ids, np.uint8),
            "emitters": np.zeros((n, 32), np.uint8) if emitters is None else np.asarray(emitters, np.uint8),
            "sketches": None if sketches is None else np.asarray(sketches, np.uint8),
            "conditions": np.zeros((n, 0), np.uint16) if conditions is None else np.asarray(conditions, np.uint16),
            "actions": _column(actions, n, 0, np.uint16),
            "confidences": _column(confidences, n, CONFIDENCE_CERTAIN, np.uint8),
            "epochs": _column(epochs, n, 0, np.int64),
            "ttl_days": _column(ttl_days, n, DAYS_UNBOUNDED, np.int64),
            "records": _column(records, n, 1, np.int64),
        }
        order = _first_of_each(columns["packet_ids"])
        del prints, packet_ids, emitters, fingerprints
        for name, column in columns.items():  # one by one, so that what was there before makes room for the next
            columns[name] = None if column is None else column[order]
        node_ids, node_index = node_columns(columns.pop("emitters"))
        if values is not None:
            outcome = _number_columns(
                _column(values, n, 0, np.float64)[order], _column(squares, n, 0, np.float64)[order]
            )
        elif codes is not None or counts is not None:
            coded = np.full(n, -1, np.int32) if codes is None else np.asarray(codes, np.int32)
            outcome = _category_columns(coded, levels, None if counts is None else np.asarray(counts, np.int64), order)
            rows = outcome["summary_rows"]
            columns["records"][rows] = outcome["summary_counts"].sum(axis=1)
        else:
            raise UsageError("evidence-outcome", "evidence has codes, counts or values")
        return cls(node_ids=node_ids, node_index=node_index, **columns, **outcome)

    @classmethod
    def from_packets(
        cls, packets: NDArray[Any], template: Template, *, packet_ids: NDArray[np.uint8] | None = None
    ) -> Evidence:
        """Read a ``PACKET_DTYPE`` array of verified packets; ``packet_ids`` (n, 32) saves hashing them again.

        Packets that say nothing here are left out: other kinds, sealed payloads, payloads that do not fit the template.

        :raises UsageError: when a packet belongs to another template.
        """
        return cls.from_arrays(**columns_of(packets, template, packet_ids))

    @classmethod
    def from_blocks(
        cls, blocks: Iterable[tuple[NDArray[Any], NDArray[np.uint8] | None]], template: Template
    ) -> Evidence:
        """Read packets part by part, as ``from_packets`` does all at once: only one part need be in memory.

        Each part comes with its packet ids (k, 32), or None to have them hashed.
        """
        return cls.from_arrays(**joined(columns_of(packets, template, ids) for packets, ids in blocks))

    def subset(self, rows: NDArray[Any]) -> Evidence:
        """Return the packets of ``rows`` (indices or a mask); nodes without a packet left are dropped.

        Where all are chosen it is this evidence itself: columns are never written to, so nothing need be copied.
        """
        if rows.dtype == bool and rows.all():
            return self
        chosen = np.flatnonzero(rows) if rows.dtype == bool else np.sort(rows.astype(np.int64))
        kept, node_index = np.unique(self.node_index[chosen], return_inverse=True)
        position = np.searchsorted(self.summary_rows, chosen)
        position = np.minimum(position, max(len(self.summary_rows) - 1, 0))
        is_summary = self.summary_rows[position] == chosen if len(self.summary_rows) else np.zeros(len(chosen), bool)
        number = self.kind == "number"
        return Evidence(
            kind=self.kind,
            levels=self.levels,
            packet_ids=self.packet_ids[chosen],
            node_ids=self.node_ids[kept],
            node_index=node_index.astype(np.int64).reshape(-1),
            epochs=self.epochs[chosen],
            ttl_days=self.ttl_days[chosen],
            fingerprints=self.fingerprints[chosen],
            sketches=None if self.sketches is None else self.sketches[chosen],
            conditions=self.conditions[chosen],
            actions=self.actions[chosen],
            confidences=self.confidences[chosen],
            records=self.records[chosen],
            codes=self.codes if number else self.codes[chosen],
            summary_rows=np.flatnonzero(is_summary).astype(np.int64),
            summary_counts=self.summary_counts[position[is_summary]],
            means=self.means[chosen] if number else self.means,
            squares=self.squares[chosen] if number else self.squares,
            trust=None if self.trust is None else self.trust[chosen],
        )

    def trusted(self, trust: NDArray[np.float64] | None) -> Evidence:
        """Return the same packets, each of which counts as much as its ``trust`` (n,) in [0, 1] says."""
        return replace(self, trust=trust)

    def live_on(self, day: int, *, skew_days: int) -> NDArray[np.bool_]:
        """Return which packets have begun (``skew_days`` of clock error allowed) and not yet expired on ``day``."""
        return (self.epochs <= day + skew_days) & (day < self.epochs + self.ttl_days)

    def rows_of(self, packet_ids: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Return the row of each packet id (k, 32), -1 where it is not here."""
        known = {one.tobytes(): row for row, one in enumerate(self.packet_ids)}
        return np.array([known.get(one.tobytes(), -1) for one in packet_ids], np.int64)

    def outcome_counts(self) -> NDArray[np.int64]:
        """Return the (n, L) histogram of every packet: one-hot for an observation."""
        counts = np.zeros((len(self), self.levels), np.int64)
        observed = np.flatnonzero(self.codes >= 0)
        counts[observed, self.codes[observed]] = 1
        counts[self.summary_rows] = self.summary_counts
        return counts

    def targets(self) -> NDArray[np.float64]:
        """Return what a regression fits: (n, L) shares of the levels, or (n, 1) values."""
        if self.kind == "number":
            return self.means[:, None].copy()
        return self.outcome_counts() / self.records[:, None]


def _column(values: ArrayLike | None, n: int, neutral: int, dtype: type) -> NDArray[Any]:
    return np.full(n, neutral, dtype) if values is None else np.array(values, dtype)


def _ids_of_positions(n: int) -> NDArray[np.uint8]:
    digests = b"".join(hashlib.blake2s(row.to_bytes(8, "little")).digest() for row in range(n))
    return np.frombuffer(digests, np.uint8).reshape(n, 32)


def _first_of_each(ids: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Return the rows in bytewise order of their ids, one row per id."""
    order = order_of_bytes(ids)
    return order[_changes(ids[order])]


def _changes(ordered: NDArray[np.uint8]) -> NDArray[np.bool_]:
    fresh = np.ones(len(ordered), bool)
    fresh[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    return fresh


def node_columns(emitters: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return the node ids (V, 32) of the public keys in bytewise order, and each packet's node."""
    order = order_of_bytes(emitters)
    fresh = _changes(emitters[order])
    keys = emitters[order][fresh]
    ids = np.array([list(node_id(key.tobytes())) for key in keys], np.uint8).reshape(-1, 32)
    by_id = order_of_bytes(ids)
    rank = np.empty(len(ids), np.int64)
    rank[by_id] = np.arange(len(ids))
    index = np.empty(len(emitters), np.int64)
    index[order] = rank[np.cumsum(fresh) - 1]
    return ids[by_id], index


def _category_columns(
    codes: NDArray[np.int32], levels: int, counts: NDArray[np.int64] | None, order: NDArray[np.intp]
) -> dict[str, Any]:
    histograms = np.zeros((0, levels), np.int64) if counts is None else counts
    width = histograms.shape[1]
    if codes.max(initial=-1) >= width:
        raise UsageError("evidence-outcome", "an outcome code lies beyond the levels")
    compact = len(histograms) != len(codes)
    place = (np.cumsum(codes < 0) - 1 if compact else np.arange(len(codes)))[order]
    codes = codes[order]
    rows = np.flatnonzero(codes < 0).astype(np.int64)
    if len(rows) and place[rows].max() >= len(histograms):
        raise UsageError("evidence-outcome", "a summary has no histogram")
    summaries = histograms[place[rows]]
    if summaries.min(initial=0) < 0 or summaries.sum(axis=1).min(initial=1) < 1:
        raise UsageError("evidence-outcome", "a summary counts at least one record, and none below zero")
    empty = np.zeros(0, np.float64)
    outcome: dict[str, Any] = {"kind": "category", "levels": width, "codes": codes, "summary_rows": rows}
    return outcome | {"summary_counts": summaries, "means": empty, "squares": empty}


def _number_columns(values: NDArray[np.float64], squares: NDArray[np.float64]) -> dict[str, Any]:
    none = np.zeros(0, np.int64)
    outcome: dict[str, Any] = {"kind": "number", "levels": 0, "codes": np.zeros(0, np.int32), "summary_rows": none}
    return outcome | {"summary_counts": np.zeros((0, 0), np.int64), "means": values, "squares": squares}


def order_of_bytes(rows: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Return a stable bytewise order of equal-length rows of bytes (n, width)."""
    n, width = rows.shape
    words = np.zeros((n, -(-width // 8) * 8), np.uint8)
    words[:, :width] = rows
    keys = words.view(">u8").astype(np.uint64)
    if not n or not width:
        return np.arange(n)
    order = np.argsort(keys[:, 0], kind="stable")
    first = keys[order, 0]
    if (first[1:] == first[:-1]).any():  # the first eight bytes of a hash settle nearly every order
        order = np.lexsort(keys.T[::-1])
    return order
