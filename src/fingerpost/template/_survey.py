"""What a column of a table looks like: the facts from which a template is drafted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fingerpost.template._columns import Column
from fingerpost.template._encode import floats_of_texts
from fingerpost.template._fields import SET_SEPARATOR
from fingerpost.template._values import is_missing_text, level_text, number_from_text, text_of

Floats: TypeAlias = npt.NDArray[np.float64]
Counts: TypeAlias = npt.NDArray[np.int64]

NUMERIC_SHARE_MIN = 0.9
_DATE = re.compile(r"\d{4}[-/]\d{1,2}[-/]\d{1,2}([T ].*)?|\d{1,2}[./-]\d{1,2}[./-]\d{2,4}( .*)?|\d{1,2}:\d{2}(:\d{2})?")
_DECIMAL_COMMA = re.compile(r"[+-]?\d+(\.\d{3})*,\d+")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Survey:
    """The distinct values of a column as level texts, how often each occurs, and their numbers (NaN for no number)."""

    name: str
    rows: int
    texts: list[str]
    counts: Counts
    codes: npt.NDArray[np.intp]
    numbers: Floats
    is_moment: bool
    is_nested: bool
    vector: Floats | None

    @property
    def present(self) -> int:
        """Rows with a value."""
        return int(self.counts.sum())

    @property
    def is_number(self) -> bool:
        """Whether nine values in ten are numbers; the others are then dirt."""
        return self.present > 0 and self.numeric_rows >= NUMERIC_SHARE_MIN * self.present

    @property
    def numeric_rows(self) -> int:
        """Rows whose value is a number."""
        return int(self.counts[np.isfinite(self.numbers)].sum())

    @property
    def is_whole(self) -> bool:
        """Whether all numbers are whole."""
        finite = self.numbers[np.isfinite(self.numbers)]
        return bool((finite == np.rint(finite)).all())

    @property
    def is_date(self) -> bool:
        """Whether the values are dates or times."""
        return self.is_moment or (bool(self.texts) and all(_DATE.fullmatch(text) for text in self.texts[:1_000]))

    @property
    def has_decimal_commas(self) -> bool:
        """Whether the values are decimals with a comma."""
        return bool(self.texts) and all(_DECIMAL_COMMA.fullmatch(text) for text in self.texts[:1_000])

    def sorted_numbers(self) -> tuple[Floats, Counts]:
        """Return the distinct numbers in ascending order, and how often each occurs."""
        finite = np.isfinite(self.numbers)
        order = np.argsort(self.numbers[finite], kind="stable")
        return self.numbers[finite][order], self.counts[finite][order]

    def set_levels(self) -> list[str] | None:
        """Return the levels of a set, sorted, where at least one value in ten holds several; else None."""
        several = np.array([SET_SEPARATOR in text for text in self.texts], dtype=np.bool_)
        if not self.texts or self.counts[several].sum() < 0.1 * self.present:
            return None
        return sorted({part.strip() for text in self.texts for part in text.split(SET_SEPARATOR) if part.strip()})


def survey(name: str, values: object) -> Survey:
    """Look at a column once, value by distinct value."""
    column = Column.of(values)
    vector = _as_vectors(column.values)
    texts: list[str] = []
    found: dict[str, int] = {}
    place = np.full(len(column.values) + 1, -1, dtype=np.intp)
    for index, value in enumerate(column.values):
        text = level_text(text_of(value))
        if not is_missing_text(text):
            place[index] = found.setdefault(text, len(texts))
            if place[index] == len(texts):
                texts.append(text)
    codes = place[column.codes]
    counts = np.bincount(codes[codes >= 0], minlength=len(texts)).astype(np.int64)
    return Survey(
        name=name,
        rows=len(codes),
        texts=texts,
        counts=counts,
        codes=codes,
        numbers=_numbers_of(texts),
        is_moment=bool(column.values) and all(_is_moment(value) for value in column.values[:1_000]),
        is_nested=any(isinstance(value, (list, tuple, dict, set, np.ndarray)) for value in column.values),
        vector=vector,
    )


def quantile(numbers: Floats, counts: Counts, share: float) -> float:
    """Return the smallest number that at least ``share`` of all values do not exceed."""
    cumulated = np.cumsum(counts)
    return float(numbers[int(np.searchsorted(cumulated, share * cumulated[-1]))])


def _is_moment(value: object) -> bool:
    return hasattr(value, "isoformat") or isinstance(value, (np.datetime64, np.timedelta64))


def _numbers_of(texts: list[str]) -> Floats:
    numbers = floats_of_texts(texts)
    if texts and np.isnan(numbers).all():  # one text that is no number keeps the fast reader from reading the others
        exact = (number_from_text(text) for text in texts)
        numbers = np.array([np.nan if number is None else _float(number) for number in exact], dtype=np.float64)
    return numbers


def _float(number: Any) -> float:
    try:
        return float(number)
    except OverflowError:
        return float("inf")


def _as_vectors(values: Sequence[object]) -> Floats | None:
    """Return values that are all number lists of one length as an array, else None."""
    if not values or not all(isinstance(value, (list, tuple, np.ndarray)) for value in values):
        return None
    try:
        array = np.array([list(value) for value in values], dtype=np.float64)  # type: ignore[call-overload]
    except (TypeError, ValueError, OverflowError):
        return None
    return array if array.ndim == 2 and array.shape[1] and np.isfinite(array).all() else None
