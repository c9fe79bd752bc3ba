"""How much of many records comes back from one federated update of them: batches of 32 and 64, three seeds.

``federated_{set}_{attack}_batch_{32,64}…_{psnr,r2}``  of the best guess by gradient matching; each seed attacks other
                                                      records, another network and other planes
``federated_{set}_large_batches_seconds``             processor time of all that, on one set

``bench.privacy_attacks`` has the smaller batches. Name sets to attack those only; ``--seconds`` ends the work between
two seeds once so much processor time is used, and the figures say how many seeds they are of.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import math
import time
from collections import defaultdict

import numpy as np

from bench._figures import Figure, is_quick, write_figures
from fingerpost.lab.data import load
from fingerpost.lab.leakage import updates
from fingerpost.lab.leakage.records import cohort_of
from fingerpost.template import encode_table

TARGET = "privacy"
SETS = ("digits", "breast_cancer", "heart")
SEEDS = range(100, 101) if is_quick() else range(100, 103)
BITS, ROWS_MAX = 1_024, 3_000
CASES = tuple(case for case in updates.FULL if case.batch >= (64 if is_quick() else 32))


def main() -> None:
    """Attack every set and write its figures when it is done."""
    parser = argparse.ArgumentParser()
    parser.add_argument("sets", nargs="*", metavar="SET")
    parser.add_argument("--seconds", type=float, default=math.inf, help="processor time after which no seed begins")
    parser.add_argument("--data", help="not used: the sets are shipped")
    given = parser.parse_args()
    for name in given.sets or (SETS[1:2] if is_quick() else SETS):
        write_figures(TARGET, figures_of(name, given.seconds), seeds=list(SEEDS))


def figures_of(name: str, seconds: float) -> list[Figure]:
    """Return the figures of one set over as many seeds as there is time for, one at least."""
    found: dict[str, list[float]] = defaultdict(list)
    started = time.process_time()
    for seed in SEEDS:
        if time.process_time() - started > seconds:
            break
        for attack in attacked(name, seed):
            label = "_".join(attack.case.label.replace(",", "").replace("-", "_").split())
            found[f"{label}_psnr"].append(attack.found.psnr)
            found[f"{label}_r2"].append(attack.found.r2)
    figures = [_figure(f"federated_{name}_{label}", values) for label, values in found.items()]
    spent = time.process_time() - started
    return [*figures, Figure(name=f"federated_{name}_large_batches_seconds", value=spent, unit="s")]


def attacked(name: str, seed: int) -> tuple[updates.UpdateAttack, ...]:
    """Return what each case gets of one batch of its size."""
    data = load(name)
    template = data.template(bits=BITS, salt=seed)
    outcomes = data.outcomes.astype(np.int64)
    encoded, _ = encode_table(template, data.columns, rows=len(outcomes))
    cohort = cohort_of(template, encoded, outcomes, levels=data.levels, seed=seed, rows_max=ROWS_MAX)
    return updates.attack_updates(cohort, CASES, records=1, progress=_nothing)


def _nothing(_: str) -> None:
    """Say nothing."""


def _figure(name: str, values: list[float]) -> Figure:
    mean = float(np.mean(values))
    error = 1.96 * float(np.std(values, ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    unit = "dB" if name.endswith("psnr") else "R2"
    return Figure(name=name, value=mean, unit=unit, low=mean - error, high=mean + error, detail={"seeds": len(values)})


if __name__ == "__main__":
    main()
