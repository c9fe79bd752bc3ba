"""Running the command line inside the test process, as ``main`` would."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
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


RAIN_TEMPLATE = """\
format = 1
name = "rain"
data_class = "non_personal"
[situation.pressure]
kind = "number"
range = [900, 1100]
[situation.sky]
kind = "category"
levels = ["blue", "grey"]
[action]
name = "took"
levels = ["umbrella", "nothing"]
[outcome]
name = "rain"
kind = "category"
levels = ["dry", "wet"]
"""
RAIN_HEADER = "pressure,sky,took,rain,secret"
RAIN_ROWS = [
    *(f"{900 + 5 * n},grey,{('umbrella', 'nothing')[n % 2]},wet,x{n}" for n in range(20)),
    *(f"{1000 + 5 * n},blue,{('umbrella', 'nothing')[n % 2]},dry,x{n}" for n in range(20)),
]


@pytest.fixture
def rain_template(tmp_path: Path) -> Path:
    path = tmp_path / "rain.toml"
    path.write_text(RAIN_TEMPLATE, encoding="utf-8")
    return path


@pytest.fixture
def rain_rows() -> list[str]:
    """Forty rows that fit: low pressure and a grey sky bring rain."""
    return [
        f"{900 + 5 * n},{('grey', 'blue')[n > 19]},{('umbrella', 'nothing')[n % 2]},{('wet', 'dry')[n > 19]},x{n}"
        for n in range(40)
    ]


@pytest.fixture
def rain_table(tmp_path: Path, rain_rows: list[str]) -> Path:
    path = tmp_path / "rain.csv"
    path.write_text("\n".join([RAIN_HEADER, *rain_rows]) + "\n", encoding="utf-8")
    return path


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


@pytest.fixture(scope="session")
def emitted_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a home that has emitted forty packets about rain, once; every test gets a copy."""
    place = tmp_path_factory.mktemp("emitted")
    (place / "rain.toml").write_text(RAIN_TEMPLATE, encoding="utf-8")
    (place / "rain.csv").write_text("\n".join([RAIN_HEADER, *RAIN_ROWS]) + "\n", encoding="utf-8")
    home = place / "home"
    emit = ["emit", str(place / "rain.csv"), "--template", str(place / "rain.toml"), "--home", str(home)]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        assert run(["keys", "new", "--home", str(home)]) == 0
        assert run(emit) == 0
    return home


@pytest.fixture
def asking(fingerpost: Callable[..., Result], home: Path, emitted_home: Path) -> Callable[..., Result]:
    """Run commands in a home that has emitted forty packets about rain."""
    shutil.copytree(emitted_home, home)
    return fingerpost


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
