"""SIGKILL at a random moment: whatever was acknowledged is there, and what was not is there wholly or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from fingerpost.packet import packet_ids
from fingerpost.store._lmdb import LmdbStore
from fingerpost.store._memory import MemoryStore
from fingerpost.store.base import PacketStore
from tests.conftest import ROOT, SEED_OPTION
from tests.faults.store_writer import perform

KILLS = 50
KILLS_TO_CATCH_A_LIAR = 40


def seed_of(config: pytest.Config) -> int:
    """Return the seed that the first lines of the run name."""
    return int(config.getoption(SEED_OPTION))


def state_of(store: PacketStore) -> tuple[dict[bytes, bytes], dict[bytes, bytes], list[tuple[bytes, bytes]]]:
    """Return all that a store shows: packets, withdrawals and records."""
    kept = [
        {
            row.tobytes(): packet.tobytes()
            for block in blocks
            for row, packet in zip(packet_ids(block), block, strict=True)
        }
        for blocks in (store.scan(), store.withdrawals())
    ]
    return kept[0], kept[1], list(store.records("table"))


@dataclass
class Ordeal:
    """One store that is written to and killed over and over, and a model that does what was acknowledged."""

    directory: Path
    seed: int
    is_lying: bool = False
    done: int = 0
    acknowledged: int = 0
    unacknowledged: int = 0
    model: MemoryStore = field(default_factory=MemoryStore)

    def kill(self, times: int) -> None:
        """Kill the writer so many times."""
        rng = np.random.default_rng(self.seed)
        for _ in range(times):
            self.kill_once(rng)

    def kill_once(self, rng: np.random.Generator) -> None:
        """Let a process write for a random while, kill it, and compare what it left with the model."""
        command = [
            sys.executable,
            "-m",
            "tests.faults.store_writer",
            str(self.directory),
            str(self.seed),
            str(self.done),
        ]
        environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
        with subprocess.Popen(
            command + ["early"] * self.is_lying,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            text=True,
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            lines = [process.stdout.readline() for _ in range(int(rng.integers(8)))]  # "open" is the first
            time.sleep(float(rng.exponential(0.01)))
            process.kill()
            lines += process.stdout.read().split()
            complaint = process.stderr.read()
        assert not complaint
        self.check_what_is_left(lines)

    def check_what_is_left(self, lines: list[str]) -> None:
        acknowledged = [int(line) for line in lines if line.strip().isdigit()]
        assert acknowledged == list(range(self.done, self.done + len(acknowledged)))
        for number in acknowledged:
            perform(self.model, self.seed, number)
        self.acknowledged += len(acknowledged)
        self.done += len(acknowledged)
        store = LmdbStore(self.directory)
        try:
            left = state_of(store)
            if left != state_of(self.model):  # then it died between doing the next operation and saying so
                perform(self.model, self.seed, self.done)
                self.done += 1
                self.unacknowledged += 1
            assert left == state_of(self.model), (
                f"seed {self.seed}: operation {self.done - 1} is there in part, or lost"
            )
            assert store.check() == [], f"seed {self.seed}"
        finally:
            store.close()


def test_nothing_acknowledged_is_lost_when_the_writer_is_killed(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    ordeal = Ordeal(tmp_path / "store", seed_of(pytestconfig))
    ordeal.kill(KILLS)
    assert ordeal.acknowledged > KILLS, f"seed {ordeal.seed}: too few operations to mean anything"


def test_a_store_that_acknowledges_before_it_commits_is_caught(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    ordeal = Ordeal(tmp_path / "store", seed_of(pytestconfig), is_lying=True)
    with pytest.raises(AssertionError, match="in part, or lost"):
        ordeal.kill(KILLS_TO_CATCH_A_LIAR)
