"""The examples run, print what they promise, and are the same in the README."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys

import pytest

from tests.docs import pages

EXAMPLES = pages.ROOT / "examples"
LINES_MAX = 12


def run_example(name: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(pages.ROOT / "src")}
    run = subprocess.run(
        [sys.executable, "-W", "error", name],
        cwd=EXAMPLES,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.py")))
def test_every_example_starts_by_saying_what_it_shows(name: str) -> None:
    assert ast.get_docstring(ast.parse((EXAMPLES / name).read_text(encoding="utf-8")))


def test_the_quickstart_is_the_example_of_the_readme_and_has_at_most_twelve_lines() -> None:
    code = (EXAMPLES / "quickstart.py").read_text(encoding="utf-8").split('"""\n', 1)[1].strip()
    readme = (pages.ROOT / "README.md").read_text(encoding="utf-8")
    assert code in [block.text.strip() for block in pages.blocks_of(readme)]
    assert len([line for line in code.splitlines() if line.strip()]) <= LINES_MAX


def test_the_quickstart_prints_what_the_readme_says() -> None:
    readme = (pages.ROOT / "README.md").read_text(encoding="utf-8")
    printed = run_example("quickstart.py").splitlines()
    assert printed
    assert all(f"`{line}`" in readme for line in printed)


def test_the_second_agent_succeeds_through_the_outcomes_of_the_first() -> None:
    printed = run_example("agents.py")
    shares = dict(re.findall(r"^  (\w+).*? (\d+)%", printed.split("Solved of the same")[1], flags=re.MULTILINE))
    assert int(shares["alone"]) + 5 <= int(shares["with"]) <= int(shares["whoever"])
    first_batches = re.findall(r"%   (\d+)%", printed)
    assert int(first_batches[0]) >= int(first_batches[1]) + 15
