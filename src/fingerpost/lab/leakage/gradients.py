"""What a passive server of federated learning recovers of a client's records from one update.

The client trains a network with one hidden layer of sigmoid units on records in [0, 1]; the server sees the update.

* ``from_ratio``: dW / db of a first-layer unit is the record itself when the update comes from one record, whatever the
  number of local steps (Phong et al. 2018).
* ``label_of_one``: the label of a single record is the one negative entry of the last bias gradient (iDLG, Zhao et al.
  2020).
* ``match_gradient``: L-BFGS on |gradient(guess) - gradient|^2, labels given, or guessed jointly with ``joint_labels``
  (DLG, Zhu et al. 2019). ``unrolled`` differentiates through the client's local steps; ``sent_only`` compares only what
  a sparsifying client sent.
* ``match_direction``: signed Adam on 1 - cosine of the two gradients (Geiping et al. 2020); with ``image_width`` plus
  total variation.

Each attack takes (network, update, targets, chance) and returns records (n, features). They are lower bounds on the
leak: active servers recover more. Needs autograd (the ``lab`` extra).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import autograd.numpy as anp
import numpy as np
from autograd import value_and_grad
from scipy.optimize import linear_sum_assignment, minimize
from scipy.special import log_ndtr

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

Parameters = list[Any]  # weights and biases of the hidden layer, then of the output layer; also gradients of them

HIDDEN_DEFAULT = 64
STEP_DEFAULT = 0.1  # of local gradient descent
MATCH_SCALE = 1e3  # L-BFGS stops on absolute changes
COSINE_FLOOR = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Defence:
    """What a client does to its update before it sends it, in this order; nothing by default.

    ``clip`` bounds its L2 norm, ``keep_share`` keeps the largest entries, ``quantise_bits`` rounds them, ``noise`` is
    the standard deviation of Gaussian noise on each entry.
    """

    clip: float | None = None
    keep_share: float | None = None
    quantise_bits: int | None = None
    noise: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateStep:
    """One step of DP-SGD: each record's gradient clipped to ``clip``, noise of ``multiplier`` x clip on their sum.

    Adding or removing one record then has the (epsilon, delta) that ``multiplier`` was chosen for.
    """

    clip: float
    multiplier: float


def fresh_network(
    features: int, classes: int, *, chance: np.random.Generator, hidden: int = HIDDEN_DEFAULT
) -> Parameters:
    """Return an untrained network; its weights are float32 values, as they travel."""
    limit = 1 / math.sqrt(features)
    shapes: tuple[tuple[int, ...], ...] = ((features, hidden), (hidden,), (hidden, classes), (classes,))
    return _travelled([chance.uniform(-limit, limit, shape) for shape in shapes])


def trained_network(
    network: Parameters,
    records: NDArray[np.float64],
    targets: NDArray[np.float64],
    *,
    chance: np.random.Generator,
    steps: int,
    batch: int = 32,
    step_size: float = 1.0,
) -> Parameters:
    """Return the network after ``steps`` of mini-batch descent on records that no attacked client holds."""
    for _ in range(steps):
        rows = chance.integers(0, len(records), batch)
        slopes = gradient(network, records[rows], targets[rows])
        network = [weight - step_size * slope for weight, slope in zip(network, slopes, strict=True)]
    return _travelled(network)


def class_probabilities(network: Parameters, records: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (n, classes) probabilities of the network."""
    _, probabilities = _forward(network, records)
    return np.asarray(probabilities, np.float64)


def one_hot(codes: NDArray[np.integer[Any]], classes: int) -> NDArray[np.float64]:
    """Return outcome codes as rows of probabilities."""
    return np.asarray(np.eye(classes)[codes], np.float64)


def gradient(network: Parameters, records: Any, targets: Any) -> Parameters:
    """Return the gradient of the mean cross-entropy; autograd can differentiate it again."""
    hidden, probabilities = _forward(network, records)
    delta = (probabilities - targets) / len(targets)
    back = anp.dot(delta, network[2].T) * hidden * (1 - hidden)
    return [anp.dot(records.T, back), anp.sum(back, 0), anp.dot(hidden.T, delta), anp.sum(delta, 0)]


def client_update(
    network: Parameters, records: Any, targets: Any, *, steps: int = 1, step_size: float = STEP_DEFAULT
) -> Parameters:
    """Return the mean gradient that the weights after ``steps`` of full-batch descent give away."""
    weights = network
    for _ in range(steps):
        slopes = gradient(weights, records, targets)
        weights = [weight - step_size * slope for weight, slope in zip(weights, slopes, strict=True)]
    return [(old - new) / (step_size * steps) for old, new in zip(network, weights, strict=True)]


def as_sent(network: Parameters, update: Parameters, *, steps: int = 1, step_size: float = STEP_DEFAULT) -> Parameters:
    """Return the update as the server sees it: the new weights travelled as float32."""
    scale = step_size * steps
    return [
        (old - (old - scale * slope).astype(np.float32)) / scale for old, slope in zip(network, update, strict=True)
    ]


def defended(update: Parameters, defence: Defence, *, chance: np.random.Generator) -> Parameters:
    """Return what a client with this defence sends instead of ``update``."""
    if defence.clip is not None:
        scale = min(1.0, defence.clip / max(_norm(update), COSINE_FLOOR))
        update = [slope * scale for slope in update]
    if defence.keep_share is not None:
        least = np.quantile(np.abs(np.concatenate([slope.ravel() for slope in update])), 1 - defence.keep_share)
        update = [slope * (np.abs(slope) >= least) for slope in update]
    if defence.quantise_bits is not None:
        levels = 2 ** (defence.quantise_bits - 1) - 1
        update = [_rounded(slope, levels) for slope in update]
    return [slope + defence.noise * chance.standard_normal(slope.shape) for slope in update]


def private_update(
    network: Parameters,
    records: NDArray[np.float64],
    targets: NDArray[np.float64],
    private: PrivateStep,
    *,
    chance: np.random.Generator,
) -> Parameters:
    """Return the mean gradient of one step of DP-SGD (Abadi et al. 2016) on these records."""
    hidden, probabilities = _forward(network, records)
    delta = probabilities - targets
    back = delta @ network[2].T * hidden * (1 - hidden)
    squares = (1 + (records**2).sum(1)) * (back**2).sum(1) + (1 + (hidden**2).sum(1)) * (delta**2).sum(1)
    scale = np.minimum(1.0, private.clip / np.maximum(np.sqrt(squares), COSINE_FLOOR))[:, None]
    back, delta = scale * back, scale * delta
    total = [records.T @ back, back.sum(0), hidden.T @ delta, delta.sum(0)]
    noise = private.multiplier * private.clip
    return [(summed + noise * chance.standard_normal(summed.shape)) / len(records) for summed in total]


def noise_multiplier(epsilon: float, delta: float) -> float:
    """Return the least noise multiplier of one Gaussian release that is (epsilon, delta)-private.

    The exact condition of Balle and Wang (2018, theorem 8), by bisection.
    """
    low, high = 1e-3, 1e3
    for _ in range(200):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if _gaussian_delta(middle, epsilon) <= delta else (middle, high)
    return high


def rounds_multiplier(epsilon: float, delta: float, *, rounds: int) -> float:
    """Return the least multiplier of each of so many Gaussian releases that are (epsilon, delta)-private together.

    They tell as much as one with a multiplier that is smaller by the root of their number.
    """
    return noise_multiplier(epsilon, delta) * math.sqrt(rounds)


def from_ratio(
    network: Parameters, update: Parameters, targets: NDArray[np.float64], chance: np.random.Generator
) -> NDArray[np.float64]:
    """Return the record that the first layer gives away, once for each target."""
    del network, chance
    unit = int(np.abs(update[1]).argmax())
    bias = update[1][unit] or COSINE_FLOOR
    return np.repeat(np.clip(update[0][:, unit] / bias, 0, 1)[None], len(targets), 0)


def label_of_one(update: Parameters) -> int:
    """Return the label of the single record behind an update."""
    return int(np.argmin(update[3]))


def match_gradient(
    network: Parameters,
    update: Parameters,
    targets: NDArray[np.float64],
    chance: np.random.Generator,
    *,
    joint_labels: bool = False,
    unrolled: int = 1,
    step_size: float = STEP_DEFAULT,
    sent_only: bool = False,
    restarts: int = 2,
    iterations: int = 300,
) -> NDArray[np.float64]:
    """Return the records whose update is nearest to ``update`` in the sense of least squares."""
    shape = len(targets), network[0].shape[0]
    compared = [(slope != 0) if sent_only else np.ones_like(slope) for slope in update]

    def loss(flat: Any) -> Any:
        guess, labels = anp.reshape(flat[: shape[0] * shape[1]], shape), targets
        if joint_labels:
            odds = anp.exp(anp.reshape(flat[shape[0] * shape[1] :], targets.shape))
            labels = odds / anp.sum(odds, 1, keepdims=True)
        made = client_update(network, guess, labels, steps=unrolled, step_size=step_size)
        return MATCH_SCALE * sum(
            anp.sum(where * (one - other) ** 2) for one, other, where in zip(made, update, compared, strict=True)
        )

    with_slope = _calm(value_and_grad(loss))
    found = []
    for _ in range(restarts):
        start = chance.random(shape[0] * shape[1])
        if joint_labels:
            start = np.concatenate([start, chance.standard_normal(targets.size)])
        options = {"maxiter": iterations, "maxfun": 2 * iterations, "ftol": 1e-20, "gtol": 1e-12}
        found.append(minimize(with_slope, start, jac=True, method="L-BFGS-B", options=options))
    best = min(found, key=lambda result: float(result.fun))
    return np.asarray(np.clip(best.x[: shape[0] * shape[1]].reshape(shape), 0, 1), np.float64)


def match_direction(
    network: Parameters,
    update: Parameters,
    targets: NDArray[np.float64],
    chance: np.random.Generator,
    *,
    image_width: int | None = None,
    variation: float = 1e-3,
    iterations: int = 400,
    rate: float = 0.05,
) -> NDArray[np.float64]:
    """Return the records whose gradient points the way of ``update``."""
    norm = max(_norm(update), COSINE_FLOOR)

    def loss(guess: Any) -> Any:
        made = gradient(network, guess, targets)
        size = anp.sqrt(sum(anp.sum(slope**2) for slope in made))
        cosine = sum(anp.sum(one * other) for one, other in zip(made, update, strict=True)) / (
            size * norm + COSINE_FLOOR
        )
        return 1 - cosine + (0 if image_width is None else variation * _total_variation(guess, image_width))

    with_slope = _calm(value_and_grad(loss))
    guess = chance.random((len(targets), network[0].shape[0]))
    first, second = np.zeros_like(guess), np.zeros_like(guess)
    for step in range(1, iterations + 1):
        slower = 0.1 ** ((step > iterations // 2) + (step > 3 * iterations // 4))
        slope = np.sign(with_slope(guess)[1])
        first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
        move = first / (1 - 0.9**step) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
        guess = np.clip(guess - rate * slower * move, 0, 1)
    return guess


def matched(guess: NDArray[np.float64], records: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the guesses in the order of ``records``, by the one-to-one match of least squared error.

    A batch has no order, so an attack is scored for the best one.
    """
    distances = ((records[:, None] - guess[None]) ** 2).mean(axis=2)
    _, places = linear_sum_assignment(distances)
    return np.asarray(guess[places], np.float64)


def _forward(network: Parameters, records: Any) -> tuple[Any, Any]:
    hidden = 0.5 + 0.5 * anp.tanh((anp.dot(records, network[0]) + network[1]) / 2)  # a sigmoid that cannot overflow
    logits = anp.dot(hidden, network[2]) + network[3]
    odds = anp.exp(logits - anp.max(logits, 1, keepdims=True))
    return hidden, odds / anp.sum(odds, 1, keepdims=True)


def _calm(with_slope: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Let far-out guesses saturate: where the slope of tanh overflows its denominator, zero is its value."""

    def call(guess: Any) -> Any:
        with np.errstate(over="ignore"):
            return with_slope(guess)

    return call


def _total_variation(guess: Any, width: int) -> Any:
    image = anp.reshape(guess, (guess.shape[0], -1, width))
    down, across = image[:, 1:] - image[:, :-1], image[:, :, 1:] - image[:, :, :-1]
    return anp.mean(anp.abs(down)) + anp.mean(anp.abs(across))


def _gaussian_delta(multiplier: float, epsilon: float) -> float:
    upper = float(log_ndtr(0.5 / multiplier - epsilon * multiplier))
    lower = float(log_ndtr(-0.5 / multiplier - epsilon * multiplier)) + epsilon
    return math.exp(upper) - math.exp(lower)


def _norm(update: Parameters) -> float:
    return math.sqrt(sum(float((slope**2).sum()) for slope in update))


def _rounded(slope: NDArray[np.float64], levels: int) -> NDArray[np.float64]:
    largest = float(np.abs(slope).max()) or 1.0
    return np.round(slope / largest * levels) / levels * largest


def _travelled(network: Parameters) -> Parameters:
    return [weight.astype(np.float32).astype(np.float64) for weight in network]
