"""Tables from CSV and Parquet files, read within bounds and refused with a place and a hint.

Cells of text files stay text, so that a decimal means exactly what it says; an empty cell is null. Which other texts
mean "missing" is for the template to say, because NA may be a level.
"""

from __future__ import annotations

import csv
import gzip
import lzma
import unicodedata
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from fingerpost.errors import TableError
from fingerpost.limits import TABLE_COLUMNS_MAX, TABLE_LINE_BYTES_MAX

TEXT_SUFFIXES: Final = (".csv", ".tsv")
COMPRESSED_SUFFIXES: Final = (".gz", ".xz")
HEADER_LINES_MAX: Final = 1_000  # names with line ends in them are legal, and this many are an open quote
_SHOWN_LENGTH = 60


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Table:
    """``columns`` by name, pyarrow arrays of ``rows`` values each; ``source`` is what errors call the table."""

    columns: dict[str, Any]
    rows: int
    source: str


def read_table(path: str | Path) -> Table:
    """Read a ``.csv`` or ``.tsv`` file, plain or as ``.gz`` or ``.xz``, or a ``.parquet`` file.

    Memory stays within the size of the table whatever the file holds: no line longer than
    ``TABLE_LINE_BYTES_MAX`` is read. Raises ``TableError`` for whatever cannot be read as a table.
    """
    path = Path(path)
    compressed = path.suffix.lower() in COMPRESSED_SUFFIXES
    kind = (path.with_suffix("") if compressed else path).suffix.lower()
    if kind == ".parquet" and not compressed:
        return _checked(path, _guarded(path, lambda: _read_parquet(path)))
    if kind not in TEXT_SUFFIXES:
        raise TableError(
            "table-suffix",
            f"{path}: its name does not say what kind of table it is",
            hint="name it .csv, .tsv, .csv.gz, .csv.xz or .parquet",
        )
    return _checked(path, _guarded(path, lambda: _read_text(path, tabs=kind == ".tsv")))


def _guarded(path: Path, read: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Call ``read``; turn what the system, a decompressor or a parser says into a ``TableError``."""
    import pyarrow as pa  # here, not above: a tenth of a second that reading a template should not pay

    try:
        return read()
    except FileNotFoundError:
        raise TableError("table-not-found", f"{path}: no such file", hint="check the path") from None
    except (lzma.LZMAError, zlib.error, gzip.BadGzipFile, EOFError):
        raise TableError(
            "table-compressed", f"{path}: is damaged, or not compressed as its name says", hint="compress it again"
        ) from None
    except (pa.ArrowException, OSError, ValueError) as error:
        message = str(error).splitlines()[0][:300] if str(error) else type(error).__name__
        raise TableError(
            "table-unreadable", f"{path}: cannot be read: {message}", hint="check the file and its permissions"
        ) from None


def _checked(path: Path, columns: dict[str, Any]) -> Table:
    rows = len(next(iter(columns.values())))
    if not rows:
        raise TableError(
            "table-empty", f"{path}: has a header and no rows", hint="is it the right file? One row is one record"
        )
    return Table(columns=columns, rows=rows, source=str(path))


def _read_parquet(path: Path) -> dict[str, Any]:
    import pyarrow.parquet as pq  # here, not above: see _guarded

    with pq.ParquetFile(path) as file:
        names = _checked_names(path, file.schema_arrow.names)
        table = file.read(use_threads=False)
    return {name: _one_array(table.column(index)) for index, name in enumerate(names)}


def _one_array(column: Any) -> Any:
    combined = column.combine_chunks()
    return combined.combine_chunks() if hasattr(combined, "combine_chunks") else combined


def _read_text(path: Path, *, tabs: bool) -> dict[str, Any]:
    import pyarrow as pa  # here, not above: see _guarded
    from pyarrow import csv as arrow_csv

    with _open(path) as stream:
        header = _header(path, stream)
        delimiter = "\t" if tabs else _delimiter(header)
        names = _checked_names(path, _split(path, header, delimiter))
        ragged: list[Any] = []

        def refuse(row: Any) -> str:
            ragged.append(row)
            return "error"

        try:
            # Not open_csv: its read-ahead is not awaited, and a thread that still reads when the program ends after an
            # error aborts the process (https://github.com/apache/arrow/issues/43604).
            table = arrow_csv.read_csv(
                pa.PythonFile(stream, mode="r"),
                read_options=arrow_csv.ReadOptions(
                    column_names=names, block_size=TABLE_LINE_BYTES_MAX, use_threads=False
                ),
                parse_options=arrow_csv.ParseOptions(
                    delimiter=delimiter, newlines_in_values=True, invalid_row_handler=refuse
                ),
                convert_options=arrow_csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""]
                ),
            )
        except pa.ArrowInvalid as error:
            if str(error).startswith("Empty CSV file"):
                return {name: pa.array([], pa.string()) for name in names}
            raise _text_error(path, error, ragged) from None
    return {name: _one_array(table.column(name)) for name in names}


def _text_error(path: Path, error: Exception, ragged: list[Any]) -> TableError:
    """Say what is wrong with a text table, in our words."""
    if ragged:
        row = ragged[0]
        start = row.text[:_SHOWN_LENGTH]
        return TableError(
            "table-ragged",
            f"{path}, row {row.number}: has {row.actual_columns} cells where the header has {row.expected_columns}: "
            f"{start!r}",
            hint="quote cells that hold the separator, and close every quote",
        )
    message = str(error)
    if "straddl" in message:
        return _line_too_long(path)
    if "UTF8" in message:
        return _not_utf8(path, line=_first_line_that_is_not_utf8(path))
    return TableError(
        "table-unreadable",
        f"{path}: cannot be read: {message.splitlines()[0][:300]}",
        hint="write it as comma-separated UTF-8 text with one header line",
    )


def _line_too_long(path: Path) -> TableError:
    return TableError(
        "table-line-too-long",
        f"{path}: a line goes on for more than {TABLE_LINE_BYTES_MAX} bytes or {HEADER_LINES_MAX} line ends",
        hint="is it a text table with one record a line? Perhaps a quote is never closed",
    )


def _not_utf8(path: Path, *, line: int) -> TableError:
    return TableError("table-encoding", f"{path}, line {line}: is not UTF-8 text", hint="save it as UTF-8")


def _first_line_that_is_not_utf8(path: Path) -> int:
    with _open(path) as stream:
        number = 1
        while (line := stream.readline(TABLE_LINE_BYTES_MAX)) and _is_utf8(line):
            number += 1
    return number


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _open(path: Path) -> BinaryIO:
    openers: dict[str, Callable[..., Any]] = {".gz": gzip.open, ".xz": lzma.open}
    return cast("BinaryIO", openers.get(path.suffix.lower(), open)(path, "rb"))


def _header(path: Path, stream: BinaryIO) -> str:
    """Read the header line, a quoted line end in it included; never more than the longest line."""
    lines: list[bytes] = []
    size = quotes = 0
    while not lines or (quotes % 2 and lines[-1].endswith(b"\n")):
        line = stream.readline(TABLE_LINE_BYTES_MAX + 1 - size)
        lines.append(line)
        size, quotes = size + len(line), quotes + line.count(b'"')
        if size > TABLE_LINE_BYTES_MAX or len(lines) > HEADER_LINES_MAX:
            raise _line_too_long(path)
    data = b"".join(lines)
    try:
        header = data.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        raise _not_utf8(path, line=1) from None
    if not header.strip():
        raise TableError(
            "table-empty",
            f"{path}: " + ("the first line is empty" if data else "is empty"),
            hint="the first line names the columns",
        )
    if "\r" in header or "\0" in header:
        raise TableError(
            "table-unreadable",
            f"{path}: its first line has control characters",
            hint="save it as UTF-8 text with ordinary line ends",
        )
    return header


def _split(path: Path, header: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([header], delimiter=delimiter), [])
    except csv.Error:  # a name beyond the limit of the csv module, 131,072 characters
        raise TableError(
            "table-header", f"{path}: its first line has no usable names", hint="the first line names the columns"
        ) from None


def _delimiter(header: str) -> str:
    """Return the comma, unless the header has none and has semicolons or tabs."""
    counts = Counter(header)
    return max(",;\t", key=lambda delimiter: counts[delimiter]) if not counts[","] else ","


def _checked_names(path: Path, names: list[str]) -> list[str]:
    if len(names) > TABLE_COLUMNS_MAX:
        raise TableError(
            "table-too-wide",
            f"{path}: has {len(names)} columns, more than {TABLE_COLUMNS_MAX}",
            hint="keep the columns that describe the situation, the action and the outcome",
        )
    names = [unicodedata.normalize("NFC", name).strip() for name in names]
    names = [name or f"column {index}" for index, name in enumerate(names, start=1)]
    repeated = next((name for name, count in Counter(names).items() if count > 1), None)
    if repeated is not None:
        raise TableError(
            "table-header",
            f"{path}: two columns are named {repeated[:_SHOWN_LENGTH]!r}",
            hint="rename one of them; a file without a header line needs one",
        )
    return names
