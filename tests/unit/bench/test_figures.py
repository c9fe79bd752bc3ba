"""Figures are written in one format, merge within a commit, and carry honest intervals."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import _figures
from bench._figures import Figure, bootstrap_interval, interleaved_seconds, median_figure, write_figures


def figure(name: str = "import_cost", **changes: Any) -> Figure:
    values: dict[str, Any] = {"name": name, "value": 2.0, "unit": "ratio"}
    return Figure(**(values | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"value": math.nan},
        {"low": 1.0},
        {"low": 3.0, "high": 1.0},
        {"low": 1.0, "high": math.inf},
        {"name": "Import cost"},
    ],
)
def test_a_figure_that_was_not_measured_cannot_be_made(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"figure|interval"):
        figure(**changes)


def test_the_file_names_target_commit_machine_and_seeds(tmp_path: Path) -> None:
    path = write_figures("bench", [figure(low=1.5, high=2.5, detail={"ours": 2})], seeds=[3, 1], folder=tmp_path)
    written = json.loads(path.read_text())
    assert path.name == "bench.json"
    assert (written["target"], written["seeds"], written["quick"]) == ("bench", [1, 3], _figures.is_quick())
    assert set(written["machine"]) == {"cpu", "cores", "python", "numpy"}
    assert written["commit"] == _figures.commit()
    assert written["figures"] == [
        {"name": "import_cost", "value": 2.0, "unit": "ratio", "low": 1.5, "high": 2.5, "detail": {"ours": 2}}
    ]


def test_what_is_unknown_is_absent_from_the_file(tmp_path: Path) -> None:
    path = write_figures("bench", [figure()], folder=tmp_path)
    assert json.loads(path.read_text())["figures"] == [{"name": "import_cost", "value": 2.0, "unit": "ratio"}]


def test_figures_of_several_scripts_share_one_file(tmp_path: Path) -> None:
    write_figures("bench", [figure("first"), figure("second", value=1.0)], seeds=[0], folder=tmp_path)
    path = write_figures("bench", [figure("second", value=9.0), figure("third")], seeds=[1], folder=tmp_path)
    written = json.loads(path.read_text())
    assert {entry["name"]: entry["value"] for entry in written["figures"]} == {
        "first": 2.0,
        "second": 9.0,
        "third": 2.0,
    }
    assert written["seeds"] == [0, 1]


@pytest.mark.parametrize("change", ["commit", "quick"])
def test_a_file_of_another_commit_or_form_is_started_afresh(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    write_figures("bench", [figure("first")], seeds=[0], folder=tmp_path)
    if change == "commit":
        monkeypatch.setattr(_figures, "commit", lambda: "another")
    else:
        monkeypatch.setenv("QUICK", "" if _figures.is_quick() else "1")
    written = json.loads(write_figures("bench", [figure("second")], folder=tmp_path).read_text())
    assert [entry["name"] for entry in written["figures"]] == ["second"]
    assert written["seeds"] == []


def test_actions_take_turns_and_the_first_round_is_not_counted() -> None:
    order: list[str] = []
    seconds = interleaved_seconds({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, rounds=3)
    assert "".join(order) == "abababab"
    assert [len(seconds["a"]), len(seconds["b"])] == [3, 3]


def test_the_bootstrap_interval_covers_the_mean_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(7)
    intervals = [bootstrap_interval(random.normal(size=40), statistic=np.mean) for _ in range(200)]
    covered = np.mean([low <= 0 <= high for low, high in intervals])
    assert 0.82 <= covered <= 0.95


def test_a_median_figure_lies_inside_its_own_interval() -> None:
    measured = median_figure("help_seconds", [0.2, 0.3, 0.25, 0.9, 0.24], unit="s")
    assert measured.low is not None
    assert measured.high is not None
    assert measured.low <= measured.value == 0.25 <= measured.high
