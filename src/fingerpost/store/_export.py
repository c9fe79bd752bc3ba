"""Packets as tables that other tools read: one row a packet, codes turned into words by the template.

Every table of a template has the same columns, so that parts can be written one after another:

``packet_id``, ``node_id``, ``emitter`` (hex), ``kind``, ``profile``, ``day`` (date), ``ttl_days``, ``cell``,
``confidence`` (0 to 1), ``action``, ``outcome`` (a level, or a number in the template's unit), ``records``,
``summary`` (JSON: counts by level, or mean and sum of squared deviations), one ``condition NAME`` for each condition,
``fingerprint`` and ``sketch`` (hex). A value that a packet does not have is null; a sealed payload has none.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np
import pyarrow as pa

from fingerpost.ids import node_id
from fingerpost.packet import (
    CategoryOutcome,
    CountsOutcome,
    HistogramOutcome,
    Kind,
    MomentsOutcome,
    NumberOutcome,
    Payload,
    Profile,
    decode,
    has_layout,
    packet_ids,
    payloads,
)
from fingerpost.template import CategoryOutcomeField, Template, profile_name

if TYPE_CHECKING:
    import numpy.typing as npt

    from fingerpost.store.base import Packets

CONFIDENCE_UNIT: Final = 255
PART_PACKETS: Final = 8_192


class TableForm(StrEnum):
    """How a table is written to a file."""

    PARQUET = "parquet"
    CSV = "csv"
    JSONL = "jsonl"  # one JSON object a line


def export_schema(template: Template) -> pa.Schema:
    """Return the columns of every table of this template."""
    number = not isinstance(template.outcome, CategoryOutcomeField)
    columns = [
        ("packet_id", pa.string()),
        ("node_id", pa.string()),
        ("emitter", pa.string()),
        ("kind", pa.string()),
        ("profile", pa.string()),
        ("day", pa.date32()),
        ("ttl_days", pa.uint16()),
        ("cell", pa.uint32()),
        ("confidence", pa.float64()),
        ("action", pa.string()),
        ("outcome", pa.float64() if number else pa.string()),
        ("records", pa.int64()),
        ("summary", pa.string()),
        *((f"condition {part.name}", pa.string()) for part in template.conditions),
        ("fingerprint", pa.string()),
        ("sketch", pa.string()),
    ]
    return pa.schema(columns)


def packets_table(packets: Packets, template: Template) -> pa.Table:
    """Return packets (n,) of one template as a table of ``export_schema``, in their order."""
    rows = len(packets)
    columns: dict[str, Any] = {
        "packet_id": _hex(packet_ids(packets)),
        "node_id": _node_ids(packets["emitter"]),
        "emitter": _hex(packets["emitter"]),
        "kind": _names(packets["kind"], {kind: kind.name.lower() for kind in Kind}),
        "profile": _names(packets["profile"], {code: profile_name(code) for code in Profile}),
        "day": packets["epoch"].astype("datetime64[D]"),
        "ttl_days": packets["ttl_days"],
        "cell": packets["cell"],
    }
    schema = export_schema(template)
    contents = [name for name in schema.names if name not in columns]
    cells: dict[str, list[Any]] = {name: [None] * rows for name in contents}
    plain = (packets["kind"] == Kind.OBSERVATION) & has_layout(packets, template.observation_layout())
    _fill_observations(cells, packets, template, np.flatnonzero(plain))
    for row in np.flatnonzero(~plain):
        for name, value in _other_cells(packets[row].tobytes(), template).items():
            cells[name][row] = value
    return pa.table({**columns, **cells}, schema=schema)


def _fill_observations(
    cells: dict[str, list[Any]], packets: Packets, template: Template, rows: npt.NDArray[Any]
) -> None:
    content = payloads(packets[rows], template.observation_layout())
    columns: dict[str, Sequence[Any]] = {
        "confidence": (content["confidence"] / CONFIDENCE_UNIT).tolist(),
        "action": _levels(content["action"], template.action.levels if template.action else ()),
        "outcome": content["outcome"].reshape(len(rows)).tolist(),
        "records": [1] * len(rows),
        "fingerprint": _hex(content["fingerprint"]),
    }
    if isinstance(template.outcome, CategoryOutcomeField):
        columns["outcome"] = _levels(content["outcome"].reshape(len(rows)), template.outcome.levels)
    if template.sketch:
        columns["sketch"] = _hex(content["sketch"])
    for index, part in enumerate(template.conditions):
        columns[f"condition {part.name}"] = _levels(content["conditions"][:, index], part.levels)
    for name, values in columns.items():
        for row, value in zip(rows, values, strict=True):
            cells[name][row] = value


def _other_cells(data: bytes, template: Template) -> dict[str, Any]:
    """Return the cells of one packet that is not an observation of the usual layout; few are."""
    payload = decode(data).packet.payload
    if not isinstance(payload, Payload):
        return {}
    cells: dict[str, Any] = {
        "confidence": payload.confidence / CONFIDENCE_UNIT,
        "action": _level(payload.action, template.action.levels if template.action else ()),
        "fingerprint": payload.fingerprint.hex() or None,
        "sketch": payload.sketch.hex() or None,
    }
    for part, code in zip(template.conditions, payload.conditions, strict=False):
        cells[f"condition {part.name}"] = _level(code, part.levels)
    return cells | _outcome_cells(payload, template)


def _outcome_cells(payload: Payload, template: Template) -> dict[str, Any]:
    levels: Sequence[str] = getattr(template.outcome, "levels", ())
    outcome = payload.outcome
    match outcome:
        case CategoryOutcome() if levels:
            return {"outcome": _level(outcome.code, levels), "records": 1}
        case NumberOutcome() if not levels:
            return {"outcome": outcome.value, "records": 1}
        case HistogramOutcome() | CountsOutcome():
            codes = range(outcome.first_level + 1, outcome.first_level + 1 + len(outcome.counts))
            named = {_level(code, levels): count for code, count in zip(codes, outcome.counts, strict=True)}
            return {"records": sum(outcome.counts), "summary": json.dumps(named, ensure_ascii=False)}
        case MomentsOutcome():
            return {"records": outcome.n, "summary": json.dumps({"mean": outcome.mean, "m2": outcome.m2})}
        case _:
            return {}


def export_packets(
    blocks: Iterable[Packets],
    template: Template,
    stream: BinaryIO,
    *,
    form: TableForm,
    progress: Callable[[int], None] = lambda _rows: None,
) -> int:
    """Write packets of one template to ``stream``, a block at a time, and return how many.

    ``progress`` is called with the rows of each part that was written. Raises what writing to the stream raises.
    """
    writer = _WRITERS[form](stream, export_schema(template))
    rows = 0
    for part in _parts(blocks):
        writer.write_table(packets_table(part, template))
        rows += len(part)
        progress(len(part))
    writer.close()
    return rows


class _JsonLines:
    """One JSON object a line, with the interface of pyarrow's writers."""

    def __init__(self, stream: BinaryIO, _schema: pa.Schema) -> None:
        self._stream = stream

    def write_table(self, table: pa.Table) -> None:
        for row in table.to_pylist():
            row["day"] = row["day"].isoformat()
            self._stream.write(json.dumps(row, ensure_ascii=False, allow_nan=False).encode() + b"\n")

    def close(self) -> None:
        """Nothing waits to be written."""


def _parquet_writer(stream: BinaryIO, schema: pa.Schema) -> Any:
    import pyarrow.parquet as pq  # here, not above: the other forms do not need it

    return pq.ParquetWriter(stream, schema, compression="zstd")


def _csv_writer(stream: BinaryIO, schema: pa.Schema) -> Any:
    from pyarrow import csv  # here, not above: the other forms do not need it

    return csv.CSVWriter(stream, schema, write_options=csv.WriteOptions(quoting_style="needed"))


_WRITERS: Final[dict[TableForm, Callable[[BinaryIO, pa.Schema], Any]]] = {
    TableForm.PARQUET: _parquet_writer,
    TableForm.CSV: _csv_writer,
    TableForm.JSONL: _JsonLines,
}


def _parts(blocks: Iterable[Packets]) -> Iterator[Packets]:
    """Join small blocks, so that a table is not written in crumbs."""
    waiting: list[Packets] = []
    rows = 0
    for block in blocks:
        waiting.append(block)
        rows += len(block)
        if rows >= PART_PACKETS:
            yield np.concatenate(waiting)
            waiting, rows = [], 0
    if waiting:
        yield np.concatenate(waiting)


def _hex(octets: npt.NDArray[np.uint8]) -> list[str]:
    """Return rows (n, size) as n hex texts."""
    rows, size = octets.shape
    text = np.ascontiguousarray(octets).tobytes().hex()
    return [text[start : start + 2 * size] for start in range(0, 2 * size * rows, 2 * size)]


def _node_ids(emitters: npt.NDArray[np.uint8]) -> list[str]:
    known: dict[bytes, str] = {}
    for row in emitters:
        key = row.tobytes()
        if key not in known:
            known[key] = node_id(key).hex()
    return [known[row.tobytes()] for row in emitters]


def _names(codes: npt.NDArray[Any], names: Mapping[int, str]) -> list[str]:
    return [names[int(code)] for code in codes]


def _levels(codes: npt.NDArray[Any], levels: Sequence[str]) -> list[str | None]:
    """Return the level of each code (its index + 1), None for 0, and the code itself where no level has it."""
    return [_level(int(code), levels) for code in codes]


def _level(code: int, levels: Sequence[str]) -> str | None:
    if code == 0:
        return None
    return levels[code - 1] if code <= len(levels) else str(code)
