"""Draft a template from a table: a start for its owner to review, never the last word.

The draft tells as little of the data as a schema can: ranges are rounded outward, levels that hardly occur are left
out of the situation, nothing is ordered by frequency, and no count is written into the file. The notes, which are for
the owner's eyes, do say what was found.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fingerpost.errors import TableError
from fingerpost.limits import COUNTS_ENTRIES_MAX, COUNTS_KNOTS, ENCODED_WIDTH_MAX, NAME_LENGTH_MAX
from fingerpost.packet import Profile
from fingerpost.template._draft import DraftTable, draft_text, levels_lines, quoted, range_line
from fingerpost.template._drafts import Note, draft_field, is_usable_level, level_order
from fingerpost.template._parse import parse_template
from fingerpost.template._ranges import odd_values, outward
from fingerpost.template._survey import Counts, Floats, Survey, survey
from fingerpost.template._template import DataClass, Template, profile_name
from fingerpost.template._values import shown

OUTCOME_LEVELS_MAX = 10  # a numeric outcome with more distinct values stays a number
ACTION_LEVELS_MAX = 256
TELLTALE_LEVELS_MAX = 50
TELLTALE_ROWS_MIN = 20
SIBLINGS_MIN = 3
SIBLING_SPAN = 4  # columns share a range where the middle one spans at least a quarter of it
PROFILE_FOR_PERSONAL = Profile.DP_AGGREGATE
COUNTED_CELL_BITS = 5  # with fewer cells situations blur, with more each cell holds little but noise
_PERSONAL_NAME = re.compile(
    r"(?i)(^|[^a-z])(age|sex|gender|birth\w*|dob|born|name|surname|forename|patient\w*|person\w*|subject\w*|customer\w*"
    r"|client\w*|employee\w*|ssn|passport|licen[cs]e|e?mail|phone|mobile|address|street|zip\w*|post\w*code|race"
    r"|ethnic\w*|nationality|religion|marital\w*|pregnan\w*|diagnos\w*|disease\w*|illness|salary|income|iban)"
    r"([^a-z]|$)"
)
_NODE_NAME = re.compile(r"(?i)(hospital|site|station|clinic|cent(re|er)|branch|bank|airline|carrier|node|org.*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class InferredTemplate:
    """A drafted ``template``, its ``text`` (TOML with comments that say what to review), and ``notes`` on columns."""

    template: Template
    text: str
    notes: tuple[Note, ...]


def infer_template(
    columns: Mapping[str, object],
    *,
    outcome: str,
    node_column: str | None = None,
    action: str | None = None,
    name: str | None = None,
    data_class: str | None = None,
) -> InferredTemplate:
    """Draft a template from the columns of a table (see ``encode_table`` for what a column may be).

    ``outcome``, ``action`` and ``node_column`` name columns and stay out of the situation. ``data_class`` stays
    ``undeclared`` unless given, and then nothing may leave before the owner decides. Raises ``TableError`` for a
    column that is not there, an outcome or action that cannot be one, or a table without any usable field.
    """
    roles = {"outcome": outcome, "action": action, "node": node_column}
    _check_roles(columns, roles)
    notes: list[Note] = []
    seen_outcome = survey(outcome, columns[outcome])
    tables = [_draft_outcome(seen_outcome, notes)]
    told_apart = COUNTS_KNOTS if 'kind = "number"' in tables[0].lines else len(seen_outcome.texts)
    if action is not None:
        seen_action = survey(action, columns[action])
        tables.append(_draft_action(seen_action))
        told_apart *= 1 + len(seen_action.texts)
    surveys = [survey(column, columns[column]) for column in columns if column not in roles.values()]
    pools = _pools(surveys)
    width, left_out = 0, []
    for seen in surveys:
        drafted = draft_field(seen, pooled=pools.get(seen.name))
        notes += drafted.notes
        if drafted.table is None:
            left_out.append(seen.name)
            continue
        needed = _width_of(drafted.table)
        if width + needed > ENCODED_WIDTH_MAX:
            left_out.append(seen.name)
            notes.append(
                Note(column=seen.name, text=f"left out: the situation is full ({ENCODED_WIDTH_MAX} coordinates)")
            )
            continue
        width += needed
        tables.append(drafted.table)
        notes += _telltale_notes(seen, seen_outcome, node_column)
    if not width:
        raise TableError(
            "infer-no-field",
            "the table has no column that could be a field of a situation",
            hint="; ".join(f"{note.column}: {note.text}" for note in notes[:5]) or "it has no other column",
        )
    declared = DataClass(data_class or DataClass.UNDECLARED)
    personal = [] if declared is DataClass.NON_PERSONAL else [column for column in columns if looks_personal(column)]
    notes += [Note(column=column, text="looks personal, by its name") for column in personal]
    is_personal = declared is DataClass.PERSONAL or bool(personal)
    cell_bits = 0
    if is_personal:
        notes.append(_note_of_the_cost(tables, outcome))
        cell_bits = max(0, min(COUNTED_CELL_BITS, (COUNTS_ENTRIES_MAX // told_apart).bit_length() - 1))
    text = _text(tables, left_out, name=name, data_class=declared, is_personal=is_personal, cell_bits=cell_bits)
    return InferredTemplate(template=parse_template(text, source="draft"), text=text, notes=tuple(notes))


def _note_of_the_cost(tables: list[DraftTable], outcome: str) -> Note:
    """Say what the draft itself tells of the rows, which no profile bounds and no ledger counts."""
    lines = [line for table in tables for line in table.lines]
    ranges, levels = (sum(line.startswith(word) for line in lines) for word in ("range", "levels"))
    text = (
        f"ranges ({ranges}) and levels ({levels}) were read from the rows, and no budget of dp-aggregate pays for "
        "that: write what is known of such fields in general instead"
    )
    return Note(column=outcome, text=text)


def looks_personal(column: str) -> bool:
    """Say whether a column is named as if its rows were about people. A name proves nothing, and none is no proof."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", column).replace("_", " ")
    return _PERSONAL_NAME.search(spaced) is not None


def _check_roles(columns: Mapping[str, object], roles: Mapping[str, str | None]) -> None:
    for role, column in roles.items():
        if column is not None and column not in columns:
            close = difflib.get_close_matches(column, list(columns), n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"its columns are: {', '.join(list(columns)[:20])}"
            raise TableError("column-missing", f"the table has no {role} column {shown(column)}", hint=hint)
    named = [column for column in roles.values() if column is not None]
    repeated = next((column for column in named if named.count(column) > 1), None)
    if repeated is not None:
        raise TableError(
            "infer-role", f"the column {shown(repeated)} has two roles", hint="outcome, action and node differ"
        )


def _draft_outcome(seen: Survey, notes: list[Note]) -> DraftTable:
    if seen.present < seen.rows:
        notes.append(Note(column=seen.name, text=f"{seen.rows - seen.present} rows have no outcome and tell nothing"))
    lines = [f"name = {quoted(seen.name)}"]
    if seen.is_number and (len(seen.texts) > OUTCOME_LEVELS_MAX or not seen.is_whole):
        numbers, counts = seen.sorted_numbers()
        odd = odd_values(numbers, counts)
        if odd:
            listed = ", ".join(f"{value:g}" for value in odd)
            notes.append(Note(column=seen.name, text=f"{listed} lies far from the rest; does it mean missing?"))
        if numbers[0] < numbers[-1]:
            low, high = outward(float(numbers[0]), float(numbers[-1]), whole=seen.is_whole)
            lines += ['kind = "number"', range_line(low, high)]
            return DraftTable(path=("outcome",), lines=tuple(lines), review="range, unit")
    levels = _role_levels(seen, most=_levels_max(seen), least=2, code="infer-outcome")
    lines += ['kind = "category"', *levels_lines(levels)]
    return DraftTable(path=("outcome",), lines=tuple(lines), review="are these all outcomes?")


def _draft_action(seen: Survey) -> DraftTable:
    levels = _role_levels(seen, most=min(_levels_max(seen), ACTION_LEVELS_MAX), least=1, code="infer-action")
    lines = (f"name = {quoted(seen.name)}", *levels_lines(levels))
    return DraftTable(path=("action",), lines=lines, review="are these all actions?")


def _levels_max(seen: Survey) -> int:
    """Return how many levels a column of this length may plausibly have."""
    return max(OUTCOME_LEVELS_MAX, seen.present // 2)


def _role_levels(seen: Survey, *, most: int, least: int, code: str) -> list[str]:
    levels = level_order(seen.texts, seen.numbers)
    if not least <= len(levels) <= most or not all(map(is_usable_level, levels)):
        raise TableError(
            code,
            f"the column {shown(seen.name)} has {len(levels)} distinct values and cannot be what was asked",
            hint=f"it needs {least} to {most} short levels in a table of this length; is it the right column?",
        )
    return levels


def _pools(surveys: list[Survey]) -> dict[str, tuple[Floats, Counts]]:
    """Return the joint numbers of columns whose names differ only in digits and whose spans are alike.

    Pixels, repeated visits and monthly amounts then share one kind and one range, whatever single columns happen to
    hold.
    """
    families: dict[str, list[Survey]] = {}
    for seen in surveys:
        if re.search(r"\d", seen.name) and seen.is_number and seen.is_whole and seen.vector is None:
            families.setdefault(re.sub(r"\d+", "#", seen.name), []).append(seen)
    pools: dict[str, tuple[Floats, Counts]] = {}
    for family in families.values():
        parts = [seen.sorted_numbers() for seen in family]
        numbers, places = np.unique(np.concatenate([part[0] for part in parts]), return_inverse=True)
        spans = [float(part[0][-1] - part[0][0]) for part in parts]
        if len(family) >= SIBLINGS_MIN and np.median(spans) * SIBLING_SPAN >= numbers[-1] - numbers[0]:
            counts = np.bincount(places, weights=np.concatenate([part[1] for part in parts])).astype(np.int64)
            pools |= {seen.name: (numbers, counts) for seen in family}
    return pools


def _telltale_notes(seen: Survey, outcome: Survey, node_column: str | None) -> list[Note]:
    """Return notes on a field that gives the outcome away, or that seems to name the node."""
    notes = []
    if node_column is None and _NODE_NAME.fullmatch(seen.name):
        notes.append(Note(column=seen.name, text="if it says whose row it is, name it as the node column instead"))
    rows = (seen.codes >= 0) & (outcome.codes >= 0)
    few = len(seen.texts) <= TELLTALE_LEVELS_MAX and len(outcome.texts) <= TELLTALE_LEVELS_MAX
    if few and int(rows.sum()) >= TELLTALE_ROWS_MIN:
        pairs = np.unique(seen.codes[rows] * len(outcome.texts) + outcome.codes[rows])
        values, outcomes = pairs // len(outcome.texts), pairs % len(outcome.texts)
        if len(set(values)) == len(pairs) and len(set(outcomes)) > 1:
            notes.append(
                Note(column=seen.name, text="it decides the outcome in every row: was it really known before acting?")
            )
    return notes


def _width_of(table: DraftTable) -> int:
    """Return the coordinates of one drafted field."""
    outcome = DraftTable(path=("outcome",), lines=('kind = "category"', 'levels = ["a", "b"]', 'name = "\\u2022"'))
    return parse_template(draft_text(('format = 1\nname = "x"',), (outcome, table)), source="draft").encoded_width


def _text(
    tables: list[DraftTable],
    left_out: list[str],
    *,
    name: str | None,
    data_class: DataClass,
    is_personal: bool,
    cell_bits: int,
) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", (name or "").lower()).strip("-")[:NAME_LENGTH_MAX].strip("-") or "template"
    head = [
        "# Drafted from a table. Review every field, then share this file: all nodes use the same.",
        "# It tells nothing of the data but column names, levels and ranges rounded outward.",
        "",
        "format = 1",
        f"name = {quoted(slug)}",
    ]
    if data_class is DataClass.UNDECLARED:
        head.append('# review: "personal" or "non_personal"? Nothing may leave before you decide.')
    head.append(f"data_class = {quoted(data_class.value)}")
    profile = profile_name(PROFILE_FOR_PERSONAL if is_personal else Profile.OPEN)
    advice = "" if not is_personal else "about people: counts with noise, or consortium: all of it, sealed for members"
    cells = DraftTable(path=("cells",), lines=(f"bits = {cell_bits}",), review="what is counted in each of them")
    tail = [
        *([cells] if cell_bits else []),
        DraftTable(path=("fingerprint",), lines=("bits = 256",), review="1024 tells situations apart better"),
        DraftTable(path=("privacy",), lines=(f"profile = {quoted(profile)}",), review=advice),
        DraftTable(path=("retention",), lines=("ttl_days = 365",), review="days that a packet lives"),
    ]
    situation = [table for table in tables if table.path[0] == "situation"]
    others = [table for table in tables if table.path[0] != "situation"]
    text = draft_text(head, [*situation, *reversed(others), *tail])
    if left_out:
        names = ", ".join(column if column.isprintable() else repr(column) for column in left_out)
        text += f"\n# Left out of the situation: {names}\n"
    return text
