"""Attribute inference: the attacker knows all of a member but one field, and wants that.

It weighs each value that the field has among public records by a prior, which imputation from the other fields gives,
and by how well the completed record fits what is seen of the member. What imputation gets right by itself is no leak.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import logsumexp

from fingerpost.template import CategoryField, OrdinalField, VectorField

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fingerpost.lab.leakage.records import Cohort
    from fingerpost.lab.leakage.views import View
    from fingerpost.template import Field

VALUES_MAX = 9
RARE_SHARE = 0.1  # a field of which nearly all records are alike leaves nothing to infer
TARGETS_MAX = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Inference:
    """Mean shares over ``fields``: right with imputation alone (``prior``), and with what was seen (``accuracy``)."""

    prior: float
    accuracy: float
    fields: tuple[str, ...]
    targets: int


def infer_attributes(cohort: Cohort, view: View, *, attributes: int) -> Inference | None:
    """Return what the view adds to imputation for that many fields, drawn by chance; ``None`` where none is open."""
    chance = np.random.default_rng([cohort.seed, 17])
    usable = [(name, place) for name, place in _places(cohort) if _is_open(cohort, place)]
    drawn = [usable[number] for number in chance.permutation(len(usable))[:attributes]]
    if not drawn:
        return None
    results = [_inferred(cohort, view, place) for _, place in drawn]
    prior, right = np.mean(results, axis=0)
    return Inference(
        prior=float(prior),
        accuracy=float(right),
        fields=tuple(name for name, _ in drawn),
        targets=min(TARGETS_MAX, len(cohort.members)),
    )


def _places(cohort: Cohort) -> list[tuple[str, slice]]:
    """Return every field with its coordinates; each coordinate of a vector is a field of its own."""
    found = []
    for part, columns in zip(cohort.template.situation, cohort.template.columns, strict=True):
        if isinstance(part, VectorField):
            found += [(f"{part.name}[{at}]", slice(columns.start + at, columns.start + at + 1)) for at in _inner(part)]
        else:
            found.append((part.name, columns))
    return found


def _inner(part: Field) -> range:
    return range(part.width - part.has_indicator)


def _classes(cohort: Cohort, place: slice, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return what is to be inferred: the value where there are few, else whether it lies above the public median."""
    every = cohort.encoded[:, place]
    distinct = np.unique(every[cohort.public], axis=0)
    values = every[rows]
    if len(distinct) <= VALUES_MAX and _is_category(cohort, place):
        apart = np.abs(values[:, None].astype(np.int64) - distinct[None]).sum(axis=2)
        return np.asarray(apart.argmin(axis=1), np.int64)
    return np.asarray(values[:, 0] > np.median(every[cohort.public, 0]), np.int64)


def _is_category(cohort: Cohort, place: slice) -> bool:
    for part, columns in zip(cohort.template.situation, cohort.template.columns, strict=True):
        if columns.start == place.start:
            return isinstance(part, (CategoryField, OrdinalField))
    return False


def _is_open(cohort: Cohort, place: slice) -> bool:
    shares = np.bincount(_classes(cohort, place, cohort.public)) / len(cohort.public)
    return float(shares.max()) <= 1 - RARE_SHARE


def _inferred(cohort: Cohort, view: View, place: slice) -> tuple[float, float]:
    """Return how often imputation is right about members, and how often with the view."""
    numbers = np.arange(min(TARGETS_MAX, len(cohort.members)))
    rows = cohort.members[numbers]
    true = _classes(cohort, place, rows)
    prior = _imputed(cohort, place, rows)
    values = _values(cohort, place)
    sources = cohort.encoded[values][:, place]
    classes = _classes(cohort, place, values)
    fits = np.empty((len(rows), len(values)))
    for column, value in enumerate(sources):
        completed = cohort.encoded[rows].copy()
        completed[:, place] = value
        fits[:, column] = view.own_likeness(numbers, completed, cohort.outcomes[rows])
    scores = np.full(prior.shape, -np.inf)
    for level in np.unique(classes):
        scores[:, level] = np.log(prior[:, level]) + logsumexp(fits[:, classes == level], axis=1)
        scores[:, level] -= np.log((classes == level).sum())
    return float((prior.argmax(axis=1) == true).mean()), float((scores.argmax(axis=1) == true).mean())


def _values(cohort: Cohort, place: slice) -> NDArray[np.int64]:
    """Return public rows whose values of a field stand for all: one each where there are few, else quantiles."""
    values = cohort.encoded[cohort.public][:, place]
    distinct, first = np.unique(values, axis=0, return_index=True)
    if len(distinct) <= VALUES_MAX:
        return np.asarray(cohort.public[first], np.int64)
    order = np.argsort(values[:, 0], kind="stable")
    picked = np.unique(np.linspace(0, len(order) - 1, VALUES_MAX + 2).astype(np.int64)[1:-1])
    return np.asarray(cohort.public[order[picked]], np.int64)


def _imputed(cohort: Cohort, place: slice, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return (n, classes) probabilities of a field from the others and the outcome, learned from public records."""
    from sklearn.linear_model import LogisticRegression

    others = np.delete(cohort.features, np.r_[place], axis=1)
    known = np.hstack([others, np.eye(cohort.levels)[cohort.outcomes]])
    public = _classes(cohort, place, cohort.public)
    model = LogisticRegression(C=1.0, max_iter=1_000, tol=1e-3).fit(known[cohort.public], public)
    levels = int(max(_classes(cohort, place, np.arange(len(known))).max(), public.max())) + 1
    prior = np.full((len(rows), levels), 1e-6)
    prior[:, model.classes_] += model.predict_proba(known[rows])
    return np.asarray(prior / prior.sum(axis=1, keepdims=True), np.float64)
