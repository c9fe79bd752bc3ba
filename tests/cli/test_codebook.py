"""``fingerpost template codebook``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fingerpost.files import load_template

TEMPLATE = """\
format = 1
name = "sizes"
data_class = "non_personal"
[situation.size]
kind = "number"
range = [0, 100]
[situation.weight]
kind = "number"
range = [0, 10]
[cells]  # as drafted
bits = 4

# what happened
[outcome]
kind = "category"
levels = ["failed", "worked"]
[retention]
ttl_days = 30
"""


@pytest.fixture
def template_file(tmp_path: Path) -> Path:
    path = tmp_path / "sizes.toml"
    path.write_text(TEMPLATE, encoding="utf-8")
    return path


@pytest.fixture
def table_file(tmp_path: Path) -> Path:
    path = tmp_path / "public.csv"
    rows = [f"{size},{weight}" for size in range(0, 100, 7) for weight in range(0, 10, 2)]
    path.write_text("size,weight\n" + "\n".join([*rows, "101,3", "x,3"]) + "\n", encoding="utf-8")
    return path


def test_a_template_gets_cells_around_public_situations(
    fingerpost: Any, template_file: Path, table_file: Path, tmp_path: Path
) -> None:
    made = tmp_path / "made.toml"
    result = fingerpost("template", "codebook", template_file, table_file, "--bits", 4, "--group-bits", 2, "-o", made)
    assert result.status == 0
    assert "16 cells in 4 groups of holders" in result.out
    assert "2 rows left out" in result.err
    template, before = load_template(made), load_template(template_file)
    assert (template.cell_bits, template.group_bits, len(template.prototypes())) == (4, 2, 16)
    assert template.space_id == before.space_id
    assert template.ttl_days == 30
    assert "# what happened" in made.read_text(encoding="utf-8")
    assert "16 cells in 4 groups of holders, by a codebook" in fingerpost("template", "check", made).out
    again = fingerpost("template", "codebook", made, table_file, "--bits", 3, "-o", made, "--force", "--json").document
    assert (again["rows"], again["rows_left_out"], again["cell_bits"], again["group_bits"]) == (75, 2, 3, 0)
    assert load_template(made).template_id.hex() == again["template_id"]


def test_a_canonical_template_gets_a_codebook_too(
    fingerpost: Any, template_file: Path, table_file: Path, tmp_path: Path
) -> None:
    canonical, made = tmp_path / "sizes.json", tmp_path / "made.json"
    canonical.write_bytes(load_template(template_file).canonical)
    assert fingerpost("template", "codebook", canonical, table_file, "--bits", 2, "-o", made).status == 0
    assert made.read_bytes() == load_template(made).canonical


def test_prototypes_of_people_are_refused_unless_they_are_said_to_be_public(
    fingerpost: Any, template_file: Path, table_file: Path, tmp_path: Path
) -> None:
    made = tmp_path / "made.toml"
    template_file.write_text(TEMPLATE.replace('data_class = "non_personal"\n', ""), encoding="utf-8")
    arguments = ("template", "codebook", template_file, table_file, "--bits", 2, "-o", made)
    assert fingerpost(*arguments).fails_with(2, "prototypes are public", "say --public")
    assert not made.exists()
    assert fingerpost(*arguments, "--public").status == 0


def test_what_cannot_be_made_is_refused(fingerpost: Any, template_file: Path, table_file: Path, tmp_path: Path) -> None:
    arguments = ("template", "codebook", template_file, table_file)
    assert fingerpost(*arguments, "--bits", 2, "-o", table_file).fails_with(2, "already exists", "--force")
    made = tmp_path / "made.toml"
    assert fingerpost(*arguments, "--bits", 7, "-o", made).fails_with(2, "too few for 128 prototypes", "fewer bits")
    groups = fingerpost(*arguments, "--bits", 2, "--group-bits", 3, "-o", made)
    assert groups.fails_with(4, "must be 0 to 2", "another number")
    dotted = TEMPLATE.replace("[cells]  # as drafted\nbits = 4\n", "").replace(
        "format = 1", "format = 1\ncells.bits = 4"
    )
    template_file.write_text(dotted, encoding="utf-8")
    assert fingerpost(*arguments, "--bits", 2, "-o", made).fails_with(4, "cannot be replaced", "as a table [cells]")


def test_central_prototypes_need_not_be_rows_and_are_as_many(
    fingerpost: Any, template_file: Path, table_file: Path, tmp_path: Path
) -> None:
    drawn, central = tmp_path / "drawn.toml", tmp_path / "central.toml"
    for made, more in ((drawn, []), (central, ["--central"])):
        assert fingerpost("template", "codebook", template_file, table_file, "--bits", 3, *more, "-o", made).status == 0
    first, second = load_template(drawn), load_template(central)
    assert len(second.prototypes()) == 8
    assert first.prototypes() != second.prototypes()
