"""Whom askers hire, and how good their answers stay, when nodes lie; seeds from 100, settings chosen on 0 to 4.

Numbers (diabetes) are measured on seeds from 210: the rule that tries unproven nodes was changed twice, on seeds 0 to
4, after it had failed for numbers on 100 to 109 and on 200 to 209.

``ours_``, ``oracle_``, ``own_``, ``everybody_``  accuracy from the nodes used, from honest ones only, from the asker's
                            own packets, and from everybody (diabetes: share of variance explained)
``gap_oracle_``             ours minus oracle, with the interval over seeds
``cost_everybody_SET``      nobody lies: ours minus everybody, the price of electing
``bad_hires_``, ``hired_``  liars hired, and all nodes hired, a seed
``fl_best_``, ``fl_oracle_``  the federated defence that is most accurate under this attack, and the same one on honest
                            nodes only; ``fl_gap_best_`` their difference, ``fl_gap_least_`` the smallest loss that any
                            defence has to its own oracle; ``fl_fedavg_`` without a defence. ``_bits`` ends the names of
                            the same on fingerprints
``false_hire_rate_null``    share of networks of nodes that know nothing in which anybody is hired
``fdr_honest_PERCENT``      share of false hires among hires, with as many honest nodes
``sybils_hired_300``        of 300 identities of one liar
``..._counts``              the same of tables with noise (dp-aggregate): five nodes, flips and random outcomes
``hire_1e5_seconds``, ``hire_increment_seconds``  CPU time: 1,000 nodes, 100,000 packets, then 1,000 more

``python -m bench.robustness [PART ...]`` measures some parts only. Points are kept one by one beside the results, so
``--seconds N`` takes up no new point after N seconds, and the next run continues; figures say how many seeds they have.
``--tuning`` measures seeds 0 to 4 instead and writes no figure.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from bench import _robustness_parts as parts
from bench._figures import Figure, is_quick, write_figures
from bench._robustness import Point, World
from bench._robustness_counts import counts
from bench._robustness_federated import DEFENCES, FEATURES, accuracies
from bench._robustness_journal import Deadline, Journal
from bench._robustness_parts import Run, mean_figure
from bench._robustness_plots import plot_gaps

TARGET = "robustness"
SEEDS = range(100, 102) if is_quick() else range(100, 110)
NUMBERS_SEEDS = (
    range(210, 212) if is_quick() else range(210, 220)
)  # its rule was changed after seeing 100 to 109, 200 to 209
FEDERATED_SEEDS = range(100, 101) if is_quick() else range(100, 105)
TUNING_SEEDS = range(5)
PERCENTS = (0, 40, 80) if is_quick() else (0, 20, 40, 60, 80, 95)
KINDS = {
    "digits": ("flip", "random", "partial", "flip_dir01", "target", "mimic", "onoff", "backdoor", "freeride"),
    "breast_cancer": ("flip", "random", "partial"),
    "heart": ("flip", "random", "partial"),
}
FEDERATED_KINDS = ("flip", "random", "partial", "flip_dir01", "target", "mimic")
BITS_KINDS = ("flip", "flip_dir01")  # where federated arms train on fingerprints too
HIRING = (
    "_view",
    "agreement",
    "claims",
    "dismissal",
    "evalues",
    "hire",
    "hiring",
    "numbers",
    "repeats",
    "ridge",
    "threshold",
    "usefulness",
)
PACKETS_SOURCES = (
    *(f"src/fingerpost/elections/{module}.py" for module in HIRING),
    "src/fingerpost/lab/attacks.py",
    "src/fingerpost/synthesis/kernel.py",
    "bench/_robustness.py",
    "bench/_robustness_parts.py",
)
FEDERATED_SOURCES = (
    "src/fingerpost/lab/federated",
    "src/fingerpost/lab/attacks.py",
    "bench/_robustness.py",
    "bench/_robustness_federated.py",
)
COUNTS_SOURCES = (
    "src/fingerpost/elections/counting.py",
    "src/fingerpost/elections/threshold.py",
    "src/fingerpost/synthesis/_counts_answers.py",
    "src/fingerpost/synthesis/counts.py",
    "bench/_robustness_counts.py",
)
OTHERS = {
    "diabetes": parts.diabetes,
    "null": parts.null,
    "sybils": parts.sybils,
    "audits": parts.audits,
    "speed": parts.speed,
    "counts": counts,
}
PARTS = (*KINDS, *OTHERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line asks for."""

    parts: Sequence[str]
    tuning: bool
    federated: bool
    deadline: Deadline


def main() -> None:
    """Measure the parts that are named, or all."""
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*", metavar="PART", choices=[*PARTS, []])
    parser.add_argument("--seconds", type=float, help="take up no new point after so long")
    parser.add_argument("--tuning", action="store_true", help="seeds 0 to 4; prints and writes nothing")
    parser.add_argument("--no-federated", action="store_true", help="leave federated arms to another run")
    parser.add_argument("--data", help="not needed here: the other measurements of this target read it")
    given = parser.parse_args()
    options = Options(
        parts=given.parts or PARTS,
        tuning=given.tuning,
        federated=not given.no_federated,
        deadline=Deadline(given.seconds),
    )
    for part in options.parts:
        started = time.perf_counter()
        measure(part, options)
        print(f"{part}: {time.perf_counter() - started:.0f} s", flush=True)


def measure(part: str, options: Options) -> None:
    """Measure one part, and write its figures and its picture."""
    if part == "counts":
        journal = Journal("counts", sources=COUNTS_SOURCES)
    else:
        journal = Journal("packets", sources=PACKETS_SOURCES)
    seeds = TUNING_SEEDS if options.tuning else NUMBERS_SEEDS if part == "diabetes" else SEEDS
    run = Run(seeds=seeds, journal=journal, deadline=options.deadline, percents=PERCENTS)
    if part in KINDS:
        figures = under_attack(part, run)
        if options.federated and not options.tuning:
            federated = Journal("federated", sources=FEDERATED_SOURCES)
            run = Run(seeds=FEDERATED_SEEDS, journal=federated, deadline=options.deadline, percents=PERCENTS)
            figures += federated_arms(part, run)
    else:
        figures = OTHERS[part](run)
    if options.tuning:
        for figure in figures:
            print(figure)
        return
    if part in KINDS:
        plot_gaps(part, figures)
    write_figures(TARGET, figures, seeds=seeds)


def under_attack(name: str, run: Run) -> list[Figure]:
    """Measure a set of categories under every attack."""
    found: dict[str, list[float]] = {}
    for seed in run.seeds:
        worlds: dict[str, World] = {}
        for point in points_of(name, seed, KINDS[name], run):
            values = run.found(point.key, partial(parts.elect_at, point, worlds))
            parts.keep(found, values, point.label)
            if point.percent == 0 and point.attack == "flip" and values is not None:
                parts.keep(found, {"cost_everybody": values["ours"] - values["everybody"]}, point.place_label)
    return [mean_figure(key, values) for key, values in found.items()]


def federated_arms(name: str, run: Run) -> list[Figure]:
    """Measure federated arms under the same attacks, each beside its own oracle."""
    kinds = [kind for kind in KINDS[name] if kind in FEDERATED_KINDS]
    found: dict[tuple[str, str], list[tuple[dict[str, float], dict[str, float]]]] = {}
    for seed in run.seeds:
        worlds: dict[str, World] = {}
        for point in points_of(name, seed, kinds, run):
            for features in FEATURES:
                if features == "bits" and point.kind not in BITS_KINDS:
                    continue
                oracle = run.found(
                    f"oracle_{name}_{point.place}_{point.percent}_{features}_{seed}",
                    partial(trained, point, worlds, features, honest=True),
                )
                attacked = oracle
                if point.percent:
                    attacked = run.found(
                        f"{point.key}_{features}",
                        partial(trained, point, worlds, features, honest=False),
                    )
                if oracle is not None and attacked is not None:
                    label = point.label + ("_bits" if features == "bits" else "")
                    found.setdefault((label, features), []).append((dict(attacked), dict(oracle)))
    return [figure for (label, _), pairs in found.items() for figure in federated_figures(label, pairs)]


def points_of(name: str, seed: int, kinds: Sequence[str], run: Run) -> list[Point]:
    """Return the points of one seed, those of one attack together."""
    return [Point(name=name, kind=kind, percent=percent, seed=seed) for kind in kinds for percent in run.percents]


def trained(point: Point, worlds: dict[str, World], features: str, *, honest: bool) -> dict[str, float]:
    """Return the accuracies of all federated arms at a point."""
    world = point.world(worlds)
    liars = world.liars(point.percent / 100)
    claims = world.truth if honest else world.claims(point.attack, liars)
    return accuracies(world, claims, liars, features=features, honest=honest)


def federated_figures(label: str, pairs: Sequence[tuple[dict[str, float], dict[str, float]]]) -> list[Figure]:
    """Return the figures of one attack and share of liars: what each arm reached, and what its oracle did, by seed."""
    arms = [arm.replace("-", "_") for arm in DEFENCES]
    reached = {arm: sum(attacked[arm] for attacked, _ in pairs) / len(pairs) for arm in arms}
    lost = {arm: sum(attacked[arm] - oracle[arm] for attacked, oracle in pairs) / len(pairs) for arm in arms}
    best, least = max(arms, key=reached.__getitem__), max(arms, key=lost.__getitem__)
    return [
        mean_figure(f"fl_best_{label}", [each[best] for each, _ in pairs], detail={"arm": best, "all": reached}),
        mean_figure(f"fl_oracle_{label}", [each[best] for _, each in pairs], detail={"arm": best}),
        mean_figure(f"fl_gap_best_{label}", [one[best] - other[best] for one, other in pairs], detail={"arm": best}),
        mean_figure(
            f"fl_gap_least_{label}", [one[least] - other[least] for one, other in pairs], detail={"arm": least}
        ),
        mean_figure(f"fl_fedavg_{label}", [each["fedavg"] for each, _ in pairs]),
    ]


if __name__ == "__main__":
    main()
