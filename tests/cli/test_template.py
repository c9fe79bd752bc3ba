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


def test_check_and_show_say_into_how_many_cells_and_groups_packets_are_divided(
    fingerpost: Any, template_file: Path
) -> None:
    assert "1 cell in 1 group of holders" in fingerpost("template", "show", template_file).out
    rewrite(template_file, "[retention]", "[cells]\nbits = 10\ngroup_bits = 3\n[retention]")
    for command in ("check", "show"):
        assert "1,024 cells in 8 groups of holders" in fingerpost("template", command, template_file).out
        document = fingerpost("template", command, template_file, "--json").document
        assert (document["cell_bits"], document["group_bits"]) == (10, 3)


def test_check_refuses_more_group_bits_than_cell_bits(fingerpost: Any, template_file: Path) -> None:
    rewrite(template_file, "[retention]", "[cells]\nbits = 2\ngroup_bits = 3\n[retention]")
    assert fingerpost("template", "check", template_file).fails_with(
        4, "cells.group_bits: must be 0 to 2", "another number"
    )


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


@pytest.fixture
def sites_file(tmp_path: Path) -> Path:
    path = tmp_path / "sites.csv"
    sites, given, relapse = ("north", "south"), ("drug", "none"), ("no", "yes")
    rows = [f"{sites[n % 2]},{20 + n % 25},{'abc'[n % 3]},{n},{given[n % 2]},{relapse[n // 3 % 2]}" for n in range(60)]
    path.write_text("\n".join(["site,age,group,id,given,relapse", *rows]) + "\n", encoding="utf-8")
    return path


INFER = ["--outcome", "relapse", "--node-column", "site", "--action", "given"]


def test_a_draft_is_printed_as_a_template_and_nothing_else(fingerpost: Any, sites_file: Path, tmp_path: Path) -> None:
    result = fingerpost("template", "infer", sites_file, *INFER)
    assert result.status == 0
    draft = tmp_path / "draft.toml"
    draft.write_text(result.out, encoding="utf-8")
    template = load_template(draft)
    assert (template.name, template.data_class.value) == ("sites", "undeclared")
    assert template.outcome.name == "relapse"
    assert template.action is not None
    assert template.action.name == "given"
    assert "site" not in {field.name for field in template.situation}


def test_a_draft_in_a_file_is_described_with_what_comes_next(fingerpost: Any, sites_file: Path, tmp_path: Path) -> None:
    draft = tmp_path / "draft.toml"
    result = fingerpost("template", "infer", sites_file, *INFER, "-o", draft)
    assert "a draft, to be reviewed" in result.out
    assert "age" in result.out
    assert "say whether its records are about people" in result.err
    assert f"fingerpost template check {draft}" in result.err
    assert fingerpost("template", "check", draft).status == 0
    options = ["--data-class", "non_personal", "--name", "Relapse Study", "--force"]
    result = fingerpost("template", "infer", sites_file, *INFER, "-o", draft, *options)
    assert "data_class" not in result.err
    assert load_template(draft).name == "relapse-study"


def test_a_draft_as_json_holds_its_text_and_its_notes(fingerpost: Any, sites_file: Path, tmp_path: Path) -> None:
    draft = tmp_path / "draft.toml"
    document = fingerpost("template", "infer", sites_file, *INFER, "-o", draft, "--json").document
    assert document["template"] == draft.read_text(encoding="utf-8")
    assert (document["file"], document["rows"]) == (str(draft), 60)
    assert document["outcome"] == {"name": "relapse", "kind": "category", "values": ["no", "yes"]}
    assert {field["name"] for field in document["fields"]} >= {"age", "group"}
    assert any(note["column"] == "id" for note in document["notes"])


def test_a_file_is_overwritten_only_by_force(fingerpost: Any, sites_file: Path, tmp_path: Path) -> None:
    draft = tmp_path / "draft.toml"
    draft.write_text("mine", encoding="utf-8")
    assert fingerpost("template", "infer", sites_file, *INFER, "-o", draft).fails_with(2, "already exists", "--force")
    assert draft.read_text(encoding="utf-8") == "mine"
    assert fingerpost("template", "infer", sites_file, *INFER, "-o", draft, "--force").status == 0
    assert draft.read_text(encoding="utf-8") != "mine"


@pytest.mark.parametrize(
    ("options", "words", "hint"),
    [
        (["--outcome", "relaps"], "relaps", "did you mean 'relapse'"),
        (["--outcome", "relapse", "--node-column", "hospital"], "hospital", "columns"),
        (["--outcome", "relapse", "--action", "relapse"], "two roles", "differ"),
    ],
)
def test_a_column_that_is_not_there_is_refused_with_the_nearest_name(
    fingerpost: Any, sites_file: Path, tmp_path: Path, options: list[str], words: str, hint: str
) -> None:
    draft = tmp_path / "draft.toml"
    assert fingerpost("template", "infer", sites_file, *options, "-o", draft).fails_with(6, words, hint)
    assert not draft.exists()


def test_infer_without_an_outcome_is_a_usage_error(fingerpost: Any, sites_file: Path) -> None:
    assert fingerpost("template", "infer", sites_file).fails_with(2, "--outcome", "infer --help")


def test_infer_of_a_missing_table_is_refused(fingerpost: Any, tmp_path: Path) -> None:
    result = fingerpost("template", "infer", tmp_path / "none.csv", "--outcome", "x")
    assert result.fails_with(6, "no such file", "check the path")
