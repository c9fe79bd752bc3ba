"""The situations that routing is measured on: tables of real rows, encoded by templates that the package drafts itself.

``digits`` comes with scikit-learn. ``credit`` and ``beijing`` are read from a folder of the caller's:
``default_credit.csv.xz`` (UCI, Default of Credit Card Clients, I-Cheng Yeh: 30,000 rows) and ``beijing_air.csv.xz``
(UCI, Beijing Multi-Site Air-Quality Data, Song Chen: 420,768 rows, station by station in time order).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fingerpost.files import read_table
from fingerpost.fingerprint import Fingerprinter
from fingerpost.lab.data import load
from fingerpost.template import Template, encode_table, infer_template

if TYPE_CHECKING:
    from numpy.typing import NDArray

BITS = 256
HOURS_AHEAD, HIGH = 6, 75.0  # the outcome of the Beijing set: is PM2.5 above this so many hours later?
STATIONS = 12
PARTS = 4  # years of each station: the first is public, the last asks, what lies between is kept


@dataclass(frozen=True, slots=True, kw_only=True)
class RealSet:
    """Real situations in three parts that share no row.

    ``population`` (n, 32) and ``public`` (p, 32) are fingerprints, of what is kept in packets and of what a codebook
    may be made from; ``asking`` (m, width) are the encoded records that ask.
    """

    name: str
    template: Template
    population: NDArray[np.uint8]
    public: NDArray[np.uint8]
    asking: NDArray[np.int16]


def read_sets(folder: Path | None, *, questions: int, seed: int) -> list[RealSet]:
    """Return the sets that are there; ``questions`` rows of each ask, a quarter of the others is public."""
    sets = [_digits(questions, seed)]
    for name, file, read in (
        ("credit", "default_credit.csv.xz", _credit),
        ("beijing", "beijing_air.csv.xz", _beijing),
    ):
        path = None if folder is None else folder / file
        if path is None or not path.is_file():
            print(f"left out: {name}, for want of {file} in the folder of --data")
            continue
        sets.append(read(path, questions, seed))
    return sets


def _digits(questions: int, seed: int) -> RealSet:
    digits = load("digits")
    template = digits.template(bits=BITS)
    return _split("digits", template, digits.columns, *_at_random(len(digits), questions, seed))


def _credit(path: Path, questions: int, seed: int) -> RealSet:
    table = read_table(path)
    columns = {name: column for name, column in table.columns.items() if name != "id"}
    draft = infer_template(columns, outcome="default", node_column="segment", name="credit", data_class="non_personal")
    return _split("credit", draft.template, columns, *_at_random(table.rows, questions, seed))


def _beijing(path: Path, questions: int, seed: int) -> RealSet:
    """Ask from the last year of each station, about two years before, with the first year public.

    Neighbours in time would be too easy to find.
    """
    table = read_table(path)
    columns: dict[str, Any] = {name: column for name, column in table.columns.items() if name != "time"}
    columns["high_later"] = _later(columns["pm25"])
    draft = infer_template(
        columns, outcome="high_later", node_column="station", name="beijing", data_class="non_personal"
    )
    hours = table.rows // STATIONS
    part = np.arange(table.rows) % hours * PARTS // hours
    asking = np.random.default_rng(seed).choice(np.flatnonzero(part == PARTS - 1), questions, replace=False)
    kept = np.flatnonzero((part > 0) & (part < PARTS - 1))
    return _split("beijing", draft.template, columns, kept, np.flatnonzero(part == 0), asking)


def _later(levels: Any) -> list[str]:
    numbers = np.array([float(level) if level else np.nan for level in levels.to_pylist()])
    ahead = np.append(numbers[HOURS_AHEAD:], np.full(HOURS_AHEAD, np.nan))
    return [str(level) for level in np.where(np.isnan(ahead), "", np.where(ahead > HIGH, "yes", "no"))]


def _at_random(rows: int, questions: int, seed: int) -> tuple[NDArray[np.int64], ...]:
    """Return which rows are kept, which are public, and which ask."""
    order = np.random.default_rng(seed).permutation(rows)
    public = questions + (rows - questions) // 4
    return order[public:], order[questions:public], order[:questions]


def _split(
    name: str,
    template: Template,
    columns: Any,
    kept: NDArray[np.int64],
    public: NDArray[np.int64],
    asking: NDArray[np.int64],
) -> RealSet:
    """Encode all parts; the columns of the outcome and of the node are no part of a situation."""
    fields = {field.name for field in template.situation}
    situations = {key: column for key, column in columns.items() if key in fields}
    rows = len(next(iter(situations.values())))
    encoded, problems = encode_table(template, situations, rows=rows)
    if problems:
        raise AssertionError(f"{name}: {len(problems)} cells do not fit the drafted template, first {problems[0]}")
    fingerprinter = Fingerprinter(template)
    return RealSet(
        name=name,
        template=template,
        population=fingerprinter.fingerprints(encoded[kept]),
        public=fingerprinter.fingerprints(encoded[public]),
        asking=encoded[asking],
    )
