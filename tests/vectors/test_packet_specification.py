"""The page about packets says what the code does."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

from fingerpost.packet import Kind, OutcomeForm, Profile, Reason, decode
from fingerpost.packet._batch import batch_message
from fingerpost.packet._layout import (
    FORMS_OF_KIND,
    PACKET_FIELDS,
    PAYLOAD_FIELDS,
    PROFILES_OF_KIND,
    Field,
)
from fingerpost.packet._signing import _SMALL_ORDER_Y

SPEC = Path(__file__).resolve().parents[2] / "spec"
PAGE = (SPEC / "outcome-packet.md").read_text("utf-8")


def section(number: int) -> str:
    return re.split(r"^## \d+\. .*$", PAGE, flags=re.MULTILINE)[number]


def rows_of(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize(("number", "fields"), [(2, PACKET_FIELDS), (4, PAYLOAD_FIELDS)])
def test_each_layout_table_equals_the_field_table_of_the_code(number: int, fields: tuple[Field, ...]) -> None:
    written = [row for row in rows_of(section(number)) if len(row) == 5 and row[0].isdigit()]
    in_code = [[str(f.offset), str(f.size), f.type, f"`{f.name}`", f.meaning] for f in fields]
    assert written == in_code


def test_the_table_of_kinds_equals_the_rules_of_the_code() -> None:
    written = {}
    for row in rows_of(section(3)):
        if len(row) == 5 and row[0].isdigit():
            profiles = [*range(5)] if row[3] == "all" else [int(part) for part in row[3].split(", ")]
            written[int(row[0])] = (row[1], profiles, [int(part) for part in row[4].split(", ")])
    in_code = {kind: (kind.name.lower(), sorted(PROFILES_OF_KIND[kind]), sorted(FORMS_OF_KIND[kind])) for kind in Kind}
    assert written == in_code


def test_the_table_of_profiles_names_those_of_the_code() -> None:
    written = {int(row[0]): row[1] for row in rows_of(section(3)) if len(row) == 3 and row[0].isdigit()}
    assert written == {profile: profile.name.lower().replace("_", "-") for profile in Profile}


def test_the_table_of_forms_lists_those_of_the_code() -> None:
    written = {int(row[0]) for row in rows_of(section(4)) if len(row) == 4 and row[0].isdigit()}
    assert written == set(OutcomeForm) - {OutcomeForm.NONE}


def test_every_code_is_on_the_page_and_no_other() -> None:
    assert set(re.findall(r"`(packet-[a-z]+)`", PAGE)) == {reason.code for reason in Reason if reason}


def test_the_worked_example_is_a_packet_with_those_ids() -> None:
    example = section(10)
    data = bytearray(512)
    for offset, octets in re.findall(r"^ +(\d+)  ((?:[0-9a-f]{8} ?){8})$", example, flags=re.MULTILINE):
        data[int(offset) : int(offset) + 32] = bytes.fromhex(octets)
    signed = decode(bytes(data))
    assert f"packet_id  {signed.packet_id.hex()}" in example
    assert f"node_id    {signed.packet.node_id.hex()}" in example
    assert f"`{signed.packet_id[:16].hex()}`" in example
    assert batch_message(signed.packet_id[:16], leaf_last=0).hex() in example
    [first, *_] = json.loads((SPEC / "vectors" / "packet-accepted.json").read_text("utf-8"))
    assert first["input"]["packet"] == data.hex()


def test_the_points_of_small_order_are_those_of_the_code() -> None:
    written = {int(number) for number in re.findall(r"^ +(\d{70,})$", section(8), flags=re.MULTILINE)}
    assert written | {0, 1, 2**255 - 20} == _SMALL_ORDER_Y


def test_the_two_digest_sizes_differ_as_the_page_says() -> None:
    assert hashlib.blake2s(b"", digest_size=16).digest() != hashlib.blake2s(b"").digest()[:16]
