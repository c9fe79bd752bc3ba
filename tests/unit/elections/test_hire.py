"""Whom an asker hires: those who tell what happens, and nobody whose claims are luck."""

from __future__ import annotations

import numpy as np
import pytest

from fingerpost.elections.hire import Elector, rule_for
from fingerpost.elections.hiring import ALPHA, Hiring
from fingerpost.synthesis import Evidence
from tests.unit.elections.networks import LEVELS, Town, key, name


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


def test_a_node_that_turns_after_it_was_hired_is_dismissed_and_its_honest_past_is_no_credit() -> None:
    town = Town(4, nodes=10, each=60, own=30)
    days = np.where(town.node == 0, 0, np.arange(len(town.node)) % 2)
    claims = np.where((days == 1) & np.isin(town.node, [1, 2]), (town.truth + 1) % LEVELS, town.truth)
    elector = Elector(asker=name(0))
    before = elector.read(town.told_on(claims, days, until=0))
    assert found(before, "hired") == {name(node) for node in range(1, 10)}
    after = elector.read(town.told_on(claims, days, until=1))
    assert found(after, "refused") == {name(1), name(2)}
    assert found(after, "hired") == {name(node) for node in range(3, 10)}
    at_once = Elector(asker=name(0)).read(town.told_on(claims, days, until=1))
    assert not found(at_once, "hired") & {name(1), name(2)}


def test_honest_nodes_are_not_dismissed_whatever_day_they_tell_it() -> None:
    for seed in range(5):
        town = Town(seed, nodes=12, each=40, own=25, spread=0.9)
        elector = Elector(asker=name(0))
        days = np.arange(len(town.node)) % 4
        readings = [elector.read(town.told_on(town.truth, days, until=day)) for day in range(4)]
        assert not any(found(reading, "refused") for reading in readings)


def test_a_lucky_claim_that_is_told_again_and_again_counts_once() -> None:
    town = Town(0, nodes=8, own=40)
    evidence = town.evidence(town.truth)
    first = np.flatnonzero(town.node == 3)[:1]
    often = np.concatenate([np.flatnonzero(town.node != 3), np.repeat(first, 60)])
    chance = np.random.default_rng(0)
    changed = np.unpackbits(town.fingerprints[often], axis=1)
    changed[-60:] ^= (chance.random((60, changed.shape[1])) < 0.01).astype(np.uint8)
    replayed = Evidence.from_arrays(
        fingerprints=np.packbits(changed, axis=1),
        codes=town.truth[often],
        counts=np.zeros((0, LEVELS), np.int64),
        emitters=np.stack([key(int(node)) for node in town.node[often]]),
        packet_ids=chance.integers(0, 256, (len(often), 32), dtype=np.uint8),
    )
    hiring = Elector(asker=name(0)).read(replayed)
    assert name(3) in found(Elector(asker=name(0)).read(evidence), "hired")
    assert name(3) not in found(hiring, "hired")
    assert next(verdict.familiar for verdict in hiring.verdicts if verdict.node_id == name(3)) <= 2


def test_an_unproven_node_is_tried_where_its_claims_are_likelier_than_luck_and_left_out_where_not() -> None:
    town = Town(0, nodes=9, each=3, own=40)
    luck = np.where(np.isin(town.node, [1, 2, 3, 4]), (town.truth + 1) % LEVELS, town.truth)
    hiring = Elector(asker=name(0)).read(town.evidence(luck))
    tried = found(hiring, "tried")
    assert tried
    assert tried | found(hiring, "hired") <= {name(node) for node in range(5, 9)}
    assert hiring.unvetted
    assert hiring.used == tried | found(hiring, "hired") | {name(0)}


def test_where_few_kinds_of_outcomes_prove_nobody_nodes_are_compared_with_each_other() -> None:
    town = Town(0, nodes=12, own=0)
    one_kind = np.flatnonzero(town.truth == 0)[:9]
    other = np.flatnonzero(town.truth == 1)[:1]
    town.node[[*one_kind, *other]] = 0
    hiring = Elector(asker=name(0)).read(town.evidence(town.flipped([3])))
    if not found(hiring, "hired"):
        assert (hiring.rule, hiring.unvetted) == ("agreement", True)
    assert name(3) not in hiring.used
