"""The reference of the command line, made from the commands themselves.

``python -m fingerpost.cli.reference > docs/reference/cli.md`` writes it; a test fails when the file is behind.
"""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING

import typer

from fingerpost.cli._main import DEBUG_VARIABLE, EXIT_BUG, EXIT_INTERRUPTED, EXIT_PIPE_CLOSED, PROGRAM, app_command
from fingerpost.cli._notes import notes_of
from fingerpost.errors import FingerpostError
from fingerpost.node.home import HOME_DEFAULT, HOME_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fingerpost.cli._notes import Notes

_OPENING = f"""# Command line

Generated from the commands by `python -m fingerpost.cli.reference`; do not edit.

`{PROGRAM} COMMAND --help` says the same in short, and `python -m {PROGRAM}` is the same program. Results go to
standard output; messages, hints, progress bars and suggestions go to standard error. A bar is drawn on a terminal only,
and colours are left out when the output is not a terminal or `NO_COLOR` is set.

With `--json` a command prints exactly one JSON document. Its keys, listed below, stay from version to version; new ones
may be added. When the command fails, the document is `{{"error": {{"code": …, "message": …, "hint": …}}}}`, with
`field`, `row` or `line` where they are known. Codes are stable; messages and hints may change.

| environment variable | meaning |
|---|---|
| `{HOME_VARIABLE}` | where the node keeps its state when `--home` is not given; without it `{HOME_DEFAULT}` |
| `{DEBUG_VARIABLE}=1` | show the traceback of a bug |
| `NO_COLOR` | no colours |

## Exit status

| status | meaning |
|---|---|
"""


def render_reference() -> str:
    """Return the whole reference as Markdown."""
    parts = [_OPENING + "\n".join(f"| {status} | {_cell(meaning)} |" for status, meaning in exit_statuses()) + "\n"]
    parts += [_render_command(path, command) for path, command in walk_commands()]
    return "\n".join(parts)


def exit_statuses() -> list[tuple[int, str]]:
    """Return every exit status with its meaning, in ascending order."""
    statuses = {0: "fine"}
    for error in _error_tree(FingerpostError):
        meaning = (inspect.getdoc(error) or "").splitlines()[0].split(";")[0].rstrip(".")
        statuses.setdefault(error.exit_status, f"`{error.__name__}`: {meaning[:1].lower()}{meaning[1:]}")
    statuses[FingerpostError.exit_status] = "`FingerpostError`: any other error, such as a full disk"
    statuses[EXIT_BUG] = "a bug in fingerpost"
    statuses[EXIT_INTERRUPTED] = "interrupted (Ctrl-C)"
    statuses[EXIT_PIPE_CLOSED] = "whoever read the output stopped reading (`| head`)"
    return sorted(statuses.items())


def walk_commands() -> Iterator[tuple[str, typer.core.TyperCommand]]:
    """Give every command with the words that call it, in the order of the help."""

    def below(path: str, group: typer.core.TyperGroup) -> Iterator[tuple[str, typer.core.TyperCommand]]:
        for name, command in group.commands.items():
            if isinstance(command, typer.core.TyperGroup):
                yield from below(f"{path} {name}", command)
            elif isinstance(command, typer.core.TyperCommand):
                yield f"{path} {name}", command

    return below(PROGRAM, app_command())


def _error_tree(root: type[FingerpostError]) -> Iterator[type[FingerpostError]]:
    yield root
    for child in root.__subclasses__():
        if child.__module__ == FingerpostError.__module__:
            yield from _error_tree(child)


def _render_command(path: str, command: typer.core.TyperCommand) -> str:
    context = typer.Context(command, info_name=path)
    usage = " ".join(command.collect_usage_pieces(context))
    lines = [f"## {path}", "", inspect.cleandoc(command.help or ""), "", "```text", f"{path} {usage}", "```", ""]
    records = [record for p in command.get_params(context) if (record := p.get_help_record(context)) is not None]
    lines += ["| option or argument | meaning |", "|---|---|"]
    lines += [f"| `{_cell(name)}` | {_cell(meaning)} |" for name, meaning in records]
    notes = notes_of(command.callback)
    return "\n".join(lines + (_render_notes(notes) if notes else [])) + "\n"


def _render_notes(notes: Notes) -> list[str]:
    lines = ["", "| key of the JSON document | meaning |", "|---|---|"]
    lines += [f"| `{key}` | {_cell(meaning)} |" for key, meaning in notes.json_keys.items()]
    failures = ", ".join(f"`{error.__name__}` ({error.exit_status})" for error in notes.errors)
    lines += ["", f"Fails with: {failures}.", "", "```console", *(f"$ {example}" for example in notes.examples), "```"]
    return lines


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(render_reference())
