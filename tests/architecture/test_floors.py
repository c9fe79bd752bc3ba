"""The contracts between floors hold, and each of them sees a planted import."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]

# Backends of these do I/O, as does what two of them share; "system" is the one place that reads time and chance.
IMPURE_FLOORS = {
    f"fingerpost.{name}" for name in ("store", "directory", "carrier", "nats_connection", "processes", "system")
}

# contract -> modules to plant (path below src/fingerpost, content); together they break that contract and no other
PLANTED = {
    "floors": {"ids.py": "import fingerpost.store"},
    "purity": {"packet/_planted.py": "import fingerpost._between", "_between.py": "import socket"},
    "terminal": {"lab/_planted.py": "def f():\n    import rich"},
    "stores": {"store/_memory.py": "def f():\n    import fingerpost.store._lmdb"},
    "lab": {"node/_planted.py": "import sklearn"},
    "carriers": {"carrier/_planted.py": "import fingerpost.packet._planted", "packet/_planted.py": ""},
    "backends": {"carrier/_nats.py": "def f():\n    import fingerpost.carrier._grpc"},
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def broken_contracts(project: Path) -> set[str]:
    """Return the ids of the contracts that do not hold in ``project``."""
    environment = os.environ | {"PYTHONPATH": str(project / "src"), "COLUMNS": "300", "NO_COLOR": "1"}
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    run = subprocess.run(
        [*command, "--no-cache"], cwd=project, env=environment, capture_output=True, text=True, timeout=120
    )
    verdicts = {
        contract["id"]: re.search(rf"^{re.escape(contract['name'])} (KEPT|BROKEN)", run.stdout, re.MULTILINE)
        for contract in CONTRACTS
    }
    assert all(verdicts.values()), run.stdout + run.stderr
    return {name for name, verdict in verdicts.items() if verdict and verdict[1] == "BROKEN"}


def test_every_contract_holds_on_the_tree(copy: Path) -> None:
    assert broken_contracts(copy) == set()


@pytest.mark.parametrize("contract", PLANTED)
def test_each_contract_sees_a_planted_import(copy: Path, contract: str) -> None:
    for path, content in PLANTED[contract].items():
        target = copy / "src/fingerpost" / path
        target.parent.mkdir(exist_ok=True)
        (target.parent / "__init__.py").touch()
        with target.open("a") as file:
            file.write(f"\n{content}\n")
    assert broken_contracts(copy) == {contract}


def test_every_contract_has_a_planted_import() -> None:
    assert {contract["id"] for contract in CONTRACTS} == set(PLANTED)


def test_every_floor_below_the_engine_is_held_to_purity() -> None:
    layers = next(contract["layers"] for contract in CONTRACTS if contract["id"] == "floors")
    names = [[name.strip(" ()") for name in layer.split("|")] for layer in layers]
    below = names[names.index(["fingerpost.node.engine"]) :]
    pure = {name for layer in below for name in layer} - IMPURE_FLOORS
    held = next(contract["source_modules"] for contract in CONTRACTS if contract["id"] == "purity")
    built = {name for name in pure if (ROOT / "src" / name.replace(".", "/")).with_suffix(".py").exists()}
    built |= {name for name in pure if (ROOT / "src" / name.replace(".", "/")).is_dir()}
    assert built - set(held) == set()
