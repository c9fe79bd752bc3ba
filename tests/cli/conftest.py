"""Running the command line inside the test process, as ``main`` would."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from fingerpost.cli._main import run
from fingerpost.cli._notes import notes_of
from fingerpost.cli.reference import walk_commands

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True)
class Result:
    """What one command left behind."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on standard output."""
        return json.loads(self.out)

    def fails_with(self, status: int, code_words: str, hint_words: str) -> bool:
        """Whether the command failed as documented: message, hint and status, no traceback, nothing on output."""
        lines = self.err.splitlines()
        return (
            self.status == status
            and self.out == ""
            and any(line.startswith("fingerpost: error: ") and code_words in line for line in lines)
            and any(line.startswith("fingerpost: hint: ") and hint_words in line for line in lines)
            and all(line.startswith("fingerpost: ") for line in lines)
        )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def fingerpost(
    capsys: pytest.CaptureFixture[str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Result]:
    """Run one command with a home of its own and return its status and what it printed."""
    monkeypatch.setenv("FINGERPOST_HOME", str(home))

    def call(*arguments: object) -> Result:
        capsys.readouterr()
        status = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        if status == 0 and "--json" in arguments:
            assert_documented([str(argument) for argument in arguments], json.loads(captured.out))
        return Result(status, captured.out, captured.err)

    return call


@pytest.fixture
def files_below() -> Callable[[Path], dict[str, bytes]]:
    """Return every file below a directory with its bytes, to show that a failed command changed nothing."""

    def snapshot(root: Path) -> dict[str, bytes]:
        return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}

    return snapshot


def assert_documented(arguments: list[str], document: dict[str, Any]) -> None:
    """The document has the keys that the reference lists for its command, no more and no fewer."""
    line = " ".join(["fingerpost", *arguments]) + " "
    notes = next(notes_of(command.callback) for path, command in walk_commands() if line.startswith(path + " "))
    assert notes is not None
    assert set(document) == set(notes.json_keys)
