"""A file is written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fingerpost.files import open_atomically, write_atomically


def test_bytes_and_text_are_written_with_their_mode(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a", b"\x00\xff")
    write_atomically(str(tmp_path / "b"), "caf\u00e9", mode=0o600)
    assert (tmp_path / "a").read_bytes() == b"\x00\xff"
    assert (tmp_path / "b").read_bytes() == "caf\u00e9".encode()
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in "ab"] == [0o644, 0o600]


def test_an_old_file_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    write_atomically(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "new"
    assert os.listdir(tmp_path) == ["a"]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_text("old")

    def fail(source: str, target: Path) -> None:
        assert Path(source).read_text() == "new"
        raise OSError("no room")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no room"):
        write_atomically(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "old"
    assert os.listdir(tmp_path) == ["a"]


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "a")
    write_atomically(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "a").read_text() == "new"


def test_a_folder_that_is_not_there_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as error:
        write_atomically(tmp_path / "none" / "a", b"")
    assert error.value.filename == str(tmp_path / "none" / "a"), "no temporary name in the message"


def test_a_stream_that_ends_badly_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), open_atomically(tmp_path / "a") as stream:
        stream.write(bytes(stream.write(b"half") // 0))
    assert os.listdir(tmp_path) == []
    with open_atomically(tmp_path / "a") as stream:
        stream.write(b"who")
        stream.write(b"le")
    assert (tmp_path / "a").read_bytes() == b"whole"
