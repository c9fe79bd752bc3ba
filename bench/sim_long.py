"""Simulate any number of whole networks, and look how many seeds it takes to find each planted bug.

Prints ``seeds_run``, ``violations`` (seeds that broke an invariant), ``planted_total`` and ``planted_found`` (planted
bugs that some seed below 200 shows). ``make sim-long ARGS="--seeds 0-9999"`` chooses the seeds; every failing one is
printed with the command that repeats it. Exits with 1 when a seed breaks an invariant or a planted bug stays hidden.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

from bench._figures import Figure, commit, is_quick, write_figures
from fingerpost.sim.options import SimulationOptions
from fingerpost.sim.run import SimulationReport, run_seed
from tests.simulation.planted_bugs import PLANTED, planted

TARGET = "sim-long"
SEEDS_DEFAULT = range(5_000)
SEEDS_QUICK = range(200)
PLANTED_SEEDS = 200
SEEDS_AT_ONCE = 8  # handed to one process


def main() -> None:
    """Run and write the figures."""
    seeds, options = _arguments()
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        counts: Counter[str] = Counter()
        broken = []
        jobs = ((seed, options) for seed in seeds)
        for done, report in enumerate(pool.map(_run, jobs, chunksize=SEEDS_AT_ONCE), start=1):
            counts.update(report.counts)
            if report.violation is not None:
                broken.append(report)
                _print_failure(report)
            if done % 500 == 0:
                print(f"{done} of {len(seeds)} seeds, {len(broken)} broke an invariant", flush=True)
        found_at = dict(zip(PLANTED, pool.map(_first_seed_that_shows, PLANTED), strict=True))
    found = {name: seed for name, seed in found_at.items() if seed is not None}
    detail = {"first": seeds[0], "last": seeds[-1], "options": options.as_arguments(), **counts}
    write_figures(
        TARGET,
        [
            Figure(name="seeds_run", value=len(seeds), unit="seeds", detail=detail),
            Figure(name="violations", value=len(broken), unit="seeds", detail={"seeds": [r.seed for r in broken]}),
            Figure(name="planted_found", value=len(found), unit="bugs", detail={"first_seeds": found}),
            Figure(name="planted_total", value=len(PLANTED), unit="bugs"),
        ],
        seeds=[report.seed for report in broken],
    )
    sys.exit(bool(broken) or len(found) < len(PLANTED))


def _arguments() -> tuple[range, SimulationOptions]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", metavar="A-B", help="which seeds to run, both ends included")
    parser.add_argument("--nodes", type=int, help="how many nodes there are at first; else each seed says")
    parser.add_argument("--steps", type=int, default=SimulationOptions().steps, help="how many things users do")
    chosen = parser.parse_args()
    seeds = SEEDS_QUICK if is_quick() else SEEDS_DEFAULT
    if chosen.seeds is not None:
        ends = re.fullmatch(r"(\d+)-(\d+)", chosen.seeds)
        if ends is None or int(ends[1]) > int(ends[2]):
            parser.error(f"--seeds takes A-B, not {chosen.seeds!r}")
        seeds = range(int(ends[1]), int(ends[2]) + 1)
    return seeds, SimulationOptions(nodes=chosen.nodes, steps=chosen.steps)


def _run(job: tuple[int, SimulationOptions]) -> SimulationReport:
    return run_seed(*job)


def _first_seed_that_shows(name: str) -> int | None:
    for seed in range(PLANTED_SEEDS):
        with planted(name) as parts:
            shown = run_seed(seed, parts=parts).violation is not None
        if shown and run_seed(seed).violation is None:
            return seed
    return None


def _print_failure(report: SimulationReport) -> None:
    violation = report.violation
    if violation is not None:
        print(f"{report.command}   # at commit {commit()}\n  {violation.invariant}: {violation.seen}", flush=True)


if __name__ == "__main__":
    main()
