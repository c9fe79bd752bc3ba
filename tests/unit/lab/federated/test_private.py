"""DP-SGD and secure aggregation: what they promise, and what they leave as it is."""

import numpy as np
import pytest

from fingerpost.lab.federated.arms import federated_forecast
from fingerpost.lab.federated.clients import Plan, Settings, Shard
from fingerpost.lab.federated.network import Network
from fingerpost.lab.federated.private import DELTA, clipped_gradient, noise_for
from fingerpost.lab.federated.secure import CUT, as_steps, from_steps, masked_size


def clients(rows=60, count=4):
    chance = np.random.default_rng(0)
    codes = chance.integers(0, 3, rows * count)
    features = chance.normal(size=(rows * count, 5)) + 3 * np.eye(5)[codes]
    shards = [Shard(rows=features[place::count], codes=codes[place::count]) for place in range(count)]
    return shards, features, codes


@pytest.mark.parametrize("hidden", [0, 7])
def test_the_clipped_sum_is_that_of_gradients_taken_record_by_record(hidden):
    network = Network(inputs=5, hidden=hidden, levels=3)
    parameters = network.start(2)
    _, features, codes = clients(rows=4)
    expected = [np.zeros_like(part) for part in parameters]
    for row in range(len(codes)):
        alone = network.gradient(parameters, features[row : row + 1], codes[row : row + 1])
        norm = np.sqrt(sum((part**2).sum() for part in alone))
        for total, part in zip(expected, alone, strict=True):
            total += part * min(1.0, 0.5 / norm)
    found = clipped_gradient(network, parameters, features, codes, clip=0.5)
    for total, part in zip(expected, found, strict=True):
        np.testing.assert_allclose(part, total, atol=1e-12)


def test_no_record_changes_the_clipped_sum_by_more_than_the_clip():
    network = Network(inputs=5, hidden=7, levels=3)
    parameters = network.start(2)
    _, features, codes = clients(rows=4)
    features = features * 100
    whole = clipped_gradient(network, parameters, features, codes, clip=0.5)
    for row in range(len(codes)):
        rest = clipped_gradient(network, parameters, np.delete(features, row, 0), np.delete(codes, row), clip=0.5)
        change = np.sqrt(sum(((one - other) ** 2).sum() for one, other in zip(whole, rest, strict=True)))
        assert change <= 0.5 + 1e-9


@pytest.mark.parametrize("epsilon", [0.5, 4.0])
def test_the_noise_is_enough_for_the_epsilon_and_not_much_more(epsilon):
    from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent, SelfComposedDpEvent
    from dp_accounting.pld import PLDAccountant

    noise = noise_for(epsilon, share=0.2, steps=100)
    spent = PLDAccountant().compose(SelfComposedDpEvent(PoissonSampledDpEvent(0.2, GaussianDpEvent(noise)), 100))
    assert 0.6 * epsilon < spent.get_epsilon(DELTA) <= epsilon * 1.001


def test_a_generous_epsilon_lets_dp_sgd_learn_and_a_mean_one_does_not():
    shards, features, codes = clients()

    def right(epsilon):
        plan = Plan(network=Network(inputs=5, hidden=0, levels=3), rounds=5, settings=Settings(epsilon=epsilon), seed=1)
        said = federated_forecast("dp-sgd", shards, features, plan).probabilities
        return (said.argmax(axis=1) == codes).mean()

    assert right(50.0) > 0.9 > right(0.01)


def test_secure_aggregation_trains_what_fedavg_trains_and_costs_more():
    shards, features, _ = clients()
    plan = Plan(network=Network(inputs=5, hidden=8, levels=3), rounds=6, seed=3)
    plain, hidden = (federated_forecast(arm, shards, features, plan) for arm in ("fedavg", "secure-aggregation"))
    np.testing.assert_allclose(hidden.probabilities, plain.probabilities, atol=0.01)
    assert hidden.bytes > 6 * 4 * masked_size(plan.network.parameters, clients=4)


def test_steps_say_numbers_to_half_a_step_and_cut_what_is_beyond():
    numbers = np.linspace(-CUT, CUT, 1_001)
    assert np.abs(from_steps(as_steps(numbers)) - numbers).max() <= CUT / (1 << 15) / 2 * (1 + 1e-9)
    assert from_steps(as_steps(np.array([99.0])))[0] == CUT
