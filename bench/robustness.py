"""Whom askers hire, and how good their answers stay, when nodes lie; seeds from 100, settings chosen on 0 to 4.

``ours_``, ``oracle_``, ``own_``, ``everybody_``  accuracy from the nodes used, from honest ones only, from the asker's
                            own packets, and from everybody (diabetes: share of variance explained)
``gap_oracle_``             ours minus oracle, with the interval over seeds
``bad_hires_``              liars hired, a seed
``false_hire_rate_null``    share of networks of nodes that know nothing in which anybody is hired
``fdr_honest_PERCENT``      share of false hires among hires, with as many honest nodes
``sybils_hired_300``        of 300 identities of one liar
``hire_1e5_seconds``, ``hire_increment_seconds``  CPU time: 1,000 nodes, 100,000 packets, then 1,000 more

``python -m bench.robustness [SET ...]`` measures some sets only; ``null``, ``sybils``, ``audits`` and ``speed`` are the
other parts. Each writes its figures when it is done.
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict

import numpy as np

from bench._figures import Figure, bootstrap_interval, is_quick, write_figures
from bench._robustness import World, prints
from bench._robustness_plots import plot_gaps
from fingerpost.elections.hire import Elector
from fingerpost.elections.hiring import ALPHA
from fingerpost.ids import node_id
from fingerpost.lab import attacks
from fingerpost.synthesis.evidence import Evidence

TARGET = "robustness"
SEEDS = range(100, 102) if is_quick() else range(100, 110)
PERCENTS = (0, 40, 80) if is_quick() else (0, 20, 40, 60, 80, 95)
NULL_NETWORKS = 100 if is_quick() else 2_000
FDR_NETWORKS = 10 if is_quick() else 100
AUDITS = 25
SYBILS = 300
PARTS = ("digits", "breast_cancer", "heart", "diabetes", "null", "sybils", "audits", "speed")
KINDS = {
    "digits": ("flip", "random", "partial", "target", "mimic", "onoff", "flip_dir01"),
    "breast_cancer": ("flip", "random", "partial"),
    "heart": ("flip", "random", "partial"),
}


def main() -> None:
    """Measure the parts that are named, or all."""
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*", metavar="PART")
    parser.add_argument("--data", help="not needed here: the other measurements of this target read it")
    for part in parser.parse_args().parts or PARTS:
        started = time.perf_counter()
        if part in KINDS:
            figures = under_attack(part)
            plot_gaps(part, figures)
        else:
            figures = OTHERS[part]()
        write_figures(TARGET, figures, seeds=SEEDS)
        print(f"{part}: {time.perf_counter() - started:.0f} s")


def under_attack(name: str) -> list[Figure]:
    """Measure a set of categories under every attack."""
    found: dict[str, list[float]] = defaultdict(list)
    for seed in SEEDS:
        worlds: dict[str, World] = {}
        for kind in KINDS[name]:
            attack, _, skew = kind.partition("_")
            place = "mimic" if attack == "mimic" else skew
            if place not in worlds:
                worlds[place] = World(name, seed, dirichlet=0.1 if skew else None)
                if attack == "mimic":
                    worlds[place].keep_half_of_the_levels()
            for percent in PERCENTS:
                _measure_one(worlds[place], attack, percent, f"{name}_{attack}_{percent}{skew and '_' + skew}", found)
    return [_mean_figure(key, values) for key, values in found.items()]


def _measure_one(world: World, attack: str, percent: int, label: str, found: dict[str, list[float]]) -> None:
    liars = world.liars(percent / 100)
    evidence = world.evidence(world.claims(attack, liars))
    hiring = world.hire(evidence)
    lying = {world.name_of(int(node)) for node in liars}
    hired = [verdict.node_id for verdict in hiring.verdicts if verdict.finding == "hired"]
    ours = world.score(evidence, hiring.rows(evidence))
    oracle = world.score(evidence, ~world.rows_of(evidence, liars))
    found[f"ours_{label}"].append(ours)
    found[f"oracle_{label}"].append(oracle)
    found[f"own_{label}"].append(world.score(evidence, world.rows_of(evidence, np.array([world.me]))))
    found[f"everybody_{label}"].append(world.score(evidence, np.ones(len(evidence), bool)))
    found[f"gap_oracle_{label}"].append(ours - oracle)
    found[f"bad_hires_{label}"].append(sum(node in lying for node in hired))
    found[f"hired_{label}"].append(len(hired))


def diabetes() -> list[Figure]:
    """Measure numbers: liars mirror them in the range, or call all of them extreme."""
    found: dict[str, list[float]] = defaultdict(list)
    for seed in SEEDS:
        world = World("diabetes", seed)
        low, high = float(world.truth.min()), float(world.truth.max())
        for attack in ("flip", "extreme"):
            for percent in PERCENTS:
                liars = world.liars(percent / 100)
                lying = np.isin(world.node, liars)
                values = world.truth.astype(np.float64)
                told = (
                    attacks.poison(values, lying, low=low, high=high)
                    if attack == "flip"
                    else attacks.extreme(values, lying, high=high)
                )
                evidence = world.evidence(told)
                hiring = world.hire(evidence)
                bad = {world.name_of(int(node)) for node in liars}
                hired = [verdict.node_id for verdict in hiring.verdicts if verdict.finding == "hired"]
                label = f"diabetes_{attack}_{percent}"
                ours = world.score(evidence, hiring.rows(evidence))
                oracle = world.score(evidence, ~world.rows_of(evidence, liars))
                found[f"ours_{label}"].append(ours)
                found[f"oracle_{label}"].append(oracle)
                found[f"own_{label}"].append(world.score(evidence, world.rows_of(evidence, np.array([world.me]))))
                found[f"everybody_{label}"].append(world.score(evidence, np.ones(len(evidence), bool)))
                found[f"gap_oracle_{label}"].append(ours - oracle)
                found[f"bad_hires_{label}"].append(sum(node in bad for node in hired))
                found[f"hired_{label}"].append(len(hired))
    return [_mean_figure(key, values) for key, values in found.items()]


def null() -> list[Figure]:
    """Hire in networks whose peers claim what has nothing to do with situations: anybody is one too many."""
    hired, worlds = 0, [World("digits", seed) for seed in SEEDS]
    for number in range(NULL_NETWORKS):
        world = worlds[number % len(worlds)]
        claims = _claims_of_luck(world, world.others, np.random.default_rng([1, number]))
        hired += world.hire(world.evidence(claims)).count("hired") > 0
    rate = hired / NULL_NETWORKS
    reach = 1.645 * np.sqrt(max(rate * (1 - rate), 1 / NULL_NETWORKS) / NULL_NETWORKS)
    detail = {"networks": NULL_NETWORKS, "with_a_hire": hired, "alpha": ALPHA}
    figures = [Figure(name="false_hire_rate_null", value=rate, unit="share", low=0.0, high=rate + reach, detail=detail)]
    for honest in (20, 40, 60, 80):
        proportions = []
        for number in range(FDR_NETWORKS):
            world = worlds[number % len(worlds)]
            luck = world.liars(1 - honest / 100)
            claims = _claims_of_luck(world, luck, np.random.default_rng([2, honest, number]))
            hiring = world.hire(world.evidence(claims))
            bad = {world.name_of(int(node)) for node in luck}
            found = [verdict.node_id in bad for verdict in hiring.verdicts if verdict.finding == "hired"]
            proportions.append(sum(found) / max(len(found), 1))
        figures.append(_mean_figure(f"fdr_honest_{honest}", proportions))
    return figures


def _claims_of_luck(world: World, nodes: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    """Return claims of which those of ``nodes`` are luck: their own outcomes shuffled, or drawn, or all the same."""
    claims = world.truth.copy()
    for node in nodes.tolist():
        rows = np.flatnonzero(world.node == node)
        match int(chance.integers(3)):
            case 0:
                claims[rows] = chance.permutation(claims[rows])
            case 1:
                claims[rows] = chance.integers(0, world.levels, len(rows))
            case _:
                claims[rows] = chance.integers(world.levels)
    return claims


def sybils() -> list[Figure]:
    """Let one liar come as 300 identities, and count who is hired; the honest nodes too."""
    fake, real = [], []
    for seed in SEEDS:
        world = World("digits", seed)
        rows = np.flatnonzero(world.node == world.others[0])
        bits = np.unpackbits(data_prints(world)[rows], axis=1)
        wrong = (world.truth[rows] + 1) % world.levels
        chance = np.random.default_rng(seed)
        copies, claims, identity = attacks.flood(bits, wrong, identities=SYBILS, chance=chance)
        first = int(world.node.max()) + 1
        evidence = world.evidence(world.truth, more=(np.packbits(copies, axis=1), claims, identity + first))
        hiring = world.hire(evidence)
        names = {world.name_of(first + number) for number in range(SYBILS)}
        hired = [verdict.node_id for verdict in hiring.verdicts if verdict.finding == "hired"]
        fake.append(float(sum(name in names for name in hired)))
        real.append(float(sum(name not in names for name in hired)))
    return [_mean_figure("sybils_hired_300", fake), _mean_figure("honest_hired_beside_300_sybils", real)]


def audits() -> list[Figure]:
    """Measure what 25 confirmed outcomes more do for the outcome that 40 % of the nodes lie about."""
    plain: list[float] = []
    audited: list[float] = []
    for seed in SEEDS:
        world = World("digits", seed)
        chance = np.random.default_rng([seed, 25])
        for kept, drawn in ((plain, 0), (audited, AUDITS)):
            liars = world.liars(0.4)
            claims = world.claims("target", liars)
            honest = np.flatnonzero(~np.isin(world.node, [*liars, world.me]))
            node = world.node.copy()
            world.node[chance.choice(honest, drawn, replace=False)] = world.me
            evidence = world.evidence(claims)
            kept.append(world.score(evidence, world.hire(evidence).rows(evidence), level=attacks.TARGET))
            world.node = node
    return [
        _mean_figure("targeted40_audits0_class_accuracy", plain),
        _mean_figure("targeted40_audits25_class_accuracy", audited),
    ]


def speed() -> list[Figure]:
    """Time hiring among 1,000 nodes, 600 of them liars, and again after 1,000 packets more."""
    chance = np.random.default_rng(0)
    count, nodes, levels, more = 100_000, 1_000, 10, 1_000
    centres, truth = 0.55 * chance.standard_normal((levels, 32)), chance.integers(0, levels, count + more)
    situations = centres[truth] + 0.5 * chance.standard_normal((count + more, 32))
    fingerprints = np.packbits(situations @ chance.standard_normal((32, 256)) > 0, axis=1)
    node = chance.integers(1, nodes, count + more)
    node[:50] = 0
    liars = 1 + chance.permutation(nodes - 1)[:600]
    claims = np.where(np.isin(node, liars), (truth + 1) % levels, truth)
    keys = np.array([list(number.to_bytes(32, "big")) for number in range(nodes)], np.uint8)
    ids = chance.integers(0, 256, (count + more, 32), dtype=np.uint8)

    def evidence(rows: int) -> Evidence:
        return Evidence.from_arrays(
            fingerprints=fingerprints[:rows],
            codes=claims[:rows],
            counts=np.zeros((0, levels), np.int64),
            emitters=keys[node[:rows]],
            packet_ids=ids[:rows],
        )

    before, after = evidence(count), evidence(count + more)
    elector = Elector(asker=node_id(keys[0].tobytes()))
    started = time.process_time()
    hiring = elector.read(before)
    whole = time.process_time() - started
    started = time.process_time()
    elector.read(after)
    increment = time.process_time() - started
    bad = {node_id(keys[number].tobytes()) for number in liars.tolist()}
    hired = [verdict.node_id for verdict in hiring.verdicts if verdict.finding == "hired"]
    detail = {"hired": len(hired), "bad": sum(name in bad for name in hired), "honest": nodes - 1 - len(liars)}
    return [
        Figure(name="hire_1e5_seconds", value=whole, unit="s", detail=detail),
        Figure(name="hire_increment_seconds", value=increment, unit="s"),
    ]


def data_prints(world: World) -> np.ndarray:
    """Return the fingerprints of the rows that nodes have."""

    found: np.ndarray = prints(world.name)[world.train]
    return found


def _mean_figure(name: str, values: list[float]) -> Figure:
    low, high = bootstrap_interval(values, statistic=np.mean)
    unit = "nodes" if "hire" in name and "rate" not in name else "share"
    mean = float(np.mean(values))
    return Figure(name=name, value=mean, unit=unit, low=min(low, mean), high=max(high, mean), detail={"n": len(values)})


OTHERS = {"diabetes": diabetes, "null": null, "sybils": sybils, "audits": audits, "speed": speed}

if __name__ == "__main__":
    main()
