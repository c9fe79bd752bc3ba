"""Running the command line: whatever goes wrong becomes a message, a hint and a documented exit status."""

from __future__ import annotations

import errno
import os
import sys
from typing import TYPE_CHECKING, NoReturn

import click
import typer

from fingerpost.cli._app import app
from fingerpost.cli._output import print_error
from fingerpost.errors import FingerpostError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

PROGRAM = "fingerpost"
DEBUG_VARIABLE = "FINGERPOST_DEBUG"

EXIT_BUG = 70  # EX_SOFTWARE of sysexits.h
EXIT_INTERRUPTED = 130  # 128 + SIGINT
EXIT_PIPE_CLOSED = 141  # 128 + SIGPIPE

_PATH_ERRORS = {
    errno.ENOENT: ("file-not-found", "there is no such file or directory", "check the path"),
    errno.EACCES: ("file-not-permitted", "permission denied", "check who may read or write it"),
    errno.EPERM: ("file-not-permitted", "permission denied", "check who may read or write it"),
    errno.EROFS: ("file-not-permitted", "it is on a read-only file system", "choose another place"),
    errno.EISDIR: ("file-is-a-directory", "it is a directory", "name a file"),
    errno.ENOTDIR: ("file-not-found", "a part of the path is not a directory", "check the path"),
    errno.ENAMETOOLONG: ("file-not-found", "the name is too long", "check the path"),
}


def main() -> NoReturn:
    """Run the command line of this process and exit with a documented status."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # A terminal that cannot show a letter is no reason to stop.
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command line, given without the program's name, and return its exit status."""
    try:
        return _run(arguments)
    except (BrokenPipeError, SystemExit):  # The parser turns a broken pipe, and nothing else, into an exit of its own.
        _discard_output()
        return EXIT_PIPE_CLOSED


def _run(arguments: Sequence[str]) -> int:
    try:
        return _invoke(arguments)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except MemoryError:
        failure: FingerpostError = FingerpostError(
            "out-of-memory", "this machine has not enough memory for that", hint="split the file and run again"
        )
    except OSError as error:
        failure = _os_failure(error)
    except FingerpostError as error:
        failure = error
    except click.ClickException as error:
        failure = _usage_failure(error, arguments)
    except Exception as error:  # The last stop before the user.
        return _report_bug(error)
    return _report(failure, as_json="--json" in arguments)


def _invoke(arguments: Sequence[str]) -> int:
    status = app_command().main(args=list(arguments), prog_name=PROGRAM, standalone_mode=False)
    sys.stdout.flush()
    return status if isinstance(status, int) else 0


def app_command() -> typer.core.TyperGroup:
    """Return the tree of commands as the parser sees it."""
    command = typer.main.get_command(app)
    if not isinstance(command, typer.core.TyperGroup):
        raise TypeError("the program is a group of commands")
    return command


def _usage_failure(error: click.ClickException, arguments: Sequence[str]) -> UsageError:
    path = _called_command(arguments)
    option = getattr(error, "option_name", "")
    similar = getattr(error, "possibilities", None)
    message = " ".join((error.message if option else error.format_message()).split()).rstrip(".")
    hint = f"did you mean {' or '.join(similar)}? " if similar else ""
    hint += f"see '{path} --help'"
    if option in {"--home", "--json"} and path == PROGRAM:
        hint = f"{option} belongs behind the command: {PROGRAM} COMMAND {option} …"
    return UsageError("bad-usage", message[:1].lower() + message[1:], hint=hint)


def _called_command(arguments: Sequence[str]) -> str:
    """Return the words that name the command, as far as they name one."""
    command: object = app_command()
    path = PROGRAM
    for word in arguments:
        if not isinstance(command, typer.core.TyperGroup) or word not in command.commands:
            break
        command = command.commands[word]
        path += f" {word}"
    return path


def _os_failure(error: OSError) -> FingerpostError:
    if isinstance(error, BrokenPipeError):
        raise error
    known = _PATH_ERRORS.get(error.errno or 0)
    if known is not None and error.filename is not None:
        code, message, hint = known
        return UsageError(code, f"{os.fsdecode(error.filename)}: {message}", hint=hint)
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return FingerpostError("no-space", "no room is left on the disk", hint="free some and run again")
    name = f"{os.fsdecode(error.filename)}: " if error.filename is not None else ""
    return FingerpostError("system-error", f"{name}{error.strerror or error}", hint="the operating system refused")


def _report_bug(error: Exception) -> int:
    if os.environ.get(DEBUG_VARIABLE) == "1":
        import traceback

        traceback.print_exception(error)
    bug = FingerpostError(
        "internal-error",
        f"this is a bug in fingerpost ({type(error).__name__}: {error})",
        hint=f"run it again with {DEBUG_VARIABLE}=1 to see where, and report that",
    )
    print_error(bug, as_json=False)
    return EXIT_BUG


def _report(failure: FingerpostError, *, as_json: bool) -> int:
    try:
        print_error(failure, as_json=as_json)
    except BrokenPipeError:
        raise
    except OSError:  # Output itself is what failed; standard error may still work.
        _discard_output()
        print_error(failure, as_json=False)
    return failure.exit_status


def _discard_output() -> None:
    """Nobody takes our output any more: give the interpreter somewhere to flush the rest of it to."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
