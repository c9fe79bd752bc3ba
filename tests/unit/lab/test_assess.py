"""An assessment repeats itself, keeps its promises about keys, and says what its figures say."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fingerpost.lab.assess.communication import to_equal_accuracy
from fingerpost.lab.assess.html import html_of
from fingerpost.lab.assess.partitions import deal, held_out, skew
from fingerpost.lab.assess.rules import QUICK
from fingerpost.lab.assess.run import Request, assess
from fingerpost.lab.assess.scoring import bootstrap
from fingerpost.lab.assess.table import Roles, read_assessed
from fingerpost.lab.assess.verdict import recommendation

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SIZES = replace(QUICK, seeds=1, rounds=2, test_max=40, newcomers=1, inverted_records=1, inverted_cases=2)


def _report(
    folder: Path, progress: Callable[[str], None] = lambda _step: None, *, kept: Path | None = None
) -> dict[str, Any]:
    chance = np.random.default_rng(3)
    values = chance.normal(size=(120, 2))
    happened = np.where(values.sum(axis=1) > 0, "yes", "<no>")
    cells = zip(values[:, 0], values[:, 1], happened, strict=True)
    lines = [f"{a:.3f},{b:.3f},{'pqr'[row % 3]},{what}" for row, (a, b, what) in enumerate(cells)]
    file = folder / "table.csv"
    file.write_text("\n".join(["a,b,site,happened", *lines]) + "\n", encoding="utf-8")
    table = read_assessed(file, Roles(outcome="happened", node="site"), rows_max=1_000, seed=0)
    return assess(Request(table=table, source=file.name, sizes=SIZES), progress, kept=kept)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One small assessment."""
    return _report(tmp_path_factory.mktemp("assess"))


def test_an_interrupted_run_goes_on_and_ends_with_the_same_figures_but_for_seconds(
    report: dict[str, Any], tmp_path: Path
) -> None:
    done: list[str] = []

    def stop(step: str) -> None:
        done.append(step)
        if len(done) == 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _report(tmp_path, stop, kept=tmp_path / "kept")
    first, second = copy.deepcopy(report), _report(tmp_path, done.append, kept=tmp_path / "kept")
    for one in (first, second):
        for timed in (*one["arms"].values(), *one["scaling"]["points"]):
            del timed["seconds"]
        for name in one["failure_modes"]["inversion"].pop("not_repeatable"):
            del one["failure_modes"]["inversion"]["packets"][name]
    assert json.dumps(first) == json.dumps(second)
    assert len(done) - len(set(done)) == 1, "only the part that was interrupted is run again"


def test_every_arm_has_the_documented_keys_and_learns_more_than_nothing(report: dict[str, Any]) -> None:
    keys = {"accuracy", "auc", "log_loss", "worst_node_accuracy", "bytes", "seconds", "intervals"}
    assert all(set(arm) == keys for arm in report["arms"].values())
    assert report["arms"]["consortium"]["auc"] > 0.8
    assert report["arms"]["central_logistic"]["auc"] > 0.8


def test_packets_are_counted_as_they_were_encoded(report: dict[str, Any]) -> None:
    records = report["failure_modes"]["communication"]["observations"]
    assert report["arms"]["consortium"]["bytes"] == 512 * records * (report["nodes"] - 1)


def test_bytes_to_equal_accuracy_are_those_of_the_first_rounds_that_reach_it(report: dict[str, Any]) -> None:
    found = report["failure_modes"]["communication"]["equal_accuracy"]
    points = found["points"]
    assert found["arm"] == report["chosen"]["federated"]
    assert [point["bytes"] for point in points] == sorted(point["bytes"] for point in points)
    reached = [point for point in points if point["accuracy"] >= found["accuracy"]]
    assert found.get("rounds") == (reached[0]["rounds"] if reached else None)
    one, two = ({"rounds": rounds, "accuracy": 0.5 + rounds / 8, "bytes": 9 * rounds} for rounds in (1, 2))
    assert to_equal_accuracy("fedavg", [one, two], accuracy=0.75, moved=7)["bytes"] == 18
    assert "rounds" not in to_equal_accuracy("fedavg", [one, two], accuracy=0.9, moved=7)


def test_every_arm_is_held_to_its_own_honest_oracle(report: dict[str, Any]) -> None:
    rows = report["failure_modes"]["byzantine"]["rows"]
    assert [row["liars"] for row in rows] == [0, 1, 2]
    for row in rows:
        for arm, accuracy in row["accuracy"].items():
            assert row["loss_points"][arm] == pytest.approx(100 * (row["oracle"][arm] - accuracy))
    assert rows[-1]["loss_points"]["fedavg"] > 0


def test_a_malformed_packet_is_refused_and_changes_no_answer(report: dict[str, Any]) -> None:
    section = report["failure_modes"]["byzantine"]["malformed"]
    for found in section["outcome_routing"].values():
        assert found["refused"] == found["hostile_packets"] > 0
        assert found["accuracy"] == found["accuracy_without"]
    assert section["federated"]["wrong shape"]["fedavg"]["ended"]


def test_the_page_has_every_arm_and_lets_no_cell_become_markup(report: dict[str, Any]) -> None:
    hostile = {**report, "source": "<script>alert(1)</script>", "notes": ["<b>note</b>"]}
    page = html_of(hostile)
    assert "<script" not in page
    assert "<b>note" not in page
    assert all(name.replace("_", " ") in page for name in report["arms"])
    assert "http" not in page.replace("http://www.w3.org", "")


@pytest.mark.parametrize(
    ("arm", "wins", "use"), [("fedavg", True, "federated"), ("local_forest", False, "outcome-routing")]
)
def test_the_recommendation_follows_the_figures(report: dict[str, Any], arm: str, wins: bool, use: str) -> None:
    changed = copy.deepcopy(report)
    changed["chosen"]["federated"] = "fedavg"
    for name, found in changed["arms"].items():
        found["log_loss"] = 0.5
        level = {"low": -0.1, "high": 0.1, "value": 0.0}
        clear = {"low": 0.1, "high": 0.3, "value": 0.2}
        found["intervals"]["log_loss_minus_consortium"] = clear if name.startswith(("local", "own")) else level
    changed["arms"][arm]["log_loss"] = 0.3 if wins else 0.5
    if wins:
        interval = {"low": -0.3, "high": -0.1, "value": -0.2}
        changed["arms"][arm]["intervals"]["log_loss_minus_consortium"] = interval
    assert recommendation(changed)["use"] == use


def test_local_wins_when_nothing_shared_is_better(report: dict[str, Any]) -> None:
    changed = copy.deepcopy(report)
    changed["arms"]["local_forest"]["log_loss"] = 0.001
    interval = {"low": -0.3, "high": -0.1, "value": -0.2}
    changed["arms"]["local_forest"]["intervals"]["log_loss_minus_consortium"] = interval
    assert recommendation(changed)["use"] == "local"


def test_dealing_is_even_and_a_small_alpha_is_skewed() -> None:
    codes = np.arange(1_000) % 2
    dealt = np.bincount(deal(codes, nodes=10, chance=np.random.default_rng(0)))
    skewed = skew(codes, nodes=10, alpha=0.05, chance=np.random.default_rng(0))
    assert dealt.tolist() == [100] * 10
    assert np.bincount(skewed[codes == 0], minlength=10).max() > 300


def test_asked_rows_hold_every_outcome() -> None:
    codes = np.array([0] * 95 + [1] * 5)
    test = held_out(codes, share=0.3, most=1_000, chance=np.random.default_rng(0))
    assert set(codes[test]) == {0, 1} == set(codes[~test])


def test_a_row_asked_in_every_split_is_no_new_evidence() -> None:
    values = np.random.default_rng(0).normal(size=50)
    once = bootstrap(values, np.arange(50), seed=0)
    often = bootstrap(np.tile(values, 4), np.tile(np.arange(50), 4), seed=0)
    assert often.low == pytest.approx(once.low)
    assert often.high == pytest.approx(once.high)
