"""What kind of field a column becomes in a draft, or why it becomes none."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from fingerpost.errors import TemplateError
from fingerpost.template._draft import DraftTable, levels_lines, range_line
from fingerpost.template._fields import TITLE_LENGTH_MAX, VECTOR_SIZE_MAX, check_title, is_plain_text
from fingerpost.template._ranges import above_zero, draft_range, odd_values, outward
from fingerpost.template._survey import Counts, Floats, Survey
from fingerpost.template._template import RESERVED_NAMES
from fingerpost.template._values import level_text

CODES_MAX = 6  # so few whole numbers are more often codes than measurements
CODE_SPAN_MAX = 20
FEW_NUMBERS_MAX = 12  # some more may still be codes: worth a question
LEVELS_DRAFTED_MAX = 32
RARE_BELOW = 5  # a level of fewer rows may point at a person
RARE_FROM_ROWS = 100
IDENTIFIER_ROWS_MIN = 20
WORDS_OF_PROSE = 4
SCALES = (
    ("none", "mild", "moderate", "severe"),
    ("never", "rarely", "sometimes", "often", "always"),
    ("very low", "low", "medium", "high", "very high"),
    ("small", "medium", "large"),
    ("I", "II", "III", "IV", "V"),
)
_IDENTIFIER_NAME = re.compile(r"(?i)(.*[_ .-])?(id|uuid|guid|key|index|idx|row|number|no|nr|code|#)|.*ID")
_PERSONAL_NAME = re.compile(r"(?i).*(name|e-?mail|phone|address|zip|postcode|postal|birth|ssn|passport).*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What the owner should know about a column of the table."""

    column: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Drafted:
    """What became of a column: a table of the draft, or None and the reason in ``notes``."""

    table: DraftTable | None
    notes: tuple[Note, ...] = ()


def draft_field(seen: Survey, *, pooled: tuple[Floats, Counts] | None = None) -> Drafted:
    """Draft a field of the situation; ``pooled`` are the numbers of all columns that should share one range."""
    reason = _unusable(seen) or _identifier(seen)
    if reason:
        return _left_out(seen, reason)
    if seen.vector is not None:
        return _vector(seen, seen.vector)
    if seen.is_number:
        return _number(seen, *(pooled or seen.sorted_numbers()))
    levels = seen.set_levels()
    if levels is not None and len(levels) <= LEVELS_DRAFTED_MAX and all(map(is_usable_level, levels)):
        return _field(seen, 'kind = "set"', *levels_lines(levels), review="are these all levels?")
    return _category(seen)


def level_order(levels: list[str], numbers: Floats) -> list[str]:
    """Return levels in the order of their numbers, or of a well-known scale, or of the alphabet; never by frequency."""
    if len(levels) and np.isfinite(numbers).all():
        return [levels[index] for index in np.argsort(numbers, kind="stable")]
    scale = _scale_of(levels)
    return sorted(
        levels, key=(lambda level: scale.index(level.casefold())) if scale else lambda level: level.casefold()
    )


def is_usable_level(text: str) -> bool:
    """Tell whether a template accepts a text as a level."""
    return 0 < len(text) <= TITLE_LENGTH_MAX and is_plain_text(text) and level_text(text) == text


def _scale_of(levels: list[str]) -> list[str]:
    folded = {level.casefold() for level in levels}
    for scale in SCALES:
        steps = [step.casefold() for step in scale]
        if len(folded) == len(levels) > 2 and folded <= set(steps):
            return steps
    return []


def _left_out(seen: Survey, reason: str) -> Drafted:
    return Drafted(table=None, notes=(Note(column=seen.name, text=f"left out: {reason}"),))


def _field(seen: Survey, *lines: str, review: str, notes: tuple[str, ...] = ()) -> Drafted:
    if _PERSONAL_NAME.fullmatch(seen.name):
        notes = (*notes, "its name sounds as if it could identify a person; does the situation need it?")
    table = DraftTable(path=("situation", seen.name), lines=lines, review=review)
    return Drafted(table=table, notes=tuple(Note(column=seen.name, text=text) for text in notes))


def _unusable(seen: Survey) -> str:
    try:
        check_title(seen.name, path="")
    except TemplateError:
        return "its name is too long or has control characters; rename it"
    if seen.name in RESERVED_NAMES:
        return f"{seen.name!r} is no name for a field of the situation; rename it"
    if not seen.present:
        return "it is empty"
    if seen.is_date:
        return "dates and times point at single records; derive what matters, such as the month or an age"
    if seen.vector is None and seen.is_nested:
        return "its values are lists of different lengths, or of other things than numbers"
    if len(seen.texts) == 1 and seen.vector is None:
        return "it has one value in all rows that have any"
    if seen.has_decimal_commas:
        return "its decimals have commas; write them with points"
    return ""


def _identifier(seen: Survey) -> str:
    """Return why a column identifies its rows, or nothing."""
    distinct = len(seen.texts)
    if seen.present < IDENTIFIER_ROWS_MIN or seen.vector is not None:
        return ""
    is_named_so = _IDENTIFIER_NAME.fullmatch(seen.name) is not None
    if seen.is_number:
        numbers, _ = seen.sorted_numbers()
        is_counted = distinct == seen.present and numbers[-1] - numbers[0] == distinct - 1
        if seen.is_whole and (is_counted or (is_named_so and distinct > seen.present / 2)):
            return "it numbers the rows"
        return ""
    if seen.set_levels() is not None and distinct < seen.present / 2:
        return ""
    words = float(np.mean([text.count(" ") + 1 for text in seen.texts[:1_000]]))
    if distinct > seen.present / 2 and words >= WORDS_OF_PROSE:
        return 'it is free text; if it may leave (as its embedding), write kind = "text"'
    if distinct > seen.present / 2 or (is_named_so and distinct > seen.present / 10):
        return "nearly every row has a value of its own"
    return ""


def _vector(seen: Survey, vector: Floats) -> Drafted:
    size = vector.shape[1]
    if size > VECTOR_SIZE_MAX:
        return _left_out(seen, f"its values hold {size} numbers, more than {VECTOR_SIZE_MAX}")
    low, high = outward(float(vector.min()), float(vector.max()))
    return _field(seen, 'kind = "vector"', f"size = {size}", range_line(low, high), review="range")


def _number(seen: Survey, numbers: Floats, counts: Counts) -> Drafted:
    notes = []
    if seen.numeric_rows < seen.present:
        others = seen.present - seen.numeric_rows
        examples = [text for text, number in zip(seen.texts, seen.numbers, strict=True) if not np.isfinite(number)]
        notes.append(f"{others} cells are no numbers, such as {examples[0][:20]!r}; they will be refused")
    if len(numbers) == 2 and seen.is_whole:
        return _codes(seen, numbers, review="what do the two levels mean?", notes=notes)
    if len(numbers) <= CODES_MAX and seen.is_whole and numbers[-1] - numbers[0] <= CODE_SPAN_MAX:
        review = 'codes, as drafted, or amounts? For amounts write kind = "number" and a range.'
        return _codes(seen, numbers, review=review, notes=notes)
    review = "range, unit"
    if len(numbers) <= FEW_NUMBERS_MAX and seen.is_whole:
        review = 'amounts, as drafted, or codes? For codes write kind = "category" and levels'
    odd = odd_values(numbers, counts)
    if odd:
        kept = ~np.isin(numbers, odd)
        listed = ", ".join(f"{value:g} ({int(counts[numbers == value].sum())} times)" for value in odd)
        rest = f"{numbers[kept][0]:g} to {numbers[kept][-1]:g}"
        notes.append(
            f"{listed} lies far from the rest ({rest}) and is outside the drafted range: if it means missing, "
            "empty those cells; if it is real, widen the range"
        )
        review += "; does a value outside the range mean missing? Then empty those cells"
        numbers, counts = numbers[kept], counts[kept]
    drafted = draft_range(numbers, counts)
    drafted = above_zero(drafted, float(numbers[0])) if 0 in odd else drafted
    lines = ['kind = "number"', range_line(drafted.low, drafted.high)]
    if drafted.is_log:
        lines.append('scale = "log"')
        review += "; logarithmic, because amounts differ by orders of magnitude"
    if drafted.is_clamped:
        lines.append('outside = "clamp"')
        review += "; what lies outside counts as the end"
    return _field(seen, *lines, review=review, notes=tuple(notes))


def _codes(seen: Survey, numbers: Floats, *, review: str, notes: list[str]) -> Drafted:
    levels = [f"{number:.0f}" for number in numbers]
    return _field(seen, 'kind = "category"', *levels_lines(levels), review=review, notes=tuple(notes))


def _category(seen: Survey) -> Drafted:
    usable = np.array([is_usable_level(text) for text in seen.texts], dtype=np.bool_)
    least = RARE_BELOW if seen.rows >= RARE_FROM_ROWS and len(seen.texts) > 2 else 1
    order = np.lexsort((np.arange(len(seen.texts)), -seen.counts))
    chosen = [index for index in order if usable[index] and seen.counts[index] >= least][:LEVELS_DRAFTED_MAX]
    if len(chosen) < 2:
        return _left_out(seen, f"fewer than two of its values occur in at least {RARE_BELOW} rows")
    levels = level_order([seen.texts[index] for index in chosen], seen.numbers[chosen])
    kind, review = ("ordinal", "order") if _scale_of(levels) else ("category", "are these all levels?")
    lines = [f'kind = "{kind}"', *levels_lines(levels)]
    notes: tuple[str, ...] = ()
    dropped = len(seen.texts) - len(chosen)
    if dropped:
        lines.append('other = "missing"')
        review += " Any other value counts as missing; add levels that matter."
        rows = seen.present - int(seen.counts[chosen].sum())
        notes = (f"{dropped} rare values ({rows} rows) are no levels and count as missing",)
    return _field(seen, *lines, review=review, notes=notes)
