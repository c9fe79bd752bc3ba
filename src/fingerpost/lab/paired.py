"""Intervals of differences between arms that were measured on the same splits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

LEVEL = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A mean and its 95 % interval."""

    value: float
    low: float
    high: float


def paired_interval(differences: ArrayLike, *, test_share: float | None = None) -> Interval:
    """Return the mean of ``differences`` and its 95 % Student interval, clustered by split.

    ``differences`` is (splits,) or (splits, repetitions); repetitions on one split (other projections, say) are
    averaged first, because they share their test rows. The interval says how far the mean would move with other splits
    of the same table. Splits overlap, so for other rows of the same kind it is too narrow: with ``test_share``, the
    share of rows held out, the variance is corrected for that (Nadeau and Bengio 2003: 1/J + test/train, not 1/J).
    """
    table = np.asarray(differences, np.float64)
    means = table if table.ndim == 1 else table.mean(axis=1)
    splits = len(means)
    if splits < 2:
        raise ValueError("an interval needs two splits or more")
    share = 1 / splits + (test_share / (1 - test_share) if test_share is not None else 0.0)
    half = student_quantile(splits - 1) * float(np.sqrt(means.var(ddof=1) * share))
    centre = float(means.mean())
    return Interval(value=centre, low=centre - half, high=centre + half)


def student_quantile(freedom: int) -> float:
    """Return the 97.5 % quantile of Student's t, by scipy, which scikit-learn brings along."""
    from scipy.stats import t

    return float(t.ppf((1 + LEVEL) / 2, freedom))
