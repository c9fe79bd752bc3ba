"""Matched averaging and compressed averaging."""

import numpy as np
import pytest

from fingerpost.errors import UsageError
from fingerpost.lab.federated.arms import federated_forecast
from fingerpost.lab.federated.clients import Plan, Shard
from fingerpost.lab.federated.further import largest, matched, rounded
from fingerpost.lab.federated.network import Network


def _groups(clients=4):
    chance = np.random.default_rng(0)
    codes = chance.integers(0, 3, 120)
    rows = chance.normal(size=(120, 5)) + 3 * np.eye(5)[codes]
    return [Shard(rows=rows[place::clients], codes=codes[place::clients]) for place in range(clients)], rows, codes


@pytest.mark.parametrize("arm", ["fedma", "top-k", "eight-bits"])
def test_the_further_arms_learn_separate_groups_and_repeat_themselves(arm):
    shards, rows, codes = _groups()
    plan = Plan(network=Network(inputs=5, hidden=8, levels=3), rounds=8, seed=3)
    first, again = (federated_forecast(arm, shards, rows, plan) for _ in range(2))
    assert (first.probabilities.argmax(axis=1) == codes).mean() > 0.85
    assert np.array_equal(first.probabilities, again.probabilities)


def test_compressed_arms_send_fewer_bytes_than_whole_models():
    shards, rows, _ = _groups()
    plan = Plan(network=Network(inputs=5, hidden=8, levels=3), rounds=2)
    sizes = {arm: federated_forecast(arm, shards, rows, plan).bytes for arm in ("fedma", "top-k", "eight-bits")}
    assert max(sizes["top-k"], sizes["eight-bits"]) < sizes["fedma"]


def test_matching_undoes_a_renumbering_of_hidden_units():
    network = Network(inputs=5, hidden=6, levels=3).start(0)
    order = np.random.default_rng(0).permutation(6)
    renumbered = [network[0][:, order], network[1][order], network[2][order], network[3]]
    assert all(np.array_equal(*parts) for parts in zip(matched(renumbered, network), network, strict=True))


def test_top_k_keeps_the_largest_tenth_as_it_is():
    update = [np.arange(-8.0, 8.0).reshape(4, 4), np.array([0.5, -100.0, 0.1, 0.0])]
    sent, arrays = largest(update)
    assert sorted(part for array in sent for part in array.ravel() if part) == [-100.0, -8.0]
    assert [array.nbytes for array in arrays] == [8, 8]


def test_rounding_to_bytes_errs_by_half_a_step_at_most():
    update = [np.random.default_rng(1).normal(size=(5, 3)), np.zeros(3)]
    sent, arrays = rounded(update)
    assert np.abs(sent[0] - update[0]).max() <= np.abs(update[0]).max() / 254 * (1 + 1e-9)
    assert not sent[1].any()
    assert sum(array.nbytes for array in arrays) == 18 + 8


def test_matched_averaging_needs_hidden_units():
    shards, rows, _ = _groups()
    with pytest.raises(UsageError, match="hidden"):
        federated_forecast("fedma", shards, rows, Plan(network=Network(inputs=5, hidden=0, levels=3)))
