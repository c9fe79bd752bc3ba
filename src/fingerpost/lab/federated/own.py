"""Federated rules that Flower does not ship, each after its paper: SCAFFOLD, MOON, FLTrust, gossip, asynchronous.

They train with the same network, batches and chance as Flower's, and count the bytes of the numbers that travel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fingerpost.lab.federated.clients import Plan, Shard, Trained, occupied, size_of, weighted_mean
from fingerpost.lab.federated.network import Network, train

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

Parameters = list["NDArray[np.float64]"]

CONTRAST_WEIGHT = 1.0  # mu of MOON
CONTRAST_TEMPERATURE = 0.5
GOSSIP_PEERS = 2
STALENESS_EXPONENT = 0.5  # of FedAsync, "polynomial" (Xie et al. 2019, section 5.2)
ASYNCHRONOUS_WEIGHT = 0.6


def run_scaffold(shards: Sequence[Shard], plan: Plan) -> Trained:
    """Return what SCAFFOLD trains (Karimireddy et al. 2020, algorithm 1, option II). Control variates travel too."""
    clients = occupied(shards)
    central = plan.network.start(plan.seed)
    control = [np.zeros_like(part) for part in central]
    controls = [[np.zeros_like(part) for part in central] for _ in clients]
    down = up = 0
    for turn in range(1, plan.rounds + 1):
        present = plan.present(len(clients), turn)
        found: list[Parameters] = []
        moved: list[Parameters] = []
        for client in present:
            own = controls[client]
            difference = [general - particular for general, particular in zip(control, own, strict=True)]
            trained, steps = _train(clients[client], central, plan, turn, client, adjust=_add(difference))
            length = steps * plan.training.rate
            fresh = [
                particular - general + (start - end) / length
                for particular, general, start, end in zip(own, control, central, trained, strict=True)
            ]
            moved.append([new - old for new, old in zip(fresh, own, strict=True)])
            controls[client] = fresh
            found.append(trained)
            down += 2 * size_of(central)
            up += 2 * size_of(central)
        sizes = [float(len(clients[client].rows)) for client in present]
        central = weighted_mean(found, sizes)
        for place, part in enumerate(control):
            part += sum(change[place] for change in moved) / len(clients)
    return Trained(parameters=central, bytes_down=down, bytes_up=up)


def run_moon(shards: Sequence[Shard], plan: Plan) -> Trained:
    """Return what MOON trains (Li, He and Song 2021, equation 3), the hidden values being the representation.

    Without a hidden layer there is no representation to learn, and MOON is FedAvg.
    """
    clients = occupied(shards)
    central = plan.network.start(plan.seed)
    before: list[Parameters | None] = [None] * len(clients)
    down = up = 0
    for turn in range(1, plan.rounds + 1):
        present = plan.present(len(clients), turn)
        found = []
        for client in present:
            adjust = _contrast(plan.network, clients[client], central, before[client])
            trained, _ = _train(clients[client], central, plan, turn, client, adjust=adjust)
            before[client] = trained
            found.append(trained)
            down += size_of(central)
            up += size_of(central)
        central = weighted_mean(found, [float(len(clients[client].rows)) for client in present])
    return Trained(parameters=central, bytes_down=down, bytes_up=up)


def run_fltrust(shards: Sequence[Shard], plan: Plan, *, root: Shard) -> Trained:
    """Return what FLTrust trains (Cao et al. 2021, algorithm 2): updates count as far as they point like the root's.

    ``root`` are rows that the server trusts: here those that the asker has confirmed itself.
    """
    clients = occupied(shards)
    central = plan.network.start(plan.seed)
    down = up = 0
    for turn in range(1, plan.rounds + 1):
        guide = _flat(_difference(_train(root, central, plan, turn, len(clients))[0], central))
        length = float(np.linalg.norm(guide))
        step, trust = np.zeros_like(guide), 0.0
        for client in plan.present(len(clients), turn):
            update = _flat(_difference(_train(clients[client], central, plan, turn, client)[0], central))
            norm = float(np.linalg.norm(update))
            likeness = max(0.0, float(update @ guide) / max(norm * length, 1e-12))
            step += likeness * update * (length / max(norm, 1e-12))
            trust += likeness
            down += size_of(central)
            up += size_of(central)
        if trust > 0:
            central = _moved(central, step / trust)
    return Trained(parameters=central, bytes_down=down, bytes_up=up)


def run_gossip(shards: Sequence[Shard], plan: Plan) -> Trained:
    """Return the mean model after decentralised SGD (Lian et al. 2017): nobody coordinates, neighbours average.

    In each round every client trains and averages with ``GOSSIP_PEERS`` others that chance picks.
    """
    clients = occupied(shards)
    models = [plan.network.start(plan.seed) for _ in clients]
    up = 0
    for turn in range(1, plan.rounds + 1):
        present = plan.present(len(clients), turn)
        for client in present:
            models[client], _ = _train(clients[client], models[client], plan, turn, client)
        mixed = list(models)
        for client in present:
            others = [other for other in present if other != client]
            count = min(GOSSIP_PEERS, len(others))
            heard = plan.chance(turn, client, 1).choice(others, count, replace=False).tolist() if count else []
            mixed[client] = weighted_mean([models[each] for each in [client, *heard]], [1.0] * (count + 1))
            up += count * size_of(models[client])
        models = mixed
    mean = weighted_mean(models, [1.0] * len(models))
    return Trained(parameters=mean, bytes_down=0, bytes_up=up)


def run_asynchronous(shards: Sequence[Shard], plan: Plan) -> Trained:
    """Return what FedAsync trains (Xie et al. 2019, algorithm 1): updates are mixed in as they arrive, stale ones less.

    As many updates as FedAvg would use in ``plan.rounds`` rounds; a client starts from the model of up to as many
    updates ago as there are clients.
    """
    clients = occupied(shards)
    history = [plan.network.start(plan.seed)]
    down = up = 0
    for turn in range(plan.rounds * len(clients)):
        chance = plan.chance(turn, len(clients), 2)
        client = int(chance.integers(len(clients)))
        age = int(chance.integers(min(len(history), len(clients))))
        trained, _ = _train(clients[client], history[-1 - age], plan, turn, client)
        weight = ASYNCHRONOUS_WEIGHT * (age + 1) ** -STALENESS_EXPONENT
        history.append(weighted_mean([history[-1], trained], [1 - weight, weight]))
        history = history[-len(clients) :]
        down += size_of(trained)
        up += size_of(trained)
    return Trained(parameters=history[-1], bytes_down=down, bytes_up=up)


def _train(
    shard: Shard,
    start: Parameters,
    plan: Plan,
    turn: int,
    client: int,
    *,
    adjust: Callable[[Parameters, Parameters, NDArray[np.int64]], None] | None = None,
) -> tuple[Parameters, int]:
    return train(
        plan.network,
        start,
        shard.rows,
        shard.codes,
        training=plan.training,
        chance=plan.chance(turn, client),
        adjust=adjust,
    )


def _add(difference: Parameters) -> Callable[[Parameters, Parameters, NDArray[np.int64]], None]:
    def adjust(_: Parameters, gradient: Parameters, __: NDArray[np.int64]) -> None:
        for slope, extra in zip(gradient, difference, strict=True):
            slope += extra

    return adjust


def _contrast(
    network: Network, shard: Shard, central: Parameters, before: Parameters | None
) -> Callable[[Parameters, Parameters, NDArray[np.int64]], None] | None:
    """Return MOON's term: hidden values are drawn to the central model's and away from those of the last local one."""
    if before is None or not network.hidden:
        return None
    wanted = _unit(network.hidden_values(central, shard.rows))
    shunned = _unit(network.hidden_values(before, shard.rows))

    def adjust(parameters: Parameters, gradient: Parameters, batch: NDArray[np.int64]) -> None:
        rows = shard.rows[batch]
        values = network.hidden_values(parameters, rows)
        norms = np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)
        unit = values / norms
        odds = ((unit * shunned[batch]).sum(axis=1) - (unit * wanted[batch]).sum(axis=1)) / CONTRAST_TEMPERATURE
        share = 1 / (1 + np.exp(-odds))  # of the loss -ln(e^a / (e^a + e^b)): its slope along b - a
        pull = (shunned[batch] - wanted[batch]) * (share / CONTRAST_TEMPERATURE)[:, None]
        pull = (pull - unit * (unit * pull).sum(axis=1, keepdims=True)) / norms * (CONTRAST_WEIGHT / len(rows))
        back = pull * (values > 0)
        gradient[0] += rows.T @ back
        gradient[1] += back.sum(axis=0)

    return adjust


def _unit(values: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths: NDArray[np.float64] = np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)
    return values / lengths


def _difference(after: Parameters, start: Parameters) -> Parameters:
    return [end - begin for end, begin in zip(after, start, strict=True)]


def _flat(parameters: Parameters) -> NDArray[np.float64]:
    return np.concatenate([part.ravel() for part in parameters])


def _moved(parameters: Parameters, step: NDArray[np.float64]) -> Parameters:
    found, place = [], 0
    for part in parameters:
        found.append(part + step[place : place + part.size].reshape(part.shape))
        place += part.size
    return found
