"""``fingerpost node`` in a home without a running node; tests/integration/test_daemon.py has those with one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from fingerpost.node.config import load_config
from fingerpost.processes import start_tick


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "node.toml"


def test_init_writes_a_configuration_with_this_node_in_it(fingerpost: Any, config: Path, home: Path) -> None:
    result = fingerpost("node", "init", "--template", "rain.toml", "--network", "weather", "--json")
    assert result.status == 0
    value = load_config(config)
    assert (value.home, value.network_id) == (home, "weather")
    assert [member.public_key.hex() for member in value.members or ()] == [result.document["public_key"]]
    assert fingerpost("keys", "show", "--json").document["node_id"] == result.document["node_id"]


def test_init_keeps_an_identity_and_never_overwrites_a_file(fingerpost: Any, config: Path) -> None:
    identity = fingerpost("keys", "new", "--json").document
    assert identity["public_key"] in fingerpost("node", "init").out
    config.write_text("mine")
    assert fingerpost("node", "init").fails_with(2, "node.toml is there already", "--config")
    assert config.read_text() == "mine"


@pytest.mark.parametrize("command", ["status", "peers", "stop"])
def test_without_a_running_node_its_commands_say_how_to_start_one(fingerpost: Any, home: Path, command: str) -> None:
    assert fingerpost("node", command).fails_with(12, f"no node runs in {home}", "fingerpost node run")
    assert not home.exists()


def test_a_node_that_hangs_up_is_an_error_with_a_hint(fingerpost: Any, home: Path) -> None:
    home.mkdir()
    tick = start_tick(os.getpid())
    text = f'{{"host": "127.0.0.1", "port": 1, "token": "x", "process": {os.getpid()}, "started_tick": {tick}}}'
    (home / "control.json").write_text(text)
    assert fingerpost("node", "status").fails_with(12, "gives no answer", "log")


@pytest.mark.parametrize(
    ("text", "status", "words", "hint"),
    [
        (None, 11, "No such file", "node init"),
        ("x = ", 11, "is not TOML", "quotes"),
        ("[network]\nid = 1", 11, "template is missing", "node init"),
        ('template = "gone.toml"\n[network]\nid = "n"\nopen = true', 4, "gone.toml", "path"),
        ('template = "rain.toml"\n[network]\nid = "n"\nopen = true\n[carrier]\nname = "pigeon"', 2, "pigeon", "zeromq"),
        ('template = "rain.toml"\n[network]\nid = "n"\nopen = true\n[directory]\nport = "x"', 10, "port is 'x'", "UDP"),
    ],
)
def test_a_configuration_that_cannot_be_used_ends_the_run_with_its_reason(
    fingerpost: Any, config: Path, rain_template: Path, text: str | None, status: int, words: str, hint: str
) -> None:
    if text is not None:
        config.write_text(text)
    assert rain_template.parent == config.parent
    assert fingerpost("node", "run").fails_with(status, words, hint)
