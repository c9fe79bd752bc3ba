"""``fingerpost template``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fingerpost.files import load_template
from fingerpost.limits import PACKET_SIZE_BYTES

TEMPLATE = """\
format = 1
name = "rain"
description = "Does it rain?"
data_class = "non_personal"
[situation.pressure]
kind = "number"
range = [900, 1100]
unit = "hPa"
[situation.amount]
kind = "number"
range = [0.1, 1000]
scale = "log"
[situation.sky]
kind = "category"
levels = ["blue", "grey", "black", "red", "green", "white", "pink"]
[situation.trend]
kind = "ordinal"
levels = ["falling", "steady", "rising"]
[situation.signs]
kind = "set"
levels = ["swallows", "frogs"]
[situation.winds]
kind = "vector"
size = 3
range = [-1, 1]
[situation.note]
kind = "text"
[action]
name = "took"
levels = ["umbrella", "nothing"]
[outcome]
name = "rain"
kind = "category"
levels = ["dry", "wet"]
[conditions.region]
levels = ["north", "south"]
[fingerprint]
bits = 512
sketch = true
[retention]
ttl_days = 30
half_life_days = 7
"""


@pytest.fixture
def template_file(tmp_path: Path) -> Path:
    path = tmp_path / "rain.toml"
    path.write_text(TEMPLATE, encoding="utf-8")
    return path


def rewrite(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_check_shows_what_512_bytes_are_spent_on(fingerpost: Any, template_file: Path) -> None:
    result = fingerpost("template", "check", template_file)
    assert result.status == 0
    sizes = [int(line.split("  ")[-2 if "█" in line else -1]) for line in budget_lines(result.out)]
    assert sum(sizes) == PACKET_SIZE_BYTES
    assert "fingerprint, 512 bits" in result.out
    assert "█" in result.out


@pytest.mark.parametrize("profile", ["open", "consortium"])
def test_the_budget_as_json_adds_up_and_the_unused_part_is_what_is_free(
    fingerpost: Any, template_file: Path, profile: str
) -> None:
    rewrite(template_file, "[retention]", f'[privacy]\nprofile = "{profile}"\n[retention]')
    document = fingerpost("template", "check", template_file, "--json").document
    assert sum(part["bytes"] for part in document["packet"]) == PACKET_SIZE_BYTES
    assert document["template_id"] == load_template(template_file).template_id.hex()
    assert document["fields"] == 7
    encryption = 32 if profile == "consortium" else 0
    assert document["payload_free"] == 240 - encryption - 10 - 64 - 32 - 2 - 2
    assert document["profile"] == profile


def test_check_refuses_a_packet_that_overflows_and_says_by_how_much(fingerpost: Any, template_file: Path) -> None:
    rewrite(template_file, "bits = 512", "bits = 1024")
    rewrite(template_file, 'kind = "category"\nlevels = ["dry", "wet"]', 'kind = "number"\nrange = [0, 1]')
    rewrite(template_file, "[retention]", '[privacy]\nprofile = "consortium"\n[retention]')
    conditions = "".join(f'[conditions.c{number}]\nlevels = ["x"]\n' for number in range(15))
    template_file.write_text(template_file.read_text(encoding="utf-8") + conditions, encoding="utf-8")
    assert fingerpost("template", "check", template_file).fails_with(4, "210 bytes", "fewer fingerprint bits")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("name = \"rain\"\ndesc", "name = \"Rain!\"\ndesc", "Rain!"),
        ("[situation.sky]", "[situation.rain]", "outcome"),
        ("range = [900, 1100]", "range = [1100, 900]", "range"),
        ("kind = \"ordinal\"", "kind = \"ordinary\"", "ordinary"),
        ("ttl_days = 30", "ttl_day = 30", "ttl_day"),
        ("[retention]", "[retention", "TOML"),
    ],
)  # fmt: skip
def test_check_says_where_a_template_is_wrong(
    fingerpost: Any, template_file: Path, old: str, new: str, words: str
) -> None:
    rewrite(template_file, old, new)
    result = fingerpost("template", "check", template_file)
    assert result.fails_with(4, words, "")
    error = fingerpost("template", "check", template_file, "--json").document["error"]
    assert error["line"] > 0
    assert error["code"].startswith("template-")


def test_check_warns_while_nobody_has_said_whether_the_data_are_personal(fingerpost: Any, template_file: Path) -> None:
    rewrite(template_file, 'data_class = "non_personal"\n', "")
    result = fingerpost("template", "check", template_file)
    assert result.status == 0
    assert "fingerpost: warning: data_class" in result.err
    assert "next:" not in result.err


def test_check_says_when_the_text_extra_is_needed(fingerpost: Any, template_file: Path) -> None:
    warnings = fingerpost("template", "check", template_file, "--json").document["warnings"]
    assert any("fingerpost[text]" in warning for warning in warnings)


def test_show_lists_every_part_in_words(fingerpost: Any, template_file: Path) -> None:
    out = fingerpost("template", "show", template_file).out
    for words in (
        "Does it rain?",
        "900 to 1100 hPa",
        "0.1 to 1000, log scale",
        "blue | grey | black | red | green | white | … (7 levels)",
        "falling | steady | rising",
        "3 numbers, each -1 to 1",
        "any text",
        "umbrella | nothing",
        "dry | wet",
        "north | south",
    ):
        assert words in out


def test_show_as_json_holds_the_canonical_text(fingerpost: Any, template_file: Path) -> None:
    document = fingerpost("template", "show", template_file, "--json").document
    assert document["canonical"].encode() == load_template(template_file).canonical
    assert document["outcome"] == {"name": "rain", "kind": "category", "values": ["dry", "wet"]}
    assert {field["name"]: field["kind"] for field in document["fields"]}["winds"] == "vector"
    assert document["action"] == {"name": "took", "levels": ["umbrella", "nothing"]}
    assert (document["sketch"], document["half_life_days"]) == (True, 7)


def test_show_finds_a_template_of_the_home_by_the_start_of_its_id(
    fingerpost: Any, template_file: Path, home: Path
) -> None:
    identifier = load_template(template_file).template_id.hex()
    kept = home / "templates" / f"{identifier}.toml"
    kept.parent.mkdir(parents=True)
    kept.write_text(TEMPLATE, encoding="utf-8")
    assert fingerpost("template", "show", identifier[:6]).status == 0
    assert fingerpost("template", "show", identifier.upper()).status == 0
    other = kept.with_name(f"{identifier[:6]}{'0' * 26}.toml")
    other.write_text(TEMPLATE, encoding="utf-8")
    assert fingerpost("template", "show", identifier[:6]).fails_with(2, "2 templates", "more digits")


@pytest.mark.parametrize("reference", ["nothing.toml", "abcdef", "", "*"])
def test_show_of_nothing_known_is_a_usage_error(fingerpost: Any, reference: str, home: Path) -> None:
    assert fingerpost("template", "show", reference).fails_with(2, "neither a file nor", "template file")


@pytest.mark.parametrize("command", ["check", "show"])
@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"\0" * 100, b"[" * 5000, b"x" * 2_000_000, b"{" * 5000])
def test_no_file_makes_a_traceback(fingerpost: Any, tmp_path: Path, command: str, content: bytes) -> None:
    file = tmp_path / "odd.toml"
    file.write_bytes(content)
    assert fingerpost("template", command, file).fails_with(4, "", "")


def budget_lines(out: str) -> list[str]:
    lines = [line.rstrip() for line in out.split("bytes\n", 1)[1].splitlines()[1:]]
    return [line for line in lines if line]
