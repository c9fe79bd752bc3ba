"""Template files: read within bounds, refused with the path."""

from __future__ import annotations

from pathlib import Path

import pytest

from fingerpost.errors import TemplateError
from fingerpost.files import load_template
from fingerpost.limits import TEMPLATE_SIZE_BYTES_MAX
from fingerpost.template import parse_template
from tests.unit.template.texts import SMALL


def test_a_template_file_reads_like_its_text(tmp_path: Path) -> None:
    path = tmp_path / "t.toml"
    path.write_text(SMALL)
    assert load_template(path) == load_template(str(path)) == parse_template(SMALL)
    path.write_bytes(parse_template(SMALL).canonical)
    assert load_template(path) == parse_template(SMALL)


def test_an_error_names_the_file_and_the_line(tmp_path: Path) -> None:
    path = tmp_path / "t.toml"
    path.write_text(SMALL.replace("range", "rage"))
    with pytest.raises(TemplateError) as caught:
        load_template(path)
    assert caught.value.message.startswith(f"{path}, line 7: situation.x.rage")


def test_a_file_that_is_not_there_or_cannot_be_read_is_refused(tmp_path: Path) -> None:
    for name, code in (
        ("none.toml", "template-not-found"),
        (".", "template-unreadable"),
        ("\0", "template-unreadable"),
    ):
        with pytest.raises(TemplateError) as caught:
            load_template(tmp_path / name)
        assert caught.value.code == code
        assert caught.value.hint


def test_a_file_of_ten_gigabytes_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "t.toml"
    with path.open("wb") as stream:
        stream.truncate(10 * 2**30)
    with pytest.raises(TemplateError) as caught:
        load_template(path)
    assert caught.value.code == "template-too-large"
    assert path.stat().st_size > TEMPLATE_SIZE_BYTES_MAX
