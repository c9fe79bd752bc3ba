"""Of a flooded region, what members wrote is read first."""

from __future__ import annotations

from typing import Any

from fingerpost.directory.reading import SIGNATURES_CHECKED_MAX, RegionReading
from fingerpost.directory.record import encode_record
from fingerpost.directory.region import Region
from fingerpost.ids import PublicKey, TemplateId
from fingerpost.limits import RECORDS_READ_MAX
from fingerpost.testing.record_samples import NOW, holder_key, holder_record

NETWORK_ID = "a flooded network"
TEMPLATE_ID = TemplateId(bytes(range(16)))
MEMBERS = 20


def key(number: int) -> PublicKey:
    return PublicKey(bytes(holder_key(number).verify_key))


def value(number: int) -> bytes:
    return encode_record(holder_record(number, template_id=TEMPLATE_ID, network_id=NETWORK_ID))


def read(values: list[bytes], *, salt: int = 0, **details: Any) -> set[bytes]:
    region = Region(template_id=TEMPLATE_ID)
    reading = RegionReading(region, network_id=NETWORK_ID, now=NOW, salt=bytes([salt] * 32), **details)
    for encoded in values:
        reading.add(encoded)
    return {record.public_key for record in reading.records()}


def test_members_are_read_out_of_a_flood_of_valid_records() -> None:
    members = {key(number) for number in range(MEMBERS)}
    flood = [value(number) for number in range(MEMBERS + 3 * RECORDS_READ_MAX)]
    assert members <= read(flood, known=members)
    assert any(not members <= read(flood, salt=salt) for salt in range(3))


def test_members_are_checked_first_even_where_the_flood_speaks_in_their_names() -> None:
    members = {key(number) for number in range(MEMBERS)}
    honest = [value(number) for number in range(MEMBERS)]
    garbage = [honest[0][:53] + number.to_bytes(4, "big") for number in range(2 * SIGNATURES_CHECKED_MAX)]
    strangers = [honest[0][:21] + number.to_bytes(32, "big") for number in range(2 * SIGNATURES_CHECKED_MAX)]
    for salt in range(3):
        found = read(honest + garbage + strangers, salt=salt, known=members)
        assert members - {key(0)} <= found
