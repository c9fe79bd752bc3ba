"""The three scores of a forecast of yes or no, computed from probabilities alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

PROBABILITY_FLOOR = 1e-6  # A forecast of exactly 0 that turns out wrong would make the log-loss infinite.


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """How good the probabilities of one method were.

    ``auc``: the chance that a random case is given a higher probability than a random non-case; 0.5 is guessing, 1 is
    perfect, and the base rate does not matter. ``log_loss``: mean surprise in nats, which punishes being sure and
    wrong; less is better. ``accuracy``: share right when the more probable outcome is taken as the forecast.
    """

    auc: float
    log_loss: float
    accuracy: float


def score(probabilities: npt.NDArray[np.float64], outcomes: npt.NDArray[np.bool_]) -> Scores:
    """Score ``probabilities`` (n,) of "yes" against what happened, ``outcomes`` (n,).

    Both outcomes must occur, otherwise there is no AUC: raises ``ValueError``.
    """
    surprises = np.where(outcomes, probabilities, 1.0 - probabilities)
    return Scores(
        auc=area_under_curve(probabilities, outcomes),
        log_loss=float(-np.log(np.clip(surprises, PROBABILITY_FLOOR, 1.0)).mean()),
        accuracy=float(((probabilities >= 0.5) == outcomes).mean()),
    )


def mean_scores(scores: list[Scores]) -> Scores:
    """Return the mean of each score over repetitions; raises ``ValueError`` when there is none."""
    if not scores:
        raise ValueError("the mean of no scores is undefined")
    return Scores(
        auc=float(np.mean([one.auc for one in scores])),
        log_loss=float(np.mean([one.log_loss for one in scores])),
        accuracy=float(np.mean([one.accuracy for one in scores])),
    )


def area_under_curve(probabilities: npt.NDArray[np.float64], outcomes: npt.NDArray[np.bool_]) -> float:
    """Return the area under the ROC curve by ranks; a tie counts one half (Mann and Whitney, 1947)."""
    cases = int(outcomes.sum())
    others = outcomes.size - cases
    if cases == 0 or others == 0:
        raise ValueError("the area under the curve needs both outcomes")
    _, group, sizes = np.unique(probabilities, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(sizes) - (sizes - 1) / 2
    return float((mean_rank[group][outcomes].sum() - cases * (cases + 1) / 2) / (cases * others))
