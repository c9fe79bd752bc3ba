"""What each side moves: by formula, as measured, where both are equal, and by arithmetic far beyond this table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fingerpost.limits import PACKET_SIZE_BYTES, RECORD_SIZE_BYTES_MAX, REPLICAS

if TYPE_CHECKING:
    from fingerpost.lab.assess.setting import Setting

CARRIERS_PER_ASK = 10
NUMBER_BOTH_WAYS_BYTES = 8  # a float32 down and up
ROUNDS_SHOWN = (1, 10, 100)


def routing_bytes(*, observations: float, nodes: float, syncers: float, asks: float) -> float:
    """Return 512 (N R + N syncers + K asks), and a record in the directory for each node."""
    copies = observations * (REPLICAS + syncers)
    return PACKET_SIZE_BYTES * (copies + CARRIERS_PER_ASK * asks) + RECORD_SIZE_BYTES_MAX * nodes


def federated_bytes(*, parameters: float, nodes: float, rounds: float) -> float:
    """Return 8 P n rounds: every number down and up again, at every client, in every round."""
    return NUMBER_BOTH_WAYS_BYTES * parameters * nodes * rounds


def communication(arms: dict[str, Any], setting: Setting, federated: tuple[str, ...]) -> dict[str, Any]:
    """Return bytes of routing by formula beside those of each federated arm as measured, and where they are equal."""
    observations, nodes, rounds = len(setting.train), setting.nodes, setting.plan.rounds
    asks = len(setting.asked)
    all_fetch = routing_bytes(observations=observations, nodes=nodes, syncers=nodes - 1, asks=0)
    ask_only = routing_bytes(observations=observations, nodes=nodes, syncers=0, asks=asks)
    measured = {arm: arms[arm]["bytes"] for arm in federated}
    kept = routing_bytes(observations=observations, nodes=nodes, syncers=0, asks=0)
    return {
        "formula": "routing 512 (N R + N syncers + K asks) + 600 n; federated 8 P n rounds, and nothing per question",
        "observations": observations,
        "replicas": REPLICAS,
        "carriers_per_ask": CARRIERS_PER_ASK,
        "asks": asks,
        "model_parameters": setting.plan.network.parameters,
        "rounds": rounds,
        "routing_bytes_all_nodes_fetch": int(all_fetch),
        "routing_bytes_ask_only": int(ask_only),
        "federated_bytes": measured,
        "break_even_parameters_all_nodes_fetch": all_fetch / (NUMBER_BOTH_WAYS_BYTES * nodes * rounds),
        "break_even_asks": max(0.0, (min(measured.values()) - kept) / (PACKET_SIZE_BYTES * CARRIERS_PER_ASK)),
        "break_even_curves": _curves(nodes),
        "extrapolation": _extrapolation(),
    }


def rounds_to_try(planned: int) -> list[int]:
    """Return 1, 2, 4 and so on, up to twice the planned rounds."""
    return [1 << power for power in range((2 * planned).bit_length())]


def to_equal_accuracy(arm: str, points: list[dict[str, Any]], *, accuracy: float, moved: int) -> dict[str, Any]:
    """Return after how many rounds, and bytes both ways, a federated arm is right as often as the consortium.

    All on the first split; ``rounds`` and ``bytes`` are absent where none of ``points`` is.
    """
    found: dict[str, Any] = {"arm": arm, "accuracy": accuracy, "routing_bytes": moved, "points": points}
    reached = next((point for point in points if point["accuracy"] >= accuracy), None)
    return found | ({} if reached is None else {"rounds": reached["rounds"], "bytes": reached["bytes"]})


def _curves(nodes: int) -> dict[str, list[dict[str, float]]]:
    """Return, for some numbers of rounds, the model size above which routing moves less when all nodes fetch all."""
    curves = {}
    for rounds in ROUNDS_SHOWN:
        points = []
        for observations in np.logspace(2, 7, 11).tolist():
            moved = routing_bytes(observations=observations, nodes=nodes, syncers=nodes - 1, asks=0)
            points.append(
                {"observations": observations, "parameters": moved / (NUMBER_BOTH_WAYS_BYTES * nodes * rounds)}
            )
        curves[str(rounds)] = points
    return curves


def _extrapolation() -> dict[str, Any]:
    nodes, parameters, rounds, each = 1_000, 100_000_000, 100, 1_000
    return {
        "assumes": "arithmetic, not a measurement: 1,000 nodes, 100 million parameters, 100 rounds, 1,000 observations "
        "a node; all packets fetched by 10 nodes, or by all",
        "federated_bytes": int(federated_bytes(parameters=parameters, nodes=nodes, rounds=rounds)),
        "routing_bytes_ten_fetch": int(routing_bytes(observations=nodes * each, nodes=nodes, syncers=10, asks=0)),
        "routing_bytes_all_fetch": int(
            routing_bytes(observations=nodes * each, nodes=nodes, syncers=nodes - 1, asks=0)
        ),
    }
