"""What a command prints: one JSON document, or text for people. Messages go to standard error, results to output."""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TextIO

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from fingerpost.errors import FingerpostError

PIPE_WIDTH = 500  # In a file nothing is wrapped or cut: a table is as wide as its cells.
BAR_WIDTH = 24

_COLOURS = {"error": "red", "hint": "cyan", "next": "green", "note": "blue", "warning": "yellow"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table; numbers are aligned to the right."""

    title: str
    align: Literal["left", "right"] = "left"
    wrap: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """The two voices of a command. Cells and lines may hold anything: control characters are shown, not obeyed."""

    as_json: bool

    def document(self, document: Mapping[str, Any]) -> None:
        """Print the one JSON document of a command. Numbers that JSON lacks are a bug and raise ``ValueError``."""
        typer.echo(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))

    def finding(self, document: Mapping[str, Any], error: FingerpostError) -> NoReturn:
        """End a command whose answer is bad news: the document says so too, beside its usual keys."""
        if self.as_json:
            self.document({**document, "error": error_document(error)})
        print_error(error, as_json=False)
        raise typer.Exit(error.exit_status)

    def title(self, text: str) -> None:
        """Print a heading, with an empty line above unless it is the first thing printed."""
        typer.echo(_paint(printable(text), sys.stdout, bold=True))

    def line(self, text: str = "") -> None:
        """Print one line of the result."""
        typer.echo(printable(text))

    def facts(self, facts: Sequence[tuple[str, object]]) -> None:
        """Print aligned names and values."""
        width = max((len(name) for name, _ in facts), default=0)
        for name, value in facts:
            typer.echo(f"  {printable(name):<{width}}  {printable(str(value))}")

    def table(self, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
        """Print a table; each row has one text a column."""
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        terminal = sys.stdout.isatty()
        console = Console(
            file=sys.stdout,
            no_color=not _colourful(sys.stdout),
            highlight=False,
            markup=False,
            emoji=False,
            width=None if terminal else PIPE_WIDTH,
        )
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold" if terminal else "")
        table.add_column("")  # An indent of two, like the facts.
        for column in columns:
            table.add_column(column.title, justify=column.align, no_wrap=not column.wrap, overflow="fold")
        for row in rows:
            table.add_row("", *(Text(printable(cell)) for cell in row))
        with console.capture() as captured:
            console.print(table)
        typer.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))

    def note(self, text: str) -> None:
        """Tell about something that is good to know."""
        _message("note", text)

    def warning(self, text: str) -> None:
        """Tell about something that is not an error but should be known."""
        _message("warning", text)

    def next_step(self, text: str) -> None:
        """Suggest what to do now; people read it, a pipe or a JSON reader never sees it."""
        if not self.as_json:
            sys.stdout.flush()
            _message("next", text)

    @contextmanager
    def progress(self, task: str, *, total: int | None) -> Iterator[Callable[[int], None]]:
        """Show a bar on a terminal, and nothing in a pipe. Gives a function that takes how much more is done."""
        if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
            yield lambda _done: None
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(file=sys.stderr, no_color=not _colourful(sys.stderr))
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=console, transient=True) as progress:
            identifier = progress.add_task(task, total=total)
            yield lambda done: progress.advance(identifier, done)


def print_error(error: FingerpostError, *, as_json: bool) -> None:
    """Print an error and its hint for people, and with ``as_json`` the same as a JSON document on standard output."""
    if as_json:
        Output(as_json=True).document({"error": error_document(error)})
    sys.stdout.flush()  # First, so that a terminal shows the error below what came before it.
    _message("error", error.message)
    if error.hint:
        _message("hint", error.hint)


def error_document(error: FingerpostError) -> dict[str, Any]:
    """Return an error as JSON values: code, message, hint, and field, line or row where they are known."""
    places = {place: getattr(error, place, None) for place in ("field", "line", "row")}
    known = {place: value for place, value in places.items() if value is not None}
    return {"code": error.code, "message": error.message, "hint": error.hint, **known}


def printable(text: str) -> str:
    """Return ``text`` with control characters written out, so that no file can steer the terminal that shows it."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def bar(share: float, *, width: int = BAR_WIDTH) -> str:
    """Return a bar of at most ``width`` characters for a share from 0 to 1; something above 0 is never invisible."""
    full = min(width, max(round(share * width), 1 if share > 0 else 0))
    block = "█" if _can_show("█") else "#"
    return block * full


def _message(kind: str, text: str) -> None:
    label = _paint(f"{kind}:", sys.stderr, colour=_COLOURS[kind])
    for line in text.split("\n"):
        typer.echo(f"fingerpost: {label} {printable(line)}", err=True)


def _paint(text: str, stream: TextIO, *, colour: str | None = None, bold: bool = False) -> str:
    return typer.style(text, fg=colour, bold=bold) if _colourful(stream) else text


def _colourful(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _can_show(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except (LookupError, UnicodeEncodeError):
        return False
    return True
