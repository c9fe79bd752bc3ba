"""Every attack is one: where nobody defends, it does what it is meant to do."""

from __future__ import annotations

import numpy as np
import pytest

from fingerpost.lab import attacks
from fingerpost.lab.attacks import ATTACKS, INSTEAD, TARGET, Scene
from fingerpost.synthesis.kernel import fit
from tests.unit.elections.networks import LEVELS, Town

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
