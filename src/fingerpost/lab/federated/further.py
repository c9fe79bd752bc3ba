"""Federated averaging with hidden units matched first (FedMA), and with fewer bytes from the clients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fingerpost.errors import UsageError
from fingerpost.lab.federated.clients import (
    PARAMETER_SIZE_BYTES,
    Plan,
    Shard,
    Trained,
    occupied,
    size_of,
    weighted_mean,
)
from fingerpost.lab.federated.network import train

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

Parameters = list["NDArray[np.float64]"]

KEPT_SHARE = 0.1  # of the numbers of an update that top-k sends
PLACE_SIZE_BYTES = 4
STEPS_EACH_WAY = 127  # what a signed byte can say


def run_fedma(shards: Sequence[Shard], plan: Plan) -> Trained:
    """Return what matched averaging trains: two layers, and as many hidden units as the clients have.

    After Wang et al. 2020, but units are matched to those of the largest client and none is added. Raises
    ``UsageError`` (``lab-arm``) without a hidden layer: then there is nothing to match.
    """
    if not plan.network.hidden:
        raise UsageError("lab-arm", "matched averaging matches hidden units", hint="give the network a hidden layer")
    clients = occupied(shards)
    central = plan.network.start(plan.seed)
    messages = 0
    for turn in range(1, plan.rounds + 1):
        present = plan.present(len(clients), turn)
        found = [_train(clients[client], central, plan, turn, client) for client in present]
        sizes = [float(len(clients[client].rows)) for client in present]
        target = found[int(np.argmax(sizes))]
        central = weighted_mean([matched(each, target) for each in found], sizes)
        messages += len(present)
    moved = messages * size_of(central)
    return Trained(parameters=central, bytes_down=moved, bytes_up=moved)


def matched(parameters: Parameters, target: Parameters) -> Parameters:
    """Return ``parameters`` with hidden units renumbered: nearest to those of ``target`` by squared distance."""
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    def units(network: Parameters) -> NDArray[np.float64]:
        return np.vstack([network[0], network[1][None, :], network[2].T]).T

    _, order = linear_sum_assignment(cdist(units(target), units(parameters), "sqeuclidean"))
    return [parameters[0][:, order], parameters[1][order], parameters[2][order], parameters[3]]


def run_top_k(shards: Sequence[Shard], plan: Plan) -> Trained:
    """Return what FedAvg trains when clients send their largest changes only, the rest later (Stich et al. 2018)."""
    return _compressed(shards, plan, largest)


def run_eight_bits(shards: Sequence[Shard], plan: Plan) -> Trained:
    """Return what FedAvg trains when clients send signed bytes, and add the error to their next change."""
    return _compressed(shards, plan, rounded)


def largest(update: Parameters) -> tuple[Parameters, int]:
    """Return the ``KEPT_SHARE`` of all numbers that are largest in size, zeros elsewhere, and the bytes they take."""
    sizes = np.concatenate([np.abs(part).ravel() for part in update])
    kept = max(1, round(KEPT_SHARE * sizes.size))
    places = np.zeros(sizes.size, np.bool_)
    places[np.argpartition(-sizes, kept - 1)[:kept]] = True
    cuts = np.cumsum([part.size for part in update])[:-1]
    masks = np.split(places, cuts)
    sent = [np.where(mask.reshape(part.shape), part, 0.0) for mask, part in zip(masks, update, strict=True)]
    return sent, kept * (PLACE_SIZE_BYTES + PARAMETER_SIZE_BYTES)


def rounded(update: Parameters) -> tuple[Parameters, int]:
    """Return each array in 255 even steps between its largest number and minus that, and the bytes they take."""
    sent = []
    for part in update:
        step = float(np.abs(part).max()) / STEPS_EACH_WAY or 1.0
        sent.append(np.rint(part / step) * step)
    return sent, sum(part.size + PARAMETER_SIZE_BYTES for part in update)


def _compressed(
    shards: Sequence[Shard], plan: Plan, compress: Callable[[Parameters], tuple[Parameters, int]]
) -> Trained:
    clients = occupied(shards)
    central = plan.network.start(plan.seed)
    owed = [[np.zeros_like(part) for part in central] for _ in clients]
    down = up = 0
    for turn in range(1, plan.rounds + 1):
        present = plan.present(len(clients), turn)
        updates = []
        for client in present:
            trained = _train(clients[client], central, plan, turn, client)
            wanted = [end - begin + rest for end, begin, rest in zip(trained, central, owed[client], strict=True)]
            sent, size = compress(wanted)
            owed[client] = [want - part for want, part in zip(wanted, sent, strict=True)]
            updates.append(sent)
            down += size_of(central)
            up += size
        step = weighted_mean(updates, [float(len(clients[client].rows)) for client in present])
        central = [part + move for part, move in zip(central, step, strict=True)]
    return Trained(parameters=central, bytes_down=down, bytes_up=up)


def _train(shard: Shard, start: Parameters, plan: Plan, turn: int, client: int) -> Parameters:
    chance = plan.chance(turn, client)
    return train(plan.network, start, shard.rows, shard.codes, training=plan.training, chance=chance)[0]
