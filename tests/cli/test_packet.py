"""``fingerpost packet``."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pytest

from fingerpost.cli._packet_view import packet_fields
from fingerpost.files import load_template
from fingerpost.limits import PACKET_SIZE_BYTES
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
    ReportBits,
    ReportValue,
    SealedPayload,
    Signer,
    Withdrawn,
    encode,
    sign_batch,
)

TEMPLATE = """
format = 1
name = "rain"
data_class = "non_personal"
[situation.pressure]
kind = "number"
range = [900, 1100]
[action]
levels = ["umbrella", "none"]
[outcome]
kind = "category"
levels = ["dry", "wet"]
[conditions.region]
levels = ["north", "south"]
"""


def packet(**changes: Any) -> Packet:
    signer = Signer(b"\7" * 32)
    payload = Payload(fingerprint=b"\x5a" * 32, conditions=(2,), action=1, outcome=CategoryOutcome(1))
    values: dict[str, Any] = {
        "kind": Kind.OBSERVATION,
        "profile": Profile.OPEN,
        "epoch": 20_000,
        "ttl_days": 30,
        "cell": 0,
        "template_id": b"\3" * 16,
        "nonce": b"\4" * 16,
        "emitter": signer.public_key,
        "payload": payload,
    }
    return Packet(**(values | changes))


def signed_bytes(*packets: Packet) -> bytes:
    return b"".join(encode(signed) for signed in sign_batch(list(packets), Signer(b"\7" * 32)))


@pytest.fixture
def template_file(tmp_path: Path) -> Path:
    path = tmp_path / "rain.toml"
    path.write_text(TEMPLATE, encoding="utf-8")
    return path


@pytest.fixture
def packets_file(tmp_path: Path, template_file: Path) -> Path:
    template_id = load_template(template_file).template_id
    path = tmp_path / "packets.bin"
    path.write_bytes(signed_bytes(*(packet(template_id=template_id, nonce=bytes([n]) * 16) for n in range(5))))
    return path


EVERY_PAYLOAD = {
    "category": packet(),
    "number": packet(payload=Payload(fingerprint=b"\1" * 128, outcome=NumberOutcome(3.5))),
    "sketch": packet(payload=Payload(fingerprint=b"\1" * 8, sketch=b"\2" * 32, outcome=CategoryOutcome(2))),
    "histogram": packet(kind=Kind.SUMMARY, payload=Payload(fingerprint=b"\1" * 8, outcome=HistogramOutcome(0, (3, 4)))),
    "moments": packet(kind=Kind.SUMMARY, payload=Payload(fingerprint=b"\1" * 8, outcome=MomentsOutcome(9, 2.5, 4.0))),
    "counts": packet(
        kind=Kind.COUNTS,
        profile=Profile.DP_AGGREGATE,
        payload=Payload(fingerprint=b"", outcome=CountsOutcome(1, (-3, 4))),
    ),
    "report-bits": packet(
        kind=Kind.REPORT, profile=Profile.LOCAL_DP, payload=Payload(fingerprint=b"", outcome=ReportBits(b"\xaa"))
    ),
    "report-value": packet(
        kind=Kind.REPORT, profile=Profile.LOCAL_DP, payload=Payload(fingerprint=b"", outcome=ReportValue(7))
    ),
    "withdrawal": packet(kind=Kind.WITHDRAWAL, payload=Payload(confidence=0, outcome=Withdrawn(b"\5" * 32))),
    "sealed": packet(profile=Profile.CONSORTIUM, payload=SealedPayload(data=b"\6" * 240)),
}


@pytest.mark.parametrize("name", EVERY_PAYLOAD)
def test_the_fields_shown_add_up_to_the_whole_packet(name: str) -> None:
    (signed,) = sign_batch([EVERY_PAYLOAD[name]], Signer(b"\7" * 32))
    fields = packet_fields(signed, None)
    assert sum(field.size for field in fields) == PACKET_SIZE_BYTES
    assert all(field.note for field in fields), "every field says what it gives away"


@pytest.mark.parametrize("name", EVERY_PAYLOAD)
def test_every_kind_of_packet_is_shown_in_both_ways(fingerpost: Any, tmp_path: Path, name: str) -> None:
    file = tmp_path / "one.bin"
    file.write_bytes(signed_bytes(EVERY_PAYLOAD[name]))
    assert "signature" in fingerpost("packet", "show", file).out
    (document,) = fingerpost("packet", "show", file, "--json").document["packets"]
    assert document["packet_id"] == EVERY_PAYLOAD[name].packet_id.hex()
    assert document["sealed"] == (name == "sealed")


def test_a_template_turns_codes_into_words(fingerpost: Any, packets_file: Path, template_file: Path) -> None:
    shown = fingerpost("packet", "show", packets_file, "--packet", 2, "--template", template_file)
    assert all(word in shown.out for word in ("umbrella", "region: south", "dry", "rain"))
    document = fingerpost("packet", "show", packets_file, "--json", "--template", template_file).document
    assert document["packets_in_file"] == len(document["packets"]) == 5
    first = document["packets"][0]
    assert (first["action"], first["outcome"], first["conditions"]) == ("umbrella", "dry", {"region": "south"})
    assert first["batch"]["packets"] == 5


def test_a_template_in_the_home_is_found_by_itself(
    fingerpost: Any, packets_file: Path, template_file: Path, home: Path
) -> None:
    template = load_template(template_file)
    kept = home / "templates" / f"{template.template_id.hex()}.toml"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(template_file.read_bytes())
    assert "umbrella" in fingerpost("packet", "show", packets_file, "--packet", 1).out


def test_without_its_template_a_packet_is_shown_in_numbers(fingerpost: Any, packets_file: Path) -> None:
    result = fingerpost("packet", "show", packets_file, "--packet", 1)
    assert "does not have the template" in result.out
    assert "umbrella" not in result.out


def test_many_packets_are_listed_and_the_list_is_bounded(fingerpost: Any, packets_file: Path) -> None:
    result = fingerpost("packet", "show", packets_file, "--limit", 2)
    assert "… and 3 more" in result.out
    assert "fingerpost: next: " in result.err
    assert len(fingerpost("packet", "show", packets_file, "--limit", 2, "--json").document["packets"]) == 2


def test_packets_are_read_from_standard_input(
    fingerpost: Any, packets_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(packets_file.read_bytes())))
    assert "5 of 5 packets valid" in fingerpost("packet", "verify", "-").out


def test_valid_packets_are_counted(fingerpost: Any, packets_file: Path) -> None:
    result = fingerpost("packet", "verify", packets_file)
    assert (result.status, result.err) == (0, "")
    assert "5 of 5 packets valid" in result.out
    assert fingerpost("packet", "verify", packets_file, "--json").document == {"packets": 5, "valid": 5, "refused": []}


@pytest.mark.parametrize(
    ("offset", "code"),
    [(0, "packet-magic"), (40, "packet-signature"), (320, "packet-signature"), (500, "packet-signature")],
)
def test_one_altered_bit_is_found_and_named(fingerpost: Any, packets_file: Path, offset: int, code: str) -> None:
    data = bytearray(packets_file.read_bytes())
    data[2 * PACKET_SIZE_BYTES + offset] ^= 1
    packets_file.write_bytes(data)
    result = fingerpost("packet", "verify", packets_file)
    assert result.status == 3
    assert "4 of 5 packets valid" in result.out
    assert code in result.out
    assert "fingerpost: error: 1 of 5 packets refused" in result.err
    document = fingerpost("packet", "verify", packets_file, "--json").document
    assert document["refused"] == [{"packet": 3, "code": code}]
    assert document["error"]["code"] == "packets-refused"


@pytest.mark.parametrize("command", ["show", "verify"])
@pytest.mark.parametrize(
    ("content", "words"), [(b"", "is empty"), (b"x" * 100, "100 bytes"), (b"x" * 513, "513 bytes")]
)
def test_a_file_that_holds_no_whole_packets_is_refused(
    fingerpost: Any, tmp_path: Path, command: str, content: bytes, words: str
) -> None:
    file = tmp_path / "odd.bin"
    file.write_bytes(content)
    assert fingerpost("packet", command, file).fails_with(3, words, "packet")


def test_noise_of_the_right_length_is_refused_with_its_number(fingerpost: Any, packets_file: Path) -> None:
    packets_file.write_bytes(packets_file.read_bytes() + b"\xff" * PACKET_SIZE_BYTES)
    assert fingerpost("packet", "show", packets_file).fails_with(3, "packet 6: ", "packet")


def test_a_packet_that_is_not_there_is_a_usage_error(fingerpost: Any, packets_file: Path) -> None:
    assert fingerpost("packet", "show", packets_file, "--packet", 6).fails_with(2, "holds 5 packets", "1 to 5")


@pytest.mark.parametrize("command", ["show", "verify"])
def test_a_missing_file_or_a_directory_is_a_usage_error(fingerpost: Any, tmp_path: Path, command: str) -> None:
    assert fingerpost("packet", command, tmp_path / "none.bin").fails_with(2, "no such file", "check the path")
    assert fingerpost("packet", command, tmp_path).fails_with(2, "is a directory", "name a file")
