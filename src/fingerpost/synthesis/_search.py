"""Kernel settings by leave-one-out: every ridge of a length from one eigen-decomposition, no data held back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fingerpost.synthesis.distances import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fingerpost.synthesis.evidence import OutcomeKind

LENGTHS = (4.0, 2.5, 1.5, 1.0, 0.7, 0.5, 0.35, 0.2)  # times the median distance, smooth to rough
RIDGES = (3.0, 1.0, 0.5, 0.25, 0.12, 0.06, 0.03, 0.015, 0.007, 0.003, 0.001)
SKETCH_LENGTHS = (16.0, 8.0, 4.0, 2.0, 1.0, 0.5, 0.2)  # the same for squared distances
LENGTH_USUAL, LENGTH_SPREAD = 1.0, 1.5  # weak log-normal priors, worth a fraction of a nat once there are packets
RIDGE_USUAL, RIDGE_SPREAD = 0.1, 2.5
TEMPERATURE_USUAL, TEMPERATURE_SPREAD = 5.0, 1.0
TEMPERATURE_MIN, TEMPERATURE_MAX = 0.25, 64.0
BISECTIONS = 40
BISECTIONS_IN_SEARCH = 16
TIE_NATS = 1e-6  # losses closer than this are equal, and the smoother setting wins: rounding must not choose
PROBABILITY_MIN = 1e-300
SEARCH_PACKETS_MIN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One setting and its penalised leave-one-out loss in nats over the whole sample."""

    loss: float
    length: float
    ridge: float


def search(
    distances: NDArray[np.float64],
    targets: NDArray[np.float64],
    weights: NDArray[np.float64],
    *,
    kind: OutcomeKind,
    lengths: tuple[float, ...] = LENGTHS,
    ridges: tuple[float, ...] = RIDGES,
) -> Candidate:
    """Return the best length and ridge for ``distances`` (n, n), ``targets`` (n, c) and ``weights`` (n,).

    Categories minimise the log-loss at the best temperature, numbers the squared error (as a Gaussian log-loss with its
    variance profiled out), each packet left out in turn and counted by its weight. ``lengths`` are ordered from smooth
    to rough. The loss has one valley along them, give or take a fraction of a nat, so the search walks downhill from
    the usual length: three or four eigen-decompositions instead of one a length.
    """
    usual = usual_length(distances)

    def at(place: int) -> Candidate:
        path = _Path(kernel(distances, usual * lengths[place]), targets, weights)
        return _best_ridge(path, lengths[place], usual, kind=kind, ridges=ridges)

    place = start = int(np.argmin(np.abs(np.log(lengths) - np.log(LENGTH_USUAL))))
    best = at(start)
    while place > 0 and (smoother := at(place - 1)).loss <= best.loss + TIE_NATS:
        place, best = place - 1, smoother
    if place == start:
        while place + 1 < len(lengths) and (rougher := at(place + 1)).loss < best.loss - TIE_NATS:
            place, best = place + 1, rougher
    return best


def _best_ridge(
    path: _Path, relative: float, usual: float, *, kind: OutcomeKind, ridges: tuple[float, ...]
) -> Candidate:
    best: Candidate | None = None
    for ridge in ridges:
        left_out = path.left_out(ridge)
        penalty = 0.5 * (np.log(relative / LENGTH_USUAL) / LENGTH_SPREAD) ** 2
        penalty += 0.5 * (np.log(ridge / RIDGE_USUAL) / RIDGE_SPREAD) ** 2
        if kind == "category":
            loss = fit_temperature(left_out, path.targets, path.weights, bisections=BISECTIONS_IN_SEARCH)[1]
        else:
            loss = gaussian_loss(left_out - path.targets, path.weights)
        if best is None or loss + penalty < best.loss - TIE_NATS:
            best = Candidate(loss=float(loss + penalty), length=float(usual * relative), ridge=ridge)
    if best is None:
        raise AssertionError("the grids are not empty")
    return best


def usual_length(distances: NDArray[np.float64]) -> float:
    """Return the median distance between different packets, or 1 when all are at one place."""
    apart = distances[~np.eye(len(distances), dtype=bool)]
    median = float(np.median(apart)) if len(apart) else 0.0
    return median if median > 0 else 1.0


def fit_temperature(
    scores: NDArray[np.float64],
    targets: NDArray[np.float64],
    weights: NDArray[np.float64],
    *,
    bisections: int = BISECTIONS,
) -> tuple[float, float]:
    """Return the temperature t that minimises the log-loss of softmax(t scores), and that loss in nats.

    The loss is convex in t; a weak log-normal prior keeps t finite where a few packets are all predicted right.
    """
    scores = scores - scores.max(axis=1, keepdims=True)
    hits = (targets * scores).sum(axis=1)
    low, high = np.log(TEMPERATURE_MIN), np.log(TEMPERATURE_MAX)
    for _ in range(bisections):
        middle = (low + high) / 2
        temperature = np.exp(middle)
        powers = np.exp(temperature * scores)
        expected = (powers * scores).sum(axis=1) / powers.sum(axis=1)
        slope = temperature * float(weights @ (expected - hits))
        slope += (middle - np.log(TEMPERATURE_USUAL)) / TEMPERATURE_SPREAD**2
        low, high = (middle, high) if slope < 0 else (low, middle)
    temperature = float(np.exp((low + high) / 2))
    losses = np.log(np.exp(temperature * scores).sum(axis=1)) - temperature * hits
    penalty = 0.5 * (np.log(temperature / TEMPERATURE_USUAL) / TEMPERATURE_SPREAD) ** 2
    return temperature, float(weights @ losses + penalty)


def softmax(scores: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Return (q, c) probabilities of scores (q, c)."""
    powers = np.exp(temperature * (scores - scores.max(axis=1, keepdims=True)))
    shares: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return shares


def gaussian_loss(residuals: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Return the negative log-likelihood of weighted residuals (n, 1) at their best variance, up to a constant."""
    total = float(weights.sum())
    return 0.5 * total * float(np.log(max(float(weights @ (residuals**2).sum(axis=1)) / total, PROBABILITY_MIN)))


class _Path:
    """All ridges of one kernel matrix: W^1/2 K W^1/2 = V diag(values) V' turns every ridge into a scaling.

    With weights w the noise of packet i is ridge / w_i, so C = W^-1/2 (V diag(values + ridge) V') W^-1/2.
    """

    def __init__(self, gram: NDArray[np.float64], targets: NDArray[np.float64], weights: NDArray[np.float64]) -> None:
        self.weights = weights
        self.root = np.sqrt(weights)
        values, self.vectors = np.linalg.eigh(gram * self.root[:, None] * self.root)
        self.values = np.maximum(values, 0)
        self.squares = self.vectors**2
        self.targets = targets
        self.rotated = self.vectors.T @ (np.column_stack([targets, np.ones(len(targets))]) * self.root[:, None])

    def left_out(self, ridge: float) -> NDArray[np.float64]:
        """Return (n, c) predictions of every packet from all others (see ``Solution`` for the formulas)."""
        shrunk = 1 / (self.values + ridge)
        solved = (self.vectors @ (shrunk[:, None] * self.rotated)) * self.root[:, None]
        ones, mass = solved[:, -1], solved[:, -1].sum()
        dual = solved[:, :-1] - np.outer(ones, ones @ self.targets / mass)
        leverage = (self.squares @ shrunk) * self.root**2 - ones**2 / mass
        predictions: NDArray[np.float64] = self.targets - dual / np.maximum(leverage, PROBABILITY_MIN)[:, None]
        return predictions
