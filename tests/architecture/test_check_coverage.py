"""The coverage check sees a line, a branch or a folder that no test ran."""

from __future__ import annotations

import pytest

from tools.check_coverage import gaps

WHOLE: dict[str, list[object]] = {"missing_lines": [], "missing_branches": []}


def test_a_folder_that_is_covered_whole_has_no_gap() -> None:
    assert gaps({"files": {"src/fingerpost/packet/_codec.py": WHOLE}}, ["fingerpost/packet"]) == []


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (WHOLE | {"missing_lines": [7, 9]}, "src/fingerpost/packet/_codec.py: lines never run: 7, 9"),
        (WHOLE | {"missing_branches": [[3, 5]]}, "src/fingerpost/packet/_codec.py: branches never taken: 3->5"),
    ],
)
def test_a_missed_line_or_branch_is_a_gap(facts: dict[str, list[object]], expected: str) -> None:
    assert gaps({"files": {"src/fingerpost/packet/_codec.py": facts}}, ["fingerpost/packet"]) == [expected]


def test_a_gap_outside_the_named_folders_is_none() -> None:
    report = {"files": {"src/fingerpost/packet/a.py": WHOLE, "src/fingerpost/cli/a.py": {"missing_lines": [1]}}}
    assert gaps(report, ["fingerpost/packet"]) == []


def test_a_folder_that_was_never_measured_is_a_gap() -> None:
    assert gaps({"files": {"src/fingerpost/packets/a.py": WHOLE}}, ["fingerpost/packet"]) != []
