"""Tables from files: what is read, and that nothing else is read far or refused without saying where."""

from __future__ import annotations

import gzip
import lzma
import os
import resource
import subprocess
import sys
import textwrap
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fingerpost.errors import TableError
from fingerpost.files import read_table
from fingerpost.limits import TABLE_COLUMNS_MAX, TABLE_LINE_BYTES_MAX


def table_of(folder: Path, data: bytes, name: str = "t.csv") -> dict[str, list[str | None]]:
    (folder / name).write_bytes(data)
    table = read_table(folder / name)
    assert all(len(column) == table.rows for column in table.columns.values())
    assert table.source == str(folder / name)
    return {name: column.to_pylist() for name, column in table.columns.items()}


def refusal(folder: Path, data: bytes, name: str = "t.csv") -> TableError:
    (folder / name).write_bytes(data)
    with pytest.raises(TableError) as caught:
        read_table(folder / name)
    assert caught.value.hint
    assert caught.value.message.startswith(str(folder / name))
    return caught.value


def test_cells_stay_text_and_empty_ones_are_null(tmp_path: Path) -> None:
    assert table_of(tmp_path, b'a,b,c\n1.10,NA," x"\n,"",?\n') == {
        "a": ["1.10", None],
        "b": ["NA", None],
        "c": [" x", "?"],
    }


def test_quoted_cells_may_hold_separators_quotes_and_line_ends(tmp_path: Path) -> None:
    assert table_of(tmp_path, b'"a\nb",c\n"1,2","say ""x"""\n"y\nz",\n') == {
        "a\nb": ["1,2", "y\nz"],
        "c": ['say "x"', None],
    }


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_either_line_end_is_read_and_blank_lines_are_skipped(tmp_path: Path, end: bytes) -> None:
    assert table_of(tmp_path, end.join([b"a,b", b"1,2", b"", b"3,4"])) == {"a": ["1", "3"], "b": ["2", "4"]}


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    assert list(table_of(tmp_path, b"\xef\xbb\xbfa,b\n1,2\n")) == ["a", "b"]


def test_names_are_trimmed_and_composed_and_unnamed_columns_are_counted(tmp_path: Path) -> None:
    assert list(table_of(tmp_path, ",cafe\u0301, b \n1,2,3\n".encode())) == ["column 1", "caf\u00e9", "b"]


def test_the_separator_is_a_comma_or_what_the_header_has_instead(tmp_path: Path) -> None:
    assert table_of(tmp_path, b"a;b\n1,5;2\n") == {"a": ["1,5"], "b": ["2"]}
    assert table_of(tmp_path, b"a\tb\n1\t2\n") == {"a": ["1"], "b": ["2"]}
    assert table_of(tmp_path, b"a,b;c\n1,2\n") == {"a": ["1"], "b;c": ["2"]}
    assert table_of(tmp_path, b"a,b\tc\n1,2\t3\n", name="t.tsv") == {"a,b": ["1,2"], "c": ["3"]}


def test_compressed_tables_are_read(tmp_path: Path) -> None:
    for name, data in (("t.CSV.GZ", gzip.compress(b"a,b\n1,2\n")), ("t.tsv.xz", lzma.compress(b"a\tb\n1\t2\n"))):
        assert table_of(tmp_path, data, name=name) == {"a": ["1"], "b": ["2"]}


def test_a_table_longer_than_a_block_is_read_whole(tmp_path: Path) -> None:
    rows = TABLE_LINE_BYTES_MAX // 1_000 + 2_000
    table = table_of(tmp_path, b"a,b\n" + b"".join(b"%d,%s\n" % (row, b"x" * 1_000) for row in range(rows)))
    assert table["a"] == [str(row) for row in range(rows)]


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1.5, None], "b": pa.array(["x", "y"]).dictionary_encode()}), tmp_path / "t.parquet")
    table = read_table(tmp_path / "t.parquet")
    assert table.rows == 2
    assert table.columns["a"].to_pylist() == [1.5, None]
    assert table.columns["b"].to_pylist() == ["x", "y"]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "table-empty"),
        (b"\n1,2\n", "table-empty"),
        (b"a,b", "table-empty"),
        (b"a,b\n", "table-empty"),
        (b"a,a\n1,2\n", "table-header"),
        (b"a,a \n1,2\n", "table-header"),
        (b"a" * 200_000 + b",b\n1,2\n", "table-header"),
        (b"a,b\n1," + b"x" * (2 * TABLE_LINE_BYTES_MAX), "table-line-too-long"),
        (b'a,b\n"1,2\n', "table-ragged"),
        (b"a,b\n1,2,3\n", "table-ragged"),
        (b"a,b\r1,2\r", "table-unreadable"),
        (b"a\0,b\n1,2\n", "table-unreadable"),
        ("a,b\n1,2".encode("utf-16"), "table-encoding"),
        (b"a" * (TABLE_LINE_BYTES_MAX + 1), "table-line-too-long"),
        (b'"' + b"a\n" * (TABLE_LINE_BYTES_MAX // 2 + 1), "table-line-too-long"),
        (b'"a', "table-empty"),
        (b",".join(b"%d" % i for i in range(TABLE_COLUMNS_MAX + 1)), "table-too-wide"),
    ],
)
def test_text_that_is_no_table_is_refused(tmp_path: Path, data: bytes, code: str) -> None:
    assert refusal(tmp_path, data).code == code


def test_a_ragged_row_is_named(tmp_path: Path) -> None:
    error = refusal(tmp_path, b"a,b\n1,2\n3\n4,5\n")
    assert "row 2: has 1 cells where the header has 2: '3'" in error.message


def test_the_line_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    error = refusal(tmp_path, b"a,b\n1,2\n1,\xff\n")
    assert (error.code, "line 3" in error.message) == ("table-encoding", True)


@pytest.mark.parametrize("name", ["t.csv.gz", "t.csv.xz", "t.parquet"])
def test_a_file_that_is_not_what_its_name_says_is_refused(tmp_path: Path, name: str) -> None:
    assert refusal(tmp_path, b"a,b\n1,2\n", name).code in {"table-compressed", "table-unreadable"}


@pytest.mark.parametrize("cut", [30, 60])
def test_a_truncated_compressed_file_is_refused(tmp_path: Path, cut: int) -> None:
    data = b"a,b\n" + b"".join(b"%d,%d\n" % (row**3, row**5) for row in range(200))
    for name, packed in (("t.csv.gz", gzip.compress(data)), ("t.csv.xz", lzma.compress(data))):
        assert refusal(tmp_path, packed[:cut], name).code == "table-compressed"


@pytest.mark.parametrize("name", ["t", "t.txt", "t.csv.zip", "t.gz", "t.parquet.gz"])
def test_a_name_that_tells_no_kind_is_refused(tmp_path: Path, name: str) -> None:
    assert refusal(tmp_path, b"a,b\n1,2\n", name).code == "table-suffix"


def test_a_path_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    for name, code in (
        ("none.csv", "table-not-found"),
        ("folder.csv", "table-unreadable"),
        ("a\0.csv", "table-unreadable"),
    ):
        with pytest.raises(TableError) as caught:
            read_table(tmp_path / name)
        assert caught.value.code == code


def test_a_parquet_file_with_a_column_twice_or_no_row_is_refused(tmp_path: Path) -> None:
    columns = [pa.array([1]), pa.array([2])]
    pq.write_table(pa.Table.from_arrays(columns, names=["a", "a"]), tmp_path / "twice.parquet")
    pq.write_table(pa.table({"a": pa.array([], pa.int64())}), tmp_path / "empty.parquet")
    for name, code in (("twice.parquet", "table-header"), ("empty.parquet", "table-empty")):
        with pytest.raises(TableError) as caught:
            read_table(tmp_path / name)
        assert caught.value.code == code


@pytest.mark.parametrize("start", [b"", b"a,b\n1,", b'a,b\n1,"'])
def test_a_line_of_ten_gigabytes_is_refused_in_little_memory(tmp_path: Path, start: bytes) -> None:
    path = tmp_path / "t.csv"
    with path.open("wb") as stream:
        stream.write(start)
        stream.truncate(10 * 2**30)  # sparse: zeros that take no room on the disk
    script = f"""
    import re
    from fingerpost.errors import TableError
    from fingerpost.files import read_table
    try:
        read_table({str(path)!r})
    except TableError as error:
        # The high-water mark of this program alone; ru_maxrss would count what the test process had before it forked.
        print(error.code, int(re.search(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())[1]) // 1024)
    """
    environment = {**os.environ, "PYTHONPATH": "src"}
    command = [sys.executable, "-c", textwrap.dedent(script)]
    output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120).stdout
    code, megabytes = output.split()
    assert code == "table-line-too-long"
    assert int(megabytes) < 600, "of which the libraries take about 150"


def test_an_endless_line_from_a_pipe_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    os.mkfifo(path)
    writer = subprocess.Popen(["/bin/sh", "-c", f"exec cat /dev/zero > '{path}'"], stderr=subprocess.DEVNULL)
    try:
        with pytest.raises(TableError) as caught:
            read_table(path)
        assert caught.value.code == "table-line-too-long"
    finally:
        writer.kill()
        writer.wait()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 4 * 2**20
