"""The table that is assessed: read, checked, repaired where that can be said in a sentence, refused otherwise."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fingerpost.errors import TableError
from fingerpost.files import read_table

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

ROWS_MIN = 40
NUMBER_MAX = 1e25  # a template's ranges have at most 30 digits
ROWS_OF_LEVEL_MIN = 5
LEVELS_MAX = 50
NUMBER_LEVELS_MAX = 10
NODES_MAX = 50
MISSING = frozenset({"", "?", "na", "n/a", "nan", "null", "none", "-"})
NO_SITE = "(no site)"
OTHER_SITES = "(other sites)"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class AssessedTable:
    """``columns`` of the situation by name (lists of cells), ``codes`` (n,) of ``levels``, and who has which row.

    ``nodes`` (n,) are numbers into ``node_names``, or ``None`` without a node column. ``notes`` say what was repaired,
    dropped or drawn.
    """

    columns: dict[str, list[Any]]
    outcome: str
    codes: NDArray[np.int64]
    levels: tuple[str, ...]
    nodes: NDArray[np.int64] | None
    node_names: tuple[str, ...]
    notes: tuple[str, ...]
    rows_read: int

    def __len__(self) -> int:
        return len(self.codes)


def read_assessed(path: Path, *, outcome: str, node_column: str | None, rows_max: int, seed: int) -> AssessedTable:
    """Read the table at ``path``. Raises ``TableError`` for what cannot be assessed."""
    table = read_table(path)
    _require(table.columns, outcome, "outcome")
    if node_column is not None:
        _require(table.columns, node_column, "node")
        if node_column == outcome:
            raise TableError(
                "assess-roles", f"{outcome!r} cannot be outcome and node", hint="name two different columns"
            )
    notes: list[str] = []
    texts = [level_of(cell) for cell in table.columns[outcome].to_pylist()]
    kept = _usable_rows(texts, outcome, notes)
    if len(kept) > rows_max:
        chance = np.random.default_rng(seed)
        notes.append(
            f"{rows_max} of {len(kept)} rows were drawn at random (seed {seed}); the rest was not read further"
        )
        kept = np.sort(chance.choice(kept, rows_max, replace=False))
        kept = kept[_frequent(np.array([texts[row] for row in kept], object))]
    levels = tuple(sorted({str(texts[row]) for row in kept}))
    codes = np.array([levels.index(str(texts[row])) for row in kept], np.int64)
    columns = {name: column.take(kept).to_pylist() for name, column in table.columns.items()}
    names, nodes = _nodes(columns.pop(node_column), notes) if node_column is not None else ((), None)
    del columns[outcome]
    return AssessedTable(
        columns=_fields(columns, notes),
        outcome=outcome,
        codes=codes,
        levels=levels,
        nodes=nodes,
        node_names=names,
        notes=tuple(notes),
        rows_read=table.rows,
    )


def level_of(cell: object) -> str | None:
    """Return a cell as the name of a level, ``None`` where nothing was recorded."""
    if cell is None or (isinstance(cell, float) and np.isnan(cell)):
        return None
    if isinstance(cell, bool):
        return "true" if cell else "false"
    text = f"{cell:g}" if isinstance(cell, float) else str(cell).strip()
    return None if text.lower() in MISSING else text


def number_of(text: str) -> float | None:
    """Return a text as a finite number, else ``None``."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if abs(number) <= NUMBER_MAX else None


def _require(columns: dict[str, Any], name: str, role: str) -> None:
    if name not in columns:
        raise TableError(
            "column-missing",
            f"the table has no {role} column {name!r}",
            hint=f"its columns are: {', '.join(list(columns)[:20])}",
        )


def _usable_rows(texts: list[str | None], outcome: str, notes: list[str]) -> NDArray[np.int64]:
    """Return the rows whose outcome can be forecast."""
    known = np.array([row for row, text in enumerate(texts) if text is not None], np.int64)
    if len(known) < len(texts):
        notes.append(f"{len(texts) - len(known)} rows without an outcome were left out")
    _check_levels({texts[row] for row in known}, outcome)
    frequent = known[_frequent(np.array([texts[row] for row in known], object))]
    if len(frequent) < len(known):
        notes.append(
            f"{len(known) - len(frequent)} rows were left out: their outcome has fewer than {ROWS_OF_LEVEL_MIN} rows"
        )
    if len(frequent) < ROWS_MIN:
        raise TableError(
            "assess-few-rows",
            f"{len(frequent)} usable rows are too few to tell methods apart",
            hint=f"an assessment needs {ROWS_MIN} rows with an outcome that occurs {ROWS_OF_LEVEL_MIN} times",
        )
    _check_levels({texts[row] for row in frequent}, outcome)
    return frequent


def _check_levels(levels: set[str | None], outcome: str) -> None:
    if len(levels) < 2:
        raise TableError(
            "assess-one-outcome",
            f"the outcome {outcome!r} has {len(levels)} level with enough rows: there is nothing to forecast",
            hint="name the column that says what happened",
        )
    numbers = sum(text is not None and number_of(text) is not None for text in levels)
    if numbers > NUMBER_LEVELS_MAX and numbers >= 0.9 * len(levels):
        raise TableError(
            "assess-outcome-number",
            f"the outcome {outcome!r} is a number with {len(levels)} values; methods are compared on categories",
            hint="add a column with what matters about it, for example whether it is above a limit",
        )
    if len(levels) > LEVELS_MAX:
        raise TableError(
            "assess-outcome-levels",
            f"the outcome {outcome!r} has {len(levels)} levels, more than {LEVELS_MAX}",
            hint="is it the right column? Group the levels that call for the same action",
        )


def _frequent(texts: NDArray[Any]) -> NDArray[np.bool_]:
    counts = Counter(texts.tolist())
    return np.array([counts[text] >= ROWS_OF_LEVEL_MIN for text in texts], np.bool_)


def _nodes(cells: list[Any], notes: list[str]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    texts = [level_of(cell) or NO_SITE for cell in cells]
    if NO_SITE in texts:
        notes.append(f"{texts.count(NO_SITE)} rows name no node: they count as one node, {NO_SITE}")
    ranked = [name for name, _ in Counter(texts).most_common()]
    if len(ranked) > NODES_MAX:
        largest = set(ranked[: NODES_MAX - 1])
        notes.append(f"{len(ranked) - len(largest)} small nodes of {len(ranked)} count as one, {OTHER_SITES}")
        texts = [text if text in largest else OTHER_SITES for text in texts]
    names = tuple(sorted(set(texts)))
    if len(names) < 2:
        raise TableError(
            "assess-one-node", "all rows belong to one node: there is nobody to share with", hint="leave out the node"
        )
    return names, np.array([names.index(text) for text in texts], np.int64)


def _fields(columns: dict[str, list[Any]], notes: list[str]) -> dict[str, list[Any]]:
    """Drop columns that cannot tell anything: constant, or different in every row without being a number."""
    kept: dict[str, list[Any]] = {}
    for name, cells in columns.items():
        texts = [level_of(cell) for cell in cells]
        endless = {text for text in texts if text is not None and _is_endless(text)}
        if endless:
            notes.append(f"column {name!r}: numbers beyond {NUMBER_MAX:g} and infinities count as missing")
            texts = [None if text in endless else text for text in texts]
        present = [text for text in texts if text is not None]
        distinct = set(present)
        if len(distinct) < 2:
            notes.append(f"column {name!r} was dropped: it is {'constant' if distinct else 'empty'}")
        elif _is_identifier(present, distinct):
            notes.append(f"column {name!r} was dropped: it names rows, nearly every value occurs once")
        else:
            kept[name] = [None if text is None else cell for text, cell in zip(texts, cells, strict=True)]
    if not kept:
        raise TableError(
            "assess-no-field",
            "no column is left that could describe a situation",
            hint="; ".join(notes[-5:]) or "the table has no other column",
        )
    return kept


def _is_endless(text: str) -> bool:
    try:
        return abs(float(text)) > NUMBER_MAX
    except ValueError:
        return False


def _is_identifier(present: list[str], distinct: set[str]) -> bool:
    if len(distinct) < 0.95 * len(present):
        return False
    numbers = [number_of(text) for text in present]
    if None in numbers:
        return True
    whole = [int(number) for number in numbers if number is not None and number == int(number)]
    spread = max(whole, default=0) - min(whole, default=0)
    return len(whole) == len(present) and len(distinct) == len(present) and spread < 2 * len(present)
