"""The page of figures says what was measured, judges it by its bar, and leaves out what was not measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench import report
from bench._bars import BARS, Bar, bar_of
from bench._figures import Figure, write_figures
from bench._report_plots import margin


def written(folder: Path, target: str, *figures: Figure) -> Path:
    write_figures(target, figures, seeds=[3], folder=folder / "results")
    report.main(["--results", str(folder / "results"), "--docs", str(folder / "docs")])
    return folder / "docs/reference/figures.md"


def row_of(page: Path, name: str) -> list[str]:
    [line] = [line for line in page.read_text("utf-8").splitlines() if line.startswith(f"| `{name}` ")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def figure(name: str, value: float, **changes: Any) -> Figure:
    return Figure(name=name, value=value, unit="ratio", **changes)


def test_a_figure_below_its_bar_is_not_met_and_one_above_is(tmp_path: Path) -> None:
    page = written(
        tmp_path, "bench", figure("ingest_256_vs_strong", 19.9, low=19.0, high=21.0), figure("ingest_1_vs_strong", 1.5)
    )
    assert row_of(page, "ingest_256_vs_strong")[1:] == ["19.9", "19 to 21", "ratio", "≥ 20", "**no**"]
    assert row_of(page, "ingest_1_vs_strong")[1:] == ["1.5", "", "ratio", "≥ 1", "yes"]


def test_a_bar_on_the_low_end_is_not_met_by_the_value_alone(tmp_path: Path) -> None:
    page = written(tmp_path, "accuracy", figure("acc_gap_svm_digits_1024", 0.0, low=-0.011, high=0.01))
    assert row_of(page, "acc_gap_svm_digits_1024")[-1] == "**no**"


def test_a_bar_on_an_interval_that_is_missing_is_not_called_met(tmp_path: Path) -> None:
    page = written(tmp_path, "accuracy", figure("acc_gap_svm_digits_1024", 0.0))
    assert row_of(page, "acc_gap_svm_digits_1024")[-1] == "no interval"


def test_what_was_not_measured_is_absent_and_what_has_no_bar_is_not_judged(tmp_path: Path) -> None:
    page = written(tmp_path, "lab", figure("mnist_fedavg_iid_accuracy", 0.9))
    assert row_of(page, "mnist_fedavg_iid_accuracy")[-2:] == ["", ""]
    assert "ingest_256_vs_strong" not in page.read_text("utf-8")
    assert "## bench" not in page.read_text("utf-8")


def test_the_head_of_a_target_names_commit_machine_and_form(tmp_path: Path) -> None:
    page = written(tmp_path, "privacy", figure("encryption_emit_cost", 1.5)).read_text("utf-8")
    head = json.loads((tmp_path / "results/privacy.json").read_text("utf-8"))
    assert all(str(part) in page for part in (head["commit"], *head["machine"].values()))
    assert ("short form" in page) == head["quick"]


def test_a_busy_machine_is_told_of(tmp_path: Path) -> None:
    page = written(tmp_path, "bench", figure("import_cost", 2.0, detail={"load": 15.26})).read_text("utf-8")
    assert "up to 15.3." in page


def test_pictures_that_the_page_shows_are_there(tmp_path: Path) -> None:
    lines = {"sizes": [1_000, 10_000], "seconds": [0.1, 1.0]}
    page = written(
        tmp_path,
        "bench",
        figure("scaling_ingest_exponent", 1.0, detail=lines),
        figure("ingest_16_vs_strong", 9.0, low=8.5, high=9.5),
        figure("ask_1e6_cost", 4.0),
    )
    shown = [part.partition(")")[0] for part in page.read_text("utf-8").split("](")[1:]]
    assert len(shown) == 2
    assert all((page.parent / path).stat().st_size > 1_000 for path in shown)


def test_a_file_that_holds_no_results_is_named(tmp_path: Path) -> None:
    (tmp_path / "odd.json").write_text('{"target": "bench"}', encoding="utf-8")
    with pytest.raises(ValueError, match=r"odd\.json is no file of results"):
        report.read_results(tmp_path)


def test_an_empty_folder_is_a_message_and_a_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        report.main(["--results", str(tmp_path), "--docs", str(tmp_path / "docs")])
    assert stopped.value.code == 1
    assert "make bench" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("value", "bar", "times"),
    [
        (40.0, Bar(names="x", at_least=20), 2.0),
        (4.0, Bar(names="x", at_most=2), 0.5),
        (0.0, Bar(names="x", at_most=0), None),
        (-0.01, Bar(names="x", at_least=-0.02), None),
        (0.9, Bar(names="x", at_least=0.87, at_most=0.93), None),
    ],
)
def test_a_margin_above_one_is_better_whichever_way_the_bar_points(value: float, bar: Bar, times: float | None) -> None:
    assert margin(value, bar) == times


def test_a_bar_without_a_bound_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="a bar has a bound"):
        Bar(names="x")


def test_a_name_fits_a_bar_only_as_a_whole_and_under_its_own_target() -> None:
    assert bar_of("bench", "verify_256_vs_pynacl") in BARS["bench"]
    assert bar_of("bench", "verify_256_scattered_vs_pynacl") is None
    assert bar_of("network", "verify_256_vs_pynacl") is None
