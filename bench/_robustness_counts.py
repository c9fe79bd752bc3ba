"""Elections among tables of counts with noise (dp-aggregate): few nodes with many records each, some of which lie.

Rows are dealt evenly; every node releases one table of its training rows with the noise of one day. Cells are prefixes
of fingerprints, as many as leave a few records in each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np
from sklearn.model_selection import StratifiedShuffleSplit

from bench._figures import Figure, is_quick
from bench._robustness import DAY, TEST_SHARE, keys
from bench._robustness_parts import Run, binomial_high, keep, mean_figure
from fingerpost.elections.counting import CountsElector
from fingerpost.elections.hiring import ALPHA
from fingerpost.fingerprint import Fingerprinter, cell_of
from fingerpost.ids import node_id
from fingerpost.lab import data
from fingerpost.limits import DP_RELEASE_EPSILON
from fingerpost.packet import Profile
from fingerpost.synthesis import CountsEvidence, CountsSynthesizer, Query
from fingerpost.template import DataClass, Template

CELL_BITS = {"breast_cancer": 4, "heart": 4, "digits": 5}
NODES = 5
PERCENTS = (0, 40, 60, 80)
NULL_NETWORKS = 50 if is_quick() else 400
NULL_BATCH = 10


@cache
def template_of(name: str) -> Template:
    """Return a set's template as it is under dp-aggregate."""
    template = data.load(name).template(bits=256)
    return replace(
        template, cell_bits=CELL_BITS[name], data_class=DataClass.PERSONAL, profile=Profile.DP_AGGREGATE, sketch=False
    )


@cache
def prints(name: str) -> np.ndarray:
    """Return the fingerprints of all rows of a set."""
    made: np.ndarray = Fingerprinter(template_of(name)).fingerprints(data.load(name).encoded())
    return made


@dataclass(slots=True)
class Tables:
    """One split of a set among ``NODES`` nodes, the first of which asks; the last ones lie."""

    name: str
    seed: int

    def split(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the rows told, the rows held out, and the node of each row told."""
        outcomes = data.load(self.name).outcomes
        split = StratifiedShuffleSplit(1, test_size=TEST_SHARE, random_state=self.seed)
        train, test = next(split.split(outcomes[:, None], outcomes))
        return train, test, np.random.default_rng(self.seed).permutation(np.arange(len(train)) % NODES)

    def evidence(self, claims: np.ndarray) -> CountsEvidence:
        """Return the releases of all nodes that claim this."""
        train, _, node = self.split()
        template, levels = template_of(self.name), data.load(self.name).levels
        cells, chance = cell_of(prints(self.name)[train], template).astype(np.int64), np.random.default_rng(self.seed)
        tables = np.zeros((NODES, 1 << template.cell_bits, levels), np.int64)
        np.add.at(tables, (node, cells, claims), 1)
        ratio = np.exp(-DP_RELEASE_EPSILON)
        tables += chance.geometric(1 - ratio, tables.shape) - chance.geometric(1 - ratio, tables.shape)
        names = [node_id(key.tobytes()) for key in keys(NODES)]
        order = sorted(range(NODES), key=names.__getitem__)
        rows = NODES << template.cell_bits
        return CountsEvidence(
            packet_ids=chance.integers(0, 256, (rows, 32), dtype=np.uint8),
            node_ids=np.array([list(names[each]) for each in order], np.uint8),
            node_index=np.repeat(np.arange(NODES), 1 << template.cell_bits),
            epochs=np.full(rows, DAY),
            ttl_days=np.full(rows, 30),
            cells=np.tile(np.arange(1 << template.cell_bits), NODES),
            actions=np.zeros(rows, np.int64),
            counts=tables[order].reshape(rows, levels),
            counted=np.ones((rows, levels), np.bool_),
            noises=np.ones(rows, np.int64),
        )

    def score(self, evidence: CountsEvidence, nodes: Sequence[bytes]) -> float:
        """Return the accuracy on rows held out, from the tables of some nodes."""
        _, test, _ = self.split()
        taken = np.array([one.tobytes() in nodes for one in evidence.node_ids])[evidence.node_index]
        synthesizer = CountsSynthesizer(evidence.subset(taken), template_of(self.name), day=DAY)
        answers = synthesizer.ask_many([Query(fingerprint=one.tobytes()) for one in prints(self.name)[test]])
        said = np.array([[level.probability for level in answer.levels] for answer in answers]).argmax(axis=1)
        return float((said == data.load(self.name).outcomes[test]).mean())


def counts(run: Run) -> list[Figure]:
    """Measure flips and luck on every set, then how often luck is hired where there is nothing else."""
    found: dict[str, list[float]] = {}
    for name in CELL_BITS:
        for seed in run.seeds:
            for percent in PERCENTS:
                for attack in ("flip", "random"):
                    values = run.found(
                        f"counts_{name}_{attack}_{percent}_{seed}",
                        partial(_elect_at, Tables(name, seed), attack, percent),
                    )
                    keep(found, values, f"{name}_{attack}_{percent}_counts")
    figures = [mean_figure(key, values) for key, values in found.items()]
    return figures + _null(run)


def _elect_at(tables: Tables, attack: str, percent: int) -> dict[str, float]:
    train, _, node = tables.split()
    levels, truth = data.load(tables.name).levels, data.load(tables.name).outcomes[train].astype(np.int64)
    lying = node >= NODES - round(percent / 100 * NODES)
    chance = np.random.default_rng([tables.seed, percent])
    claims = np.where(
        lying, (truth + 1) % levels if attack == "flip" else chance.integers(0, levels, len(truth)), truth
    )
    evidence = tables.evidence(claims)
    names = [node_id(key.tobytes()) for key in keys(NODES)]
    bad = set(names[NODES - round(percent / 100 * NODES) :])
    hiring = CountsElector(asker=names[0], template=template_of(tables.name)).read(evidence, day=DAY)
    hired = [verdict.node_id for verdict in hiring.verdicts if verdict.finding == "hired"]
    ours = tables.score(evidence, list(hiring.used))
    oracle = tables.score(evidence, [name for name in names if name not in bad])
    return {
        "ours": ours,
        "oracle": oracle,
        "own": tables.score(evidence, names[:1]),
        "everybody": tables.score(evidence, names),
        "gap_oracle": ours - oracle,
        "hired": len(hired),
        "bad_hires": len(bad.intersection(hired)),
        "bad_tried": sum(each.finding == "tried" and each.node_id in bad for each in hiring.verdicts),
        "bad_refused": sum(each.finding == "refused" and each.node_id in bad for each in hiring.verdicts),
    }


def _null(run: Run) -> list[Figure]:
    hired = networks = 0
    for first in range(0, NULL_NETWORKS, NULL_BATCH):
        values = run.found(f"counts_null_{first}", partial(_null_batch, range(first, first + NULL_BATCH)))
        if values is not None:
            hired, networks = hired + int(values["hired"]), networks + NULL_BATCH
    if not networks:
        return []
    detail = {"networks": networks, "with_a_hire": hired, "alpha": ALPHA}
    high = binomial_high(hired, networks)
    rate = hired / networks
    return [
        Figure(name="false_hire_rate_null_counts", value=rate, unit="share", low=0.0, high=high, detail=detail),
    ]


def _null_batch(numbers: Sequence[int]) -> dict[str, float]:
    """Return in how many networks of luck somebody is hired: labels shuffled, drawn, all the same, or alike by cell."""
    hired = 0
    for number in numbers:
        tables = Tables("breast_cancer", 1_000 + number)
        train, _, node = tables.split()
        truth, chance = data.load(tables.name).outcomes[train].astype(np.int64), np.random.default_rng([3, number])
        cells = cell_of(prints(tables.name)[train], template_of(tables.name)).astype(np.int64)
        claims = truth.copy()
        for peer in range(1, NODES):
            rows = np.flatnonzero(node == peer)
            by_cell = chance.integers(0, 2, 1 << template_of(tables.name).cell_bits)[cells[rows]]
            drawn, same = chance.integers(0, 2, len(rows)), np.full(len(rows), chance.integers(2))
            claims[rows] = (chance.permutation(truth[rows]), drawn, same, by_cell)[int(chance.integers(4))]
        names = [node_id(key.tobytes()) for key in keys(NODES)]
        elector = CountsElector(asker=names[0], template=template_of(tables.name))
        hired += elector.read(tables.evidence(claims), day=DAY).count("hired") > 0
    return {"hired": hired}
