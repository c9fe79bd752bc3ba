"""The evidence of a large store, kept in the store itself so that a process that starts need not read every packet.

It is derived data: written when a node closes, read by the next process if the live packets are still the very same
(the store's ``generation`` says so), and never carried over when a store is compacted, so that nothing withdrawn or
expired outlives its deadline in here. The header is removed first and written last: a crash in between leaves none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from fingerpost.store.base import PacketStore
from fingerpost.store.retention import DERIVED_TABLES_PREFIX
from fingerpost.synthesis.evidence import Evidence

if TYPE_CHECKING:
    from numpy.typing import NDArray

EVIDENCE_TABLE = DERIVED_TABLES_PREFIX + "evidence"
EVIDENCE_VERSION = 1  # grows whenever the same packets may give other columns than before
PART_SIZE_BYTES = 8 << 20  # of a column in one record
COLUMNS = (
    *("packet_ids", "node_ids", "node_index", "epochs", "ttl_days", "fingerprints", "sketches", "conditions"),
    *("actions", "confidences", "records", "codes", "summary_rows", "summary_counts", "means", "squares"),
)


class _Column(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One array; where all its rows are alike only the first is kept."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    is_alike: bool
    parts: int


class _Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is kept beside the columns."""

    generation: int
    kind: str
    levels: int
    columns: tuple[_Column, ...]
    version: int = EVIDENCE_VERSION


def keep_evidence(store: PacketStore, template_id: bytes, evidence: Evidence) -> None:
    """Keep ``evidence``, read from the live packets of a template as they are now. Raises what the store raises."""
    known = _header(store, template_id)
    if known is not None and known.generation == store.generation:
        return
    _forget(store, template_id, known)
    columns = []
    for name in COLUMNS:
        values = getattr(evidence, name)
        if values is not None:
            columns.append(_keep_column(store, template_id, name, np.ascontiguousarray(values)))
    header = _Header(generation=store.generation, kind=evidence.kind, levels=evidence.levels, columns=tuple(columns))
    store.put_record(EVIDENCE_TABLE, template_id, msgspec.msgpack.encode(header))


def kept_evidence(store: PacketStore, template_id: bytes) -> Evidence | None:
    """Return the evidence that an earlier process kept, if it is that of the live packets as they are now."""
    header = _header(store, template_id)
    if header is None or header.generation != store.generation:
        return None
    columns: dict[str, Any] = dict.fromkeys(COLUMNS)
    for column in header.columns:
        columns[column.name] = _read_column(store, template_id, column)
    return Evidence(kind="number" if header.kind == "number" else "category", levels=header.levels, **columns)


def _header(store: PacketStore, template_id: bytes) -> _Header | None:
    data = store.get_record(EVIDENCE_TABLE, template_id)
    if data is None:
        return None
    try:
        header = msgspec.msgpack.decode(data, type=_Header)
    except (msgspec.DecodeError, msgspec.ValidationError):  # of another version: the packets are read anew
        return None
    return header if header.version == EVIDENCE_VERSION else None


def _forget(store: PacketStore, template_id: bytes, header: _Header | None) -> None:
    store.put_records(EVIDENCE_TABLE, {template_id: None})
    if header is not None:
        due = [_part_key(template_id, each.name, part) for each in header.columns for part in range(each.parts)]
        store.put_records(EVIDENCE_TABLE, dict.fromkeys(due))


def _keep_column(store: PacketStore, template_id: bytes, name: str, values: NDArray[Any]) -> _Column:
    is_alike = len(values) > 1 and bool((values == values[0]).all())
    octets = memoryview((values[:1] if is_alike else values).tobytes())
    parts = range(0, len(octets), PART_SIZE_BYTES)
    for part, start in enumerate(parts):
        data = bytes(octets[start : start + PART_SIZE_BYTES])
        store.put_record(EVIDENCE_TABLE, _part_key(template_id, name, part), data)
    return _Column(name=name, dtype=values.dtype.str, shape=values.shape, is_alike=is_alike, parts=len(parts))


def _read_column(store: PacketStore, template_id: bytes, column: _Column) -> NDArray[Any]:
    values = np.empty(column.shape, np.dtype(column.dtype))
    octets = (values[:1] if column.is_alike else values).reshape(-1).view(np.uint8)
    for part in range(column.parts):
        data = store.get_record(EVIDENCE_TABLE, _part_key(template_id, column.name, part)) or b""
        octets[part * PART_SIZE_BYTES : part * PART_SIZE_BYTES + len(data)] = np.frombuffer(data, np.uint8)
    if column.is_alike:
        values[1:] = values[0]
    return values


def _part_key(template_id: bytes, name: str, part: int) -> bytes:
    return b"%b %b %d" % (template_id, name.encode(), part)
