"""Whole networks on virtual time keep every invariant, whatever their seed lets go wrong; and a seed repeats itself.

A failure prints how to repeat it. ``make sim-long`` runs any number of seeds.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from fingerpost.sim.checkout import commit_of_this_code
from fingerpost.sim.options import Lie, Plan, SimulationOptions
from fingerpost.sim.run import SimulationReport, run_seed

ROOT = Path(__file__).resolve().parents[2]
SEEDS_A_TEST = 10
SEEDS = 40 if os.environ.get("QUICK") else 200
HAPPENS = (
    "crashes",
    "torn_writes",
    "partitions",
    "losses",
    "let_go",
    "expired",
    "withdrawals",
    "complete_answers",
    "caught",
    "region_depth",
)


def how_to_repeat(report: SimulationReport) -> str:
    """Return what somebody needs who wants to see the same failure."""
    assert report.violation is not None
    lines = [
        f"{report.command}   # at commit {commit_of_this_code()}",
        f"{report.violation.invariant}: {report.violation.seen}",
        *report.violation.last_events,
    ]
    return "\n".join(lines)


@pytest.mark.parametrize("first", range(0, SEEDS, SEEDS_A_TEST))
def test_a_network_keeps_every_invariant_whatever_goes_wrong(first: int) -> None:
    reports = [run_seed(seed) for seed in range(first, first + SEEDS_A_TEST)]
    broken = [report for report in reports if report.violation is not None]
    assert not broken, how_to_repeat(broken[0])
    assert sum(report.counts["packets_acknowledged"] for report in reports) > SEEDS_A_TEST


def test_every_fault_happens_in_some_seed() -> None:
    plans = [Plan.drawn_for(seed, SimulationOptions()) for seed in range(200)]
    assert {plan.lie for plan in plans} == set(Lie)
    for name in Plan.__slots__:
        assert len({getattr(plan, name) for plan in plans}) > 1, f"{name} is the same in all of them"


def test_faults_that_were_planned_do_happen() -> None:
    counts: Counter[str] = Counter()
    for seed in (15, 26, 70, 79, 162):
        counts.update(run_seed(seed).counts)
    for name in HAPPENS:
        assert counts[name], f"{name} never happened"


def test_a_seed_repeats_itself_in_another_process_with_other_hashes() -> None:
    seeds = (15, 79, 162)
    program = (
        "from fingerpost.sim.run import run_seed\n"
        f"for seed in {seeds}: report = run_seed(seed); print(report.digest, report.events)"
    )
    found = []
    for hash_seed in ("1", "2"):
        environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "PYTHONHASHSEED": hash_seed}
        run = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True, timeout=120
        )
        found.append(run.stdout.split())
    assert found[0] == found[1]
    assert len(set(found[0])) == 2 * len(seeds)
    assert found[0][::2] == [run_seed(seed).digest for seed in seeds]


def test_other_options_give_another_run() -> None:
    few = run_seed(3, SimulationOptions(nodes=4, steps=3))
    assert few.counts["stations"] < run_seed(3, SimulationOptions(nodes=9, steps=3)).counts["stations"]
    assert few.digest != run_seed(3, SimulationOptions(nodes=4, steps=4)).digest
