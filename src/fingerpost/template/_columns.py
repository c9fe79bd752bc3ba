"""A column of a table as its distinct values and, for every row, which of them it has.

Real columns repeat themselves, so whatever is exact and slow is done once for each distinct value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isnan
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fingerpost.errors import RecordError, UsageError

Codes: TypeAlias = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowProblem:
    """What does not fit in one cell: its ``row`` (from 1) and ``field``, and the error it would raise alone."""

    row: int
    field: str
    code: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """``values`` are distinct Python or numpy values; ``codes`` (rows,) point into them, -1 where a row is missing."""

    codes: Codes
    values: list[Any]

    @classmethod
    def of(cls, column: object) -> Column:
        """Read a pyarrow array, a numpy array, anything that converts to one, or any other sequence.

        A null, a None and a floating NaN are missing.
        """
        if isinstance(column, (list, tuple)):
            return cls._of_objects(column)
        if hasattr(column, "combine_chunks"):
            column = column.combine_chunks()
        if hasattr(column, "dictionary_encode") and hasattr(column, "to_pylist"):
            return cls._of_arrow(column)
        if isinstance(column, np.ma.MaskedArray):
            return cls._of_objects(column.tolist())
        if hasattr(column, "__array__"):
            return cls._of_numpy(np.asarray(column))
        if isinstance(column, Iterable) and not isinstance(column, (str, bytes, Mapping)):
            return cls._of_objects(list(column))
        raise UsageError("column-type", f"a column is a sequence or an array, not {type(column).__name__}")

    @classmethod
    def _of_arrow(cls, array: Any) -> Column:
        import pyarrow as pa  # here, not above: whoever passes an Arrow array has loaded it already

        kind = array.type
        if pa.types.is_dictionary(kind):
            return cls._of_arrow(array.dictionary_decode())
        if pa.types.is_floating(kind):
            numbers = array.fill_null(float("nan")) if array.null_count else array
            return cls._of_numpy(numbers.to_numpy(zero_copy_only=False))
        if pa.types.is_nested(kind):
            return cls._of_objects(array.to_pylist())
        encoded = array.dictionary_encode()
        codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.intp)
        return cls(codes, encoded.dictionary.to_pylist())

    @classmethod
    def _of_numpy(cls, array: npt.NDArray[Any]) -> Column:
        if array.dtype == object or array.ndim != 1:
            return cls._of_objects(list(array))
        values, codes = np.unique(array, return_inverse=True, equal_nan=True)
        codes = codes.astype(np.intp)
        if values.dtype.kind == "f" and len(values) and np.isnan(values[-1]):  # NaN sorts last
            codes[codes == len(values) - 1] = -1
            values = values[:-1]
        return cls(codes, list(values))

    @classmethod
    def _of_objects(cls, objects: list[Any] | tuple[Any, ...]) -> Column:
        found: dict[Any, int] = {}
        values: list[Any] = []
        codes = np.empty(len(objects), dtype=np.intp)
        for row, value in enumerate(objects):
            if value is None or (isinstance(value, float) and isnan(value)):
                codes[row] = -1
                continue
            try:
                code = found.setdefault((type(value), value), len(values))
            except TypeError:  # a list or a set: never looked up twice
                code = len(values)
            if code == len(values):
                values.append(value)
            codes[row] = code
        return cls(codes, values)

    def problems(self, errors: Mapping[int, RecordError]) -> list[RowProblem]:
        """Return a problem for every row whose value is in ``errors``; the key ``len(values)`` stands for missing."""
        if not errors:
            return []
        keys = np.where(self.codes < 0, len(self.values), self.codes)
        rows = np.flatnonzero(np.isin(keys, list(errors)))
        found = ((int(row), errors[int(keys[row])]) for row in rows)
        return [
            RowProblem(row=row + 1, field=error.field or "", code=error.code, message=error.message, hint=error.hint)
            for row, error in found
        ]
