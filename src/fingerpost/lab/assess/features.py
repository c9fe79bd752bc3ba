"""Tables as the opponents see them, and templates for the packets: both made from training rows alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fingerpost.lab.assess.table import level_of, number_of
from fingerpost.template import Template, encode_table, infer_template, parse_template

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fingerpost.lab.assess.table import AssessedTable

NUMERIC_SHARE_MIN = 0.9
LEVELS_SHOWN_MAX = 20
BITS = 1_024


def raw_features(table: AssessedTable, train: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return (n, p) features without a template: numbers (median where missing), levels one by one, gaps as flags.

    Medians, levels, means and spreads come from rows ``train``. Every column then has mean 0 and spread 1 there.
    """
    parts: list[NDArray[np.float64]] = []
    for cells in table.columns.values():
        texts = [level_of(cell) for cell in cells]
        parts += _column(texts, train)
    features = np.column_stack(parts)
    centre, spread = features[train].mean(axis=0), features[train].std(axis=0)
    varying = spread > 0
    if not varying.any():
        return np.zeros((len(features), 1))
    scaled: NDArray[np.float64] = (features[:, varying] - centre[varying]) / spread[varying]
    return scaled.clip(-10, 10)


def _column(texts: list[str | None], train: NDArray[np.int64]) -> list[NDArray[np.float64]]:
    missing = np.array([text is None for text in texts], np.float64)
    numbers = np.array([np.nan if text is None else _number(text) for text in texts], np.float64)
    known = len(train) - missing[train].sum()
    finite = np.isfinite(numbers[train])
    if known and finite.sum() >= NUMERIC_SHARE_MIN * known:
        middle = float(np.median(numbers[train][finite]))
        return [np.where(np.isfinite(numbers), numbers, middle), missing]
    seen: dict[str, int] = {}
    for row in train:
        text = texts[row]
        if text is not None:
            seen[text] = seen.get(text, 0) + 1
    levels = sorted(seen, key=lambda text: (-seen[text], text))[:LEVELS_SHOWN_MAX]
    return [missing, *(np.array([text == level for text in texts], np.float64) for level in levels)]


def _number(text: str) -> float:
    number = number_of(text)
    return np.nan if number is None else number


def draft_template(table: AssessedTable, train: NDArray[np.int64]) -> tuple[Template, list[str]]:
    """Return the template that nodes would draft from rows ``train``, and what was noted on the way.

    The profile is ``open``: it is the one under which this assessment lets packets be read back.
    """
    columns: dict[str, list[Any]] = {name: [cells[row] for row in train] for name, cells in table.columns.items()}
    columns[table.outcome] = [f"level {code:02d}" for code in table.codes[train]]
    drafted = infer_template(columns, outcome=table.outcome, name="assessed", data_class="non_personal")
    text = drafted.text.replace("\nbits = 256\n", f"\nbits = {BITS}\n")
    return parse_template(text, source="draft"), [f"{note.column}: {note.text}" for note in drafted.notes]


def encode_all(template: Template, table: AssessedTable) -> tuple[NDArray[np.int16], int]:
    """Return all rows as the template encodes them, and how many cells did not fit and count as missing."""
    columns = {name: list(cells) for name, cells in table.columns.items()}
    encoded, problems = encode_table(template, columns, rows=len(table))
    for problem in problems:
        columns[problem.field][problem.row - 1] = None
    if problems:
        encoded, left = encode_table(template, columns, rows=len(table))
        if left:
            raise AssertionError(f"a missing cell does not fit its template: {left[0].message}")
    return encoded, len(problems)
