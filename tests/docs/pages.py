"""Reads Markdown pages, runs what they show, and follows their links.

A page is run from top to bottom in one empty folder:

* a ``python`` block is executed; all blocks of a page share one namespace, as in a session;
* a ``console`` block holds commands after ``$ `` and below each one what it prints. A line ``…`` stands for any lines,
  ``…`` inside a line for any text (keys, times);
* any block right after ``<!-- file: NAME -->`` is written to that file;
* ``<!-- uses: PATH -->`` copies a file of the repository into the folder, as a reader would who runs the example there;
* a block right after ``<!-- not run: REASON -->`` is for reading only.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from fingerpost.node.daemon.presence import read_presence
from fingerpost.node.home import Home

ROOT = Path(__file__).resolve().parents[2]
COMMAND_SECONDS_MAX = 120
ANY = "…"

_FENCE = re.compile(r"^```(\w*)\s*$")
_USES = re.compile(r"^<!-- uses: (\S+) -->$", re.MULTILINE)
_MARK = re.compile(r"^<!-- (file|not run): (.+?) -->$")
_LINK = re.compile(r"(?<!!)\[(?:[^\]\\`]|\\.|`[^`]*`)*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?)\s*$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One fenced block: its language, its lines, the line of the page it starts on, and its mark if it has one."""

    language: str
    text: str
    line: int
    file_name: str = ""
    is_run: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command of a console block and the lines the page shows below it."""

    text: str
    shown: list[str]


def all_pages() -> list[Path]:
    """Return every Markdown page that a reader may open, in order."""
    return sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("spec/**/*.md")])


def blocks_of(text: str) -> list[Block]:
    """Return the fenced blocks of a page."""
    blocks: list[Block] = []
    mark: tuple[str, str] | None = None
    opened: tuple[int, str] | None = None
    lines: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        fence = _FENCE.match(line)
        if opened is None and fence:
            opened, lines = (number, fence[1]), []
        elif opened is None:
            found = _MARK.match(line)
            if found or line.strip():
                mark = (found[1], found[2]) if found else None
        elif fence and not fence[1]:
            kind, value = mark or ("", "")
            blocks.append(
                Block(
                    language=opened[1],
                    text="\n".join(lines) + "\n",
                    line=opened[0],
                    file_name=value if kind == "file" else "",
                    is_run=kind != "not run",
                )
            )
            opened = mark = None
        else:
            lines.append(line)
    if opened is not None:
        raise AssertionError(f"the block of line {opened[0]} is never closed")
    return blocks


def commands_of(block: Block) -> list[Command]:
    """Return the commands of a console block."""
    commands: list[Command] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            commands.append(Command(text=line[2:], shown=[]))
        elif commands and line.startswith("> ") and not commands[-1].shown:
            commands[-1] = Command(text=commands[-1].text + "\n" + line[2:], shown=[])
        elif commands:
            commands[-1].shown.append(line.rstrip())
        else:
            raise AssertionError(f"line {block.line}: a console block starts with a command")
    return commands


def lines_match(shown: list[str], printed: list[str]) -> bool:
    """Tell whether what a command ``printed`` is what the page has ``shown``, where ``…`` stands for anything."""
    pattern = "".join(
        r"(?:[^\n]*\n)*?" if line.strip() == ANY else ".*?".join(map(re.escape, line.split(ANY))) + "\n"
        for line in shown
    )
    return re.fullmatch(pattern, "".join(line.rstrip() + "\n" for line in printed)) is not None


def run_page(page: Path, folder: Path) -> float:
    """Run the blocks of ``page`` inside ``folder`` and return the seconds it took; a difference fails the test."""
    started = time.monotonic()
    namespace: dict[str, object] = {"__name__": "__page__"}
    text = page.read_text(encoding="utf-8")
    for path in _USES.findall(text):
        shutil.copy(ROOT / path, folder)
    with contextlib.chdir(folder):
        try:
            for block in blocks_of(text):
                if not block.is_run:
                    continue
                if block.file_name:
                    Path(block.file_name).write_text(block.text, encoding="utf-8")
                elif block.language == "python":
                    _run_python(block, page, namespace)
                elif block.language == "console":
                    for command in commands_of(block):
                        _run_command(command, f"{page.name}:{block.line}", folder)
        finally:
            _end_nodes(folder)
    return time.monotonic() - started


def broken_links(page: Path) -> list[str]:
    """Return the links of ``page`` into this repository that lead nowhere; other addresses are not visited."""
    broken = []
    for target in _links(page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        goal = (page.parent / path).resolve() if path else page
        if not goal.exists() or (anchor and anchor not in headings_of(goal)):
            broken.append(target)
    return broken


def headings_of(page: Path) -> set[str]:
    """Return the anchors that a forge gives the headings of ``page``."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    found = [match[1] for line in text.splitlines() if (match := _HEADING.match(line))]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def _links(text: str) -> list[str]:
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return [match[1] or match[2] for match in _LINK.finditer(text)]


def _run_python(block: Block, page: Path, namespace: dict[str, object]) -> None:
    """Execute a block; lines of the page that end in ``# prints TEXT`` are compared with what it prints."""
    padded = "\n" * block.line + block.text  # So that a traceback names the line of the page.
    promised = re.findall(r"# prints (.+)$", block.text, flags=re.MULTILINE)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(padded, str(page), "exec"), namespace)
    if promised and not lines_match(promised, printed.getvalue().splitlines()):
        raise AssertionError(f"{page.name}:{block.line} promises {promised} and prints:\n{printed.getvalue()}")


def _end_nodes(folder: Path) -> None:
    """End what a page that failed has left running; one that ran to its end has stopped it itself."""
    for control in folder.rglob("control.json"):
        running = read_presence(Home(control.parent))
        if running is not None:
            os.kill(running.process, signal.SIGKILL)


def _run_command(command: Command, where: str, folder: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FINGERPOST_")}
    environment |= {"HOME": str(folder), "NO_COLOR": "1", "COLUMNS": "120", "PYTHONPATH": str(ROOT / "src")}
    program = f"{shlex.quote(sys.executable)} -m fingerpost"
    script = f'fingerpost() {{ {program} "$@"; }}\npython() {{ {shlex.quote(sys.executable)} "$@"; }}\n{command.text}'
    run = subprocess.run(
        ["bash", "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=folder,
        env=environment,
        timeout=COMMAND_SECONDS_MAX,
        check=False,
    )
    while command.shown and not command.shown[-1]:
        command.shown.pop()
    printed = run.stdout.rstrip("\n").splitlines()
    if not lines_match(command.shown, printed):
        shown = "\n".join(command.shown)
        raise AssertionError(f"{where} shows for `{command.text}`\n{shown}\n\nbut it prints\n{run.stdout}")
