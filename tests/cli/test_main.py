"""What every command shares: help, errors, exit statuses, colours, pipes and start-up."""

from __future__ import annotations

import errno
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fingerpost import __version__, errors
from fingerpost.cli import _main, reference
from fingerpost.cli._notes import notes_of
from fingerpost.cli._output import Column, Output, bar, printable
from fingerpost.errors import FingerpostError

COMMANDS = list(reference.walk_commands())
HEAVY = ["numpy", "pyarrow", "faiss", "lmdb", "msgspec", "nacl", "rich", "sklearn", "wordllama", "flwr", "opendp"]
ROOT = Path(__file__).parents[2]


def launch(*arguments: str, home: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the program in a process of its own."""
    environment = {"PYTHONPATH": str(ROOT / "src"), "FINGERPOST_HOME": str(home), **options.pop("extra", {})}
    options.setdefault("stdout", subprocess.PIPE)
    return subprocess.run(
        [sys.executable, "-m", "fingerpost", *arguments],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment,
        text=True,
        timeout=60,
        check=False,
        **options,
    )


def launch_on_terminal(*arguments: str, home: Path, extra: dict[str, str] | None = None) -> str:
    """Run Python with a terminal as its output and return everything the terminal got."""
    controller, terminal = pty.openpty()
    try:
        environment = {"PYTHONPATH": str(ROOT / "src"), "FINGERPOST_HOME": str(home), "TERM": "xterm", **(extra or {})}
        subprocess.run(
            [sys.executable, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=terminal,
            stderr=terminal,
            env=environment,
            timeout=60,
            check=False,
        )
    finally:
        os.close(terminal)
    received = b""
    while True:
        try:
            piece = os.read(controller, 65_536)
        except OSError:  # The last writer has gone.
            break
        if not piece:
            break
        received += piece
    os.close(controller)
    return received.decode()


def test_help_and_errors_load_nothing_heavy(home: Path) -> None:
    script = (
        "import sys, contextlib, io\n"
        "from fingerpost.cli._main import run\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):\n"
        "    statuses = [run(a.split()) for a in ('--help', '--version', 'nonsense', 'keys --help', 'ask --help')]\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        env={"PYTHONPATH": str(ROOT / "src")},
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == "[]"


def test_the_module_is_the_program(home: Path) -> None:
    done = launch("--version", home=home)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"fingerpost {__version__}\n", "")


@pytest.mark.parametrize("arguments", [[], ["keys"]])
def test_without_a_command_the_help_is_shown_as_for_a_mistake(fingerpost: Any, arguments: list[str]) -> None:
    result = fingerpost(*arguments)
    assert result.status == 2
    assert "Usage: fingerpost" in result.out
    assert "Commands:" in result.out


@pytest.mark.parametrize(
    ("arguments", "words", "hint"),
    [
        (["key"], "no such command 'key'", "fingerpost --help"),
        (["keys", "nwe"], "no such command 'nwe'", "fingerpost keys --help"),
        (["keys", "new", "--hoem", "x"], "no such option: --hoem", "did you mean --home"),
        (["keys", "new", "--home"], "--home", "fingerpost keys new --help"),
        (["keys", "new", "extra"], "extra", "fingerpost keys new --help"),
        (["keys", "revoke", "--reason", "because"], "because", "fingerpost keys revoke --help"),
        (["--home", "x", "keys", "new"], "no such option: --home", "belongs behind the command"),
    ],
)
def test_a_command_line_that_makes_no_sense_is_a_usage_error(
    fingerpost: Any, home: Path, arguments: list[str], words: str, hint: str
) -> None:
    assert fingerpost(*arguments).fails_with(2, words, hint)
    assert not home.exists()


def test_a_usage_error_is_json_too_when_json_was_asked_for(fingerpost: Any) -> None:
    result = fingerpost("keys", "new", "--nonsense", "--json")
    assert result.status == 2
    assert result.document["error"]["code"] == "bad-usage"


def test_a_bug_is_called_a_bug_without_a_traceback(fingerpost: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_main, "_invoke", raising(ZeroDivisionError("oops")))
    result = fingerpost("keys", "show")
    assert result.fails_with(70, "this is a bug in fingerpost (ZeroDivisionError: oops)", "FINGERPOST_DEBUG=1")


def test_a_bug_shows_its_traceback_when_asked(fingerpost: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_main, "_invoke", raising(ZeroDivisionError("oops")))
    monkeypatch.setenv("FINGERPOST_DEBUG", "1")
    result = fingerpost("keys", "show")
    assert result.status == 70
    assert "Traceback (most recent call last)" in result.err


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (FileNotFoundError(errno.ENOENT, "x", "some.csv"), 2, "file-not-found"),
        (PermissionError(errno.EACCES, "x", "some.csv"), 2, "file-not-permitted"),
        (IsADirectoryError(errno.EISDIR, "x", "some.csv"), 2, "file-is-a-directory"),
        (OSError(errno.ENOSPC, "x"), 1, "no-space"),
        (OSError(errno.EIO, "Input/output error", "some.csv"), 1, "system-error"),
        (OSError("odd"), 1, "system-error"),
        (MemoryError(), 1, "out-of-memory"),
        (FingerpostError("some-code", "words", hint="help"), 1, "some-code"),
    ],
)
def test_what_the_system_refuses_is_an_error_with_a_hint(
    fingerpost: Any, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, code: str
) -> None:
    monkeypatch.setattr(_main, "_invoke", raising(error))
    result = fingerpost("keys", "show", "--json")
    assert result.status == status
    assert result.document["error"]["code"] == code
    assert result.document["error"]["hint"]


def test_an_interrupt_has_its_own_status_and_says_nothing(fingerpost: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_main, "_invoke", raising(KeyboardInterrupt()))
    result = fingerpost("keys", "show")
    assert (result.status, result.out, result.err) == (130, "", "")


@pytest.mark.parametrize("arguments", [["--help"], ["keys", "show"], ["keys", "show", "--json"]])
def test_a_closed_pipe_is_quiet(home: Path, arguments: list[str]) -> None:
    launch("keys", "new", home=home)
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = launch(*arguments, home=home, stdout=writer)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_an_error_into_a_closed_pipe_is_quiet_about_the_pipe(home: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = launch("keys", "show", "--json", home=home, stdout=writer)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_full_disk_under_the_output_is_an_error(home: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = launch("--help", home=home, stdout=full)
    assert done.returncode == 1
    assert done.stderr.splitlines()[0] == "fingerpost: error: no room is left on the disk"
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


def test_letters_the_output_cannot_show_do_not_stop_a_command(tmp_path: Path) -> None:
    done = launch("keys", "new", home=tmp_path / "東京", extra={"PYTHONIOENCODING": "latin-1"})
    assert done.returncode == 0
    assert "\\u6771\\u4eac" in done.stdout


def test_colours_need_a_terminal_and_obey_no_color(home: Path) -> None:
    show = ("-m", "fingerpost", "keys", "show")
    assert "\x1b[" in launch_on_terminal(*show, home=home)
    assert "\x1b[" not in launch_on_terminal(*show, home=home, extra={"NO_COLOR": "1"})
    assert "\x1b[" not in launch_on_terminal(*show, home=home, extra={"TERM": "dumb"})
    assert "\x1b[" not in launch("keys", "show", home=home).stderr


def test_control_characters_in_data_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    out = Output(as_json=False)
    hostile = "\x1b[31mred\x07\r\x9b[bold]x[/bold]\u202e"
    out.line(hostile)
    out.title(hostile)
    out.facts([("name", hostile)])
    out.table([Column(title="cell")], [[hostile]])
    out.warning(hostile)
    captured = capsys.readouterr()
    for text in (captured.out, captured.err):
        assert set(re.findall(r"[^\x20-\x7e\n]", text)) == set()
        assert "\\x1b[31mred\\x07\\r" in text
    assert captured.out.count("[bold]x[/bold]") == 4, "square brackets in data are no markup"


def test_printable_text_is_left_alone() -> None:
    assert printable("Ärztin [bold] 東京 · 3 %") == "Ärztin [bold] 東京 · 3 %"


def test_a_table_is_aligned_and_not_cut_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    Output(as_json=False).table(
        [Column(title="name"), Column(title="bytes", align="right")], [["x" * 200, "1"], ["short", "1,000"]]
    )
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [["name", "bytes"], ["x" * 200, "1"], ["short", "1,000"]]
    assert len({len(line) for line in lines}) == 1, "numbers end in one column"


def test_a_bar_grows_with_its_share_and_never_hides_something() -> None:
    lengths = [len(bar(share, width=10)) for share in (0, 0.001, 0.5, 1, 2)]
    assert lengths == [0, 1, 5, 10, 10]


def test_progress_is_silent_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    with Output(as_json=False).progress("Counting", total=2) as advance:
        advance(2)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_progress_is_a_bar_on_a_terminal(home: Path) -> None:
    script = (
        "from fingerpost.cli._output import Output\n"
        "with Output(as_json=False).progress('Counting', total=2) as advance:\n"
        "    advance(2)\n"
    )
    assert "Counting" in launch_on_terminal("-c", script, home=home)
    assert "Counting" not in launch_on_terminal("-c", script, home=home, extra={"TERM": "dumb"})


def test_a_json_document_never_holds_what_json_lacks() -> None:
    with pytest.raises(ValueError, match="JSON"):
        Output(as_json=True).document({"value": float("nan")})


def test_an_error_says_where_when_it_knows(capsys: pytest.CaptureFixture[str]) -> None:
    from fingerpost.cli._output import print_error
    from fingerpost.errors import RecordError

    print_error(RecordError("some-code", "words", field="age", row=3), as_json=True)
    error = json.loads(capsys.readouterr().out)["error"]
    assert (error["field"], error["row"]) == ("age", 3)
    assert "line" not in error


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=[path for path, _ in COMMANDS])
def test_every_command_has_json_help_and_notes(path: str, command: Any) -> None:
    options = {option for parameter in command.params for option in parameter.opts}
    assert "--json" in options
    notes = notes_of(command.callback)
    assert notes is not None, f"{path} has no notes"
    assert all(example.startswith(path) for example in notes.examples)
    assert notes.errors
    assert command.help
    assert all(parameter.help for parameter in command.params), f"an option of {path} has no help"


def test_the_reference_is_what_the_commands_say() -> None:
    written = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    assert written == reference.render_reference(), "run: python -m fingerpost.cli.reference > docs/reference/cli.md"


def test_the_exit_statuses_are_those_of_the_program() -> None:
    statuses = [status for status, _ in reference.exit_statuses()]
    raised = {getattr(error, "exit_status", 0) for error in vars(errors).values()}
    assert statuses == sorted({0, *raised, 70, 130, 141})


def raising(error: BaseException) -> Any:
    def invoke(_arguments: object) -> int:
        raise error

    return invoke
