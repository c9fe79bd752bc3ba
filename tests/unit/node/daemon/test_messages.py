"""What travels between a command and a running node arrives as it was, and nonsense is refused."""

from __future__ import annotations

import datetime
import decimal
from typing import Any

import pyarrow as pa
import pytest

from fingerpost import errors
from fingerpost.errors import FingerpostError, RecordError, UsageError
from fingerpost.node.daemon.messages import (
    Ask,
    EmitOptions,
    arrow_of_columns,
    columns_of_arrow,
    columns_of_rows,
    error_document,
    read_error,
    read_message,
    read_options,
)


def test_a_table_keeps_its_types_whatever_they_are() -> None:
    columns = {
        "text": pa.array(["0.10", None, "ü"]),
        "single": pa.array([0.1, None, 2.5], pa.float32()),
        "whole": pa.array([2**62, None, -1]),
        "day": pa.array([datetime.date(2026, 1, 1), None, None]),
        "money": pa.array([decimal.Decimal("1.10"), None, None]),
        "set": pa.array([["a", "b"], None, []]),
        "coded": pa.array(["x", "y", "x"]).dictionary_encode(),
    }
    found = columns_of_arrow(arrow_of_columns(columns))
    assert list(found) == list(columns)
    for name, column in columns.items():
        assert found[name].equals(column), name
    part = columns_of_arrow(arrow_of_columns({name: column[1:2] for name, column in columns.items()}))
    assert all(len(column) == 1 for column in part.values())


@pytest.mark.parametrize("body", [b"", b"ARROW1", b"\xff" * 100, arrow_of_columns({"x": [1, 2]})[:-30]])
def test_bytes_that_are_no_table_are_refused(body: bytes) -> None:
    with pytest.raises(UsageError) as caught:
        columns_of_arrow(body)
    assert caught.value.code == "request-malformed"


def test_a_table_with_two_columns_of_a_name_or_none_is_refused_and_one_without_rows_is_read() -> None:
    def stream(table: pa.Table) -> bytes:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        return bytes(sink.getvalue())

    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["x", "x"])
    for table in (twice, pa.table({})):
        with pytest.raises(UsageError, match="different names"):
            columns_of_arrow(stream(table))
    assert len(columns_of_arrow(stream(pa.table({"x": pa.array([], pa.int64())})))["x"]) == 0


def test_rows_become_columns_and_what_is_left_out_is_none() -> None:
    assert columns_of_rows([{"a": 1}, {"b": "x"}]) == {"a": [1, None], "b": [None, "x"]}
    with pytest.raises(UsageError, match="no rows"):
        columns_of_rows([])


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b'{"situation": 1}', b'{"nothing": 1}', b'{"situation": NaN}', b"{" * 100_000, b"\xff"],
)
def test_json_that_is_no_question_is_refused(body: bytes) -> None:
    with pytest.raises(UsageError) as caught:
        read_message(body, Ask)
    assert caught.value.code == "request-malformed"
    assert len(caught.value.message) < 300


def test_options_in_a_query_have_types_too() -> None:
    options = read_options("/v1/emit?template_id=ab&skip_bad_rows=true", EmitOptions)
    assert options == EmitOptions(template_id="ab", skip_bad_rows=True)
    assert read_options("/v1/emit", EmitOptions) == EmitOptions()
    for query in ("skip_bad_rows=perhaps", "again=1"):
        with pytest.raises(UsageError):
            read_options(f"/v1/emit?{query}", EmitOptions)


@pytest.mark.parametrize(
    "error",
    [
        RecordError("rows-refused", "words", hint="help", field="age", row=3),
        errors.ConfigError("config-value", "words", field="log.level"),
        errors.StoreFullError("store-full", "words"),
        FingerpostError("no-space", "words", hint="help"),
    ],
)
def test_an_error_arrives_as_the_same_error(error: FingerpostError) -> None:
    found = read_error(error_document(error)["error"])
    assert type(found) is type(error)
    assert (vars(found), found.args, found.exit_status) == (vars(error), error.args, error.exit_status)


@pytest.mark.parametrize("name", ["annotations", "NoSuchError", "__doc__", 7, None])
def test_an_error_of_an_unknown_class_is_of_the_root_class(name: Any) -> None:
    found = read_error({"class": name, "code": "no-space", "message": "words", "row": 1})
    assert type(found) is FingerpostError
    assert found.code == "no-space"
