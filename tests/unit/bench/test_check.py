"""A path that takes more instructions than it did is caught, and what cannot be counted is said, not passed over."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench import check
from bench._check_jobs import jobs

ACCEPTED = {"decode": 1_000_000, "verify": 5_000_000}


def run(
    monkeypatch: pytest.MonkeyPatch, reference: Path, counted: dict[str, int], *, known: object, options: str = ""
) -> int:
    reference.write_text(json.dumps(known), encoding="utf-8")
    monkeypatch.setattr(check, "count_instructions", lambda: counted)
    return check.main(["--reference", str(reference), *options.split()])


@pytest.mark.parametrize(
    ("verify", "status"), [(5_000_000, 0), (5_049_000, 0), (4_000_000, 0), (5_101_000, 1), (10_000_000, 1)]
)
def test_a_count_that_grew_beyond_the_tolerance_fails(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, verify: int, status: int
) -> None:
    known = {check.environment(): ACCEPTED}
    assert run(monkeypatch, tmp_path / "counts.json", ACCEPTED | {"verify": verify}, known=known) == status


def test_the_job_that_grew_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, tmp_path / "counts.json", ACCEPTED | {"decode": 1_100_000}, known={check.environment(): ACCEPTED})
    shown = capsys.readouterr()
    assert "+10.00%  MORE" in shown.out
    assert shown.err.rstrip().endswith("accepted: decode")


def test_a_job_that_is_no_longer_counted_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    known = {check.environment(): ACCEPTED}
    assert run(monkeypatch, tmp_path / "counts.json", {"decode": 1_000_000}, known=known) == 1


def test_an_environment_without_counts_has_a_status_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert run(monkeypatch, tmp_path / "counts.json", ACCEPTED, known={"another": ACCEPTED}) == check.NO_REFERENCE


def test_accepted_counts_are_kept_beside_those_of_other_environments(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "counts.json"
    assert run(monkeypatch, path, ACCEPTED, known={"another": {"decode": 1}}, options="--accept") == 0
    assert json.loads(path.read_text("utf-8")) == {"another": {"decode": 1}, check.environment(): ACCEPTED}


def test_a_machine_without_valgrind_gets_a_message_and_a_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("shutil.which", lambda _name: None)
    assert check.main([]) == check.UNCOUNTED
    assert "valgrind is not installed" in capsys.readouterr().err


def test_the_count_of_a_job_is_what_was_counted_between_its_marks() -> None:
    dumps = {f".{number}": f"events: Ir\ntotals: {number}\n" for number in range(1, 2 * len(jobs()) + 1)}
    assert list(check.counts_of(dumps).values()) == [2 * place for place in range(1, len(jobs()) + 1)]


def test_marks_that_callgrind_missed_are_not_taken_for_counts() -> None:
    with pytest.raises(check.CountingError, match="saw 1 marks"):
        check.counts_of({".1": "totals: 5\n"})


def test_every_job_does_its_work_without_valgrind_too() -> None:
    done: dict[str, Any] = {name: job() for name, job in jobs().items()}
    assert done["packet_ids_256"].shape == (256, 32)
