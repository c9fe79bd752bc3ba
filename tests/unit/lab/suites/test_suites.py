"""Suites: tables with a question, arms on the same rows, paired differences that mean what they say."""

import lzma

import numpy as np
import pytest

from fingerpost.errors import UsageError
from fingerpost.lab.assess.scoring import Record
from fingerpost.lab.suites.run import Extent, paired, run_suite
from fingerpost.lab.suites.tables import SUITES, balance_of, read_suite

TINY = Extent(
    rows_max=120,
    asked_max=24,
    rounds=1,
    seeds=2,
    partitions=("natural", "one-class"),
    arms=("majority", "consortium", "consortium_pooled", "local_logistic", "central_logistic"),
    federated=("fedavg", "gossip"),
)


def record(probabilities, codes, row=None):
    rows = np.arange(len(codes)) if row is None else np.asarray(row)
    return Record(
        probabilities=np.asarray(probabilities, float),
        codes=np.asarray(codes),
        row=rows,
        node=np.zeros(len(codes), np.int64),
        bytes=0,
        seconds=0.0,
    )


@pytest.fixture(scope="module")
def heart():
    return run_suite("heart", extent=TINY)


def test_a_suite_scores_every_arm_under_every_partition(heart):
    assert heart["metric"] == "auc"
    assert set(heart["partitions"]) == {"natural", "one-class"}
    for part in heart["partitions"].values():
        assert set(part["arms"]) == {*TINY.arms, *TINY.federated}
        assert all(0 <= scores["accuracy"] <= 1 for scores in part["arms"].values())


def test_the_federated_opponent_is_the_one_that_its_clients_would_choose(heart):
    for part in heart["partitions"].values():
        losses = part["validation_log_loss"]
        assert part["opponents"]["federated"] == min(losses, key=losses.get)


def test_a_difference_is_that_of_the_two_scores_and_lies_in_its_interval(heart):
    for part in heart["partitions"].values():
        for kind, opponent in part["opponents"].items():
            for metric in ("accuracy", "auc", "log_loss"):
                found = part["differences"][kind][metric]
                expected = part["arms"]["consortium"][metric] - part["arms"][opponent][metric]
                assert found["value"] == pytest.approx(expected, abs=1e-9)
                assert found["low"] <= found["high"]


def test_without_elections_and_choice_the_split_of_outcomes_over_nodes_changes_nothing(heart):
    natural, skewed = (heart["partitions"][name]["arms"]["consortium_pooled"] for name in ("natural", "one-class"))
    assert abs(natural["accuracy"] - skewed["accuracy"]) < 0.03  # packets differ in their padding, so in nothing else


def test_a_better_forecast_has_a_difference_above_nothing():
    chance = np.random.default_rng(0)
    codes = chance.integers(0, 2, 300)
    good = np.where(codes[:, None] == np.arange(2), 0.9, 0.1)
    poor = np.full((300, 2), 0.5) + np.array([0.01, -0.01])
    for metric in ("accuracy", "auc"):
        assert paired(record(good, codes), record(poor, codes), metric, seed=1).low > 0
    assert paired(record(good, codes), record(poor, codes), "log_loss", seed=1).high < 0
    same = paired(record(good, codes), record(good, codes), "auc", seed=1)
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_balance_is_one_where_all_outcomes_are_as_frequent():
    assert balance_of(np.array([0, 1, 0, 1])) == 1
    assert balance_of(np.array([0, 0, 0, 1])) == 0.5


@pytest.mark.parametrize("name", ["beijing", "clinc150", "elec2", "default_credit"])
def test_a_suite_without_its_file_says_which_one_it_wants(name, tmp_path):
    for folder in (None, tmp_path):
        with pytest.raises(UsageError) as caught:
            read_suite(name, folder, rows_max=100, seed=0)
        assert caught.value.code == "lab-data"
        assert "--data" in caught.value.hint


def test_a_suite_that_does_not_exist_is_answered_with_those_that_do():
    with pytest.raises(UsageError) as caught:
        read_suite("mnist", None, rows_max=100, seed=0)
    assert all(name in caught.value.hint for name in SUITES)


def test_beijing_holds_nothing_that_is_known_only_later(tmp_path):
    levels = np.random.default_rng(0).integers(0, 150, (12, 40))
    lines = ["time,station,pm25,temp"]
    for station, row in enumerate(levels):
        lines += [
            f"2013-03-{1 + hour // 24:02d}T{hour % 24:02d},s{station},{level},1.5" for hour, level in enumerate(row)
        ]
    with lzma.open(tmp_path / "beijing_air.csv.xz", "wt") as stream:
        stream.write("\n".join(lines) + "\n")
    table = read_suite("beijing", tmp_path, rows_max=1_000, seed=0)
    assert len(table) == 12 * 34  # the last six hours have no outcome
    assert table.previous is not None
    now = [float(cell) > 75 for cell in table.columns["pm25"]]
    assert [table.levels[code] == "yes" for code in table.previous] == now
    assert (table.codes != table.previous).any()


def test_elec2_is_read_in_its_order_and_knows_what_happened_before(tmp_path):
    chance = np.random.default_rng(0)
    ups = chance.integers(0, 2, 200)
    lines = ["period,nswprice,price_up", *(f"{row % 48 / 47},{chance.random()},{up}" for row, up in enumerate(ups))]
    with lzma.open(tmp_path / "elec2.csv.xz", "wt") as stream:
        stream.write("\n".join(lines) + "\n")
    table = read_suite("elec2", tmp_path, rows_max=1_000, seed=0)
    assert table.previous is not None
    assert table.previous[1:].tolist() == table.codes[:-1].tolist()
    assert "order" not in table.columns
