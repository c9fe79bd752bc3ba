"""Nodes that publish counts with noise: who asks uses the honest ones, says whom it refused, and can prove it all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fingerpost.elections.counting import CountsElector
from fingerpost.elections.hiring import Hiring
from fingerpost.node import forms
from fingerpost.node.facade import Node
from fingerpost.node.network import MemoryNetwork
from fingerpost.synthesis.receipt import verify_receipt
from fingerpost.template import parse_template

TEMPLATE = parse_template(
    """
format = 1
name = "rain"
data_class = "personal"
[situation.sky]
kind = "category"
levels = ["blue", "grey", "black", "white"]
[situation.wind]
kind = "number"
range = [0, 100]
[outcome]
name = "rain"
kind = "category"
levels = ["dry", "wet"]
[cells]
kind = "prefix"
bits = 4
[privacy]
profile = "dp-aggregate"
"""
)
CELLS, ROWS = 16, 400
QUESTIONS = [({"sky": "grey", "wind": 20}, "wet"), ({"sky": "blue", "wind": 20}, "dry")]


def table(seed: int, *, lies: bool) -> dict[str, object]:
    """Grey and black skies bring rain, the others don't; a liar says the opposite."""
    chance = np.random.default_rng(seed)
    sky = chance.choice(["blue", "grey", "black", "white"], ROWS).tolist()
    wet = np.isin(sky, ["grey", "black"]) ^ (chance.random(ROWS) < 0.05) ^ lies
    return {
        "patient": [f"{seed}-{row}" for row in range(ROWS)],
        "sky": sky,
        "wind": chance.integers(0, 101, ROWS).tolist(),
        "rain": np.where(wet, "wet", "dry").tolist(),
    }


class SeededNoise:
    """Discrete Laplace noise that is the same in every run."""

    def __init__(self) -> None:
        self.chance = np.random.default_rng(0)

    def discrete_laplace(self, counts: NDArray[np.int64], *, scale: float) -> NDArray[np.int64]:
        stop = 1 - np.exp(-1 / scale)
        noise = self.chance.geometric(stop, counts.shape) - self.chance.geometric(stop, counts.shape)
        return np.asarray(counts + noise, np.int64)


@pytest.fixture
def nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Node]]:
    """The asker, two honest nodes, and three liars."""
    noise = SeededNoise()
    monkeypatch.setattr(forms, "_system_noise", lambda: noise)
    network = MemoryNetwork()
    with ExitStack() as stack:
        found = [stack.enter_context(Node(TEMPLATE, network=network, home=tmp_path / f"{n}")) for n in range(6)]
        for seed, node in enumerate(found):
            node.emit_table(table(seed, lies=seed >= 3), subject_column="patient")
        yield found


@pytest.mark.parametrize("mode", ["sync", "cells"])
def test_an_answer_rests_on_the_counts_of_those_hired_and_its_receipt_on_no_others(
    nodes: list[Node], mode: str
) -> None:
    asker, honest, liars = nodes[0], nodes[1:3], nodes[3:]
    for situation, outcome in QUESTIONS:
        answer = asker.ask(situation, mode=mode)  # type: ignore[arg-type]
        assert answer.probabilities[outcome] > 0.7
        assert answer.election is not None
        assert (answer.election.rule, answer.election.anchored, answer.election.unvetted) == ("counts", True, False)
        found = {one.node_id: one.finding for one in answer.election.nodes}
        assert [found[node.node_id.hex()] for node in honest] == ["hired"] * 2
        assert [found[node.node_id.hex()] for node in liars] == ["refused"] * 3
        assert {share.node_id for share in answer.nodes} == {node.node_id.hex() for node in (asker, *honest)}
        derived = verify_receipt(asker.receipt(answer))
        assert (derived.packets, derived.answer.probabilities) == (3 * CELLS, answer.probabilities)


def test_with_everybodys_counts_the_majority_of_liars_would_have_its_way(
    nodes: list[Node], monkeypatch: pytest.MonkeyPatch
) -> None:
    read = CountsElector.read

    def believing(elector: CountsElector, evidence: object, *, day: int) -> Hiring:
        hiring = read(elector, evidence, day=day)  # type: ignore[arg-type]
        return Hiring(rule="counts", anchored=False, alpha=0.05, unvetted=True, verdicts=hiring.refusing([]).verdicts)

    monkeypatch.setattr(CountsElector, "read", believing)
    monkeypatch.setattr(Hiring, "used", property(lambda hiring: frozenset(each.node_id for each in hiring.verdicts)))
    for situation, outcome in QUESTIONS:
        assert nodes[0].ask(situation).probabilities[outcome] < 0.6


def test_whom_counts_speak_for_and_who_contradicts_whom_is_explained(nodes: list[Node]) -> None:
    asker, honest, liar = nodes[0], nodes[1], nodes[3]
    asker.synchronise()
    good, bad = asker.explain(honest.node_id), asker.explain(liar.node_id)
    assert (good["rule"], good["finding"], bad["finding"]) == ("counts", "hired", "refused")
    assert sum(cell["weight"] for cell in good["for"]) > -sum(cell["weight"] for cell in good["against"])
    assert sum(cell["weight"] for cell in bad["for"]) < -sum(cell["weight"] for cell in bad["against"])
    document = asker.graph()
    liars = {node.node_id.hex() for node in nodes[3:]}
    lying = [node["node_id"] in liars for node in document["nodes"]]
    assert (document["rule"], document["hired"], document["refused"]) == ("counts", 2, 3)
    for row, one in enumerate(lying):
        for column, other in enumerate(lying):
            contrast = document["contrast"][row][column]
            assert contrast is None if row == column else (contrast > 0) == (one == other)
