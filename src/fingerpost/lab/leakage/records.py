"""The records that attacks are tried on, and the measures by which reconstructions are scored.

A table is cut in three by chance: a *public* third, which the attacker owns; *members*, whose packets or gradients it
sees; *strangers*, who are in no packet. Members and strangers together are the candidates among whom it has to name.

A record is compared as its encoded coordinates, each scaled to [0, 1] by the range that it has in the table: packets
and federated updates are scored on the same numbers. Coordinates that never change tell nothing and are not scored.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from fingerpost.errors import TableError
from fingerpost.template import VectorField

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fingerpost.template import Template

ROWS_MIN = 60
ERROR_MIN = 1e-12  # a reconstruction is never scored above 120 dB


@dataclass(frozen=True, eq=False, kw_only=True)
class Cohort:
    """Records under attack: ``encoded`` (n, width) with ``outcomes`` (n,), level numbers from 0 of ``levels``.

    ``public``, ``members`` and ``strangers`` are rows; ``nodes`` (n,) says at which node a record lies.
    """

    template: Template
    encoded: NDArray[np.int16]
    outcomes: NDArray[np.int64]
    levels: int
    nodes: NDArray[np.int64]
    public: NDArray[np.int64]
    members: NDArray[np.int64]
    strangers: NDArray[np.int64]
    seed: int

    @cached_property
    def candidates(self) -> NDArray[np.int64]:
        """Rows among whom the attacker names: the members first, then as many others."""
        return np.concatenate([self.members, self.strangers])

    @cached_property
    def features(self) -> NDArray[np.float64]:
        """All records (n, width), every coordinate scaled to [0, 1] over the table; constant ones are 0."""
        low, high = self.encoded.min(axis=0).astype(np.float64), self.encoded.max(axis=0)
        return np.asarray((self.encoded - low) / np.maximum(high - low, 1), np.float64)

    @cached_property
    def varying(self) -> NDArray[np.bool_]:
        """Which coordinates (width,) differ between records."""
        return np.asarray(self.encoded.min(axis=0) < self.encoded.max(axis=0), np.bool_)

    @cached_property
    def centre(self) -> NDArray[np.float64]:
        """The mean of the public records (width,): the guess of one who sees nothing."""
        return np.asarray(self.features[self.public].mean(axis=0), np.float64)

    @property
    def image_width(self) -> int | None:
        """Width of the picture that a record is, where its one field is a vector of a square number of values."""
        if len(self.template.situation) != 1 or not isinstance(self.template.situation[0], VectorField):
            return None
        width = math.isqrt(self.encoded.shape[1])
        return width if width > 1 and width**2 == self.encoded.shape[1] else None

    def means_by_outcome(self) -> NDArray[np.float64]:
        """Return the public mean record of each outcome (levels, width); the overall one where nobody has it."""
        known = self.outcomes[self.public]
        rows = self.features[self.public]
        return np.stack(
            [rows[known == each].mean(axis=0) if (known == each).any() else self.centre for each in range(self.levels)]
        )


def cohort_of(
    template: Template,
    encoded: NDArray[np.int16],
    outcomes: NDArray[np.int64],
    *,
    levels: int,
    seed: int,
    rows_max: int,
    nodes: int = 1,
) -> Cohort:
    """Return at most ``rows_max`` of the records (n, width) as a cohort, dealt to ``nodes`` nodes.

    Its template says nothing of actions and conditions: they are not attacked.

    Raises ``TableError`` (``leakage-few-rows``) for fewer than ``ROWS_MIN`` records.
    """
    if len(encoded) < ROWS_MIN:
        raise TableError(
            "leakage-few-rows",
            f"{len(encoded)} usable rows are too few to attack",
            hint=f"the attacker needs public records of the same kind: give {ROWS_MIN} rows or more",
        )
    chance = np.random.default_rng([seed, 11])
    rows = chance.permutation(len(encoded))[:rows_max]
    third = len(rows) // 3
    return Cohort(
        template=replace(template, action=None, conditions=()),
        encoded=np.ascontiguousarray(encoded[rows]),
        outcomes=np.asarray(outcomes[rows], np.int64),
        levels=levels,
        nodes=np.arange(len(rows)) % nodes,
        public=np.arange(third),
        members=np.arange(third, 2 * third),
        strangers=np.arange(2 * third, len(rows)),
        seed=seed,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconstruction:
    """How near guesses came to records.

    ``psnr`` is the median over records of -10 log10 of the mean squared error of coordinates in [0, 1], in dB; ``r2``
    is 1 - error / variance around the public mean (0: as good as knowing nothing of the person); ``above_20_db`` the
    share of records that are recognisable; ``named`` the share of guesses that lie nearest to the right candidate.
    """

    psnr: float
    r2: float
    above_20_db: float
    named: float
    records: int


def reconstruction(cohort: Cohort, guess: NDArray[np.float64], rows: NDArray[np.int64]) -> Reconstruction:
    """Return how near ``guess`` (n, width) came to the records ``rows`` (n,) of the cohort."""
    true = cohort.features[rows][:, cohort.varying]
    guess = guess[:, cohort.varying]
    error = ((guess - true) ** 2).mean(axis=1)
    spread = float(((true - cohort.centre[cohort.varying]) ** 2).mean())
    candidates = cohort.features[cohort.candidates][:, cohort.varying]
    distances = (guess**2).sum(axis=1)[:, None] - 2 * guess @ candidates.T + (candidates**2).sum(axis=1)
    places = np.array([int(np.flatnonzero(cohort.candidates == row)[0]) for row in rows])
    return Reconstruction(
        psnr=float(np.median(-10 * np.log10(error + ERROR_MIN))),
        r2=1 - float(error.mean()) / max(spread, ERROR_MIN),
        above_20_db=float((error < 0.01).mean()),
        named=share_right(-distances, places),
        records=len(rows),
    )


def share_right(scores: NDArray[np.float64], places: NDArray[np.int64]) -> float:
    """Return how often the best of ``scores`` (n, k) stands at ``places`` (n,); one of several best is drawn."""
    best = scores.max(axis=1, keepdims=True)
    top = scores >= best - 1e-9 * np.maximum(np.abs(best), 1)
    return float((top[np.arange(len(places)), places] / top.sum(axis=1)).mean())
