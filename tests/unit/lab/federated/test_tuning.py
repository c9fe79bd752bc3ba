"""Tuning of federated arms: training rows only, a grid of its own for each arm, the best of it."""

import numpy as np
import pytest

from fingerpost.lab.federated.arms import FEDERATED_ARMS
from fingerpost.lab.federated.clients import Plan, Shard
from fingerpost.lab.federated.network import Network
from fingerpost.lab.federated.tuning import GRIDS, RATES, held_back, tuned

NETWORK = Network(inputs=5, hidden=0, levels=3)


def shards(sizes=(30, 3, 40)):
    chance = np.random.default_rng(0)
    found = []
    for size in sizes:
        codes = chance.integers(0, 3, size)
        found.append(Shard(rows=chance.normal(size=(size, 5)) + 2 * np.eye(5)[codes], codes=codes))
    return found


def test_every_grid_belongs_to_an_arm():
    assert set(GRIDS) <= set(FEDERATED_ARMS)


def test_clients_keep_back_a_fifth_and_small_ones_nothing():
    fitting, kept = held_back(shards(), seed=1)
    assert [len(one.rows) for one in fitting] == [24, 3, 32]
    assert len(kept.rows) == len(kept.codes) == 14
    every = np.concatenate([one.rows for one in [*fitting, kept]])
    assert {row.tobytes() for row in every} == {row.tobytes() for one in shards() for row in one.rows}


def test_where_nobody_can_keep_anything_back_all_rows_judge():
    fitting, kept = held_back(shards((3, 4)), seed=1)
    assert [len(one.rows) for one in fitting] == [3, 4]
    assert len(kept.rows) == 7


@pytest.mark.parametrize("arm", ["fedavg", "scaffold"])
def test_the_chosen_setting_is_the_one_with_the_least_loss_of_all_that_were_tried(arm):
    plan = Plan(network=NETWORK, rounds=2, seed=4)
    found = tuned(arm, shards(), plan, networks=(NETWORK, Network(inputs=5, hidden=4, levels=3)))
    grid = GRIDS.get(arm, {})
    rates = grid.get("rate", RATES)
    assert (
        len(found.tried) == 2 * len(rates) * len(grid.get("server_rate", (1.0,))) + 2
    )  # and two other numbers of rounds
    best = min(found.tried, key=lambda one: one.loss)
    if "rate" in best.chosen:
        assert found.plan.training.rate == best.chosen["rate"]
        assert found.plan.network.hidden == best.chosen["hidden"]
    else:
        assert found.plan.rounds == best.chosen["rounds"]


def test_a_setting_that_diverges_is_never_chosen(monkeypatch):
    monkeypatch.setattr("fingerpost.lab.federated.tuning.RATES", (1e300, 0.1))
    with np.errstate(all="ignore"):
        found = tuned("fedavg", shards(), Plan(network=Network(inputs=5, hidden=4, levels=3), rounds=1))
    assert found.tried[0].loss == float("inf")
    assert found.plan.training.rate == 0.1
