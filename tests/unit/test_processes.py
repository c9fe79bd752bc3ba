"""Starting a program that ends with its starter, and seeing a whole family of processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fingerpost.processes import ProcessMark, family_of, start_bound, start_tick

SECONDS_MAX = 20.0
SOURCE = str(Path(__file__).parents[2] / "src")
# Starts a bound program that would run for an hour, says which process it is, and waits to be told to go on.
STARTER = """
import signal, subprocess, sys
from fingerpost.processes import start_bound
with open(sys.argv[1], "wb") as log:
    program = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(3600)"]
    child = start_bound(program, output=log, end_signal=signal.Signals(int(sys.argv[2])))
print(child.pid, flush=True)
sys.stdin.read()
"""


def wait_until_ended(mark: ProcessMark) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    while mark.is_running:
        assert time.monotonic() < deadline, f"process {mark.process} still runs"
        time.sleep(0.01)


def mark_of(process: int) -> ProcessMark:
    tick = start_tick(process)
    assert tick is not None
    return ProcessMark(process=process, started_tick=tick)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_a_bound_program_ends_with_its_starter_however_that_ended(tmp_path: Path, end: signal.Signals) -> None:
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(tmp_path / "log"), str(int(end))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": SOURCE},
    )
    assert starter.stdin is not None
    assert starter.stdout is not None
    bound = mark_of(int(starter.stdout.readline()))
    deadline = time.monotonic() + SECONDS_MAX
    while "up" not in (tmp_path / "log").read_text():  # until then the launcher itself would notice
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert bound.is_running
    starter.kill()
    starter.wait(SECONDS_MAX)
    starter.stdin.close()
    starter.stdout.close()
    try:
        wait_until_ended(bound)
    finally:
        if bound.is_running:
            os.kill(bound.process, signal.SIGKILL)


def test_a_family_is_a_process_with_all_its_descendants_and_nobody_else(tmp_path: Path) -> None:
    nested = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(1, flush=True); input()'])"
    one = subprocess.Popen([sys.executable, "-c", nested], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert one.stdin is not None
    assert one.stdout is not None
    assert one.stdout.readline() == b"1\n"
    family = family_of(one.pid)
    assert len(family) == 2
    assert family[0] == mark_of(one.pid)
    assert all(mark.is_running for mark in family)
    assert set(family) < set(family_of(os.getpid()))
    one.stdin.write(b"\n")
    one.stdin.close()
    one.wait(SECONDS_MAX)
    one.stdout.close()
    for mark in family:
        wait_until_ended(mark)
    assert family_of(one.pid) == ()


def test_a_process_of_the_same_id_that_started_at_another_time_is_another_one() -> None:
    mark = mark_of(os.getpid())
    assert mark.is_running
    assert not ProcessMark(process=mark.process, started_tick=mark.started_tick + 1).is_running
    assert start_tick(2**31) is None


def test_a_program_is_told_its_folder_and_environment_and_speaks_into_the_output(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        code = "import os, sys; print(os.getcwd(), os.environ['X']); print('no', file=sys.stderr); sys.exit(3)"
        process = start_bound(
            [sys.executable, "-c", code], output=log, folder=tmp_path, environment=os.environ | {"X": "yes"}
        )
    assert process.wait(SECONDS_MAX) == 3
    assert sorted((tmp_path / "log").read_text().splitlines()) == sorted([f"{tmp_path} yes", "no"])
