"""Federated opponents: they learn, they agree with each other where theory says so, and robust rules resist."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fingerpost.errors import UsageError
from fingerpost.lab.federated.arms import FEDERATED_ARMS, federated_forecast
from fingerpost.lab.federated.clients import Plan, Shard, weighted_mean
from fingerpost.lab.federated.flower import run_flower
from fingerpost.lab.federated.network import Network, Training, train
from fingerpost.lab.federated.own import run_moon, run_scaffold

CLIENTS = 6
NETWORK = Network(inputs=4, hidden=8, levels=3)


def blobs(seed: int, rows: int) -> Shard:
    """Return rows around three centres."""
    chance = np.random.default_rng(seed)
    codes = chance.integers(0, 3, rows)
    centres = 2.0 * np.eye(4)[:3]
    return Shard(rows=centres[codes] + chance.normal(scale=0.5, size=(rows, 4)), codes=codes)


@pytest.fixture(scope="module")
def shards() -> list[Shard]:
    return [blobs(seed, 40) for seed in range(CLIENTS)]


def plan(**changes: object) -> Plan:
    return Plan(network=NETWORK, training=Training(epochs=2), rounds=6, **changes)  # type: ignore[arg-type]


def accuracy(arm: str, shards: list[Shard], **changes: object) -> float:
    asked = blobs(99, 200)
    said = federated_forecast(arm, shards, asked.rows, plan(**changes), root=blobs(7, 30)).probabilities
    assert said.shape == (200, 3)
    np.testing.assert_allclose(said.sum(axis=1), 1.0)
    return float((said.argmax(axis=1) == asked.codes).mean())


@pytest.mark.parametrize("arm", FEDERATED_ARMS)
def test_every_arm_learns_what_its_clients_know_and_counts_its_bytes(arm: str, shards: list[Shard]) -> None:
    assert accuracy(arm, shards) > (0.5 if arm == "dp-sgd" else 0.85)  # 40 rows a client are few for noise
    forecast = federated_forecast(arm, shards, shards[0].rows, plan(), root=blobs(7, 30))
    assert forecast.bytes >= NETWORK.parameters * 4 * CLIENTS


def test_trees_know_two_levels_by_one_model_and_repeat_themselves(shards: list[Shard]) -> None:
    two = [Shard(rows=shard.rows, codes=np.minimum(shard.codes, 1)) for shard in shards]
    network = Network(inputs=NETWORK.inputs, hidden=0, levels=2)
    once, again = (
        federated_forecast("xgb-bagging", two, two[0].rows, replace(plan(participation=0.5), network=network))
        for _ in range(2)
    )
    assert np.array_equal(once.probabilities, again.probabilities)
    assert once.bytes == again.bytes
    assert (once.probabilities.argmax(axis=1) == two[0].codes).mean() > 0.85
    everybody = federated_forecast("xgb-bagging", two, two[0].rows, replace(plan(), network=network))
    assert everybody.bytes > once.bytes


def test_the_gradient_is_that_of_the_log_loss() -> None:
    shard, parameters = blobs(1, 20), NETWORK.start(1)

    def loss() -> float:
        said = NETWORK.probabilities(parameters, shard.rows)
        return float(-np.log(said[np.arange(20), shard.codes]).mean())

    for part, slope in zip(parameters, NETWORK.gradient(parameters, shard.rows, shard.codes), strict=True):
        place = tuple(size // 2 for size in part.shape)
        kept, step = part[place], 1e-6
        part[place] = kept + step
        above = loss()
        part[place] = kept - step
        below = loss()
        part[place] = kept
        assert slope[place] == pytest.approx((above - below) / (2 * step), abs=1e-6)


def test_flowers_average_is_the_weighted_mean_of_local_trainings(shards: list[Shard]) -> None:
    once = Plan(network=NETWORK, training=Training(epochs=2), rounds=1)
    start = [part.astype(np.float32).astype(np.float64) for part in NETWORK.start(once.seed)]
    local = [
        train(NETWORK, start, shard.rows, shard.codes, training=once.training, chance=once.chance(1, client))[0]
        for client, shard in enumerate(shards)
    ]
    expected = weighted_mean(local, [len(shard.rows) for shard in shards])
    for found, wanted in zip(run_flower("fedavg", shards, once).parameters, expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_in_its_first_round_scaffold_is_fedavg_and_moon_too(shards: list[Shard]) -> None:
    once = Plan(network=NETWORK, training=Training(epochs=2), rounds=1)
    expected = run_flower("fedavg", shards, once).parameters
    for other in (run_scaffold(shards, once), run_moon(shards, once)):
        for found, wanted in zip(other.parameters, expected, strict=True):
            np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize("arm", ["krum", "multi-krum", "median", "trimmed-mean", "fltrust"])
def test_a_robust_rule_outvotes_two_liars_of_six(arm: str, shards: list[Shard]) -> None:
    lying = [Shard(rows=shard.rows, codes=(shard.codes + 1) % 3) for shard in shards[:2]] + shards[2:]
    assert accuracy(arm, lying, liars=2) > 0.8


def test_a_majority_of_liars_misleads_the_average(shards: list[Shard]) -> None:
    lying = [Shard(rows=shard.rows, codes=(shard.codes + 1) % 3) for shard in shards[:5]] + shards[5:]
    assert accuracy("fedavg", lying) < 0.3


def test_clients_without_rows_stay_at_home_and_nobody_is_an_error(shards: list[Shard]) -> None:
    nothing = Shard(rows=np.zeros((0, 4)), codes=np.zeros(0, np.int64))
    assert accuracy("fedavg", [*shards, nothing]) > 0.85
    with pytest.raises(UsageError, match="no client"):
        federated_forecast("scaffold", [nothing], shards[0].rows, plan())
    with pytest.raises(UsageError, match="trusts"):
        federated_forecast("fltrust", shards, shards[0].rows, plan())
    with pytest.raises(UsageError, match="no strategy"):
        federated_forecast("nonsense", shards, shards[0].rows, plan())


def test_a_run_repeats_itself_also_when_half_of_the_clients_stay_away(shards: list[Shard]) -> None:
    first, second = (
        federated_forecast("fedavg", shards, shards[0].rows, plan(participation=0.5)).probabilities for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)
