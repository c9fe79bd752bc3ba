"""Real tables with natural sites, for what an asker's own outcomes are worth beside those of others.

``heart`` comes with the package: four hospitals, 920 patients. From a folder of the caller's come ``default_credit``
(UCI, Default of Credit Card Clients, I-Cheng Yeh: 30,000 clients; the sites are segments by education and age) and
``beijing`` (UCI, Beijing Multi-Site Air-Quality Data, Song Chen: 12 stations, hourly): will PM2.5 exceed 75 six hours
later? Templates are drafted by the package from columns, with missing values as values of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fingerpost.files import read_table
from fingerpost.fingerprint import Fingerprinter, sketch_values
from fingerpost.lab.data import load
from fingerpost.template import CategoryOutcomeField, Template, encode_table, infer_template

if TYPE_CHECKING:
    from numpy.typing import NDArray

STATIONS = 12
HOURS_AHEAD, HIGH = 6, 75.0
SEGMENT_ROWS_MIN = 300  # smaller segments have too few clients to hold out
BITS = 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteSet:
    """Encoded rows of sites. ``order`` (n,) is time where there is one: what is held out comes last at each site."""

    name: str
    template: Template
    fingerprints: NDArray[np.uint8]
    sketches: NDArray[np.uint8] | None
    codes: NDArray[np.int64]
    sites: NDArray[np.int64]
    site_names: tuple[str, ...]
    in_time: bool

    def coordinates(self, rows: NDArray[np.int64]) -> NDArray[np.float64] | None:
        """Return the sketch coordinates of rows, or None without sketches."""
        return None if self.sketches is None else sketch_values(self.sketches[rows])


def read_site_sets(folder: Path | None, *, sketch: bool = False) -> list[SiteSet]:
    """Return the sets that are there."""
    sets = [_heart(sketch=sketch)]
    for file, read in (("default_credit.csv.xz", _credit), ("beijing_air.csv.xz", _beijing)):
        path = None if folder is None else folder / file
        if path is None or not path.is_file():
            print(f"left out, for want of {file} in the folder of --data")
            continue
        sets.append(read(path))
    return sets


def _heart(*, sketch: bool) -> SiteSet:
    found = load("heart")
    template = found.template(bits=BITS, sketch=sketch)
    if found.sites is None:
        raise AssertionError("heart has hospitals")
    names, sites = np.unique(found.sites, return_inverse=True)
    return _encoded("heart", template, found.columns, found.outcomes, sites.reshape(-1), tuple(names), in_time=False)


def _credit(path: Path) -> SiteSet:
    table = read_table(path)
    columns = {name: column for name, column in table.columns.items() if name != "id"}
    draft = infer_template(columns, outcome="default", node_column="segment", name="credit", data_class="non_personal")
    segments = np.array(columns["segment"].to_pylist())
    names, counts = np.unique(segments, return_counts=True)
    large = names[counts >= SEGMENT_ROWS_MIN]
    rows = np.flatnonzero(np.isin(segments, large))
    codes = _codes(draft.template, columns["default"].take(rows))
    sites = np.searchsorted(large, segments[rows])
    kept = {name: column.take(rows) for name, column in columns.items()}
    return _encoded("credit", draft.template, kept, codes, sites, tuple(large), in_time=False)


def _beijing(path: Path) -> SiteSet:
    table = read_table(path)
    columns: dict[str, Any] = {name: column for name, column in table.columns.items() if name != "time"}
    hours = table.rows // STATIONS
    high = _later(columns["pm25"], hours)
    every = np.arange(0, table.rows, 24)  # one hour a day, another one for each station
    every = every + np.arange(len(every)) * STATIONS // len(every) * 2
    rows = every[(every < table.rows) & (high[np.minimum(every, table.rows - 1)] != "")]
    kept = {name: column.take(rows) for name, column in columns.items()}
    kept["high_later"] = high[rows].tolist()
    draft = infer_template(kept, outcome="high_later", node_column="station", name="beijing", data_class="non_personal")
    stations = np.array(kept["station"].to_pylist())
    names, sites = np.unique(stations, return_inverse=True)
    codes = _codes(draft.template, kept["high_later"])
    return _encoded("beijing", draft.template, kept, codes, sites.reshape(-1), tuple(names), in_time=True)


def _later(levels: Any, hours: int) -> NDArray[np.str_]:
    """Return yes, no, or nothing where the level six hours later, at the same station, is unknown."""
    numbers = np.array([float(level) if level else np.nan for level in levels.to_pylist()]).reshape(-1, hours)
    ahead = np.full(numbers.shape, np.nan)
    ahead[:, :-HOURS_AHEAD] = numbers[:, HOURS_AHEAD:]
    flat = ahead.reshape(-1)
    return np.where(np.isnan(flat), "", np.where(flat > HIGH, "yes", "no"))


def _codes(template: Template, column: Any) -> NDArray[np.int64]:
    if not isinstance(template.outcome, CategoryOutcomeField):
        raise AssertionError("these outcomes are levels")
    levels = {level: place for place, level in enumerate(template.outcome.levels)}
    values = column.to_pylist() if hasattr(column, "to_pylist") else column
    return np.array([levels[str(value)] for value in values], np.int64)


def _encoded(
    name: str,
    template: Template,
    columns: Any,
    codes: NDArray[np.int64],
    sites: NDArray[np.int64],
    site_names: tuple[str, ...],
    *,
    in_time: bool,
) -> SiteSet:
    fields = {field.name for field in template.situation}
    situations = {key: column for key, column in columns.items() if key in fields}
    encoded, problems = encode_table(template, situations, rows=len(codes))
    if problems:
        raise AssertionError(f"{name}: {len(problems)} cells do not fit the template, first {problems[0]}")
    maker = Fingerprinter(template)
    return SiteSet(
        name=name,
        template=template,
        fingerprints=maker.fingerprints(encoded),
        sketches=maker.sketches(encoded) if template.sketch else None,
        codes=np.asarray(codes, np.int64),
        sites=np.asarray(sites, np.int64),
        site_names=tuple(str(one) for one in site_names),
        in_time=in_time,
    )
