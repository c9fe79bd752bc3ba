"""``fingerpost emit``."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from fingerpost.files import load_template
from fingerpost.limits import PACKET_SIZE_BYTES
from fingerpost.packet import packet_ids, packets_from_frame
from fingerpost.store._lmdb import LmdbStore

HEADER = "pressure,sky,took,rain,secret"


def rewrite(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def write_table(path: Path, rows: list[str], *, header: str = HEADER) -> Path:
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


def test_a_dry_run_shows_every_field_and_changes_nothing(
    fingerpost: Any, rain_template: Path, rain_table: Path, home: Path
) -> None:
    result = fingerpost("emit", rain_table, "--template", rain_template, "--dry-run")
    assert result.status == 0
    assert "Dry run: nothing was emitted" in result.out
    assert "40, one a row" in result.out
    assert f"{40 * PACKET_SIZE_BYTES:,} bytes" in result.out
    assert "1 column that the template does not name: secret" in result.out
    assert "passing key" in result.out
    assert not home.exists()


def test_a_dry_run_never_shows_a_value_of_the_situation(fingerpost: Any, rain_template: Path, tmp_path: Path) -> None:
    table = write_table(tmp_path / "one.csv", ["987.65,grey,umbrella,wet,xyzzy"])
    text = fingerpost("emit", table, "--template", rain_template, "--dry-run").out
    document = json.dumps(fingerpost("emit", table, "--template", rain_template, "--dry-run", "--json").document)
    number = re.compile(r"(?<![0-9a-f])987(?![0-9a-f])")  # by itself: random ids in hex may hold these digits
    assert number.search("size 987.65")
    for shown in (text, document):
        assert not number.search(shown)
        assert all(value not in shown for value in ("grey", "xyzzy"))
        assert "wet" in shown, "the outcome leaves in clear, and is shown"


def test_a_dry_run_as_json_accounts_for_every_byte(fingerpost: Any, rain_template: Path, rain_table: Path) -> None:
    fingerpost("keys", "new")
    document = fingerpost("emit", rain_table, "--template", rain_template, "--dry-run", "--json").document
    assert document["dry_run"] is True
    assert document["packet_ids"] is None
    assert sum(field["bytes"] for field in document["leaves"]) == PACKET_SIZE_BYTES
    assert all(field["note"] for field in document["leaves"])
    assert document["bytes"] == document["packets"] * PACKET_SIZE_BYTES
    assert document["template_id"] == load_template(rain_template).template_id.hex()
    assert document["node_id"] == fingerpost("keys", "show", "--json").document["node_id"]
    assert document["example"]["node_id"] == document["node_id"]
    assert document["example"]["action"] in {"umbrella", "nothing"}


@pytest.mark.parametrize("dry_run", [["--dry-run"], []])
def test_nothing_is_emitted_while_the_data_class_is_undeclared(
    fingerpost: Any, rain_template: Path, rain_table: Path, home: Path, dry_run: list[str]
) -> None:
    rewrite(rain_template, 'data_class = "non_personal"\n', "")
    result = fingerpost("emit", rain_table, "--template", rain_template, *dry_run)
    assert result.fails_with(4, "whether its data are personal", 'data_class = "non_personal"')
    assert not home.exists()


BAD_ROWS = [
    ("1e9,blue,umbrella,wet,x", "pressure"),
    ("NaN-ish,blue,umbrella,wet,x", "pressure"),
    ("inf,blue,umbrella,wet,x", "pressure"),
    ("950,purple,umbrella,wet,x", "sky"),
    ("950,blue,boat,wet,x", "took"),
    ("950,blue,umbrella,snow,x", "rain"),
    ("950,blue,umbrella,,x", "rain"),
]


@pytest.mark.parametrize(("row", "field"), BAD_ROWS)
def test_a_dry_run_finds_a_row_that_does_not_fit(
    fingerpost: Any, rain_template: Path, rain_rows: list[str], tmp_path: Path, row: str, field: str
) -> None:
    table = write_table(tmp_path / "bad.csv", [*rain_rows[:5], row, *rain_rows[5:]])
    result = fingerpost("emit", table, "--template", rain_template, "--dry-run")
    assert result.status == 5
    assert "fingerpost: error: 1 of 41 rows do not fit, the first being row 6" in result.err
    assert "--skip-bad-rows" in result.err
    assert field in result.out.split("Rows that do not fit")[1]
    document = fingerpost("emit", table, "--template", rain_template, "--dry-run", "--json").document
    assert document["error"]["row"] == document["problems"][0]["row"] == 6
    assert document["error"]["field"] == document["problems"][0]["field"] == field
    skipped = fingerpost("emit", table, "--template", rain_template, "--dry-run", "--skip-bad-rows", "--json").document
    assert (skipped["skipped"], skipped["packets"], "error" in skipped) == (1, 40, False)


def test_a_table_of_bad_rows_alone_makes_no_packet(fingerpost: Any, rain_template: Path, tmp_path: Path) -> None:
    table = write_table(tmp_path / "bad.csv", [row for row, _ in BAD_ROWS])
    document = fingerpost("emit", table, "-t", rain_template, "--dry-run", "--skip-bad-rows", "--json").document
    assert (document["packets"], document["example"], document["skipped"]) == (0, None, len(BAD_ROWS))
    text = fingerpost("emit", table, "-t", rain_template, "--dry-run", "--skip-bad-rows")
    assert (text.status, "0, one a row" in text.out) == (0, True)


@pytest.mark.parametrize("column", ["pressure", "took", "rain"])
def test_a_table_without_a_column_of_the_template_is_refused(
    fingerpost: Any, rain_template: Path, rain_rows: list[str], tmp_path: Path, column: str
) -> None:
    table = write_table(tmp_path / "bad.csv", rain_rows, header=HEADER.replace(column, "other"))
    result = fingerpost("emit", table, "--template", rain_template, "--dry-run")
    assert result.status in {5, 6}
    assert column in result.err
    assert "fingerpost: hint: " in result.err


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.csv", b"", "is empty"),
        ("header.csv", HEADER.encode() + b"\n", "no rows"),
        ("ragged.csv", HEADER.encode() + b"\n1,2\n", "cells"),
        ("noise.csv", b"a,b\n\xff\xfe,1\n", "UTF-8"),
        ("twice.csv", b"a,a\n1,2\n", "two columns"),
        ("noise.parquet", b"PAR1", "cannot be read"),
        ("table.txt", b"a,b\n1,2\n", "its name"),
        ("broken.csv.xz", b"xx", "damaged"),
    ],
)
def test_what_is_not_a_table_is_refused_with_a_hint(
    fingerpost: Any, rain_template: Path, tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    assert fingerpost("emit", file, "--template", rain_template, "--dry-run").fails_with(6, words, "")


def test_without_a_template_the_hint_says_how_to_get_one(fingerpost: Any, rain_table: Path) -> None:
    assert fingerpost("emit", rain_table, "--dry-run").fails_with(2, "no template is given", "template infer")


def test_emitting_keeps_signed_packets_and_says_what_comes_next(
    fingerpost: Any, rain_template: Path, rain_table: Path, home: Path, tmp_path: Path
) -> None:
    identity = fingerpost("keys", "new", "--json").document
    packets = tmp_path / "packets.bin"
    result = fingerpost("emit", rain_table, "--template", rain_template, "--output", packets)
    assert result.status == 0
    assert "Emitted 40 packets, 20,480 bytes" in result.out
    assert identity["node_id"] in result.out
    assert "fingerpost: next: fingerpost ask --set pressure=VALUE" in result.err
    assert "40 of 40 packets valid" in fingerpost("packet", "verify", packets).out
    shown = fingerpost("packet", "show", packets, "--packet", 1, "--json").document["packets"][0]
    assert shown["template"] == "rain", "the template is kept in the home"
    assert shown["node_id"] == identity["node_id"]
    assert (home / "templates" / f"{shown['template_id']}.toml").read_bytes() == rain_template.read_bytes()


def test_emitting_as_json_lists_the_packets_in_the_order_of_the_rows(
    fingerpost: Any, rain_template: Path, rain_table: Path, tmp_path: Path
) -> None:
    fingerpost("keys", "new")
    packets = tmp_path / "packets.bin"
    document = fingerpost("emit", rain_table, "-t", rain_template, "-o", packets, "--json").document
    assert (document["dry_run"], document["packets"], document["skipped"]) == (False, 40, 0)
    ids = packet_ids(packets_from_frame(packets.read_bytes()))
    assert [bytes(row).hex() for row in ids] == document["packet_ids"]
    shown = fingerpost("packet", "show", packets, "--limit", 40, "--json").document["packets"]
    assert [packet["outcome"] for packet in shown] == ["wet"] * 20 + ["dry"] * 20


def test_without_an_identity_nothing_is_emitted(
    fingerpost: Any, rain_template: Path, rain_table: Path, home: Path
) -> None:
    result = fingerpost("emit", rain_table, "--template", rain_template)
    assert result.fails_with(7, "there is no identity", "fingerpost keys new")
    assert not home.exists()


@pytest.mark.parametrize(("row", "field"), BAD_ROWS)
def test_one_row_that_does_not_fit_stops_an_emission_before_anything_is_written(
    fingerpost: Any, rain_template: Path, rain_rows: list[str], tmp_path: Path, home: Path, row: str, field: str
) -> None:
    fingerpost("keys", "new")
    table = write_table(tmp_path / "bad.csv", [*rain_rows[:5], row, *rain_rows[5:]])
    packets = tmp_path / "packets.bin"
    result = fingerpost("emit", table, "--template", rain_template, "--output", packets)
    assert result.fails_with(5, "row 6", "")
    assert not packets.exists()
    assert not (home / "templates").exists()
    error = fingerpost("emit", table, "--template", rain_template, "--json").document["error"]
    assert (error["row"], error["field"]) == (6, field)
    assert stored_packets(home) == 0
    document = fingerpost("emit", table, "--template", rain_template, "--skip-bad-rows", "--json").document
    assert (document["packets"], document["skipped"], document["problems"][0]["row"]) == (40, 1, 6)


def test_rows_left_out_are_listed(fingerpost: Any, rain_template: Path, rain_rows: list[str], tmp_path: Path) -> None:
    fingerpost("keys", "new")
    table = write_table(tmp_path / "bad.csv", [*rain_rows, *(row for row, _ in BAD_ROWS)])
    result = fingerpost("emit", table, "--template", rain_template, "--skip-bad-rows")
    assert result.status == 0
    assert "left out    7 rows" in result.out
    assert "Rows that do not fit the template" in result.out


def test_a_table_is_not_counted_twice_by_mistake(
    fingerpost: Any, rain_template: Path, rain_table: Path, home: Path, tmp_path: Path
) -> None:
    fingerpost("keys", "new")
    assert fingerpost("emit", rain_table, "--template", rain_template).status == 0
    copy = tmp_path / "copy.csv"
    copy.write_bytes(rain_table.read_bytes())
    assert fingerpost("emit", copy, "--template", rain_template).fails_with(2, "was emitted under this", "--again")
    assert stored_packets(home) == 40
    assert fingerpost("emit", copy, "--again").status == 0
    assert stored_packets(home) == 80


def test_a_file_that_cannot_be_written_is_named(
    fingerpost: Any, rain_template: Path, rain_table: Path, tmp_path: Path
) -> None:
    fingerpost("keys", "new")
    result = fingerpost("emit", rain_table, "-t", rain_template, "-o", tmp_path / "none" / "packets.bin")
    assert result.fails_with(2, "no such file or directory", "path")


def test_the_home_of_another_process_is_not_touched(
    fingerpost: Any, rain_template: Path, rain_table: Path, home: Path, tmp_path: Path
) -> None:
    fingerpost("keys", "new")
    fingerpost("emit", rain_table, "-t", rain_template)
    other = write_table(tmp_path / "other.csv", ["950,blue,nothing,dry,x"])
    script = (
        f"import sys; from pathlib import Path; from fingerpost.store._lmdb import LmdbStore\n"
        f"s = LmdbStore(Path({str(home / 'store')!r})); print('open', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"open\n"
        for command in (["emit", other], ["ask", "--set", "sky=blue"], ["store", "stats"]):
            result = fingerpost(*command)
            assert result.status == 8
            assert str(holder.pid) in result.err
    finally:
        holder.communicate(timeout=20)


def test_an_interrupted_emission_keeps_a_sound_store(
    fingerpost: Any, rain_template: Path, home: Path, tmp_path: Path
) -> None:
    fingerpost("keys", "new")
    table = write_table(tmp_path / "long.csv", ["950,blue,nothing,dry,x"] * 150_000)
    slow = ["nice", "-n", "19"]  # on a busy machine it would otherwise be done before this test is awake again
    running = subprocess.Popen(
        [*slow, sys.executable, "-m", "fingerpost", "emit", str(table), "--template", str(rain_template)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "FINGERPOST_HOME": str(home)},
    )
    wait_for(home / "store", running)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert (running.returncode, out, err) == (130, "", "")
    checked = fingerpost("store", "check", "--json").document
    assert checked["problems"] == []
    assert 0 < checked["packets"] < 150_000
    result = fingerpost("emit", table, "--template", rain_template, "--json")
    assert "an earlier emission was interrupted" in result.err
    assert result.document["packets"] == 150_000 - checked["packets"]
    assert fingerpost("store", "stats", "--json").document["packets"] == 150_000, "each row is emitted once"


def stored_packets(home: Path) -> int:
    if not (home / "store").exists():
        return 0
    store = LmdbStore(home / "store")
    try:
        return store.stats().packets
    finally:
        store.close()


def wait_for(store: Path, running: subprocess.Popen[str]) -> None:
    """Wait until the first packets are on the disk."""
    while running.poll() is None:
        if store.exists() and sum(path.stat().st_size for path in store.iterdir()) > 2_000_000:
            return
        time.sleep(0.002)
