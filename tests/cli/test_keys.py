"""``fingerpost keys``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fingerpost.node.home import Home
from fingerpost.node.identity import RevocationReason, load_identity, verify_revocation, verify_succession


def test_new_makes_an_identity_and_says_what_comes_next(fingerpost: Any, home: Path) -> None:
    result = fingerpost("keys", "new")
    identity = load_identity(Home(home))
    assert result.status == 0
    assert identity.node_id.hex() in result.out
    assert "backup" in result.out
    assert "fingerpost: next: fingerpost template infer" in result.err


def test_no_command_ever_prints_the_secret(fingerpost: Any, home: Path) -> None:
    results = [fingerpost("keys", "new")]
    secret = load_identity(Home(home)).seed.hex()
    results += [fingerpost("keys", command, *more) for command in ("show", "rotate") for more in ([], ["--json"])]
    results += [fingerpost("keys", "revoke", "--yes")]
    assert all(result.status == 0 for result in results)
    assert all(secret not in result.out + result.err for result in results)


def test_new_as_json_matches_the_identity(fingerpost: Any, home: Path) -> None:
    document = fingerpost("keys", "new", "--json").document
    identity = load_identity(Home(home))
    assert document["node_id"] == identity.node_id.hex()
    assert document["public_key"] == identity.public_key.hex()
    assert document["key_file"] == str(home / "keys" / "node.key")


def test_a_second_new_is_refused_and_changes_nothing(fingerpost: Any, home: Path, files_below: Any) -> None:
    fingerpost("keys", "new")
    before = files_below(home)
    assert fingerpost("keys", "new").fails_with(7, "never overwritten", "fingerpost keys rotate")
    assert files_below(home) == before


def test_an_error_as_json_has_code_message_and_hint(fingerpost: Any) -> None:
    result = fingerpost("keys", "show", "--json")
    assert result.status == 7
    assert set(result.document) == {"error"}
    assert result.document["error"]["code"] == "key-missing"
    assert "fingerpost keys new" in result.document["error"]["hint"]
    assert "fingerpost: error: " in result.err


def test_the_home_option_comes_before_the_environment(fingerpost: Any, home: Path, tmp_path: Path) -> None:
    assert fingerpost("keys", "new", "--home", tmp_path / "other").status == 0
    assert (tmp_path / "other" / "keys" / "node.key").exists()
    assert not home.exists()


def test_show_without_an_identity_says_how_to_make_one(fingerpost: Any, home: Path) -> None:
    assert fingerpost("keys", "show").fails_with(7, "there is no identity", "fingerpost keys new")
    assert not home.exists()


def test_rotate_leaves_a_record_that_both_keys_signed(fingerpost: Any, home: Path) -> None:
    old = fingerpost("keys", "new", "--json").document
    document = fingerpost("keys", "rotate", "--json").document
    succession = verify_succession(Path(document["record_file"]).read_bytes())
    assert document["previous_node_id"] == old["node_id"] == succession.old_node_id.hex()
    assert document["node_id"] == succession.new_node_id.hex() != old["node_id"]
    assert "was followed by" in fingerpost("keys", "show").out
    assert "vouched for by the old one" in fingerpost("keys", "rotate").out


def test_revoke_asks_before_it_acts(fingerpost: Any, home: Path, files_below: Any) -> None:
    fingerpost("keys", "new")
    before = files_below(home)
    assert fingerpost("keys", "revoke").fails_with(2, "cannot be undone", "--yes")
    assert files_below(home) == before


@pytest.mark.parametrize("reason", ["unspecified", "compromised", "retired"])
def test_revoke_signs_the_reason_and_show_tells_it(fingerpost: Any, home: Path, reason: str) -> None:
    fingerpost("keys", "new")
    document = fingerpost("keys", "revoke", "--yes", "--reason", reason, "--json").document
    revocation = verify_revocation(Path(document["record_file"]).read_bytes())
    assert revocation.reason == RevocationReason[reason.upper()]
    shown = fingerpost("keys", "show", "--json").document
    assert (shown["status"], shown["node_id"]) == ("revoked", None)
    assert shown["records"] == [
        {"kind": "revocation", "day": document["day"], "node_id": document["node_id"], "reason": reason}
    ]
    assert f"was revoked ({reason})" in fingerpost("keys", "show").out
    assert fingerpost("keys", "new").status == 0


def test_revoke_in_words_says_where_the_record_is(fingerpost: Any) -> None:
    fingerpost("keys", "new")
    result = fingerpost("keys", "revoke", "--yes")
    assert result.status == 0
    assert ".record" in result.out
    assert "next: fingerpost keys new" in result.err


def test_a_readable_key_is_refused_with_the_command_that_mends_it(fingerpost: Any, home: Path) -> None:
    fingerpost("keys", "new")
    (home / "keys" / "node.key").chmod(0o644)
    assert fingerpost("keys", "show").fails_with(7, "mode 0644", "chmod 600")


def test_a_damaged_record_is_reported_as_a_bad_signature(fingerpost: Any, home: Path) -> None:
    fingerpost("keys", "new")
    record = Path(fingerpost("keys", "rotate", "--json").document["record_file"])
    *content, last = record.read_bytes()
    record.write_bytes(bytes([*content, last ^ 1]))
    assert fingerpost("keys", "show").fails_with(3, "does not hold", "altered or forged")
