"""SCAFFOLD on uneven clients settles where the mean loss over all rows is least, which plain averaging misses."""

import numpy as np

from fingerpost.lab.federated.arms import federated_forecast
from fingerpost.lab.federated.clients import Plan, Settings, Shard
from fingerpost.lab.federated.flower import run_flower
from fingerpost.lab.federated.network import Network, Training
from fingerpost.lab.federated.own import run_scaffold

NETWORK = Network(inputs=3, hidden=0, levels=2)


def uneven():
    """Two clients that disagree, one with twelve times as many rows; outcomes overlap, so that the least is finite."""
    chance = np.random.default_rng(5)
    found = []
    for size, tilt in ((20, -1.5), (240, 1.5)):
        rows = chance.normal(size=(size, 3)) + tilt
        odds = rows @ np.array([1.0, -0.5, 0.3]) + tilt
        found.append(Shard(rows=rows, codes=(chance.random(size) < 1 / (1 + np.exp(-odds))).astype(np.int64)))
    return found


def slope(parameters, shards):
    """Return the length of the gradient of the mean loss over all rows."""
    rows, codes = (np.concatenate([getattr(shard, name) for shard in shards]) for name in ("rows", "codes"))
    return np.sqrt(sum((part**2).sum() for part in NETWORK.gradient(parameters, rows, codes)))


def test_scaffold_settles_where_all_rows_want_it_and_fedavg_beside_it():
    shards = uneven()
    plan = Plan(network=NETWORK, training=Training(epochs=8, rate=0.3, batch=1_000), rounds=150)
    assert (
        slope(run_scaffold(shards, plan).parameters, shards)
        < 1e-3
        < slope(run_flower("fedavg", shards, plan).parameters, shards)
    )


def test_a_smaller_step_of_the_server_moves_the_model_less():
    shards = uneven()
    start = [part.astype(np.float32) for part in NETWORK.start(0)]

    def moved(rate):
        plan = Plan(network=NETWORK, rounds=1, settings=Settings(server_rate=rate))
        ends = run_scaffold(shards, plan).parameters
        return np.sqrt(sum(((end - begin) ** 2).sum() for end, begin in zip(ends, start, strict=True)))

    assert np.isclose(moved(0.5), 0.5 * moved(1.0), rtol=1e-3)


def test_control_variates_double_the_numbers_that_travel():
    shards = uneven()
    wide = Plan(network=Network(inputs=3, hidden=2_000, levels=2), rounds=1)
    sizes = {arm: federated_forecast(arm, shards, shards[0].rows, wide).bytes for arm in ("fedavg", "scaffold")}
    assert 1.9 < sizes["scaffold"] / sizes["fedavg"] < 2.1
