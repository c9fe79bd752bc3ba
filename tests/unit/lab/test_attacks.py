"""Every attack is one: where nobody defends, it does what it is meant to do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fingerpost.lab import attacks
from fingerpost.lab.attacks import ATTACKS, INSTEAD, TARGET, Scene
from fingerpost.synthesis import Evidence
from fingerpost.synthesis.kernel import fit
from tests.unit.elections.networks import LEVELS, Town, key

DAY = 20


def scene_of(town: Town, share: float, seen: int = LEVELS) -> Scene:
    return Scene(
        truth=town.truth,
        levels=LEVELS,
        lying=(town.node > 0) & (town.node <= round(share * 12)),
        seen=np.arange(seen),
        order=town.rng.permutation(len(town.truth)),
        bits=np.unpackbits(town.fingerprints, axis=1),
        chance=np.random.default_rng(5),
    )


@pytest.mark.parametrize("name", [name for name in ATTACKS if name != "backdoor"])
def test_an_attack_by_most_nodes_does_harm_where_nobody_defends(name: str) -> None:
    town = Town(4, nodes=12, each=30)
    scene = scene_of(town, 0.8, seen=2 if name == "mimic" else LEVELS)
    claims = ATTACKS[name](scene)
    assert (claims[~scene.lying] == scene.truth[~scene.lying]).all()
    rows = np.arange(len(claims))
    honest, fooled = (fit(town.evidence(told), day=DAY).predict(town.fingerprints) for told in (town.truth, claims))
    assert fooled[rows, town.truth].mean() < honest[rows, town.truth].mean() - 0.1


def test_a_backdoor_fires_on_its_trigger_only() -> None:
    scene = scene_of(Town(5), 0.5)
    claims = ATTACKS["backdoor"](scene)
    changed = claims != scene.truth
    assert changed.any()
    assert scene.bits[changed][:, :3].all()
    assert (claims[changed] == TARGET % LEVELS).all()


def test_a_targeted_liar_is_right_about_everything_else() -> None:
    scene = scene_of(Town(6), 0.5)
    changed = ATTACKS["target"](scene) != scene.truth
    assert (scene.truth[changed] == TARGET % LEVELS).all()
    assert INSTEAD % LEVELS != TARGET % LEVELS


def test_numbers_are_mirrored_or_pushed_to_the_end_and_stay_in_range() -> None:
    values, lying = np.array([1.0, 2.0, 9.0]), np.array([True, False, True])
    assert attacks.poison(values, lying, low=0, high=10).tolist() == [9, 2, 1]
    assert attacks.extreme(values, lying, high=10).tolist() == [10, 2, 10]


def test_a_flood_tells_the_same_packets_by_many_identities_with_few_bits_changed() -> None:
    chance = np.random.default_rng(0)
    bits, claims = chance.integers(0, 2, (5, 256)).astype(np.uint8), np.arange(5)
    copies, told, identity = attacks.flood(bits, claims, identities=7, chance=chance)
    assert (len(copies), len(told), len(set(identity.tolist()))) == (35, 35, 7)
    assert 0 < (copies != np.tile(bits, (7, 1))).mean() < 0.05


def shares_of(town: Town, bits: np.ndarray, claims: np.ndarray, nodes: np.ndarray, **columns: Any) -> np.ndarray:
    """What everybody's packets say about the true outcomes of the town, without a defence."""
    evidence = Evidence.from_arrays(
        fingerprints=np.packbits(bits, axis=1),
        codes=claims,
        counts=np.zeros((0, LEVELS), np.int64),
        emitters=np.stack([key(int(node)) for node in nodes]),
        packet_ids=np.random.default_rng(9).integers(0, 256, (len(claims), 32), dtype=np.uint8),
        **columns,
    )
    return fit(evidence, day=DAY).predict(town.fingerprints)[np.arange(len(town.truth)), town.truth]


def test_a_backdoor_turns_answers_where_its_trigger_is_set_if_nobody_defends() -> None:
    town = Town(5, nodes=12, each=30)
    scene = scene_of(town, 0.8)
    claims = ATTACKS["backdoor"](scene)
    triggered = scene.bits[:, :3].all(axis=1) & (town.truth != TARGET % LEVELS)
    honest, fooled = (fit(town.evidence(told), day=DAY).predict(town.fingerprints) for told in (town.truth, claims))
    assert triggered.sum() > 10
    assert (fooled - honest)[triggered, TARGET % LEVELS].mean() > 0.2


@pytest.mark.parametrize("attack", ["replay", "copy cats"])
def test_packets_told_again_and_again_outweigh_many_nodes_if_nobody_defends(attack: str) -> None:
    town, chance = Town(4, nodes=6, each=25), np.random.default_rng(1)
    bits = np.unpackbits(town.fingerprints, axis=1)
    wrong = town.flipped([1])
    mine = town.node == 1
    if attack == "replay":
        copies, told = attacks.replay(bits[mine], wrong[mine], times=40, chance=chance)
        nodes = np.full(len(told), 1)
    else:
        copies, told, identity = attacks.copy_cats(bits[mine], wrong[mine], identities=40, chance=chance)
        nodes = identity + 6
    once = shares_of(town, bits, wrong, town.node)
    often = shares_of(town, np.vstack([bits, copies]), np.concatenate([wrong, told]), np.append(town.node, nodes))
    assert often[mine].mean() < once[mine].mean() - 0.1


def test_liars_that_boast_outweigh_those_who_doubt_if_nobody_defends() -> None:
    town = Town(4, nodes=12, each=25)
    lying = np.isin(town.node, [1, 2, 3, 4, 5])
    bits, claims = np.unpackbits(town.fingerprints, axis=1), town.flipped([1, 2, 3, 4, 5])
    modest = shares_of(town, bits, claims, town.node)
    fooled = shares_of(town, bits, claims, town.node, confidences=attacks.boast(lying))
    assert fooled.mean() < modest.mean() - 0.05
