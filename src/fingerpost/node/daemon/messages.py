"""What the control API is asked, as JSON that is checked against types, and how a table travels beside it.

A table comes as ``{"rows": [{"column": value, …}, …]}``, or as an Arrow stream, which keeps the types of a Parquet
file; the options of the latter stand in the query of the request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec

from fingerpost import errors
from fingerpost.errors import FingerpostError, UsageError
from fingerpost.limits import PROBES_DEFAULT
from fingerpost.node.reports import Emission

ARROW = "application/vnd.apache.arrow.stream"
JSON = "application/json"
PACKETS = "application/octet-stream"
ROWS_TOGETHER_MAX = 8_192
PACKETS_TOGETHER_MAX = 8_192

Message = TypeVar("Message")


class EmitOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to do with rows: their template (hex; empty: that of the node), and whether bad rows are left out.

    ``subject_column`` is the one that says whom each row is about; empty where none does. Rows of one table may come in
    several requests that name the same ``upload``: nothing happens until one comes that does not say ``more``.
    """

    template_id: str = ""
    skip_bad_rows: bool = False
    subject_column: str = ""
    upload: str = ""
    more: bool = False


class SumOptions(EmitOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """With whom to add up: the keys (hex, commas between) of all ``parties``, and how many ``seconds`` to wait."""

    parties: str
    seconds: float


class Emit(EmitOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rows to emit, each with its columns by name."""

    rows: list[dict[str, Any]]


class AskOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to answer: by which template (hex; empty: that of the node)."""

    template_id: str = ""


class Ask(AskOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One situation, with the conditions that packets must state and the mode of asking, or many as rows.

    ``subject`` is whom the situation is about, as a subject column would name it; empty where nobody said.
    """

    situation: dict[str, Any] | None = None
    conditions: dict[str, Any] = {}
    mode: str | None = None
    cells: int = PROBES_DEFAULT
    tells_situation: bool = False
    subject: str = ""
    rows: list[dict[str, Any]] | None = None


class ReceiptOf(AskOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An answer, as it was given."""

    answer: dict[str, Any]


class Forget(AskOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The subject whose packets are to be taken back, as the subject column named it."""

    subject: str


class AuditOf(AskOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How many situations to name whose confirmation would help most."""

    count: int = 10


class Confirm(ReceiptOf, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An answer, and the row that its situation turned out to be: fields, outcome and action by name."""

    row: dict[str, Any]


class Explain(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A node by its id (64 hex digits)."""

    node_id: str


class Find(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Packets by their ids (64 hex digits each)."""

    packet_ids: list[str]


def emission_document(emission: Emission) -> dict[str, Any]:
    """Return an emission as JSON values, with ``bytes`` for its size."""
    document: dict[str, Any] = msgspec.to_builtins(emission)
    return document | {"bytes": document.pop("size_bytes")}


def read_emission(document: Mapping[str, Any]) -> Emission:
    """Return what ``emission_document`` wrote. Raises ``msgspec.ValidationError``."""
    fields = dict(document)
    return msgspec.convert(fields | {"size_bytes": fields.pop("bytes")}, Emission)


def read_message(body: bytes, kind: type[Message]) -> Message:
    """Return the message in a body of JSON. Raises ``UsageError`` (``request-malformed``)."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise _malformed(str(error)) from None


def read_options(target: str, kind: type[Message]) -> Message:
    """Return the options in the query of a request. Raises ``UsageError`` (``request-malformed``)."""
    try:
        return msgspec.convert(dict(parse_qsl(target.partition("?")[2])), kind, strict=False)
    except (msgspec.ValidationError, ValueError) as error:
        raise _malformed(str(error)) from None


def columns_of_rows(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return rows as columns of equal length by name; what a row leaves out is None."""
    if not rows:
        raise _malformed("there are no rows")
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def columns_of_arrow(body: bytes) -> dict[str, Any]:
    """Return the columns of an Arrow stream by name. Raises ``UsageError`` (``request-malformed``)."""
    import pyarrow as pa  # here, not above: only tables need it

    try:
        table = pa.ipc.open_stream(body).read_all()
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _malformed(str(error).splitlines()[0][:300] if str(error) else type(error).__name__) from None
    if len(set(table.column_names)) != table.num_columns or not table.num_columns:
        raise _malformed("a table has columns, with different names")
    return {name: table.column(name).combine_chunks() for name in table.column_names}


def arrow_of_columns(columns: Mapping[str, Any]) -> bytes:
    """Return columns of equal length (arrays, or sequences of plain values) as an Arrow stream."""
    import pyarrow as pa  # here, not above: only tables need it

    table = pa.table(dict(columns))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def error_document(error: FingerpostError) -> dict[str, Any]:
    """Return an error as JSON values: its class, code, message and hint, and where it is when that is known."""
    places = {place: getattr(error, place, None) for place in ("field", "line", "row")}
    known = {place: value for place, value in places.items() if value is not None}
    words = {"class": type(error).__name__, "code": error.code, "message": error.message, "hint": error.hint}
    return {"error": words | known}


def read_error(document: Mapping[str, Any]) -> FingerpostError:
    """Return the error that a document describes; of the root class where its class is unknown here."""
    words = {name: str(document.get(name, "")) for name in ("class", "code", "message", "hint")}
    kind = getattr(errors, words["class"], None)
    if not isinstance(kind, type) or not issubclass(kind, FingerpostError):
        kind = FingerpostError
    error = kind(words["code"], words["message"], hint=words["hint"])
    for place in ("field", "line", "row"):
        if place in document and hasattr(error, place):
            setattr(error, place, document[place])
    return error


def _malformed(what: str) -> UsageError:
    return UsageError(
        "request-malformed", f"the request cannot be read: {what}", hint="docs/how-to/run-a-node.md shows each request"
    )
