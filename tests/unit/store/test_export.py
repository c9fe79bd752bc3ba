"""Packets written as tables: each value where a reader looks for it, whatever kind of packet it comes from."""

from __future__ import annotations

import csv
import datetime
import io
import json
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from fingerpost.packet import (
    CategoryOutcome,
    CountsOutcome,
    HistogramOutcome,
    Kind,
    MomentsOutcome,
    NumberOutcome,
    Packet,
    Payload,
    Profile,
    SealedPayload,
    Signer,
    encode,
    packets_from_frame,
    sign_batch,
)
from fingerpost.store._export import PART_PACKETS, TableForm, export_packets, export_schema, packets_table
from fingerpost.template import parse_template

SIGNER = Signer(b"\7" * 32)
TEXT = """
format = 1
name = "rain"
[situation.pressure]
kind = "number"
range = [900, 1100]
[action]
name = "took"
levels = ["umbrella", "nothing"]
[outcome]
name = "rain"
kind = "category"
levels = ["dry", "wet, or damp"]
[conditions.region]
levels = ["north", "south"]
[fingerprint]
bits = 64
sketch = true
"""
CATEGORY = parse_template(TEXT)
NUMBER = parse_template(TEXT.replace('"category"\nlevels = ["dry", "wet, or damp"]', '"number"\nrange = [0, 9]'))


def packet(template: Any, number: int = 0, **changes: Any) -> Packet:
    payload = Payload(
        fingerprint=b"\x5a" * 8, sketch=b"\2" * 32, conditions=(2,), action=1, outcome=CategoryOutcome(2), confidence=51
    )
    values: dict[str, Any] = {
        "kind": Kind.OBSERVATION,
        "profile": Profile.OPEN,
        "epoch": 20_000,
        "ttl_days": 30,
        "template_id": template.template_id,
        "nonce": number.to_bytes(16, "big"),
        "emitter": SIGNER.public_key,
        "payload": payload,
    }
    return Packet(**(values | changes))


def frame(*packets: Packet) -> Any:
    return packets_from_frame(b"".join(encode(signed) for signed in sign_batch(packets, SIGNER)))


def exported(template: Any, form: TableForm, *packets: Packet) -> bytes:
    stream = io.BytesIO()
    assert export_packets([frame(*packets)], template, stream, form=form) == len(packets)
    return stream.getvalue()


def test_an_observation_is_written_in_words() -> None:
    made = packet(CATEGORY)
    (row,) = packets_table(frame(made), CATEGORY).to_pylist()
    assert row == {
        "packet_id": made.packet_id.hex(),
        "node_id": made.node_id.hex(),
        "emitter": SIGNER.public_key.hex(),
        "kind": "observation",
        "profile": "open",
        "day": datetime.date(2024, 10, 4),
        "ttl_days": 30,
        "cell": 0,
        "confidence": 0.2,
        "action": "umbrella",
        "outcome": "wet, or damp",
        "records": 1,
        "summary": None,
        "condition region": "south",
        "fingerprint": "5a" * 8,
        "sketch": "02" * 32,
    }


def test_a_missing_condition_and_no_action_are_null() -> None:
    payload = Payload(fingerprint=b"\1" * 8, sketch=b"\2" * 32, conditions=(0,), outcome=CategoryOutcome(1))
    (row,) = packets_table(frame(packet(CATEGORY, payload=payload)), CATEGORY).to_pylist()
    assert (row["condition region"], row["action"], row["outcome"]) == (None, None, "dry")


def test_a_number_stays_a_number() -> None:
    payload = Payload(fingerprint=b"\1" * 8, sketch=b"\2" * 32, conditions=(1,), outcome=NumberOutcome(2.5))
    (row,) = packets_table(frame(packet(NUMBER, payload=payload)), NUMBER).to_pylist()
    assert (row["outcome"], row["records"]) == (2.5, 1)


@pytest.mark.parametrize(
    ("template", "changes", "expected"),
    [
        (
            CATEGORY,
            {"kind": Kind.SUMMARY, "payload": Payload(fingerprint=b"\1" * 8, outcome=HistogramOutcome(0, (3, 4)))},
            {"records": 7, "summary": '{"dry": 3, "wet, or damp": 4}', "fingerprint": "01" * 8, "kind": "summary"},
        ),
        (
            NUMBER,
            {"kind": Kind.SUMMARY, "payload": Payload(fingerprint=b"\1" * 8, outcome=MomentsOutcome(9, 2.5, 4.0))},
            {"records": 9, "summary": '{"mean": 2.5, "m2": 4.0}', "outcome": None},
        ),
        (
            CATEGORY,
            {
                "kind": Kind.COUNTS,
                "profile": Profile.DP_AGGREGATE,
                "payload": Payload(fingerprint=b"", outcome=CountsOutcome(1, (-3,))),
            },
            {"summary": '{"wet, or damp": -3}', "fingerprint": None, "profile": "dp-aggregate"},
        ),
        (
            CATEGORY,
            {"payload": Payload(fingerprint=b"\1" * 16, action=9, conditions=(7,), outcome=CategoryOutcome(2))},
            {"action": "9", "condition region": "7", "outcome": "wet, or damp", "sketch": None},
        ),
        (NUMBER, {"payload": Payload(fingerprint=b"\1" * 8, outcome=CategoryOutcome(2))}, {"outcome": None}),
        (
            CATEGORY,
            {"profile": Profile.CONSORTIUM, "payload": SealedPayload(data=b"\6" * 240)},
            {"outcome": None, "fingerprint": None, "confidence": None, "profile": "consortium"},
        ),
    ],
    ids=["histogram", "moments", "counts", "another layout", "another outcome", "sealed"],
)
def test_other_packets_fill_the_cells_they_have(template: Any, changes: Any, expected: dict[str, Any]) -> None:
    made = [packet(template, 1, **changes), *([packet(template, 2)] if template is CATEGORY else [])]
    row = packets_table(frame(*made), template).to_pylist()[0]
    assert {name: row[name] for name in expected} == expected


@pytest.mark.parametrize("template", [CATEGORY, NUMBER], ids=["category", "number"])
def test_no_packets_make_an_empty_table_with_all_columns(template: Any) -> None:
    empty = frame(packet(template))[:0]
    assert packets_table(empty, template).schema == export_schema(template)
    stream = io.BytesIO()
    assert export_packets([], template, stream, form=TableForm.PARQUET) == 0
    assert pq.read_schema(io.BytesIO(stream.getvalue())).names == export_schema(template).names


def test_every_form_says_the_same() -> None:
    made = [packet(CATEGORY, number) for number in range(5)]
    rows = pq.read_table(io.BytesIO(exported(CATEGORY, TableForm.PARQUET, *made))).to_pylist()
    lines = [json.loads(line) for line in exported(CATEGORY, TableForm.JSONL, *made).splitlines()]
    cells = list(csv.DictReader(io.StringIO(exported(CATEGORY, TableForm.CSV, *made).decode())))
    assert len(rows) == 5
    assert lines == [row | {"day": row["day"].isoformat()} for row in rows]
    assert [row["packet_id"] for row in rows] == [one.packet_id.hex() for one in made]
    for cell, row in zip(cells, rows, strict=True):
        assert cell == {name: "" if value is None else str(value) for name, value in row.items()}


def test_small_blocks_are_joined_and_each_part_is_reported() -> None:
    block = frame(*(packet(CATEGORY, number) for number in range(256)))
    parts: list[int] = []
    count = PART_PACKETS // 256 + 1
    rows = export_packets([block] * count, CATEGORY, io.BytesIO(), form=TableForm.PARQUET, progress=parts.append)
    assert (rows, parts) == (256 * count, [PART_PACKETS, 256])


def test_levels_in_words_match_the_codes_of_many_packets() -> None:
    codes = np.arange(40) % 2 + 1
    made = [
        packet(
            CATEGORY,
            number,
            payload=Payload(
                fingerprint=b"\1" * 8, sketch=b"\2" * 32, conditions=(int(code),), outcome=CategoryOutcome(int(code))
            ),
        )
        for number, code in enumerate(codes)
    ]
    table = packets_table(frame(*made), CATEGORY)
    assert table.column("outcome").to_pylist() == [("dry", "wet, or damp")[code - 1] for code in codes]
    assert table.column("condition region").to_pylist() == [("north", "south")[code - 1] for code in codes]
