"""Scores as estimates with names and intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fingerpost.synthesis.answer import LevelEstimate, NumberEstimate
from fingerpost.template import CategoryOutcomeField

if TYPE_CHECKING:
    from fingerpost.synthesis.intervals import Uncertainty
    from fingerpost.synthesis.kernel import Smoothing
    from fingerpost.template import Template

Estimate = tuple[tuple[LevelEstimate, ...], NumberEstimate | None]


def estimate_of(uncertainty: Uncertainty, smoothing: Smoothing, template: Template) -> list[Estimate]:
    """Return the estimate of every query of ``smoothing``: levels with intervals, or a number with two intervals."""
    fitted = uncertainty.fitted
    scores = smoothing.weights @ fitted.targets[smoothing.rows]
    if isinstance(template.outcome, CategoryOutcomeField):
        probabilities = fitted.estimate(scores)
        low, high = uncertainty.probability_intervals(smoothing, scores)
        names = template.outcome.levels
        return [
            (tuple(map(_level, names, *row)), None)
            for row in zip(probabilities.tolist(), low.tolist(), high.tolist(), strict=True)
        ]
    bottom, top = float(template.outcome.low), float(template.outcome.high)
    means = np.clip(scores[:, 0], bottom, top)
    mean_low, mean_high = uncertainty.mean_intervals(smoothing, means)
    low, high = uncertainty.predictive_intervals(smoothing, means)
    ends = (mean_low, mean_high, np.minimum(low, mean_low), np.maximum(high, mean_high))
    columns = [means.tolist(), *(np.clip(end, bottom, top).tolist() for end in ends)]
    unit = template.outcome.unit
    return [
        ((), NumberEstimate(mean=m, mean_low=a, mean_high=b, low=c, high=d, unit=unit))
        for m, a, b, c, d in zip(*columns, strict=True)
    ]


def _level(level: str, probability: float, low: float, high: float) -> LevelEstimate:
    return LevelEstimate(level=level, probability=probability, low=low, high=high)
