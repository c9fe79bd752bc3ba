"""The fuzzer's target sees what it is there to see, and its words come from the field table."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from fingerpost.packet._layout import PACKET_FIELDS, PAYLOAD_FIELDS
from fuzz import decode_target, fuzz_decode
from fuzz.dictionary import dictionary, words

VECTORS = [
    vector
    for path in sorted((fuzz_decode.ROOT / "spec" / "vectors").glob("packet-*.json"))
    for vector in json.loads(path.read_text("utf-8"))
    if vector["kind"] == "packet-decode"
]


def test_the_target_gives_the_code_of_every_vector() -> None:
    for vector in VECTORS:
        code = decode_target.check_decode(bytes.fromhex(vector["input"]["packet"]))
        assert code == vector["expect"].get("error", "packet-fine"), vector["name"]


@pytest.mark.parametrize(
    ("name", "planted", "message"),
    [
        ("encode", lambda _signed: bytes(512), "gives other bytes"),
        ("check_structure", lambda _packets: [1], "check_structure packet-length"),
    ],
)
def test_the_target_sees_a_planted_bug(monkeypatch: pytest.MonkeyPatch, name: str, planted: Any, message: str) -> None:
    monkeypatch.setattr(decode_target, name, planted)
    with pytest.raises(AssertionError, match=message):
        decode_target.check_decode(bytes.fromhex(VECTORS[0]["input"]["packet"]))


def test_the_target_lets_no_other_error_of_decode_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(data: bytes) -> None:
        raise ValueError(f"{len(data)} bytes")

    monkeypatch.setattr(decode_target, "decode", crash)
    with pytest.raises(ValueError, match="512 bytes"):
        decode_target.check_decode(bytes(512))


def test_the_dictionary_has_words_for_every_number_in_the_field_table() -> None:
    names = list(words())
    for field in (*PACKET_FIELDS, *PAYLOAD_FIELDS):
        if field.type != "bytes":
            assert any(name.startswith(field.name) for name in names), field.name


def test_the_dictionary_is_in_the_format_of_the_fuzzer() -> None:
    lines = dictionary().splitlines()
    assert all(re.fullmatch(r'\w+="(\\x[0-9a-f]{2})+"', line) for line in lines)
    assert len({line.split("=")[1] for line in lines}) == len(lines)
    assert 'head_OBSERVATION_OPEN="\\x46\\x50\\x01\\x01\\x00"' in lines


def test_the_corpus_starts_with_the_published_packets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz_decode, "CORPUS", tmp_path / "corpus")
    fuzz_decode.write_corpus()
    written = {path.read_bytes() for path in (tmp_path / "corpus").iterdir()}
    assert {bytes.fromhex(vector["input"]["packet"]) for vector in VECTORS} <= written
