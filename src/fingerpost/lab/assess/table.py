"""The table that is assessed: read, checked, repaired where that can be said in a sentence, refused otherwise."""

from __future__ import annotations

import re
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fingerpost.errors import TableError
from fingerpost.files import read_table
from fingerpost.template._infer import looks_personal

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

ROWS_MIN = 40
NUMBER_MAX = 1e25  # a template's ranges have at most 30 digits
ROWS_OF_LEVEL_MIN = 5
LEVELS_MAX = 50
NUMBER_LEVELS_MAX = 10
NODES_MAX = 50
ACTIONS_MAX = 20
TIME = re.compile(r"\d{4}-\d{2}(-\d{2})?([T ].*)?$")
MISSING = frozenset({"", "?", "na", "n/a", "nan", "null", "none", "-"})
NO_SITE = "(no site)"
OTHER_SITES = "(other sites)"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class AssessedTable:
    """``columns`` of the situation by name (lists of cells), ``codes`` (n,) of ``levels``, and who has which row.

    ``nodes`` (n,) are numbers into ``node_names``, or ``None`` without a node column. ``actions`` (n,) are 1 and up
    into ``action_levels``, 0 where none was taken. With a time column rows are in its order, and ``previous`` (n,) is
    the outcome last known before each row at its node, -1 for none. ``notes`` say what was repaired, dropped or
    drawn.
    """

    columns: dict[str, list[Any]]
    outcome: str
    codes: NDArray[np.int64]
    levels: tuple[str, ...]
    nodes: NDArray[np.int64] | None
    node_names: tuple[str, ...]
    notes: tuple[str, ...]
    rows_read: int
    actions: NDArray[np.int64] | None = None
    action_levels: tuple[str, ...] = ()
    previous: NDArray[np.int64] | None = None

    @property
    def personal(self) -> tuple[str, ...]:
        """Return the fields that are named as if rows were about people: these must not leave in clear."""
        return tuple(name for name in (*self.columns, self.outcome) if looks_personal(name))

    def __len__(self) -> int:
        return len(self.codes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """Which column says what: what happened, whose row it is, what was done, and when.

    With a time, an outcome is known ``horizon`` moments later at its node.
    """

    outcome: str
    node: str | None = None
    action: str | None = None
    time: str | None = None
    horizon: int = 1

    def require(self, columns: dict[str, Any]) -> None:
        """Raise ``TableError`` where a column is absent or has two roles."""
        named = {"outcome": self.outcome, "node": self.node, "action": self.action, "time": self.time}
        present = {role: name for role, name in named.items() if name is not None}
        for role, name in present.items():
            if name not in columns:
                raise TableError(
                    "column-missing",
                    f"the table has no {role} column {name!r}",
                    hint=f"its columns are: {', '.join(list(columns)[:20])}",
                )
        repeated = next((name for name in present.values() if list(present.values()).count(name) > 1), None)
        if repeated is not None:
            raise TableError("assess-roles", f"{repeated!r} cannot have two roles", hint="name different columns")


def read_assessed(path: Path, roles: Roles, *, rows_max: int, seed: int) -> AssessedTable:
    """Read the table at ``path``. Raises ``TableError`` for what cannot be assessed."""
    table = read_table(path)
    roles.require(table.columns)
    notes: list[str] = []
    texts = [level_of(cell) for cell in table.columns[roles.outcome].to_pylist()]
    kept = _usable_rows(texts, roles.outcome, notes)
    if roles.time is not None:
        kept = _in_order(kept, table.columns[roles.time].to_pylist(), roles.time, notes)
    owners = None if roles.node is None else [level_of(cell) for cell in table.columns[roles.node].to_pylist()]
    before: dict[int, str | None] = {}
    if roles.time is not None:
        times = [level_of(cell) for cell in table.columns[roles.time].to_pylist()]
        before = _last_seen(kept, texts, owners, times, horizon=roles.horizon)
    if len(kept) > rows_max:
        chance = np.random.default_rng(seed)
        notes.append(
            f"{rows_max} of {len(kept)} rows were drawn at random (seed {seed}); the rest was not read further"
        )
        kept = kept[np.sort(chance.choice(len(kept), rows_max, replace=False))]
        kept = kept[_frequent(np.array([texts[row] for row in kept], object))]
    levels = tuple(sorted({str(texts[row]) for row in kept}))
    place = {level: code for code, level in enumerate(levels)}
    columns = {name: column.take(kept).to_pylist() for name, column in table.columns.items()}
    names, nodes = _nodes(columns.pop(roles.node), notes) if roles.node is not None else ((), None)
    actions, action_levels = _actions(columns.pop(roles.action), notes) if roles.action is not None else (None, ())
    for name in (roles.outcome, roles.time):
        columns.pop(name or "", None)
    return AssessedTable(
        columns=_fields(columns, notes),
        outcome=roles.outcome,
        codes=np.array([place[str(texts[row])] for row in kept], np.int64),
        levels=levels,
        nodes=nodes,
        node_names=names,
        notes=tuple(notes),
        rows_read=table.rows,
        actions=actions,
        action_levels=action_levels,
        previous=None if roles.time is None else np.array([place.get(str(before[row]), -1) for row in kept], np.int64),
    )


def _in_order(kept: NDArray[np.int64], cells: list[Any], name: str, notes: list[str]) -> NDArray[np.int64]:
    """Return the rows in order of time; rows without one are left out."""
    texts = {row: level_of(cells[row]) for row in kept.tolist()}
    timed = [row for row, text in texts.items() if text is not None]
    if len(timed) < len(kept):
        notes.append(f"{len(kept) - len(timed)} rows without a time in {name!r} were left out")
    if len(timed) < ROWS_MIN:
        raise TableError("assess-time", f"{len(timed)} rows say when they were", hint="name the column of times")
    numbers = {row: number_of(str(texts[row])) for row in timed}
    if all(number is not None for number in numbers.values()):
        return np.array(sorted(timed, key=lambda row: (float(numbers[row] or 0.0), row)), np.int64)
    if not all(TIME.match(str(texts[row])) for row in timed):
        raise TableError(
            "assess-time",
            f"the column {name!r} holds something that is neither a number nor a date",
            hint="write times as numbers or like 2024-05-31T08:00, so that their order is certain",
        )
    return np.array(sorted(timed, key=lambda row: (str(texts[row]), row)), np.int64)


def _last_seen(
    kept: NDArray[np.int64],
    texts: list[str | None],
    owners: list[str | None] | None,
    times: list[str | None],
    *,
    horizon: int,
) -> dict[int, str | None]:
    """Return for each row, in order of time, the outcome at the same node ``horizon`` moments before.

    Nearer ones are not there yet when the row asks, nor are those of its own moment.
    """
    seen: dict[str | None, deque[tuple[str | None, str | None]]] = {}  # by node: moments, and what happened then
    found: dict[int, str | None] = {}
    for row in kept.tolist():
        moments = seen.setdefault(None if owners is None else owners[row], deque(maxlen=horizon + 1))
        if not moments or moments[-1][0] != times[row]:
            moments.append((times[row], None))
        found[row] = moments[0][1] if len(moments) > horizon else None
        moments[-1] = times[row], texts[row]
    return found


def _actions(cells: list[Any], notes: list[str]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    texts = [level_of(cell) or _nothing_done(cell) for cell in cells]
    counts = Counter(text for text in texts if text is not None)
    levels = tuple(sorted(text for text, count in counts.items() if count >= ROWS_OF_LEVEL_MIN))
    if not 2 <= len(levels) <= ACTIONS_MAX:
        raise TableError(
            "assess-actions",
            f"{len(levels)} actions were taken {ROWS_OF_LEVEL_MIN} times or more",
            hint=f"actions are compared where there are 2 to {ACTIONS_MAX} of them",
        )
    left = sum(text not in levels for text in texts)
    if left:
        notes.append(f"{left} rows state no action, or a rare one: they count as without an action")
    return np.array([levels.index(text) + 1 if text in levels else 0 for text in texts], np.int64), levels


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


def _nothing_done(cell: object) -> str | None:
    """Return "none" where that is what was done: an action like any other, and no missing cell."""
    text = str(cell).strip()
    return text if isinstance(cell, str) and text.lower() == "none" else None


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
