"""The parts of ``bench.robustness`` that need no federated arm: elections under attack, and what is guaranteed."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from bench._figures import Figure, bootstrap_interval, is_quick
from bench._robustness import Point, World, prints
from bench._robustness_journal import Deadline, Journal
from fingerpost.elections.hire import Elector
from fingerpost.elections.hiring import ALPHA, Hiring
from fingerpost.ids import node_id
from fingerpost.lab import attacks
from fingerpost.synthesis.evidence import Evidence

NULL_NETWORKS = 100 if is_quick() else 2_000
NULL_BATCH = 50
FDR_NETWORKS = 10 if is_quick() else 100
FDR_BATCH = 10
AUDITS = 25
SYBILS = (0, 30, 100, 300)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Which seeds and shares of liars are measured, until when, and where it is written down."""

    seeds: Sequence[int]
    journal: Journal
    deadline: Deadline
    percents: Sequence[int]

    def found(self, key: str, measure: Callable[[], Mapping[str, float]]) -> Mapping[str, float] | None:
        """Return what is known of a point, measuring it if there is time."""
        return self.journal.found(key, measure, deadline=self.deadline)


def elect_at(point: Point, worlds: dict[str, World]) -> dict[str, float]:
    """Return what an election is worth at a point, in accuracy, beside other choices of packets."""
    world = point.world(worlds)
    liars = world.liars(point.percent / 100)
    evidence = world.evidence(world.claims(point.attack, liars))
    hiring = world.hire(evidence)
    values = choices(world, evidence, hiring, liars)
    if point.attack == "target":
        rows = {"ours": hiring.rows(evidence), "oracle": ~world.rows_of(evidence, liars)}
        level = attacks.TARGET % world.levels
        values |= {f"class_{arm}": world.score(evidence, taken, level=level) for arm, taken in rows.items()}
    return values


def choices(world: World, evidence: Evidence, hiring: Hiring, liars: np.ndarray) -> dict[str, float]:
    """Return how good answers are from those used, the honest, the asker alone and everybody; and who was hired."""
    lying = {world.name_of(int(node)) for node in liars}
    hired = [verdict.node_id for verdict in hiring.verdicts if verdict.finding == "hired"]
    tried = [verdict.node_id for verdict in hiring.verdicts if verdict.finding == "tried"]
    ours = world.score(evidence, hiring.rows(evidence))
    oracle = world.score(evidence, ~world.rows_of(evidence, liars))
    return {
        "ours": ours,
        "oracle": oracle,
        "own": world.score(evidence, world.rows_of(evidence, np.array([world.me]))),
        "everybody": world.score(evidence, np.ones(len(evidence), bool)),
        "gap_oracle": ours - oracle,
        "bad_hires": sum(node in lying for node in hired),
        "hired": len(hired),
        "bad_tried": sum(node in lying for node in tried),
        "tried": len(tried),
    }


def keep(found: dict[str, list[float]], values: Mapping[str, float] | None, label: str) -> None:
    """Note the values of a point under their names; nothing, if it was not measured."""
    for name, value in (values or {}).items():
        found.setdefault(f"{name}_{label}", []).append(value)


def diabetes(run: Run) -> list[Figure]:
    """Measure numbers: liars mirror them in the range, or call all of them extreme."""
    found: dict[str, list[float]] = {}
    for seed in run.seeds:
        worlds: dict[str, World] = {}
        for attack in ("flip", "extreme"):
            for percent in run.percents:
                point = Point(name="diabetes", kind=attack, percent=percent, seed=seed)
                keep(found, run.found(point.key, partial(_elect_numbers_at, point, worlds)), point.label)
    return [mean_figure(key, values) for key, values in found.items()]


def _elect_numbers_at(point: Point, worlds: dict[str, World]) -> dict[str, float]:
    world = point.world(worlds)
    low, high = float(world.truth.min()), float(world.truth.max())
    liars = world.liars(point.percent / 100)
    lying = np.isin(world.node, liars)
    values = world.truth.astype(np.float64)
    if point.attack == "flip":
        evidence = world.evidence(attacks.poison(values, lying, low=low, high=high))
    else:
        evidence = world.evidence(attacks.extreme(values, lying, high=high))
    return choices(world, evidence, world.hire(evidence), liars)


def null(run: Run) -> list[Figure]:
    """Hire in networks whose peers claim what has nothing to do with situations: anybody is one too many."""
    worlds: dict[int, World] = {}
    hired = networks = 0
    for first in range(0, NULL_NETWORKS, NULL_BATCH):
        batch = range(first, first + NULL_BATCH)
        values = run.found(f"null_{run.seeds[0]}_{first}", partial(_null_batch, run, worlds, batch))
        if values is not None:
            hired, networks = hired + int(values["hired"]), networks + NULL_BATCH
    if not networks:
        return []
    rate = hired / networks
    high = binomial_high(hired, networks)
    detail = {"networks": networks, "with_a_hire": hired, "alpha": ALPHA}
    figures = [Figure(name="false_hire_rate_null", value=rate, unit="share", low=0.0, high=high, detail=detail)]
    for honest in (20, 40, 60, 80):
        proportions: list[float] = []
        for first in range(0, FDR_NETWORKS, FDR_BATCH):
            batch = range(first, first + FDR_BATCH)
            values = run.found(
                f"fdr_{run.seeds[0]}_{honest}_{first}",
                partial(_fdr_batch, run, worlds, honest, batch),
            )
            proportions += list((values or {}).values())
        if proportions:
            figures.append(mean_figure(f"fdr_honest_{honest}", proportions))
    return figures


def _world_of(run: Run, worlds: dict[int, World], number: int) -> World:
    seed = run.seeds[number % len(run.seeds)]
    if seed not in worlds:
        worlds[seed] = World("digits", seed)
    return worlds[seed]


def _null_batch(run: Run, worlds: dict[int, World], numbers: Sequence[int]) -> dict[str, float]:
    hired = 0
    for number in numbers:
        world = _world_of(run, worlds, number)
        claims = _claims_of_luck(world, world.others, np.random.default_rng([1, number]))
        hired += world.hire(world.evidence(claims)).count("hired") > 0
    return {"hired": hired}


def _fdr_batch(run: Run, worlds: dict[int, World], honest: int, numbers: Sequence[int]) -> dict[str, float]:
    proportions = {}
    for number in numbers:
        world = _world_of(run, worlds, number)
        luck = world.liars(1 - honest / 100)
        claims = _claims_of_luck(world, luck, np.random.default_rng([2, honest, number]))
        hiring = world.hire(world.evidence(claims))
        bad = {world.name_of(int(node)) for node in luck}
        found = [verdict.node_id in bad for verdict in hiring.verdicts if verdict.finding == "hired"]
        proportions[str(number)] = sum(found) / max(len(found), 1)
    return proportions


def binomial_high(happened: int, tries: int) -> float:
    """Return the upper end of the one-sided 95 % interval of a share (Clopper and Pearson 1934)."""
    from scipy.stats import beta

    return float(beta.ppf(0.95, happened + 1, tries - happened)) if happened < tries else 1.0


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


def sybils(run: Run) -> list[Figure]:
    """Let one liar come as many identities, and count who is hired; the honest nodes too."""
    found: dict[str, list[float]] = {}
    for seed in run.seeds:
        for identities in SYBILS:
            values = run.found(f"sybils_{identities}_{seed}", partial(_flooded, seed, identities))
            if values is not None:
                found.setdefault(f"sybils_hired_{identities}", []).append(values["fake"])
                found.setdefault(f"honest_hired_beside_{identities}_sybils", []).append(values["real"])
                found.setdefault(f"ours_beside_{identities}_sybils", []).append(values["ours"])
    return [mean_figure(key, values) for key, values in found.items() if key != "sybils_hired_0"]


def _flooded(seed: int, identities: int) -> dict[str, float]:
    world = World("digits", seed)
    rows = np.flatnonzero(world.node == world.others[0])
    bits = np.unpackbits(prints(world.name)[world.train][rows], axis=1)
    wrong = (world.truth[rows] + 1) % world.levels
    chance = np.random.default_rng(world.seed)
    copies, claims, identity = attacks.flood(bits, wrong, identities=identities, chance=chance)
    first = int(world.node.max()) + 1
    more = (np.packbits(copies, axis=1), claims, identity + first) if identities else None
    evidence = world.evidence(world.truth, more=more)
    hiring = world.hire(evidence)
    names = {world.name_of(first + number) for number in range(identities)}
    hired = [verdict.node_id for verdict in hiring.verdicts if verdict.finding == "hired"]
    fake = sum(name in names for name in hired)
    return {"fake": fake, "real": len(hired) - fake, "ours": world.score(evidence, hiring.rows(evidence))}


def audits(run: Run) -> list[Figure]:
    """Measure what 25 confirmed outcomes more do for the outcome that 40 % of the nodes lie about."""
    found: dict[str, list[float]] = {}
    for seed in run.seeds:
        values = run.found(f"audits_{seed}", partial(_audited, seed))
        for name, value in (values or {}).items():
            found.setdefault(f"targeted40_audits{name}_class_accuracy", []).append(value)
    return [mean_figure(key, values) for key, values in found.items()]


def _audited(seed: int) -> dict[str, float]:
    world = World("digits", seed)
    liars = world.liars(0.4)
    claims = world.claims("target", liars)
    honest = np.flatnonzero(~np.isin(world.node, [*liars, world.me]))
    node, chance, values = world.node.copy(), np.random.default_rng([world.seed, AUDITS]), {}
    for drawn in (0, AUDITS):
        world.node[chance.choice(honest, drawn, replace=False)] = world.me
        evidence = world.evidence(claims)
        values[str(drawn)] = world.score(evidence, world.hire(evidence).rows(evidence), level=attacks.TARGET)
    world.node = node
    return values


def speed(_: Run) -> list[Figure]:
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


def mean_figure(name: str, values: Sequence[float], *, detail: Mapping[str, Any] | None = None) -> Figure:
    """Return the mean over seeds, or networks, with its interval."""
    low, high = bootstrap_interval(values, statistic=np.mean)
    unit = "nodes" if name.startswith(("bad_", "hired", "tried", "sybils_hired", "honest_hired")) else "share"
    mean = float(np.mean(values))
    more = {"n": len(values)} | dict(detail or {})
    return Figure(name=name, value=mean, unit=unit, low=min(low, mean), high=max(high, mean), detail=more)
