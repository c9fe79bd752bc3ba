"""Federated averaging with hidden units matched first (FedMA), and with fewer bytes from the clients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fingerpost.errors import UsageError
from fingerpost.lab.federated.clients import Plan, Shard, Trained, occupied, weighted_mean
from fingerpost.lab.federated.messages import Line, Parameters
from fingerpost.lab.federated.network import train

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

KEPT_SHARE = 0.1  # of the numbers of an update that top-k sends
STEPS_EACH_WAY = 127  # what a signed byte can say


def run_fedma(shards: Sequence[Shard], plan: Plan) -> Trained:
    """Return what matched averaging trains: two layers, and as many hidden units as the clients have.

    After Wang et al. 2020, but units are matched to those of the largest client and none is added. Raises
    ``UsageError`` (``lab-arm``) without a hidden layer: then there is nothing to match.
    """
    if not plan.network.hidden:
        raise UsageError("lab-arm", "matched averaging matches hidden units", hint="give the network a hidden layer")
    clients, line = occupied(shards), Line()
    central = plan.network.start(plan.seed)
    for turn in range(1, plan.rounds + 1):
        present = plan.present(len(clients), turn)
        sizes = [float(len(clients[client].rows)) for client in present]
        found = []
        for client in present:
            start = line.down(central, client=client, turn=turn)
            trained = _train(clients[client], start, plan, turn, client)
            found.append(line.up(trained, client=client, rows=len(clients[client].rows)))
        target = found[int(np.argmax(sizes))]
        central = weighted_mean([matched(each, target) for each in found], sizes)
    return Trained(parameters=central, bytes_down=line.bytes_down, bytes_up=line.bytes_up)


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


def largest(update: Parameters) -> tuple[Parameters, list[NDArray[Any]]]:
    """Return the ``KEPT_SHARE`` of all numbers that are largest in size, zeros elsewhere, and the arrays that say so.

    Those are places as int32 and numbers as float32.
    """
    flat = np.concatenate([part.ravel() for part in update])
    kept = max(1, round(KEPT_SHARE * flat.size))
    places = np.sort(np.argpartition(-np.abs(flat), kept - 1)[:kept]).astype(np.int32)
    numbers = flat[places].astype(np.float32)
    sparse = np.zeros(flat.size)
    sparse[places] = numbers
    pieces = np.split(sparse, np.cumsum([part.size for part in update])[:-1])
    sent = [piece.reshape(part.shape) for piece, part in zip(pieces, update, strict=True)]
    return sent, [places, numbers]


def rounded(update: Parameters) -> tuple[Parameters, list[NDArray[Any]]]:
    """Return each array in 255 even steps between its largest number and minus that, and the arrays that say so.

    Those are steps as int8, and the size of a step of each array as float32.
    """
    sizes = np.array([float(np.abs(part).max()) / STEPS_EACH_WAY or 1.0 for part in update], np.float32)
    steps = [
        np.rint(part / size).clip(-STEPS_EACH_WAY, STEPS_EACH_WAY) for part, size in zip(update, sizes, strict=True)
    ]
    sent = [step * float(size) for step, size in zip(steps, sizes, strict=True)]
    return sent, [*(step.astype(np.int8) for step in steps), sizes]


def _compressed(
    shards: Sequence[Shard], plan: Plan, compress: Callable[[Parameters], tuple[Parameters, list[NDArray[Any]]]]
) -> Trained:
    clients, line = occupied(shards), Line()
    central = plan.network.start(plan.seed)
    owed = [[np.zeros_like(part) for part in central] for _ in clients]
    for turn in range(1, plan.rounds + 1):
        present = plan.present(len(clients), turn)
        updates = []
        for client in present:
            start = line.down(central, client=client, turn=turn)
            trained = _train(clients[client], start, plan, turn, client)
            wanted = [end - begin + rest for end, begin, rest in zip(trained, start, owed[client], strict=True)]
            sent, arrays = compress(wanted)
            line.up_as_is(arrays, client=client, rows=len(clients[client].rows))
            owed[client] = [want - part for want, part in zip(wanted, sent, strict=True)]
            updates.append(sent)
        step = weighted_mean(updates, [float(len(clients[client].rows)) for client in present])
        central = [part + move for part, move in zip(central, step, strict=True)]
    return Trained(parameters=central, bytes_down=line.bytes_down, bytes_up=line.bytes_up)


def _train(shard: Shard, start: Parameters, plan: Plan, turn: int, client: int) -> Parameters:
    chance = plan.chance(turn, client)
    return train(plan.network, start, shard.rows, shard.codes, training=plan.training, chance=chance)[0]
