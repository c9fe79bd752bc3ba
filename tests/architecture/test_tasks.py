"""The tasks that people and machines start from are there and say what they do."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tools import tidy

ROOT = Path(__file__).resolve().parents[2]
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def test_help_lists_every_task_with_one_line() -> None:
    phony = re.search(r"^\.PHONY: (.+)$", MAKEFILE, re.MULTILINE)
    assert phony
    run = subprocess.run(["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    listed = dict(re.findall(r"^  make ([a-z-]+) +(\S.+)$", run.stdout, re.MULTILINE))
    assert set(listed) == set(phony.group(1).split())


def test_continuous_integration_runs_what_a_person_would() -> None:
    script = ROOT / ".ci/run"
    assert os.access(script, os.X_OK)
    assert script.read_text(encoding="utf-8").rstrip().endswith("exec make test")


@pytest.mark.parametrize("target", ["bench", "sim-long"])
def test_each_measurement_task_finds_the_scripts_that_name_it(target: str) -> None:
    plan = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, timeout=60).stdout
    scripts = [path for path in (ROOT / "bench").glob("*.py") if f'\nTARGET = "{target}"\n' in path.read_text("utf-8")]
    assert scripts
    assert all(f"bench.{path.stem}" in plan for path in scripts)


def test_every_locked_version_is_fixed_by_hash() -> None:
    for name in ("requirements.lock", "requirements-node.lock"):
        text = (ROOT / name).read_text(encoding="utf-8")
        entries = re.split(r"\n(?=\S)", text)
        assert entries
        assert [entry for entry in entries if "--hash=sha256:" not in entry] == []
        assert not tidy.problems_in_text(name, text)
