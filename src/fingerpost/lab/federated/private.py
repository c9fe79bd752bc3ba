"""FedAvg whose clients protect every record: DP-SGD at each client (needs the ``privacy`` extra too).

The guarantee holds towards everybody who sees a client's updates, the server included: adding or removing one record of
a client changes what it sends in all rounds together by ``epsilon`` at most, except with probability ``DELTA``.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from fingerpost.lab.federated.clients import Plan, Shard, Trained, occupied, weighted_mean
from fingerpost.lab.federated.messages import Line, Parameters

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fingerpost.lab.federated.network import Network

DELTA = 1e-5
NOISE_MAX = 1e4
NOISE_TOLERANCE = 1e-2
ORDERS = (*range(2, 65), 80, 128, 256, 512)  # whole ones: at others the accountant's series may not converge


def run_dp_sgd(shards: Sequence[Shard], plan: Plan) -> Trained:
    """Return what FedAvg trains when every client runs DP-SGD (Abadi et al. 2016) with noise for its own size.

    Steps draw each record with the same chance, ``batch`` records on average; gradients of records are cut to
    ``settings.clip`` and get Gaussian noise, as much as ``settings.epsilon`` asks for over all steps of the run. How
    many rows a client has is taken to be public, as usual: it sets the noise, and the weight in the mean.
    """
    clients, line = occupied(shards), Line()
    central = plan.network.start(plan.seed)
    turns = [plan.present(len(clients), turn) for turn in range(1, plan.rounds + 1)]
    noise = []
    for client, shard in enumerate(clients):
        share, steps = drawn(len(shard.rows), plan)
        rounds = sum(client in present for present in turns)
        noise.append(noise_for(plan.settings.epsilon, share=share, steps=steps * rounds) if rounds else 0.0)
    for turn, present in enumerate(turns, start=1):
        found = []
        for client in present:
            start = line.down(central, client=client, turn=turn)
            trained = _train(clients[client], start, plan, noise[client], plan.chance(turn, client))
            found.append(line.up(trained, client=client, rows=len(clients[client].rows)))
        central = weighted_mean(found, [float(len(clients[client].rows)) for client in present])
    return Trained(parameters=central, bytes_down=line.bytes_down, bytes_up=line.bytes_up)


def drawn(rows: int, plan: Plan) -> tuple[float, int]:
    """Return the chance with which a step draws a record of a client with so many rows, and its steps a round."""
    share = min(1.0, plan.training.batch / rows)
    return share, plan.training.epochs * max(1, round(1 / share))


@lru_cache(maxsize=1_024)
def noise_for(epsilon: float, *, share: float, steps: int) -> float:
    """Return the noise multiplier at which so many steps cost ``epsilon`` at ``DELTA`` (Renyi accounting)."""
    from dp_accounting import (
        ExplicitBracketInterval,
        GaussianDpEvent,
        PoissonSampledDpEvent,
        SelfComposedDpEvent,
        calibrate_dp_mechanism,
    )
    from dp_accounting.rdp import RdpAccountant

    def event(noise: float) -> Any:
        return SelfComposedDpEvent(PoissonSampledDpEvent(share, GaussianDpEvent(noise)), steps)

    return float(
        calibrate_dp_mechanism(
            lambda: RdpAccountant(ORDERS),
            event,
            target_epsilon=epsilon,
            target_delta=DELTA,
            bracket_interval=ExplicitBracketInterval(0.1, NOISE_MAX),
            tol=NOISE_TOLERANCE,
        )
    )


def clipped_gradient(
    network: Network, parameters: Parameters, rows: NDArray[np.float64], codes: NDArray[np.int64], *, clip: float
) -> Parameters:
    """Return the sum over rows (n, inputs) of their log-loss gradients, each cut to the norm ``clip`` first.

    The gradient of a layer for one row is an outer product, so that its norm needs no array a row (Goodfellow 2015).
    """
    hidden = network.hidden_values(parameters, rows)
    error = network.probabilities(parameters, rows)
    error[np.arange(len(rows)), codes] -= 1
    squares = ((hidden**2).sum(axis=1) + 1) * (error**2).sum(axis=1)
    back = np.zeros((len(rows), 0))
    if network.hidden:
        back = (error @ parameters[-2].T) * (hidden > 0)
        squares = squares + ((rows**2).sum(axis=1) + 1) * (back**2).sum(axis=1)
    scale = np.minimum(1.0, clip / np.sqrt(np.maximum(squares, 1e-24)))[:, None]
    error, back = error * scale, back * scale
    last = [hidden.T @ error, error.sum(axis=0)]
    return [rows.T @ back, back.sum(axis=0), *last] if network.hidden else last


def _train(shard: Shard, start: Parameters, plan: Plan, noise: float, chance: np.random.Generator) -> Parameters:
    parameters = [part.copy() for part in start]
    share, steps = drawn(len(shard.rows), plan)
    clip = plan.settings.clip
    for _ in range(steps):
        batch = np.flatnonzero(chance.random(len(shard.rows)) < share)
        total = clipped_gradient(plan.network, parameters, shard.rows[batch], shard.codes[batch], clip=clip)
        for part, slope in zip(parameters, total, strict=True):
            noisy = slope + chance.normal(scale=noise * clip, size=slope.shape)
            part -= plan.training.rate * noisy / (share * len(shard.rows))
    return parameters
