"""Numbers are compared by value: honest nodes are likelier than luck, and liars are not, however they lie."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from fingerpost.elections.claims import Coding
from fingerpost.elections.hire import TRIED_FROM, Elector
from fingerpost.elections.numbers import Numbers, _luck
from tests.unit.elections.networks import LEVELS, Town, name

NODES = 10
LOW, HIGH = -20.0, 80.0
Lie = Callable[[NDArray[np.float64], np.random.Generator], NDArray[np.float64]]
LIES: dict[str, Lie] = {
    "mirrored": lambda values, _: LOW + HIGH - values,
    "extreme": lambda values, _: np.full(len(values), HIGH),
    "shifted": lambda values, _: values + 60.0,
    "shuffled": lambda values, chance: chance.permutation(values),
    "the usual one": lambda values, _: np.full(len(values), float(values.mean())),
}


def values_of(town: Town, seed: int, *, noise: float = 15.0) -> NDArray[np.float64]:
    """Numbers that situations tell of, as far as ``noise`` leaves it: too far for levels to prove anybody."""
    levels = np.linspace(LOW, HIGH, LEVELS)
    return np.asarray(levels[town.truth] + noise * np.random.default_rng(seed).standard_normal(len(town.truth)))


def town_of(seed: int, lie: Lie | None = None, *, liars: int = 0) -> tuple[Town, NDArray[np.float64]]:
    """A town of which the last nodes lie."""
    town = Town(seed, nodes=NODES, each=25, own=25, spread=0.8)
    claims, chance = values_of(town, seed), np.random.default_rng([seed, 1])
    for node in range(NODES - liars, NODES):
        rows = town.node == node
        assert lie is not None
        claims[rows] = lie(claims[rows], chance)
    return town, claims


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", LIES)
def test_no_number_of_a_liar_is_used_be_there_eight_liars_among_nine(kind: str, seed: int) -> None:
    town, claims = town_of(seed, LIES[kind], liars=8)
    hiring = Elector(asker=name(0)).read(town.numbers(claims))
    assert hiring.anchored
    assert not hiring.used & {name(node) for node in range(2, NODES)}


@pytest.mark.parametrize("seed", range(3))
def test_where_nobody_lies_nearly_all_take_part(seed: int) -> None:
    town, claims = town_of(seed)
    hiring = Elector(asker=name(0)).read(town.numbers(claims))
    assert hiring.count("hired") + hiring.count("tried") >= NODES - 3
    assert hiring.unvetted == (hiring.count("tried") > 0)


def test_a_node_whose_numbers_are_told_again_and_again_gains_nothing() -> None:
    town, claims = town_of(0)
    rows = np.flatnonzero(town.node == 1)
    town.fingerprints[rows], claims[rows] = town.fingerprints[rows[0]], claims[rows[0]]
    hiring = Elector(asker=name(0)).read(town.numbers(claims))
    assert {verdict.node_id: verdict.finding for verdict in hiring.verdicts}[name(1)] == "unknown"


def test_luck_is_likelier_than_what_is_expected_at_most_as_often_as_an_e_value_allows() -> None:
    passed = tries = 0
    for seed in range(12):
        town, claims = town_of(seed, LIES["shuffled"], liars=NODES - 1)
        evidence = town.numbers(claims)
        place = {one.tobytes(): number for number, one in enumerate(evidence.node_ids)}
        own = np.flatnonzero(evidence.node_index == place[name(0)])
        coding = Coding.of(evidence, own, actions=0)
        numbers = Numbers.of(evidence, own, coding)
        assert numbers is not None
        for node in range(1, NODES):
            rows = np.flatnonzero(evidence.node_index == place[name(node)])
            passed += numbers.log_ratio(evidence, rows, coding) >= TRIED_FROM
            tries += 1
    assert passed / tries <= 1 / 3


def test_own_numbers_that_are_all_the_same_tell_nothing() -> None:
    town, claims = town_of(0)
    evidence = town.numbers(np.where(town.node == 0, 5.0, claims))
    place = [one.tobytes() for one in evidence.node_ids].index(name(0))
    own = np.flatnonzero(evidence.node_index == place)
    assert Numbers.of(evidence, own, Coding.of(evidence, own, actions=0)) is None


def test_nothing_told_is_neither_way() -> None:
    town, claims = town_of(0)
    evidence = town.numbers(claims)
    own = np.flatnonzero(evidence.node_index == 0)
    coding = Coding.of(evidence, own, actions=0)
    numbers = Numbers.of(evidence, own, coding)
    assert numbers is not None
    assert numbers.log_ratio(evidence, own[:0], coding) == 0


def test_luck_is_the_most_likely_normal_distribution() -> None:
    values = np.random.default_rng(0).standard_normal(9) * 3 + 2
    densities = [
        float((-((values - mean) ** 2) / (2 * spread**2) - np.log(spread * np.sqrt(2 * np.pi))).sum())
        for mean in np.linspace(-4, 6, 101)
        for spread in np.linspace(1, 6, 101)
    ]
    assert _luck(values, least=0.01) >= max(densities)
    assert _luck(values, least=0.01) == pytest.approx(max(densities), abs=0.05)
