"""Gradient inversion: it succeeds where theory says so, and fails where nothing is to be seen."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fingerpost.lab.leakage import gradients
from fingerpost.lab.leakage.gradients import Defence, PrivateStep

FEATURES, CLASSES = 12, 3


def setting(records: int, *, seed: int = 0):
    chance = np.random.default_rng(seed)
    network = gradients.fresh_network(FEATURES, CLASSES, chance=chance, hidden=16)
    return network, chance.random((records, FEATURES)), np.eye(CLASSES)[chance.integers(0, CLASSES, records)], chance


def error(guess, records) -> float:
    return float(((gradients.matched(guess, records) - records) ** 2).mean())


@pytest.mark.parametrize("steps", [1, 5])
def test_the_first_layer_gives_a_single_record_away_whatever_the_number_of_local_steps(steps: int) -> None:
    network, records, targets, chance = setting(1)
    update = gradients.client_update(network, records, targets, steps=steps)
    assert error(gradients.from_ratio(network, update, targets, chance), records) < 1e-6


def test_the_label_of_a_single_record_is_always_read_off() -> None:
    for seed in range(10):
        network, records, targets, _ = setting(1, seed=seed)
        assert gradients.label_of_one(gradients.client_update(network, records, targets)) == targets[0].argmax()


def test_matching_gradients_recovers_a_small_batch_and_local_steps_do_not_help() -> None:
    network, records, targets, chance = setting(2)
    update = gradients.client_update(network, records, targets, steps=3)
    guess = gradients.match_gradient(network, update, targets, chance, unrolled=3)
    assert error(guess, records) < 1e-4


def test_matching_directions_comes_close_to_a_single_record() -> None:
    network, records, targets, chance = setting(1)
    update = gradients.client_update(network, records, targets)
    assert error(gradients.match_direction(network, update, targets, chance), records) < 0.02


def test_noise_of_a_private_step_defeats_every_attack() -> None:
    network, records, targets, chance = setting(1)
    private = PrivateStep(clip=1.0, multiplier=gradients.noise_multiplier(1.0, 1e-5))
    update = gradients.private_update(network, records, targets, private, chance=chance)
    mean = float(((0.5 - records) ** 2).mean())
    assert error(gradients.match_gradient(network, update, targets, chance), records) > mean / 2
    assert error(gradients.match_direction(network, update, targets, chance), records) > mean / 2


def test_the_noise_of_one_gaussian_release_is_that_of_the_exact_condition() -> None:
    assert gradients.noise_multiplier(1.0, 1e-5) == pytest.approx(3.730, abs=0.005)
    assert gradients.noise_multiplier(4.0, 1e-5) < gradients.noise_multiplier(1.0, 1e-5)


def test_a_defence_clips_thins_and_rounds_an_update() -> None:
    network, records, targets, chance = setting(4)
    update = gradients.client_update(network, records, targets)
    clipped = gradients.defended(update, Defence(clip=0.01), chance=chance)
    assert math.sqrt(sum(float((slope**2).sum()) for slope in clipped)) <= 0.01 + 1e-12
    thinned = gradients.defended(update, Defence(keep_share=0.1), chance=chance)
    sent = sum(int((slope != 0).sum()) for slope in thinned) / sum(slope.size for slope in update)
    assert 0.05 < sent < 0.15
    rounded = gradients.defended(update, Defence(quantise_bits=3), chance=chance)
    assert len(np.unique(rounded[0])) <= 7
