"""Scores of an arm over all splits, and intervals of its differences that respect which rows are the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fingerpost.lab.paired import Interval
from fingerpost.lab.probabilities import PROBABILITY_FLOOR, accuracy, area_under_curve, log_loss

if TYPE_CHECKING:
    from numpy.typing import NDArray

RESAMPLES = 1_000
WORST_NODE_ROWS_MIN = 5  # a node with fewer asked rows over all splits is not called the worst of anything


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Record:
    """All that one arm said: rows of several splits one after the other, ``row`` (q,) says which row of the table."""

    probabilities: NDArray[np.float64]
    codes: NDArray[np.int64]
    row: NDArray[np.int64]
    node: NDArray[np.int64]
    bytes: int
    seconds: float

    @property
    def right(self) -> NDArray[np.float64]:
        """Return (q,) 1 where the likeliest outcome happened."""
        return np.asarray(self.probabilities.argmax(axis=1) == self.codes, np.float64)

    @property
    def surprise(self) -> NDArray[np.float64]:
        """Return (q,) the surprise in nats."""
        given = self.probabilities[np.arange(len(self.codes)), self.codes]
        return np.asarray(-np.log(np.clip(given, PROBABILITY_FLOOR, 1.0)), np.float64)


def scores_of(record: Record) -> dict[str, float]:
    """Return accuracy, macro AUC, log-loss and the accuracy at the worst node."""
    by_node = [
        float(record.right[record.node == node].mean())
        for node in np.unique(record.node)
        if (record.node == node).sum() >= WORST_NODE_ROWS_MIN
    ]
    return {
        "accuracy": accuracy(record.probabilities.argmax(axis=1), record.codes),
        "auc": area_under_curve(record.probabilities, record.codes),
        "log_loss": log_loss(record.probabilities, record.codes),
        "worst_node_accuracy": min(by_node) if by_node else float(record.right.mean()),
    }


class Resampled:
    """The resamples of the rows ``row`` (q,) of a table, drawn once for all figures about them.

    A row that several splits asked about is drawn, or not, as a whole. Training sets are not resampled: intervals are
    about other cases, not about other training rows.
    """

    def __init__(self, row: NDArray[np.int64], *, seed: int) -> None:
        _, self._place = np.unique(row, return_inverse=True)
        counts = np.bincount(self._place).astype(np.float64)
        chance = np.random.default_rng(seed)
        size = len(counts)
        self._drawn = np.array([chance.integers(size, size=size) for _ in range(RESAMPLES)], np.int32)
        self._counts = counts[self._drawn].sum(axis=1)

    def interval(self, values: NDArray[np.float64]) -> Interval:
        """Return the mean of ``values`` (q,) and its 95 % interval over the resamples."""
        sums = np.bincount(self._place, values)
        means = sums[self._drawn].sum(axis=1) / self._counts
        low, high = np.quantile(means, (0.025, 0.975))
        return Interval(value=float(values.mean()), low=float(low), high=float(high))


def bootstrap(values: NDArray[np.float64], row: NDArray[np.int64], *, seed: int) -> Interval:
    """Return the mean of ``values`` (q,) and its 95 % interval over resamples of table rows (``Resampled``)."""
    return Resampled(row, seed=seed).interval(values)
