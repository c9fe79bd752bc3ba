"""Tables as the opponents see them, and templates for the packets: both made from training rows alone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fingerpost.errors import TableError
from fingerpost.lab.assess.table import level_of, number_of
from fingerpost.template import encode_table, infer_template

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fingerpost.lab.assess.table import AssessedTable
    from fingerpost.template import Template

NUMERIC_SHARE_MIN = 0.9
LEVELS_SHOWN_MAX = 20
OUTCOME, ACTION = "(outcome)", "(action)"


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

    Its profile is ``open`` until a configuration gives it another: every arm routes the same encoded situations.
    """
    columns: dict[str, list[Any]] = {name: [cells[row] for row in train] for name, cells in table.columns.items()}
    unseen = sorted(set(range(len(table.levels))) - set(table.codes[train].tolist()))
    columns = {
        name: [*cells, *([None] * len(unseen))] for name, cells in columns.items()
    }  # levels are agreed, not data
    columns[OUTCOME] = [level_name(code) for code in [*table.codes[train], *unseen]]
    if table.actions is not None:
        taken = [*table.actions[train], *([0] * len(unseen))]
        columns[ACTION] = [None if code == 0 else level_name(code) for code in taken]
    action = None if table.actions is None else ACTION
    drafted = infer_template(columns, outcome=OUTCOME, action=action, name="assessed", data_class="non_personal")
    return drafted.template, [f"{note.column}: {note.text}" for note in drafted.notes if note.column in table.columns]


def level_name(code: int) -> str:
    """Return what a drafted template calls an outcome or an action: its number, so that any text can be one."""
    return f"level {code:02d}"


def given_template(template: Template, table: AssessedTable) -> AssessedTable:
    """Return the table as far as a given template sees it. Raises ``TableError`` where they do not belong together."""
    known: tuple[str, ...] = getattr(template.outcome, "levels", ())
    missing = [part.name for part in template.situation if part.name not in table.columns]
    if template.outcome.name != table.outcome or not known:
        raise TableError(
            "assess-template",
            f"the outcome of the template {template.name!r} is {template.outcome.name!r}, and not the category "
            f"{table.outcome!r}",
            hint="give the template of this outcome, or leave it out and one is drafted",
        )
    absent = [level for level in table.levels if level not in known]
    if absent:
        raise TableError(
            "assess-template",
            f"the template does not know the outcome {absent[0]!r}",
            hint=f"its levels are: {', '.join(known[:20])}",
        )
    if len(missing) == len(template.situation):
        raise TableError("assess-template", "the table has no field of the template", hint="is it the right one?")
    notes = [f"the template's field {name!r} is not in the table: it counts as missing" for name in missing]
    fields = {part.name for part in template.situation}
    left = [name for name in table.columns if name not in fields]
    if left:
        notes.append(f"not in the template, so no arm sees them: {', '.join(left)}")
    columns = {name: cells for name, cells in table.columns.items() if name in fields}
    columns |= {name: [None] * len(table) for name in missing}
    return replace(table, columns=columns, notes=(*table.notes, *notes))


def encode_all(template: Template, table: AssessedTable) -> tuple[NDArray[np.int16], int]:
    """Return all rows as the template encodes them, and how many cells did not fit and count as missing."""
    columns = {name: list(cells) for name, cells in table.columns.items()}
    encoded, problems = encode_table(template, columns, rows=len(table))
    for problem in problems:
        columns[problem.field][problem.row - 1] = None
    if problems:
        encoded, left = encode_table(template, columns, rows=len(table))
        if left:
            raise TableError(
                "assess-template",
                f"row {left[0].row}, {left[0].message}",
                hint="let the field be missing in the template, or leave such rows out of the table",
            )
    return encoded, len(problems)
