"""Importing is cheap because what is heavy is imported only when it is needed."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    "numpy",
    "faiss",
    "pyarrow",
    "typer",
    "rich",
    "lmdb",
    "nacl",
    "msgspec",
    "sklearn",
    "matplotlib",
    "wordllama",
    "flwr",
    "opendp",
)
HEAVY_FOR_HELP = ("numpy", "faiss", "pyarrow", "lmdb", "nacl", "sklearn", "matplotlib", "wordllama", "flwr", "opendp")


def modules_loaded_by(code: str) -> set[str]:
    """Return the top-level packages loaded in a fresh interpreter after running ``code``."""
    script = f"{code}\nimport sys\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}), file=sys.stderr)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    return set(run.stderr.splitlines()[-1].split())


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert modules_loaded_by("import fingerpost").isdisjoint(HEAVY)


@pytest.mark.parametrize("heavy", ["numpy", "typer"])
def test_the_check_for_heavy_imports_sees_a_planted_one(heavy: str) -> None:
    assert heavy in modules_loaded_by(f"import fingerpost, {heavy}")


def test_showing_the_help_of_the_command_line_loads_nothing_heavy() -> None:
    code = """
import sys, fingerpost.cli
sys.argv = ["fingerpost", "--help"]
try:
    fingerpost.cli.main()
except SystemExit as end:
    assert not end.code
"""
    assert modules_loaded_by(code).isdisjoint(HEAVY_FOR_HELP)
