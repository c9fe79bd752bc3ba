"""One hostile client that sends what no client should: to Flower's strategies, and as packets to a holder of ours."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fingerpost.lab.assess.routing import (
    CONFIGURATIONS,
    Askers,
    admitted,
    evidence_of,
    level_codes,
    packets_of,
    signer_of,
)
from fingerpost.lab.federated.flower import grid_of, strategy_of
from fingerpost.lab.federated.messages import float32_record, prepare_flower
from fingerpost.lab.federated.network import train
from fingerpost.lab.probabilities import accuracy
from fingerpost.packet import BODY_DTYPE, PACKET_DTYPE, sign_bodies

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from fingerpost.lab.assess.setting import Setting
    from fingerpost.lab.assess.tasks import Result

KINDS = ("wrong shape", "not a number", "extra key")
STRATEGIES = ("fedavg", "median", "krum")
ROUNDS = 3


def malformed(setting: Setting) -> Result:
    """Return by kind what became of a run of Flower, and of a network of ours, with one hostile client among all."""
    truth = setting.codes[setting.asked]
    clean = _packets_accuracy(packets_of(setting), setting, truth)
    federated = {kind: {name: _flower(name, kind, setting, truth) for name in STRATEGIES} for kind in KINDS}
    ours = {}
    for kind, spoil in _SPOILED.items():
        sent, hostile = spoil(setting)
        kept, refusals = admitted(sent, CONFIGURATIONS["consortium"].template(setting.template))
        reached = evidence_of(sent, setting)
        ours[kind] = {
            "hostile_packets": hostile,
            "refused": int((refusals != 0).sum()) + len(kept) - len(reached),
            "accuracy": _packets_accuracy(sent, setting, truth),
            "accuracy_without": clean,
        }
    return {"federated": federated, "outcome_routing": ours, "rounds": ROUNDS}


def _packets_accuracy(packets: NDArray[np.void], setting: Setting, truth: NDArray[np.int64]) -> float:
    askers = Askers(evidence_of(packets, setting), setting)
    asker = int(setting.asked_at[0])
    return accuracy(askers.forecast(asker, setting.asked).argmax(axis=1), truth)


def _hostile_rows(setting: Setting) -> tuple[int, NDArray[np.int64]]:
    """Return a node with rows that does not ask, and its rows."""
    asker = int(setting.asked_at[0])
    node = next(node for node in range(setting.nodes) if node != asker and len(setting.rows_of(node)))
    return node, setting.rows_of(node)


def _random_bytes(setting: Setting) -> tuple[NDArray[np.void], int]:
    """Packets of the right length whose bytes are noise: wrong shape."""
    honest = packets_of(setting)
    _, rows = _hostile_rows(setting)
    noise = np.random.default_rng(setting.seed).bytes(len(rows) * PACKET_DTYPE.itemsize)
    return np.concatenate([honest, np.frombuffer(noise, PACKET_DTYPE)]), len(rows)


def _impossible_outcome(setting: Setting) -> tuple[NDArray[np.void], int]:
    """Sound, signed packets that state an outcome that the template does not have: what no number is for a weight."""
    node, rows = _hostile_rows(setting)
    template = CONFIGURATIONS["consortium"].template(setting.template)
    from fingerpost.fingerprint import Fingerprinter
    from fingerpost.lab.assess.routing import DAY, observations_of, seals_of
    from fingerpost.lab.exchange import SeededEntropy
    from fingerpost.node.emission import build_packets

    told = observations_of(replace(setting, train=rows), template)
    told = replace(told, outcomes=np.full(len(rows), len(level_codes(setting, template)) + 7, np.uint16))
    packets, _ = build_packets(
        template,
        Fingerprinter(template),
        told,
        signer=signer_of(node, setting.seed),
        day=DAY,
        entropy=SeededEntropy(setting.seed, "hostile"),
        seals=seals_of(setting, template),
    )
    return np.concatenate([packets_of(setting), packets]), len(rows)


def _unused_bytes(setting: Setting) -> tuple[NDArray[np.void], int]:
    """Packets with something in bytes that nobody wrote, signed after that: an extra key."""
    node, rows = _hostile_rows(setting)
    packets = packets_of(replace(setting, train=rows))
    bodies = packets.view(np.uint8).reshape(len(packets), -1)[:, : BODY_DTYPE.itemsize].copy()
    spoiled = bodies.view(BODY_DTYPE)[:, 0]
    spoiled["payload"][:, -1] ^= 1
    return np.concatenate([packets_of(setting), sign_bodies(spoiled, signer_of(node, setting.seed))]), len(rows)


_SPOILED: dict[str, Callable[[Setting], tuple[NDArray[np.void], int]]] = {
    "wrong shape": _random_bytes,
    "not a number": _impossible_outcome,
    "extra key": _unused_bytes,
}


def _flower(name: str, kind: str, setting: Setting, truth: NDArray[np.int64]) -> dict[str, Any]:
    """Return how a strategy fared: an error that ended the run, or the accuracy of the model it ended with."""
    try:
        parameters = _run(name, kind, setting)
    except Exception as error:
        return {"ended": type(error).__name__, "accuracy": None}
    if not all(np.isfinite(part).all() for part in parameters):
        return {"ended": "the model is no number any more", "accuracy": None}
    said = setting.plan.network.probabilities(parameters, setting.features[setting.asked])
    return {"ended": None, "accuracy": accuracy(said.argmax(axis=1), truth)}


def _run(name: str, kind: str, setting: Setting) -> list[NDArray[np.float64]]:
    from flwr.app import Message, MetricRecord, RecordDict

    prepare_flower()
    plan = replace(setting.plan, rounds=ROUNDS, liars=1)
    clients = [shard for shard in setting.shards() if len(shard.rows)]

    def answer(message: Any) -> Any:
        if message.metadata.message_type != "train":
            return None
        client, turn = message.metadata.dst_node_id - 1, int(message.content["config"]["server-round"])
        start = [part.astype("float64") for part in message.content["arrays"].to_numpy_ndarrays()]
        shard = clients[client]
        trained, _ = train(
            plan.network, start, shard.rows, shard.codes, training=plan.training, chance=plan.chance(turn, client)
        )
        metrics: dict[str, Any] = {"num-examples": len(shard.rows)}
        if client == 0:
            trained, metrics = _spoil(kind, trained, metrics)
        content = {"arrays": float32_record(trained), "metrics": MetricRecord(metrics)}
        return Message(RecordDict(content), reply_to=message)

    grid = grid_of(len(clients), answer)
    initial = float32_record(plan.network.start(plan.seed))
    strategy = strategy_of(name, clients=len(clients), plan=plan)
    result = strategy.start(grid=grid, initial_arrays=initial, num_rounds=plan.rounds)
    return [part.astype("float64") for part in result.arrays.to_numpy_ndarrays()]


def _spoil(
    kind: str, trained: list[NDArray[np.float64]], metrics: dict[str, Any]
) -> tuple[list[NDArray[np.float64]], dict[str, Any]]:
    if kind == "wrong shape":
        return [part[..., :-1] for part in trained], metrics
    if kind == "not a number":
        return [np.full_like(part, np.nan) for part in trained], metrics
    return trained, metrics | {"extra": 1.0}
