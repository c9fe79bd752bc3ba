"""A table of the owner's as records to attack: one of each subject, encoded by a template that is given or drafted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fingerpost.errors import TableError, UsageError
from fingerpost.files import read_table
from fingerpost.node.emission import observations_of_table, require_subject_column
from fingerpost.privacy.subjects import subject_text
from fingerpost.template import CategoryOutcomeField, infer_template

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from fingerpost.template import Template

WIDTH_MAX = 2_048  # coordinates: an attacker estimates how each goes with every other


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class AttackedTable:
    """``encoded`` (n, width) records with ``outcomes`` (n,), numbers of ``levels``; ``notes`` on what was done."""

    template: Template
    encoded: NDArray[np.int16]
    outcomes: NDArray[np.int64]
    levels: tuple[str, ...]
    rows_read: int
    notes: tuple[str, ...]


def read_attacked(
    path: Path, *, outcome: str, template: Template | None, subject_column: str | None, rows_max: int, seed: int
) -> AttackedTable:
    """Read the table at ``path``. Raises ``TableError`` and ``UsageError`` for what cannot be attacked."""
    table = read_table(path)
    _require_columns(table.columns, outcome, subject_column)
    notes: list[str] = []
    rows = np.random.default_rng([seed, 18]).permutation(table.rows)
    if subject_column is not None:
        rows = _one_of_each_subject(table.columns[subject_column], rows, notes)
    if len(rows) > rows_max:
        notes.append(f"{rows_max:,} of {len(rows):,} records were drawn by chance (seed {seed})")
        rows = rows[:rows_max]
    columns: dict[str, Any] = {name: column.take(rows) for name, column in table.columns.items()}
    if template is None:
        template = _drafted(columns, outcome, subject_column, notes)
    elif subject_column is not None:
        require_subject_column(template, columns, subject_column)
    levels = _levels(template, outcome)
    observations, problems = observations_of_table(template, columns, rows=len(rows))
    bad = np.unique([problem.row - 1 for problem in problems]).astype(np.int64)
    if len(bad):
        notes.append(f"{len(bad):,} rows do not fit the template and were left out; first: {problems[0].message}")
    kept = observations.without(bad)
    outcomes = kept.outcomes.astype(np.int64) - 1
    if len(np.unique(outcomes)) < 2:
        raise TableError(
            "audit-one-outcome",
            f"the usable rows have {len(np.unique(outcomes))} level of {outcome!r}: there is nothing to forecast",
            hint="name the column that says what happened",
        )
    if kept.encoded.shape[1] > WIDTH_MAX:
        raise TableError(
            "audit-wide",
            f"a record has {kept.encoded.shape[1]:,} coordinates, more than the attacks can weigh ({WIDTH_MAX:,})",
            hint="audit a template with fewer fields or levels",
        )
    return AttackedTable(
        template=template,
        encoded=kept.encoded,
        outcomes=outcomes,
        levels=levels,
        rows_read=table.rows,
        notes=tuple(notes),
    )


def _require_columns(columns: dict[str, Any], outcome: str, subject_column: str | None) -> None:
    for name, role in ((outcome, "outcome"), (subject_column, "subject")):
        if name is not None and name not in columns:
            raise TableError(
                "column-missing",
                f"the table has no {role} column {name!r}",
                hint=f"its columns are: {', '.join(list(columns)[:20])}",
            )
    if outcome == subject_column:
        raise UsageError("audit-roles", f"{outcome!r} cannot be outcome and subject", hint="name two different columns")


def _one_of_each_subject(column: Any, rows: NDArray[np.int64], notes: list[str]) -> NDArray[np.int64]:
    """Return one row of each subject, drawn by chance, as a release would count it."""
    subjects = column.to_pylist()
    seen: set[str] = set()
    kept = []
    for row in rows.tolist():
        text = subject_text(subjects[row])
        if text is not None and text not in seen:
            seen.add(text)
            kept.append(row)
    if len(kept) < len(rows):
        notes.append(f"{len(rows) - len(kept):,} rows were left out: one of each subject is attacked, none without")
    return np.array(kept, np.int64)


def _drafted(columns: dict[str, Any], outcome: str, subject_column: str | None, notes: list[str]) -> Template:
    fields = {name: column for name, column in columns.items() if name != subject_column}
    drafted = infer_template(fields, outcome=outcome, name="audited", data_class="personal")
    notes.append(
        "the template was drafted from this table: its ranges and levels tell of it, which no ledger has charged"
    )
    notes += [f"{note.column}: {note.text}" for note in drafted.notes if "left out" in note.text]
    return drafted.template


def _levels(template: Template, outcome: str) -> tuple[str, ...]:
    if template.outcome.name != outcome:
        raise UsageError(
            "audit-outcome",
            f"the outcome of the template {template.name!r} is {template.outcome.name!r}, not {outcome!r}",
            hint=f"say --outcome {template.outcome.name}, or give another template",
        )
    if not isinstance(template.outcome, CategoryOutcomeField):
        raise UsageError(
            "audit-outcome-number",
            f"the outcome {outcome!r} is a number; attacks are scored on categories",
            hint="add a column with what matters about it, for example whether it is above a limit",
        )
    return template.outcome.levels
