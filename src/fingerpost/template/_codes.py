"""Outcomes, actions and conditions as the codes that packets carry.

A level's code is its index + 1, so that 0 can mean "none" or "missing".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from fingerpost.errors import RecordError, UsageError
from fingerpost.template._columns import Column, RowProblem
from fingerpost.template._exact import exact_number, unknown_level
from fingerpost.template._fields import Action, CategoryOutcomeField, Condition
from fingerpost.template._template import Template
from fingerpost.template._values import is_missing_text, level_of, level_text, shown


def outcome_code(template: Template, value: object) -> int | float:
    """Return the code of an outcome: level index + 1 for a category, the number itself (a finite float) otherwise.

    Raises ``RecordError`` for a missing outcome, an unknown level, NaN, infinities and numbers out of range.
    """
    outcome = template.outcome
    if value is None or (isinstance(value, str) and _reads_missing(value, getattr(outcome, "levels", ()))):
        raise RecordError(
            "outcome-missing",
            f"{outcome.name}: the outcome is missing",
            hint="a record without an outcome has nothing to tell; leave it out",
            field=outcome.name,
        )
    if isinstance(outcome, CategoryOutcomeField):
        return _level_code(outcome, value)
    return float(exact_number(outcome, value)) + 0.0


def outcome_value(template: Template, code: float) -> str | float:
    """Return the level or the number that an outcome code stands for. Raises ``UsageError`` for no such level."""
    if isinstance(template.outcome, CategoryOutcomeField):
        return _level_value(template.outcome.levels, code)
    return float(code)


def action_code(template: Template, value: object) -> int:
    """Return the code of an action: level index + 1, or 0 for None. Raises ``RecordError`` for an unknown level."""
    if template.action is None:
        if value is None:
            return 0
        raise RecordError(
            "action-unknown",
            f"the template has no action, so {shown(value)} cannot be one",
            hint="add an [action] table to the template, or leave the action out",
            field="action",
        )
    return _code_or_zero(template.action, value)


def action_value(template: Template, code: int) -> str | None:
    """Return the level that an action code stands for, None for 0. Raises ``UsageError`` for no such level."""
    return None if code == 0 else _level_value(template.action.levels if template.action else (), code)


def condition_codes(template: Template, conditions: Mapping[str, object]) -> tuple[int, ...]:
    """Return one code for each condition of the template: level index + 1, or 0 where it is missing.

    Raises ``RecordError`` for an unknown condition or level.
    """
    names = [part.name for part in template.conditions]
    for name in conditions:
        if name not in names:
            raise RecordError(
                "field-unknown",
                f"the template has no condition {shown(name)}",
                hint=f"its conditions are: {', '.join(names) or 'none'}",
                field=str(name),
            )
    return tuple(_code_or_zero(part, conditions.get(part.name)) for part in template.conditions)


def condition_values(template: Template, codes: tuple[int, ...]) -> dict[str, str | None]:
    """Return the levels that condition codes stand for, by name. Raises ``UsageError`` where they do not fit."""
    if len(codes) != len(template.conditions):
        raise UsageError("code-unknown", f"the template has {len(template.conditions)} conditions, not {len(codes)}")
    pairs = zip(template.conditions, codes, strict=True)
    return {part.name: None if code == 0 else _level_value(part.levels, code) for part, code in pairs}


def outcome_codes(template: Template, column: object) -> tuple[npt.NDArray[np.generic], list[RowProblem]]:
    """Return the codes of a column of outcomes, uint16 for levels and float64 for numbers, and what did not fit.

    A row with a problem has the code 0 (or 0.0) and must be left out.
    """
    dtype = np.uint16 if isinstance(template.outcome, CategoryOutcomeField) else np.float64
    return _column_codes(column, dtype, lambda value: outcome_code(template, value))


def action_codes(template: Template, column: object) -> tuple[npt.NDArray[np.generic], list[RowProblem]]:
    """Return the uint16 codes of a column of actions, and what did not fit."""
    return _column_codes(column, np.uint16, lambda value: action_code(template, value))


def condition_column_codes(
    template: Template, columns: Mapping[str, object], *, rows: int
) -> tuple[npt.NDArray[np.uint16], list[RowProblem]]:
    """Return ``(rows, conditions)`` uint16 codes of columns by name (0 for an absent one), and what did not fit."""
    codes = np.zeros((rows, len(template.conditions)), dtype=np.uint16)
    problems: list[RowProblem] = []
    for index, part in enumerate(template.conditions):
        if part.name in columns:
            column, found = _column_codes(columns[part.name], np.uint16, _coder(part))
            codes[:, index] = column
            problems += found
    return codes, problems


def _coder(part: Condition) -> Callable[[object], int]:
    return lambda value: _code_or_zero(part, value)


def _column_codes(
    column: object, dtype: type[np.generic], code: Callable[[object], float]
) -> tuple[npt.NDArray[np.generic], list[RowProblem]]:
    values = Column.of(column)
    table = np.zeros(len(values.values) + 1, dtype=dtype)
    errors: dict[int, RecordError] = {}
    for index, value in enumerate([*values.values, None]):
        try:
            table[index] = code(value)
        except RecordError as error:
            errors[index] = error
    return table[values.codes], values.problems(errors)


def _code_or_zero(part: Action | Condition, value: object) -> int:
    if value is None or (isinstance(value, str) and _reads_missing(value, part.levels)):
        return 0
    return _level_code(part, value)


def _level_code(part: Action | Condition | CategoryOutcomeField, value: object) -> int:
    index = level_of(value, part.levels, field=part.name)
    if index is None:
        raise unknown_level(part.name, value, part.levels)
    return index + 1


def _level_value(levels: tuple[str, ...], code: float) -> str:
    if code != int(code) or not 1 <= code <= len(levels):
        raise UsageError("code-unknown", f"the template has no level with the code {code}")
    return levels[int(code) - 1]


def _reads_missing(text: str, levels: tuple[str, ...]) -> bool:
    return is_missing_text(text) and level_text(text) not in levels
