"""Where a running node is, and how a file that a killed one left behind is told from a true one."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from fingerpost.node.daemon.presence import read_presence, remove_presence, write_presence
from fingerpost.node.home import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def write(home: Home, **changes: Any) -> None:
    write_presence(home, host="127.0.0.1", port=7, token="ab")
    found = json.loads(home.control_file.read_text())
    home.control_file.write_text(json.dumps(found | changes))


def test_what_is_written_is_read_and_only_the_owner_may(home: Home) -> None:
    write_presence(home, host="127.0.0.1", port=7, token="ab")
    found = read_presence(home)
    assert found is not None
    assert (found.host, found.port, found.token, found.process) == ("127.0.0.1", 7, "ab", os.getpid())
    assert stat.S_IMODE(home.control_file.stat().st_mode) == 0o600
    assert "ab" not in repr(found)
    remove_presence(home)
    remove_presence(home)
    assert read_presence(home) is None


@pytest.mark.parametrize("changes", [{"started_tick": 1}, {"process": 1}, {"process": 2**31}, {"process": -1}])
def test_a_file_of_another_process_counts_for_nothing(home: Home, changes: dict[str, int]) -> None:
    write(home)
    assert read_presence(home) is not None
    write(home, **changes)
    assert read_presence(home) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"host": 1}', "[" * 5_000, "\xff", '{"port": "x"}'])
def test_a_damaged_file_counts_for_nothing(home: Home, text: str) -> None:
    home.control_file.write_bytes(text.encode("latin-1"))
    assert read_presence(home) is None
