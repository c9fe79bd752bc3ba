"""``fingerpost ask`` and ``fingerpost verify``: from a question to an answer that anyone can check."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from fingerpost.limits import PACKET_SIZE_BYTES

RAINY = ["--set", "pressure=905", "--set", "sky=grey"]


@pytest.fixture
def receipt(asking: Any, tmp_path: Path) -> Path:
    path = tmp_path / "rain.receipt"
    assert asking("ask", *RAINY, "--receipt", path).status == 0
    return path


def test_an_answer_is_printed_with_its_evidence(asking: Any) -> None:
    result = asking("ask", *RAINY)
    assert (result.status, result.err) == (0, "")
    for words in ("rain: pressure 905, sky grey", "rain: wet", "90 % interval", "40 packets of 1 node", "umbrella"):
        assert words in result.out
    assert "Nearest packets" in result.out
    assert "In words" in result.out


def test_the_answer_as_json_is_the_same_answer(asking: Any) -> None:
    document = asking("ask", *RAINY, "--json").document
    (answer,) = document["answers"]
    levels = {level["level"]: level for level in answer["levels"]}
    assert document["questions"] == 1
    assert sum(level["probability"] for level in levels.values()) == pytest.approx(1)
    assert levels["wet"]["probability"] > 0.7
    assert levels["wet"]["low"] <= levels["wet"]["probability"] <= levels["wet"]["high"]
    assert (answer["packets"], answer["node_count"], answer["abstained"]) == (40, 1, False)
    assert {action["action"] for action in answer["actions"]} == {"umbrella", "nothing"}


def test_fields_may_be_left_out_and_are_counted(asking: Any) -> None:
    assert "(1 field not given)" in asking("ask", "--set", "sky=grey").out


def test_no_answer_is_not_an_error_and_says_why(
    fingerpost: Any, rain_template: Path, rain_rows: list[str], tmp_path: Path
) -> None:
    table = tmp_path / "few.csv"
    table.write_text("\n".join(["pressure,sky,took,rain,secret", *rain_rows[:2]]) + "\n", encoding="utf-8")
    fingerpost("keys", "new")
    fingerpost("emit", table, "--template", rain_template)
    result = fingerpost("ask", "--set", "sky=blue")
    assert result.status == 0
    assert "no answer, there are too few packets" in result.out
    assert "next: say more about the situation, such as --set pressure=VALUE" in result.err
    answer = fingerpost("ask", "--set", "sky=blue", "--json").document["answers"][0]
    assert (answer["abstained"], answer["reason"]["code"]) == (True, "too-few")
    assert "no answer" in fingerpost("ask", "--csv", table).out


@pytest.mark.parametrize(
    ("options", "status", "words", "hint"),
    [
        ([], 2, "say what is known", "pressure, sky"),
        (["--set", "sky"], 2, "NAME=VALUE", "for example"),
        (["--set", "=grey"], 2, "NAME=VALUE", "for example"),
        (["--set", "sky=grey", "--set", "sky=blue"], 2, "twice", "once"),
        (["--set", "sky=gray"], 5, "gray", "grey"),
        (["--set", "cloud=grey"], 5, "cloud", "sky"),
        (["--set", "pressure=high"], 5, "pressure", ""),
        (["--set", "pressure=NaN-ish"], 5, "pressure", ""),
        (["--set", "pressure=inf"], 5, "pressure", ""),
        (["--set", "pressure=2000"], 5, "pressure", ""),
        (["--set", "rain=wet"], 5, "rain", ""),
        ([*RAINY, "--condition", "region=north"], 5, "region", ""),
        ([*RAINY, "--output", "x.csv"], 2, "--csv", "--receipt"),
        ([*RAINY, "--csv", "x.csv"], 2, "without --set", "one situation"),
        ([*RAINY, "--mode", "cells"], 2, "a node that runs", "fingerpost node run"),
        (["--csv", "x.csv", "--receipt", "x.receipt"], 2, "--receipt", "one situation"),
        (["--csv", "none.csv"], 6, "none.csv", ""),
        ([*RAINY, "--template", "none.toml"], 4, "none.toml", "infer"),
        ([*RAINY, "--receipt", "none/x.receipt"], 2, "no such file", "path"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused_with_a_hint(
    asking: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], status: int, words: str, hint: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert asking("ask", *options).fails_with(status, words, hint)
    assert not (tmp_path / "x.csv").exists()


def test_a_home_without_packets_has_no_answers_and_stays_as_it_is(
    fingerpost: Any, rain_template: Path, home: Path
) -> None:
    result = fingerpost("ask", *RAINY, "--template", rain_template)
    assert result.fails_with(8, "holds no packets yet", "fingerpost store import")
    assert not home.exists()


@pytest.mark.parametrize("row_format", ["table", "csv", "jsonl"])
def test_every_row_of_a_table_gets_an_answer(asking: Any, rain_table: Path, row_format: str) -> None:
    result = asking("ask", "--csv", rain_table, "--format", row_format)
    assert result.status == 0
    lines = result.out.splitlines()
    assert len(lines) == 40 + (row_format != "jsonl")
    if row_format == "table":
        assert lines[1].split()[:2] == ["1", "wet"]
        return
    rows = [json.loads(line) for line in lines] if row_format == "jsonl" else list(csv.DictReader(lines))
    assert [int(row["row"]) for row in rows] == list(range(1, 41))
    assert [row["likeliest"] for row in rows] == ["wet"] * 20 + ["dry"] * 20
    assert all(float(row["p(dry)"]) + float(row["p(wet)"]) == pytest.approx(1, abs=1e-5) for row in rows)
    assert set(rows[0]) >= {"p_low", "p_high", "effective_sample_size", "nodes", "abstained", "reason", "warnings"}


def test_answers_to_a_table_go_to_a_file_or_into_one_document(asking: Any, rain_table: Path, tmp_path: Path) -> None:
    file = tmp_path / "answers.csv"
    result = asking("ask", "--csv", rain_table, "--output", file)
    assert "40 answers in" in result.out
    assert len(file.read_text(encoding="utf-8").splitlines()) == 41
    document = asking("ask", "--csv", rain_table, "--json").document
    assert document["questions"] == len(document["answers"]) == 40


def test_one_row_that_does_not_fit_is_found_before_anything_is_answered(
    asking: Any, rain_table: Path, tmp_path: Path
) -> None:
    rain_table.write_text(rain_table.read_text(encoding="utf-8") + "950,purple,nothing,dry,x\n", encoding="utf-8")
    file = tmp_path / "answers.csv"
    assert asking("ask", "--csv", rain_table, "--output", file).fails_with(5, "the first being row 41", "")
    assert not file.exists()


def test_rows_that_do_not_fit_can_be_left_out_and_the_others_keep_their_numbers(asking: Any, rain_table: Path) -> None:
    lines = rain_table.read_text(encoding="utf-8").splitlines()
    rain_table.write_text("\n".join([*lines[:3], "950,purple,nothing,dry,x", *lines[3:]]) + "\n", encoding="utf-8")
    result = asking("ask", "--csv", rain_table, "--skip-bad-rows", "--format", "csv")
    assert [int(row["row"]) for row in csv.DictReader(result.out.splitlines())] == [1, 2, *range(4, 42)]
    assert "1 row left out" in result.err
    document = asking("ask", "--csv", rain_table, "--skip-bad-rows", "--json").document
    assert (document["rows"][2], document["skipped"], document["questions"]) == (4, 1, 40)


def test_a_table_with_no_known_column_is_refused(asking: Any, tmp_path: Path) -> None:
    table = tmp_path / "other.csv"
    table.write_text("a,b\n1,2\n", encoding="utf-8")
    assert asking("ask", "--csv", table).fails_with(6, "no column", "pressure, sky")


def test_a_number_is_answered_with_mean_and_intervals(fingerpost: Any, rain_template: Path, tmp_path: Path) -> None:
    text = rain_template.read_text(encoding="utf-8")
    old = 'kind = "category"\nlevels = ["dry", "wet"]'
    assert old in text
    rain_template.write_text(text.replace(old, 'kind = "number"\nrange = [0, 100]\nunit = "mm"'), encoding="utf-8")
    table = tmp_path / "amount.csv"
    rows = [f"{900 + 4 * n},{('grey', 'blue')[n > 24]},nothing,{100 - 2 * n}" for n in range(50)]
    table.write_text("\n".join(["pressure,sky,took,rain", *rows]) + "\n", encoding="utf-8")
    fingerpost("keys", "new")
    assert fingerpost("emit", table, "--template", rain_template).status == 0
    result = fingerpost("ask", *RAINY)
    assert "mm" in result.out
    assert "nine in ten between" in result.out
    number = fingerpost("ask", *RAINY, "--json").document["answers"][0]["number"]
    assert number["low"] <= number["mean_low"] <= number["mean"] <= number["mean_high"] <= number["high"]
    rows_out = list(csv.DictReader(fingerpost("ask", "--csv", table, "--format", "csv").out.splitlines()))
    assert float(rows_out[0]["mean"]) > float(rows_out[-1]["mean"])
    assert "mm" in fingerpost("ask", "--csv", table).out


def test_a_receipt_is_verified_without_the_home(asking: Any, receipt: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("FINGERPOST_HOME", str(tmp_path / "nowhere"))
    result = asking("verify", receipt)
    assert result.status == 0
    for words in ("derivation verified", "signatures verified", "completeness: not attested", "rain: wet"):
        assert words in result.out
    document = asking("verify", receipt, "--json").document
    assert (document["kind"], document["packets"], document["nodes"], document["whole"]) == ("receipt", 40, 1, True)
    assert document["answer"]["levels"][1]["level"] == "wet"
    assert not (tmp_path / "nowhere").exists()


def test_the_answer_names_its_receipt_and_how_to_check_it(asking: Any, tmp_path: Path) -> None:
    file = tmp_path / "a.receipt"
    result = asking("ask", *RAINY, "--receipt", file)
    assert f"fingerpost: next: fingerpost verify {file}" in result.err
    assert asking("ask", *RAINY, "--receipt", file, "--json").document["receipt"] == str(file)


@pytest.mark.parametrize("part", range(20))
def test_a_receipt_with_one_altered_byte_is_refused(asking: Any, receipt: Path, part: int) -> None:
    data = bytearray(receipt.read_bytes())
    data[part * (len(data) - 1) // 19] ^= 1
    receipt.write_bytes(data)
    assert asking("verify", receipt).fails_with(9, "", "")


@pytest.mark.parametrize("content", [b"", b"x", b"\0" * 600, b"fingerpost receipt 1\n", b"[" * 100_000])
def test_what_is_no_receipt_is_refused(fingerpost: Any, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "odd.receipt"
    file.write_bytes(content)
    assert fingerpost("verify", file).fails_with(9, "", "")
    assert fingerpost("verify", file, "--json").document["error"]["code"].startswith("receipt-")


def test_packets_are_no_receipt_and_the_hint_names_the_right_command(fingerpost: Any, tmp_path: Path) -> None:
    file = tmp_path / "packets.bin"
    file.write_bytes(b"FP".ljust(PACKET_SIZE_BYTES, b"\0"))
    assert fingerpost("verify", file).fails_with(2, "holds packets", "fingerpost packet verify")


@pytest.mark.parametrize("command", ["rotate", "revoke"])
def test_records_about_identities_are_verified_too(fingerpost: Any, command: str) -> None:
    fingerpost("keys", "new")
    more = ["--yes"] if command == "revoke" else []
    record = Path(fingerpost("keys", command, "--json", *more).document["record_file"])
    kind = "succession" if command == "rotate" else "revocation"
    result = fingerpost("verify", record)
    assert result.status == 0
    assert "signed by the" in result.out
    document = fingerpost("verify", record, "--json").document
    assert (document["kind"], document["record"]["kind"], document["answer"]) == (kind, kind, None)
    data = bytearray(record.read_bytes())
    data[40] ^= 1
    record.write_bytes(data)
    assert fingerpost("verify", record).fails_with(3, "does not hold", "altered")
    record.write_bytes(data[:-1])
    assert fingerpost("verify", record).fails_with(7, "is not a", "copy")


def test_a_missing_receipt_is_a_usage_error(fingerpost: Any, tmp_path: Path) -> None:
    assert fingerpost("verify", tmp_path / "none.receipt").fails_with(2, "no such file", "check the path")
