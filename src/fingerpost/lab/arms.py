"""What a newcomer could do instead of asking the network, measured on the same patients."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from fingerpost.lab.scores import Scores, mean_scores, score

Probabilities = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Outcomes = npt.NDArray[np.bool_]

BYTES_PER_SHARE = 8  # One number, "so many per cent of our patients", as a double.


class Arm(StrEnum):
    """A method under comparison, in the order of the tables."""

    PACKETS = "packets"
    BEST_SINGLE = "best-single"
    OWN_PACKETS = "own-packets"
    OWN_LOGISTIC = "own-logistic"
    CENTRAL_LOGISTIC = "central-logistic"
    CENTRAL_SVM = "central-svm"
    OTHERS_MAJORITY = "others-majority"
    OWN_MAJORITY = "own-majority"


ARM_TITLES = {
    Arm.PACKETS: "packets of the others",
    Arm.BEST_SINGLE: "packets of the best other",
    Arm.OWN_PACKETS: "own patients, same method",
    Arm.OWN_LOGISTIC: "own patients, logistic",
    Arm.CENTRAL_LOGISTIC: "all rows moved, logistic",
    Arm.CENTRAL_SVM: "all rows moved, SVM",
    Arm.OTHERS_MAJORITY: "the others' share for all",
    Arm.OWN_MAJORITY: "its own share for all",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The scores of one arm at one newcomer with ``own_rows`` confirmed patients of its own; ``bytes`` that arrived."""

    arm: Arm
    own_rows: int
    scores: Scores
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """The newcomer's patients in two parts: rows it has confirmed itself, and rows it asks about."""

    own: Rows
    asked: Rows


def draws(mine: Rows, outcomes: Outcomes, *, own_rows: int, repetitions: int, seed: int) -> list[Draw]:
    """Draw ``own_rows`` of the rows ``mine`` several times; both outcomes remain among those asked about.

    ``outcomes`` holds the outcomes of all rows. Without own rows there is nothing to draw: one draw asks about all.
    """
    if own_rows == 0:
        return [Draw(own=mine[:0], asked=mine)]
    chance = np.random.default_rng(seed)
    found: list[Draw] = []
    while len(found) < repetitions:
        order = chance.permutation(mine)
        own, asked = np.sort(order[:own_rows]), np.sort(order[own_rows:])
        if outcomes[asked].any() and not outcomes[asked].all():
            found.append(Draw(own=own, asked=asked))
    return found


def measure(
    arm: Arm, forecast: Callable[[Draw], Probabilities], drawn: list[Draw], outcomes: Outcomes, *, moved_bytes: int
) -> Result:
    """Return the mean scores of ``forecast`` over the draws."""
    scores = [score(forecast(draw), outcomes[draw.asked]) for draw in drawn]
    return Result(arm=arm, own_rows=len(drawn[0].own), scores=mean_scores(scores), bytes=moved_bytes)


def best_by_area(results: Iterable[Result]) -> Result:
    """Return the result with the largest area under the curve: a choice that only hindsight can make."""
    return max(results, key=lambda result: result.scores.auc)


def own_share(draw: Draw, outcomes: Outcomes) -> Probabilities:
    """Forecast for everyone the share among the own patients, smoothed by one imagined case of each outcome."""
    share = (float(outcomes[draw.own].sum()) + 1) / (len(draw.own) + 2)
    return np.full(len(draw.asked), share)


def others_share(draw: Draw, outcomes: Outcomes, others: Rows) -> Probabilities:
    """Forecast for everyone the share among the patients of the other hospitals."""
    return np.full(len(draw.asked), float(outcomes[others].mean()))
