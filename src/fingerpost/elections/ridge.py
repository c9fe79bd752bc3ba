"""A linear model of outcomes from additive sums: what an asker expects others to claim, and where it may expect at all.

With features x of situations, weights w and shares y of the outcome levels the sums are A = sum w x x', B = sum w x y',
s = sum w x and n = sum w y: packets join by addition and leave by subtraction, and a fit costs as much for a million
packets as for ten. Scores are pi + x'(A + ridge I)^-1 (B - s pi'), pi being the shares of the levels; a temperature
turns them into probabilities, chosen by the log-loss of packets left out in turn (Rasmussen and Williams 2006, 5.4.2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from fingerpost.elections.claims import Coding
    from fingerpost.synthesis.evidence import Evidence

RIDGE = 0.1
FAMILIAR_QUANTILE = 0.25
CHUNK_ROWS = 8_192
LEFT_MIN = 1e-6
TEMPERATURES = np.geomspace(0.5, 32, 19)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sums:
    """The additive sums of some packets."""

    products: NDArray[np.float64]  # A (d, d)
    memory: NDArray[np.float64]  # B (d, C)
    features: NDArray[np.float64]  # s (d,)
    counts: NDArray[np.float64]  # n (C,)

    @classmethod
    def of(cls, evidence: Evidence, rows: NDArray[np.int64], coding: Coding, *, weight: float = 1.0) -> Sums:
        """Sum the packets ``rows``, each counting ``weight`` times."""
        width = evidence.bits + coding.actions
        products, memory = np.zeros((width, width)), np.zeros((width, coding.levels))
        total, counts = np.zeros(width), np.zeros(coding.levels)
        for part in chunks(rows):
            x, y = coding.features(evidence, part), coding.shares(evidence, part)
            products += x.T @ x
            memory += x.T @ y.astype(np.float32)
            total += x.sum(axis=0, dtype=np.float64)
            counts += y.sum(axis=0)
        return cls(products=weight * products, memory=weight * memory, features=weight * total, counts=weight * counts)

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            products=self.products + other.products,
            memory=self.memory + other.memory,
            features=self.features + other.features,
            counts=self.counts + other.counts,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Expectation:
    """A fitted model. ``usual`` (C,) is what it expects on average in the asker's own situations."""

    inverse: NDArray[np.float32]
    coefficients: NDArray[np.float32]
    prior: NDArray[np.float64]
    temperature: float
    familiar_from: float
    usual: NDArray[np.float64]
    gain: float  # nats a packet by which the asker's own outcomes are foreseen better than by their shares
    losses: NDArray[np.float64]  # nats (k,) that each of these loses, left out

    def look(
        self, evidence: Evidence, rows: NDArray[np.int64], coding: Coding
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Return (k, C) probabilities of the levels in the situations ``rows``, and which of these are familiar."""
        expected = np.empty((len(rows), coding.levels))
        familiar = np.empty(len(rows), bool)
        start = 0
        for part in chunks(rows):
            x = coding.features(evidence, part)
            end = start + len(part)
            expected[start:end] = softmax(self.prior + x @ self.coefficients, self.temperature)
            spread = RIDGE * np.einsum("ij,ij->i", x @ self.inverse, x)
            familiar[start:end] = 1 - spread >= self.familiar_from
            start = end
        return expected, familiar


def fit(sums: Sums, evidence: Evidence, anchors: NDArray[np.int64], coding: Coding, *, weight: float) -> Expectation:
    """Fit to ``sums``, in which the rows ``anchors`` have ``weight``; those decide temperature and familiarity."""
    total = float(sums.counts.sum())
    prior = (sums.counts + 1) / (total + coding.levels)
    inverse = np.linalg.inv(sums.products + RIDGE * np.eye(len(sums.products)))
    coefficients = inverse @ (sums.memory - np.outer(sums.features, prior))
    x, y = coding.features(evidence, anchors).astype(np.float64), coding.shares(evidence, anchors)
    leverage = np.einsum("ij,ij->i", x @ inverse, x)
    left = np.maximum(1 - weight * leverage, LEFT_MIN)
    left_out = y - (y - prior - x @ coefficients) / left[:, None]
    losses = [log_losses(softmax(left_out, temperature), y) for temperature in TEMPERATURES]
    best = int(np.argmin([each.mean() for each in losses]))
    usual_loss = log_losses(np.broadcast_to((y.sum(axis=0) + 1) / (len(y) + coding.levels), y.shape), y).mean()
    return Expectation(
        inverse=inverse.astype(np.float32),
        coefficients=coefficients.astype(np.float32),
        prior=prior,
        temperature=float(TEMPERATURES[best]),
        familiar_from=float(np.quantile(1 - RIDGE * leverage / left, FAMILIAR_QUANTILE)),
        usual=softmax(left_out, float(TEMPERATURES[best])).mean(axis=0),
        gain=float(usual_loss - losses[best].mean()),
        losses=losses[best],
    )


def softmax(scores: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Return (k, C) probabilities of scores (k, C)."""
    powers = np.exp(temperature * (scores - scores.max(axis=1, keepdims=True)))
    shares: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return shares


def log_losses(probabilities: NDArray[np.float64], shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (k,) -ln of the probability of what happened, in nats."""
    return np.asarray(-np.log(np.maximum((probabilities * shares).sum(axis=1), 1e-6)), np.float64)


def chunks(rows: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Yield ``rows`` in parts that stay in the cache."""
    for start in range(0, len(rows), CHUNK_ROWS):
        yield rows[start : start + CHUNK_ROWS]
