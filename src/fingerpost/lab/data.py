"""Public data sets with the template that their nodes would share (needs the ``lab`` extra, apart from heart).

A template beside this module declares every range before a row is read: round numbers from the subject matter or around
the ranges that the set's own documentation prints. Nothing is fitted to rows, so no test row can leak into a template.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np

from fingerpost.lab.heart import DISEASED, load_patients
from fingerpost.template import CategoryOutcomeField, Template, encode_table, parse_template

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

FINGERPRINT_TABLE = re.compile(r"^\[fingerprint\][^\[]*", re.MULTILINE)
UNIT = 4096.0  # what one is in an encoded record


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSet:
    """``rows`` records: situation ``columns`` by field name, what happened, and where (``sites``, when there are any).

    ``outcomes`` (rows,) are level numbers for categories, else values. ``raw`` (rows, p) holds the numeric columns as
    they are, for opponents that want no template; ``None`` where a table has categories or gaps.
    """

    name: str
    columns: Mapping[str, Sequence[Any] | NDArray[Any]]
    outcomes: NDArray[Any]
    sites: NDArray[np.str_] | None = None
    raw: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.outcomes)

    @property
    def levels(self) -> int:
        """Number of outcome levels; 0 when the outcome is a number."""
        outcome = self.template().outcome
        return len(outcome.levels) if isinstance(outcome, CategoryOutcomeField) else 0

    def template(self, *, bits: int = 1_024, sketch: bool = False, salt: int = 0) -> Template:
        """Return the template of this set with another fingerprint; another ``salt`` gives another projection."""
        text = files(__package__).joinpath(f"{self.name}.toml").read_text(encoding="utf-8")
        table = f"[fingerprint]\nbits = {bits}\nsketch = {str(sketch).lower()}\nsalt = {salt}\n\n"
        return parse_template(FINGERPRINT_TABLE.sub(table, text), source=f"{self.name}.toml")

    def part(self, rows: NDArray[np.int64]) -> DataSet:
        """Return only ``rows`` of this set."""
        return DataSet(
            name=self.name,
            columns={name: [column[row] for row in rows] for name, column in self.columns.items()},
            outcomes=self.outcomes[rows],
            sites=None if self.sites is None else self.sites[rows],
            raw=None if self.raw is None else self.raw[rows],
        )

    def encoded(self) -> NDArray[np.int16]:
        """Return the records as the template encodes them (rows, width): what every fingerprint is made of."""
        encoded, problems = encode_table(self.template(), self.columns, rows=len(self))
        if problems:
            raise AssertionError(f"{self.name}: {len(problems)} rows do not fit their template, first {problems[0]}")
        return encoded

    def tables(self) -> dict[str, NDArray[np.float64]]:
        """Return the tables that a central model may choose from: as encoded, and raw where that makes sense."""
        tables = {"encoded": self.encoded() / UNIT}
        return tables if self.raw is None else {**tables, "raw": self.raw}


def load(name: str) -> DataSet:
    """Return one of ``NAMES``."""
    return LOADERS[name]()


def _heart() -> DataSet:
    patients = load_patients()
    return DataSet(
        name="heart",
        columns={field: [patient.situation[field] for patient in patients] for field in patients[0].situation},
        outcomes=np.array([patient.outcome == DISEASED for patient in patients], np.int64),
        sites=np.array([patient.hospital for patient in patients]),
    )


def _digits() -> DataSet:
    from sklearn.datasets import load_digits

    found = load_digits()
    return DataSet(name="digits", columns={"pixels": found.data}, outcomes=found.target)


def _breast_cancer() -> DataSet:
    from sklearn.datasets import load_breast_cancer

    found = load_breast_cancer()
    names = [_breast_field(name) for name in found.feature_names]
    return _numeric("breast_cancer", names, found.data, found.target)


def _breast_field(name: str) -> str:
    """Turn "mean radius" into "radius_mean"."""
    words = name.split()
    part = next(word for word in ("mean", "error", "worst") if word in words)
    words.remove(part)
    return "_".join([*words, part])


def _wine() -> DataSet:
    from sklearn.datasets import load_wine

    found = load_wine()
    names = [name.replace("color", "colour").removesuffix("_of_diluted_wines") for name in found.feature_names]
    return _numeric("wine", [name.replace("/", "_") for name in names], found.data, found.target)


def _diabetes() -> DataSet:
    from sklearn.datasets import load_diabetes

    found = load_diabetes(scaled=False)
    names = ["age", "sex", "body_mass_index", "blood_pressure", "total_cholesterol", "ldl", "hdl", "cholesterol_ratio"]
    table = _numeric("diabetes", [*names, "log_triglycerides", "glucose"], found.data, found.target)
    sex = [str(int(code)) for code in found.data[:, 1]]
    return DataSet(name=table.name, columns={**table.columns, "sex": sex}, outcomes=table.outcomes, raw=table.raw)


def _numeric(name: str, fields: list[str], data: NDArray[np.float64], outcomes: NDArray[Any]) -> DataSet:
    return DataSet(name=name, columns=dict(zip(fields, data.T, strict=True)), outcomes=outcomes, raw=data)


LOADERS: dict[str, Callable[[], DataSet]] = {
    "digits": _digits,
    "breast_cancer": _breast_cancer,
    "wine": _wine,
    "heart": _heart,
    "diabetes": _diabetes,
}
NAMES = tuple(LOADERS)
