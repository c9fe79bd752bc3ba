"""Holder records: what is signed comes back, and whatever was changed is refused."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from fingerpost.directory.record import HolderRecord, decode_record, encode_record
from fingerpost.errors import NetworkError
from fingerpost.ids import TemplateId, node_id
from fingerpost.limits import CLOCK_SKEW_SECONDS_MAX, RECORD_LIFETIME_SECONDS_MAX, RECORD_SIZE_BYTES_MAX
from fingerpost.testing.record_samples import NOW, holder_key, holder_record

TEMPLATE_ID = TemplateId(bytes(range(16)))
NETWORK_ID = "a network"


def record(**details) -> HolderRecord:
    return holder_record(1, **({"template_id": TEMPLATE_ID, "network_id": NETWORK_ID} | details))


def signed_again(changed: HolderRecord) -> HolderRecord:
    return changed.signed(lambda statement: holder_key(1).sign(statement).signature, network_id=NETWORK_ID)


def refusal(encoded: bytes, *, network_id: str = NETWORK_ID, now: float = NOW) -> str:
    with pytest.raises(NetworkError) as caught:
        decode_record(encoded, network_id=network_id, now=now)
    return caught.value.code


def test_a_signed_record_comes_back_as_it_was() -> None:
    signed = record()
    assert decode_record(encode_record(signed), network_id=NETWORK_ID, now=NOW) == signed
    assert signed.node_id == node_id(signed.public_key)
    bare = signed_again(replace(signed, channel_key=b""))
    assert decode_record(encode_record(bare), network_id=NETWORK_ID, now=NOW) == bare


def test_a_record_is_refused_whatever_byte_of_it_changed() -> None:
    encoded = encode_record(record())
    for place in range(len(encoded)):
        for bit in (0, 3, 7):
            changed = bytearray(encoded)
            changed[place] ^= 1 << bit
            assert refusal(bytes(changed)) in {"record-invalid", "holder-signature"}, place


def test_a_record_that_is_cut_or_longer_is_refused_at_every_length() -> None:
    encoded = encode_record(record())
    for length in range(len(encoded)):
        assert refusal(encoded[:length]) in {"record-invalid", "holder-signature"}
    assert refusal(encoded + b"\0") in {"record-invalid", "holder-signature"}
    assert refusal(bytes(RECORD_SIZE_BYTES_MAX + 1)) == "record-invalid"


def test_a_record_holds_in_its_own_network_only() -> None:
    encoded = encode_record(record())
    for other in ("another", NETWORK_ID + " ", NETWORK_ID[:-1]):
        assert refusal(encoded, network_id=other) == "holder-signature"


def test_a_record_signed_by_another_key_is_refused() -> None:
    forged = record().signed(lambda statement: holder_key(2).sign(statement).signature, network_id=NETWORK_ID)
    assert refusal(encode_record(forged)) == "holder-signature"


def test_a_record_is_believed_from_its_skew_before_until_its_lifetime_after() -> None:
    encoded = encode_record(record(lifetime_seconds=300))
    for now in (NOW - CLOCK_SKEW_SECONDS_MAX, NOW, NOW + 299.9):
        decode_record(encoded, network_id=NETWORK_ID, now=now)
    for now in (NOW - CLOCK_SKEW_SECONDS_MAX - 1, NOW + 300, NOW + 1e9):
        assert refusal(encoded, now=now) == "record-expired"


@pytest.mark.parametrize(
    "details",
    [
        {"lifetime_seconds": 0},
        {"lifetime_seconds": -1},
        {"lifetime_seconds": RECORD_LIFETIME_SECONDS_MAX + 1},
        {"capacity_packets": -1},
        {"template_id": TemplateId(bytes(15))},
        {"channel_key": bytes(31)},
    ],
)
def test_a_record_with_values_that_no_node_would_write_is_refused(details) -> None:
    assert refusal(encode_record(signed_again(replace(record(), **details)))) == "record-invalid"


def test_a_record_in_other_bytes_of_the_same_meaning_is_refused() -> None:
    encoded = encode_record(record())
    fields = msgspec.msgpack.decode(encoded[:-64])
    for version in (0, 2, True, 1.0, "1"):
        assert refusal(msgspec.msgpack.encode([version, *fields[1:]]) + encoded[-64:]) == "record-invalid"
    assert refusal(msgspec.msgpack.encode([*fields, 0]) + encoded[-64:]) == "record-invalid"
    longer_number = b"\x9b\xcc\x01" + encoded[2:-64]  # 1 written in two bytes instead of one
    assert msgspec.msgpack.decode(longer_number) == fields
    statement = b"fingerpost holder record\0" + NETWORK_ID.encode() + b"\0" + longer_number
    assert refusal(longer_number + holder_key(1).sign(statement).signature) == "record-invalid"


def test_a_record_that_is_too_long_or_not_signed_cannot_be_written() -> None:
    fits = signed_again(replace(record(), organisation="o" * (RECORD_SIZE_BYTES_MAX - 64 - 170)))
    encode_record(fits)
    for wrong in (replace(fits, organisation="o" * RECORD_SIZE_BYTES_MAX), replace(fits, signature=b"")):
        with pytest.raises(NetworkError, match="at most 600 bytes") as caught:
            encode_record(wrong)
        assert caught.value.code == "record-invalid"


def test_a_deeply_nested_value_is_refused_and_does_no_harm() -> None:
    assert refusal(b"\x91" * 500 + bytes(64)) == "record-invalid"
