"""Federated rules that Flower does not ship, each after its paper: SCAFFOLD, MOON, FLTrust, gossip, asynchronous.

They train with the same network, batches and chance as Flower's, and send the same messages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fingerpost.lab.federated.clients import Plan, Shard, Trained, occupied, weighted_mean
from fingerpost.lab.federated.messages import Line, Parameters
from fingerpost.lab.federated.network import train

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

CONTRAST_TEMPERATURE = 0.5
GOSSIP_PEERS = 2
STALENESS_EXPONENT = 0.5  # of FedAsync, "polynomial" (Xie et al. 2019, section 5.2)


def run_scaffold(shards: Sequence[Shard], plan: Plan) -> Trained:
    """Return what SCAFFOLD trains (Karimireddy et al. 2020, algorithm 1, option II). Control variates travel too.

    Clients count by their rows, in the model and in the server's control variate alike: with one weighed and the other
    not, as in the paper's uniform version on uneven clients, the run settles where nobody's mean loss is least.
    """
    clients, line = occupied(shards), Line()
    central = plan.network.start(plan.seed)
    control = [np.zeros_like(part) for part in central]
    controls = [[np.zeros_like(part) for part in central] for _ in clients]
    total = sum(len(shard.rows) for shard in clients)
    count = len(central)
    for turn in range(1, plan.rounds + 1):
        present = plan.present(len(clients), turn)
        ends: list[Parameters] = []
        moved: list[Parameters] = []
        for client in present:
            rows, own = len(clients[client].rows), controls[client]
            given = line.down([*central, *control], client=client, turn=turn)
            start, general = given[:count], given[count:]
            difference = _difference(general, own)
            trained, steps = _train(clients[client], start, plan, turn, client, adjust=_add(difference))
            length = steps * plan.training.rate
            fresh = [
                (begin - end) / length - extra for begin, end, extra in zip(start, trained, difference, strict=True)
            ]
            heard = line.up([*trained, *_difference(fresh, own)], client=client, rows=rows)
            controls[client] = fresh
            ends.append(heard[:count])
            moved.append([change * (rows / total) for change in heard[count:]])
        end = weighted_mean(ends, [float(len(clients[client].rows)) for client in present])
        central = [
            begin + plan.settings.server_rate * (after - begin) for begin, after in zip(central, end, strict=True)
        ]
        control = [part + sum(change[place] for change in moved) for place, part in enumerate(control)]
    return Trained(parameters=central, bytes_down=line.bytes_down, bytes_up=line.bytes_up)


def run_moon(shards: Sequence[Shard], plan: Plan) -> Trained:
    """Return what MOON trains (Li, He and Song 2021, equation 3), the hidden values being the representation.

    Without a hidden layer there is no representation to learn, and MOON is FedAvg.
    """
    clients, line = occupied(shards), Line()
    central = plan.network.start(plan.seed)
    before: list[Parameters | None] = [None] * len(clients)
    for turn in range(1, plan.rounds + 1):
        present = plan.present(len(clients), turn)
        found = []
        for client in present:
            start = line.down(central, client=client, turn=turn)
            adjust = _contrast(plan, clients[client], start, before[client])
            trained, _ = _train(clients[client], start, plan, turn, client, adjust=adjust)
            before[client] = trained
            found.append(line.up(trained, client=client, rows=len(clients[client].rows)))
        central = weighted_mean(found, [float(len(clients[client].rows)) for client in present])
    return Trained(parameters=central, bytes_down=line.bytes_down, bytes_up=line.bytes_up)


def run_fltrust(shards: Sequence[Shard], plan: Plan, *, root: Shard) -> Trained:
    """Return what FLTrust trains (Cao et al. 2021, algorithm 2): updates count as far as they point like the root's.

    ``root`` are rows that the server trusts: here those that the asker has confirmed itself.
    """
    clients, line = occupied(shards), Line()
    central = plan.network.start(plan.seed)
    for turn in range(1, plan.rounds + 1):
        guide = _flat(_difference(_train(root, central, plan, turn, len(clients))[0], central))
        length = float(np.linalg.norm(guide))
        step, trust = np.zeros_like(guide), 0.0
        for client in plan.present(len(clients), turn):
            start = line.down(central, client=client, turn=turn)
            trained, _ = _train(clients[client], start, plan, turn, client)
            update = _flat(_difference(line.up(trained, client=client, rows=len(clients[client].rows)), central))
            norm = float(np.linalg.norm(update))
            likeness = max(0.0, float(update @ guide) / max(norm * length, 1e-12))
            step += likeness * update * (length / max(norm, 1e-12))
            trust += likeness
        if trust > 0:
            central = _moved(central, step / trust)
    return Trained(parameters=central, bytes_down=line.bytes_down, bytes_up=line.bytes_up)


def run_gossip(shards: Sequence[Shard], plan: Plan) -> Trained:
    """Return the mean model after decentralised SGD (Lian et al. 2017): nobody coordinates, neighbours average.

    In each round every client trains and averages with ``GOSSIP_PEERS`` others that chance picks.
    """
    clients, line = occupied(shards), Line()
    models = [plan.network.start(plan.seed) for _ in clients]
    for turn in range(1, plan.rounds + 1):
        present = plan.present(len(clients), turn)
        for client in present:
            models[client], _ = _train(clients[client], models[client], plan, turn, client)
        mixed = list(models)
        for client in present:
            others = [other for other in present if other != client]
            count = min(GOSSIP_PEERS, len(others))
            heard = plan.chance(turn, client, 1).choice(others, count, replace=False).tolist() if count else []
            said = [line.up(models[each], client=each, rows=len(clients[each].rows)) for each in heard]
            mixed[client] = weighted_mean([models[client], *said], [1.0] * (count + 1))
        models = mixed
    mean = weighted_mean(models, [1.0] * len(models))
    return Trained(parameters=mean, bytes_down=0, bytes_up=line.bytes_up)


def run_asynchronous(shards: Sequence[Shard], plan: Plan) -> Trained:
    """Return what FedAsync trains (Xie et al. 2019, algorithm 1): updates are mixed in as they arrive, stale ones less.

    As many updates as FedAvg would use in ``plan.rounds`` rounds; a client starts from the model of up to as many
    updates ago as there are clients.
    """
    clients, line = occupied(shards), Line()
    history = [plan.network.start(plan.seed)]
    for turn in range(plan.rounds * len(clients)):
        chance = plan.chance(turn, len(clients), 2)
        client = int(chance.integers(len(clients)))
        age = int(chance.integers(min(len(history), len(clients))))
        start = line.down(history[-1 - age], client=client, turn=turn)
        trained, _ = _train(clients[client], start, plan, turn, client)
        trained = line.up(trained, client=client, rows=len(clients[client].rows))
        weight = plan.settings.mixing * (age + 1) ** -STALENESS_EXPONENT
        history.append(weighted_mean([history[-1], trained], [1 - weight, weight]))
        history = history[-len(clients) :]
    return Trained(parameters=history[-1], bytes_down=line.bytes_down, bytes_up=line.bytes_up)


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
    plan: Plan, shard: Shard, central: Parameters, before: Parameters | None
) -> Callable[[Parameters, Parameters, NDArray[np.int64]], None] | None:
    """Return MOON's term: hidden values are drawn to the central model's and away from those of the last local one."""
    network, weight = plan.network, plan.settings.contrast
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
        pull = (pull - unit * (unit * pull).sum(axis=1, keepdims=True)) / norms * (weight / len(rows))
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
