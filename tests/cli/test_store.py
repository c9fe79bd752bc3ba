"""``fingerpost store``."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from fingerpost.cli._words import today
from fingerpost.files import load_template
from fingerpost.limits import PACKET_SIZE_BYTES
from fingerpost.packet import (
    Kind,
    Packet,
    Payload,
    Profile,
    Signer,
    Withdrawn,
    encode,
    packets_from_frame,
    sign_batch,
)
from fingerpost.store._lmdb import LmdbStore


@pytest.fixture
def packets_file(asking: Any, tmp_path: Path) -> Path:
    """The forty packets about rain, as another node would hand them over."""
    path = tmp_path / "packets.bin"
    assert asking("store", "export", "--format", "packets", "--output", path).status == 0
    return path


@pytest.fixture
def other_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "other"
    monkeypatch.setenv("FINGERPOST_HOME", str(path))
    return path


@pytest.mark.parametrize("command", [["stats"], ["check"], ["export", "--output", "x.parquet"]])
def test_a_home_without_packets_is_an_error_and_stays_as_it_is(
    fingerpost: Any, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert fingerpost("store", *command).fails_with(8, "holds no packets yet", "fingerpost store import")
    assert not home.exists()


def test_stats_count_packets_by_template(asking: Any, home: Path, rain_template: Path) -> None:
    result = asking("store", "stats")
    assert (result.status, result.err) == (0, "")
    assert "40 of 1 node" in result.out
    assert "rain" in result.out
    document = asking("store", "stats", "--json").document
    template_id = load_template(rain_template).template_id.hex()
    assert document["templates"] == [{"template_id": template_id, "name": "rain", "packets": 40}]
    assert (document["packets"], document["emitters"], document["withdrawals"]) == (40, 1, 0)
    (home / "templates" / f"{template_id}.toml").unlink()
    assert "(unknown)" in asking("store", "stats").out


def test_check_of_a_sound_store_says_what_holds(asking: Any) -> None:
    assert "all ids, signatures and indexes hold" in asking("store", "check").out
    assert asking("store", "check", "--json").document["problems"] == []


def test_check_finds_a_forged_packet_and_ends_with_its_status(asking: Any, home: Path, packets_file: Path) -> None:
    forged = bytearray(packets_file.read_bytes()[:PACKET_SIZE_BYTES])
    forged[30] ^= 1  # in the nonce: the body is valid, and the signature is not
    store = LmdbStore(home / "store")
    store.add(packets_from_frame(bytes(forged)), day=today())
    store.close()
    result = asking("store", "check")
    assert result.status == 8
    assert "packet-invalid" in result.out
    assert "fingerpost: error: 1 problem in" in result.err
    document = asking("store", "check", "--json").document
    assert document["error"]["code"] == "store-damaged"
    assert [problem["code"] for problem in document["problems"]] == ["packet-invalid"]
    assert document["problems"][0]["packet_id"]


def test_a_flipped_byte_in_the_store_is_an_error_and_no_traceback(asking: Any, home: Path, packets_file: Path) -> None:
    signature = packets_file.read_bytes()[448:512]
    (data_file,) = [path for path in (home / "store").rglob("*") if path.is_file() and signature in path.read_bytes()]
    data = bytearray(data_file.read_bytes())
    data[data.index(signature) + 5] ^= 1
    data_file.write_bytes(data)
    for command in (["store", "check"], ["store", "stats"], ["ask", "--set", "sky=grey"]):
        assert asking(*command).fails_with(8, "changed", "")


def test_a_store_of_noise_is_refused_by_every_command(asking: Any, home: Path) -> None:
    for path in (home / "store").rglob("*"):
        if path.is_file():
            path.write_bytes(b"\xa5" * max(4_096, path.stat().st_size))
    for command in (["store", "stats"], ["store", "check"], ["ask", "--set", "sky=grey"]):
        result = asking(*command)
        assert result.status == 8
        assert "Traceback" not in result.err


def test_packets_of_another_node_are_taken_in_and_answer_questions(
    fingerpost: Any, packets_file: Path, rain_template: Path, other_home: Path
) -> None:
    result = fingerpost("store", "import", packets_file, "--template", rain_template)
    assert result.status == 0
    assert "40 new, 0 known, 0 refused" in result.out
    assert not (other_home / "keys").exists(), "taking in packets needs no identity"
    document = fingerpost("store", "import", packets_file, "--json").document
    assert (document["packets"], document["stored"], document["known"]) == (40, 0, 40)
    assert "rain: wet" in fingerpost("ask", "--set", "pressure=905", "--set", "sky=grey").out


def test_altered_packets_are_refused_and_the_others_kept(
    fingerpost: Any, packets_file: Path, rain_template: Path, other_home: Path
) -> None:
    data = bytearray(packets_file.read_bytes())
    data[60] ^= 1
    data[PACKET_SIZE_BYTES] ^= 1
    packets_file.write_bytes(data)
    document = fingerpost("store", "import", packets_file, "-t", rain_template, "--json").document
    assert document["stored"] == 38
    assert document["refused"] == {"refused-signature": 1, "refused-structure": 1}
    assert "refused because" in fingerpost("store", "import", packets_file).out


def test_packets_of_an_unknown_template_are_refused_and_the_hint_names_the_option(
    fingerpost: Any, packets_file: Path, rain_template: Path, tmp_path: Path, other_home: Path
) -> None:
    other = tmp_path / "snow.toml"
    other.write_text(rain_template.read_text(encoding="utf-8").replace('"rain"', '"snow"'), encoding="utf-8")
    assert fingerpost("store", "import", packets_file).fails_with(2, "no template is given", "--template")
    result = fingerpost("store", "import", packets_file, "--template", other)
    assert "refused-template" in result.out
    assert "--template FILE" in result.err


def test_a_withdrawal_takes_its_packet_away(
    fingerpost: Any, packets_file: Path, rain_template: Path, tmp_path: Path, other_home: Path
) -> None:
    template = load_template(rain_template)
    signer = Signer(b"\7" * 32)
    shown = fingerpost("packet", "show", packets_file, "--packet", 1, "--json").document["packets"][0]
    withdrawal = Packet(
        kind=Kind.WITHDRAWAL,
        profile=Profile.OPEN,
        epoch=20_000,
        ttl_days=30,
        template_id=template.template_id,
        nonce=b"\4" * 16,
        emitter=signer.public_key,
        payload=Payload(confidence=0, outcome=Withdrawn(bytes.fromhex(shown["packet_id"]))),
    )
    file = tmp_path / "withdrawal.bin"
    file.write_bytes(b"".join(encode(signed) for signed in sign_batch([withdrawal], signer)))
    fingerpost("store", "import", packets_file, "-t", rain_template)
    fingerpost("store", "import", file)
    document = fingerpost("store", "stats", "--json").document
    assert document["packets"] == 40, "only the emitter of a packet can withdraw it"


@pytest.mark.parametrize(("content", "words"), [(b"", "is empty"), (b"x" * 100, "100 bytes")])
def test_a_file_without_whole_packets_is_refused_and_makes_no_store(
    fingerpost: Any, rain_template: Path, tmp_path: Path, home: Path, content: bytes, words: str
) -> None:
    file = tmp_path / "odd.bin"
    file.write_bytes(content)
    assert fingerpost("store", "import", file, "-t", rain_template).fails_with(3, words, "packet")
    assert not (home / "store").exists()


def test_exported_packets_are_the_packets(asking: Any, packets_file: Path) -> None:
    assert "40 of 40 packets valid" in asking("packet", "verify", packets_file).out
    document = asking("store", "export", "--format", "packets", "-o", packets_file, "--json").document
    assert (document["format"], document["packets"]) == ("packets", 40)


@pytest.mark.parametrize("table_format", ["parquet", "csv", "jsonl"])
def test_packets_are_exported_as_a_table(asking: Any, tmp_path: Path, table_format: str) -> None:
    file = tmp_path / f"rain.{table_format}"
    result = asking("store", "export", "--format", table_format, "--output", file)
    assert (result.status, result.out) == (0, f"40 packets in {file}\n")
    if table_format == "parquet":
        rows = pq.read_table(file).to_pylist()
    elif table_format == "csv":
        rows = list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))
    else:
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert sorted(row["outcome"] for row in rows) == ["dry"] * 20 + ["wet"] * 20
    assert {row["action"] for row in rows} == {"umbrella", "nothing"}
    document = asking("store", "export", "--format", table_format, "-o", file, "--json").document
    assert (document["format"], document["packets"], len(document["template_id"])) == (table_format, 40, 32)


@pytest.mark.parametrize("table_format", ["parquet", "csv", "jsonl", "packets"])
def test_an_export_that_cannot_be_written_leaves_no_part(asking: Any, tmp_path: Path, table_format: str) -> None:
    file = tmp_path / "none" / "rain"
    assert asking("store", "export", "--format", table_format, "-o", file).fails_with(2, str(file), "check the path")
    assert asking("store", "export", "-o", tmp_path / "x", "-t", "none.toml").fails_with(4, "none.toml", "")
    assert not (tmp_path / "x").exists()
