"""The model that federated arms average: a softmax classifier, with or without one hidden layer, in numpy.

Parameters are a list of float64 arrays, ``[W1, b1, W2, b2]`` or ``[W, b]``, the form in which Flower moves them.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """The shape of a model: ``inputs`` columns, ``hidden`` units (0: none), ``levels`` outcomes."""

    inputs: int
    hidden: int
    levels: int

    @property
    def parameters(self) -> int:
        """Return how many numbers the model has."""
        if not self.hidden:
            return (self.inputs + 1) * self.levels
        return (self.inputs + 1) * self.hidden + (self.hidden + 1) * self.levels

    def start(self, seed: int) -> list[NDArray[np.float64]]:
        """Return parameters before training (He et al. 2015, section 2.2)."""
        chance = np.random.default_rng(seed)
        sizes = [self.inputs, *([self.hidden] if self.hidden else []), self.levels]
        found: list[NDArray[np.float64]] = []
        for given, made in pairwise(sizes):
            found += [chance.normal(scale=np.sqrt(2 / given), size=(given, made)), np.zeros(made)]
        return found

    def hidden_values(
        self, parameters: Sequence[NDArray[np.float64]], rows: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return what reaches the last layer, (n, hidden) or the rows themselves."""
        if not self.hidden:
            return rows
        return np.maximum(rows @ parameters[0] + parameters[1], 0.0)

    def probabilities(
        self, parameters: Sequence[NDArray[np.float64]], rows: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return (n, levels) probabilities."""
        scores = self.hidden_values(parameters, rows) @ parameters[-2] + parameters[-1]
        raised = np.exp(scores - scores.max(axis=1, keepdims=True))
        shares: NDArray[np.float64] = raised / raised.sum(axis=1, keepdims=True)
        return shares

    def gradient(
        self,
        parameters: Sequence[NDArray[np.float64]],
        rows: NDArray[np.float64],
        codes: NDArray[np.int64],
        *,
        towards: NDArray[np.float64] | None = None,
    ) -> list[NDArray[np.float64]]:
        """Return the gradient of the mean log-loss over rows (n, inputs) with outcome levels (n,).

        ``towards`` (n, hidden) is added to the gradient at the hidden values, for losses that look at them too.
        """
        hidden = self.hidden_values(parameters, rows)
        error = self.probabilities(parameters, rows)
        error[np.arange(len(rows)), codes] -= 1
        error /= len(rows)
        last = [hidden.T @ error, error.sum(axis=0)]
        if not self.hidden:
            return last
        back = error @ parameters[-2].T
        if towards is not None:
            back = back + towards
        back = back * (hidden > 0)
        return [rows.T @ back, back.sum(axis=0), *last]


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How a client trains between two rounds: stochastic gradient descent over its own rows."""

    epochs: int = 5
    rate: float = 0.1
    batch: int = 32


def train(
    network: Network,
    start: Sequence[NDArray[np.float64]],
    rows: NDArray[np.float64],
    codes: NDArray[np.int64],
    *,
    training: Training,
    chance: np.random.Generator,
    adjust: Callable[[list[NDArray[np.float64]], list[NDArray[np.float64]], NDArray[np.int64]], None] | None = None,
) -> tuple[list[NDArray[np.float64]], int]:
    """Return parameters after local training from ``start``, and the number of steps taken.

    ``adjust(parameters, gradient, batch)`` may change the gradient in place before each step: what sets FedProx,
    SCAFFOLD and MOON apart from FedAvg.
    """
    parameters = [part.copy() for part in start]
    steps = 0
    for _ in range(training.epochs):
        order = chance.permutation(len(rows))
        for first in range(0, len(rows), training.batch):
            batch = order[first : first + training.batch]
            gradient = network.gradient(parameters, rows[batch], codes[batch])
            if adjust is not None:
                adjust(parameters, gradient, batch)
            for part, slope in zip(parameters, gradient, strict=True):
                part -= training.rate * slope
            steps += 1
    return parameters, steps
