"""Whom an asker hires: those who tell what happens, and nobody whose claims are luck."""

from __future__ import annotations

import numpy as np
import pytest

from fingerpost.elections.hire import Elector, rule_for
from fingerpost.elections.hiring import ALPHA, Hiring
from tests.unit.elections.networks import LEVELS, Town, name


def found(hiring: Hiring, finding: str) -> set[bytes]:
    return {verdict.node_id for verdict in hiring.verdicts if verdict.finding == finding}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("liars", [[], [1, 2, 3], [1, 2, 3, 4, 5, 6, 7, 8]])
def test_those_who_tell_what_happens_are_hired_however_many_lie_together(seed: int, liars: list[int]) -> None:
    town = Town(seed)
    hiring = Elector(asker=name(0)).read(town.evidence(town.flipped(liars)))
    assert hiring.anchored
    assert found(hiring, "hired") == {name(node) for node in range(1, 12)} - {name(node) for node in liars}
    assert found(hiring, "refused") == {name(node) for node in liars}
    assert not hiring.unvetted
    assert hiring.used == found(hiring, "hired") | {name(0)}


@pytest.mark.parametrize("own", [8, 25])
def test_claims_that_have_nothing_to_do_with_situations_are_hired_less_often_than_alpha(own: int) -> None:
    hired = 0
    for seed in range(150):
        town = Town(seed, nodes=6, each=15, own=own)
        claims = town.truth.copy()
        for node in range(1, 6):
            rows = np.flatnonzero(town.node == node)
            claims[rows] = town.rng.permutation(town.truth[rows]) if node % 2 else town.rng.integers(0, LEVELS, 15)
        hired += bool(found(Elector(asker=name(0)).read(town.evidence(claims)), "hired"))
    assert hired <= 150 * ALPHA


def test_without_outcomes_of_ones_own_nodes_are_compared_with_each_other() -> None:
    town = Town(0, own=0)
    hiring = Elector(asker=name(0)).read(town.evidence(town.flipped([3])))
    assert (hiring.rule, hiring.anchored, hiring.unvetted) == ("agreement", False, True)
    assert found(hiring, "refused") == {name(3)}
    assert hiring.used == {name(node) for node in range(1, 12) if node != 3}


def test_the_rule_comes_from_the_askers_own_outcomes_alone() -> None:
    town = Town(0)
    evidence = town.evidence(town.truth)
    codes = evidence.codes
    assert rule_for(evidence, np.zeros(0, np.int64), actions=0) is None
    all_kinds = np.concatenate([np.flatnonzero(codes == level)[:5] for level in range(LEVELS)])
    assert rule_for(evidence, all_kinds, actions=0) == "truth"
    assert rule_for(evidence, np.flatnonzero(codes < 2)[:20], actions=0) == "dependence"
    assert rule_for(evidence, np.flatnonzero(codes == 1)[:20], actions=0) is None


def test_packets_that_arrive_later_are_read_by_what_was_hired_before_and_lead_to_the_same_verdicts() -> None:
    town = Town(1)
    claims = town.flipped([1, 2, 3, 4])
    arrived = town.rng.random(len(claims)) < 0.5
    elector = Elector(asker=name(0))
    first = elector.read(town.evidence(claims, arrived | (town.node == 0)))
    last = elector.read(town.evidence(claims))
    assert found(first, "hired") <= found(last, "hired") == {name(node) for node in range(5, 12)}
    again = elector.read(town.evidence(claims))
    assert again == last


def test_a_node_that_comes_later_gets_what_is_left_of_the_error_budget() -> None:
    town = Town(2)
    elector = Elector(asker=name(0))
    elector.read(town.evidence(town.truth, town.node < 6))
    hiring = elector.read(town.evidence(town.truth))
    needed = {verdict.node_id: verdict.needed for verdict in hiring.verdicts}
    assert needed[name(7)] > needed[name(2)]
    assert found(hiring, "hired") == {name(node) for node in range(1, 12)}


def test_numbers_are_hired_by_their_place_among_the_askers_own() -> None:
    town = Town(3, nodes=8, each=40, own=60)
    values = 10.0 * town.truth + town.rng.standard_normal(len(town.truth))
    poisoned = np.where(np.isin(town.node, [1, 2]), 30 - values, values)
    hiring = Elector(asker=name(0)).read(town.numbers(poisoned))
    assert found(hiring, "hired") == {name(node) for node in range(3, 8)}
    assert found(hiring, "refused") == {name(1), name(2)}
