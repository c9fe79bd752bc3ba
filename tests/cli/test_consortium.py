"""``fingerpost consortium``, and the commands that work under its seal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fingerpost.cli._words import today
from fingerpost.files import load_template
from fingerpost.node.consortium import load_consortium
from fingerpost.node.home import Home
from fingerpost.node.identity import load_identity
from fingerpost.packet import packets_from_frame, sealed_rows


@pytest.fixture
def sealed_template(rain_template: Path) -> Path:
    text = rain_template.read_text().replace('data_class = "non_personal"', 'data_class = "personal"')
    rain_template.write_text(text + '[privacy]\nprofile = "consortium"\n')
    return rain_template


@pytest.fixture
def member(fingerpost: Any, tmp_path: Path) -> Any:
    """Return a second node: what runs commands in its home, and its public key."""
    place = tmp_path / "member"
    key = fingerpost("keys", "new", "--home", place, "--json").document["public_key"]
    return lambda *arguments: fingerpost(*arguments, "--home", place), key


def test_a_sealed_table_is_emitted_asked_verified_and_confirmed(
    fingerpost: Any, home: Path, sealed_template: Path, rain_table: Path, tmp_path: Path
) -> None:
    fingerpost("keys", "new")
    assert fingerpost("emit", rain_table, "--template", sealed_template).fails_with(7, "no keys", "consortium create")
    made = fingerpost("consortium", "create", "--template", sealed_template, "--json").document
    assert made["keeper"] == load_identity(Home(home)).public_key.hex()
    packets = tmp_path / "packets.bin"
    assert fingerpost("emit", rain_table, "--output", packets).status == 0
    wire = packets_from_frame(packets.read_bytes())
    assert sealed_rows(wire).all()
    situation = ("--set", "pressure=905", "--set", "sky=grey")
    receipt = tmp_path / "a.receipt"
    asked = fingerpost("ask", *situation, "--receipt", receipt)
    assert "wet" in asked.out
    shown = fingerpost("verify", receipt)
    assert "opened with the secrets in the receipt: 40 packets" in shown.out
    assert fingerpost("confirm", receipt, *situation, "--outcome", "wet").status == 0


def test_a_dry_run_shows_what_a_seal_hides_before_there_are_keys(
    fingerpost: Any, sealed_template: Path, rain_table: Path
) -> None:
    result = fingerpost("emit", rain_table, "--template", sealed_template, "--dry-run")
    assert result.status == 0
    assert "sealed payload" in result.out
    assert "fingerprint   " not in result.out


def test_adding_and_removing_a_member_are_two_commands(
    fingerpost: Any, member: Any, sealed_template: Path, tmp_path: Path
) -> None:
    there, key = member
    fingerpost("keys", "new")
    keeper = fingerpost("consortium", "create", "--template", sealed_template, "--json").document["keeper"]
    file = tmp_path / "member.keys"
    assert key in fingerpost("consortium", "add", key, "--output", file, "--json").document["members"]
    assert there("consortium", "join", file, "--template", sealed_template).fails_with(2, "nobody has said", "--from")
    joined = there("consortium", "join", file, "--template", sealed_template, "--from", keeper, "--json").document
    assert [each["number"] for each in joined["keys"]] == [1]
    assert there("consortium", "add", key, "--output", file).fails_with(2, "keeper of this", "take-over")
    removed = fingerpost("consortium", "remove", key, "--output", file, "--json").document
    assert removed["members"] == [keeper]
    assert [(each["number"], each["last_day"] is None) for each in removed["keys"]] == [(1, False), (2, True)]
    assert there("consortium", "join", file).fails_with(7, "brings no keys to", "keys show")


def test_a_member_takes_over_when_the_keeper_is_gone(
    fingerpost: Any, member: Any, sealed_template: Path, tmp_path: Path
) -> None:
    there, key = member
    fingerpost("keys", "new")
    keeper = fingerpost("consortium", "create", "--template", sealed_template, "--json").document["keeper"]
    file = tmp_path / "member.keys"
    fingerpost("consortium", "add", key, "--output", file)
    there("consortium", "join", file, "--template", sealed_template, "--from", keeper)
    taken = there("consortium", "rotate", "--take-over", "--output", file, "--json").document
    assert taken["keeper"] == key
    assert fingerpost("consortium", "join", file).fails_with(2, "not the keeper", "--from")
    assert fingerpost("consortium", "join", file, "--from", key, "--json").document["keeper"] == key


def test_no_command_prints_a_key(fingerpost: Any, home: Path, sealed_template: Path, tmp_path: Path) -> None:
    fingerpost("keys", "new")
    results = [fingerpost("consortium", "create", "--template", sealed_template)]
    results += [fingerpost("consortium", "keys", *more) for more in ([], ["--json"])]
    results += [fingerpost("consortium", "rotate", "--output", tmp_path / "f")]
    consortium = load_consortium(Home(home), load_template(sealed_template).template_id, day=today())
    assert consortium is not None
    assert all(result.status == 0 for result in results)
    for key in consortium.ring.keys:
        assert all(key.secret.hex() not in result.out + result.err for result in results)


def test_an_open_template_has_no_consortium(fingerpost: Any, rain_template: Path) -> None:
    fingerpost("keys", "new")
    result = fingerpost("consortium", "create", "--template", rain_template)
    assert result.fails_with(2, "not sealed", "consortium")
