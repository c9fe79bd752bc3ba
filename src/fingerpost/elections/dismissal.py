"""Who is dismissed: a hired node whose claims turn out to be wrong, from the start or from some day on.

The model that expects what a hired node should claim is one without its packets, so that nobody vouches for itself:
with H = X A^-1 X' for the features X of its packets, residuals become (I - H)^-1 times those of the whole model (Golub,
Heath and Wahba 1979, for a block of rows). A claim counts for its factor L_.05 / L_.5, where L_r is the probability of
a claim of a node that is right with probability r: for as long as a node tells what happens at least every other time,
the factors have expectation one at most, as far as the model is calibrated. They are summed in the order of the claims
and never fall below zero (Page 1954), so a good name is no credit for lies told later. A node of n familiar packets is
dismissed when the sum passes ln n plus what it takes to be hired, n being the places where a run of lies may begin.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from fingerpost.elections import evalues
from fingerpost.elections.ridge import RIDGE, Sums, softmax

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fingerpost.elections.claims import Coding
    from fingerpost.elections.ridge import Expectation
    from fingerpost.synthesis.evidence import Evidence

WRONG_SHARE = 0.05
BLOCK_FEATURES = 2.0  # packets of a node, in units of features: above, its sums are subtracted instead
LEFT_MIN = 1e-9


def without(
    evidence: Evidence, rows: NDArray[np.int64], model: Expectation, coding: Coding
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return (k, C) what a model would expect in the situations ``rows`` without these packets, and where it may."""
    x, y = coding.features(evidence, rows).astype(np.float64), coding.shares(evidence, rows)
    coefficients = model.coefficients.astype(np.float64)
    if len(rows) <= BLOCK_FEATURES * x.shape[1]:
        hat = x @ model.inverse.astype(np.float64) @ x.T
        left = np.linalg.solve(
            np.eye(len(rows)) - hat + LEFT_MIN * np.eye(len(rows)), np.hstack([hat, _off(model, x, y)])
        )
        scores, spread = y - left[:, len(rows) :], left[:, : len(rows)].diagonal()
    else:
        sums = Sums.of(evidence, rows, coding)
        products = np.linalg.inv(model.inverse.astype(np.float64)) - sums.products
        inverse = np.linalg.inv(products + LEFT_MIN * np.eye(len(products)))
        memory = np.linalg.solve(model.inverse.astype(np.float64), coefficients) - sums.memory
        memory += np.outer(sums.features, model.prior)
        scores, spread = model.prior + x @ (inverse @ memory), np.einsum("ij,ij->i", x @ inverse, x)
    return softmax(scores, model.temperature), 1 - RIDGE * spread >= model.familiar_from


def wrongness(
    probabilities: NDArray[np.float64], familiar: NDArray[np.bool_], shares: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return (k,) the logarithm of the factor of each claim: above zero where it is likelier from a liar."""
    mixed = evalues.mixed(probabilities)
    factors = shares * evalues.told_by(mixed, WRONG_SHARE) / evalues.told_by(mixed, evalues.HALF_SHARE)
    return np.where(familiar, np.log(np.maximum(factors.sum(axis=1), evalues.FACTOR_MIN)), 0.0)


def run_up(start: float, logs: NDArray[np.float64]) -> tuple[float, float]:
    """Return where the sum stands after ``logs``, never below zero, and the highest that it was."""
    highest = start
    for log in logs.tolist():
        start = max(start + log, 0.0)
        highest = max(highest, start)
    return start, highest


def limit(needed: float, claims: int) -> float:
    """Return what the sum of a node with as many familiar claims has to pass."""
    return needed + math.log(max(claims, 1))


def _off(model: Expectation, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    off: NDArray[np.float64] = y - model.prior - x @ model.coefficients.astype(np.float64)
    return off
