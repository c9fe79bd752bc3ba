"""The failure modes, each measured here or absent: what is not measured is named as such."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fingerpost.lab.assess.arms import FEDERATED_ARMS, ROUTING, forecast_of, packets_of
from fingerpost.lab.assess.partitions import IID
from fingerpost.lab.federated.arms import federated_forecast
from fingerpost.lab.federated.clients import Shard
from fingerpost.lab.pool import collect
from fingerpost.lab.probabilities import accuracy, log_loss
from fingerpost.limits import PACKET_SIZE_BYTES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fingerpost.lab.assess.arms import Setting

Progress = Callable[[str], None]
REPLICAS = 3
CARRIERS_PER_ASK = 10
LIAR_SHARES = (0.0, 0.4, 0.8)
ROBUST = ("fedavg", "multi-krum", "median", "fltrust")
ROOT_ROWS = 50
NOT_MEASURED = {
    "inversion": "not measured by this version: reconstruction from updates and from packets",
    "coordinator": "not measured by this version: a coordinator or a holder killed in the middle of a run",
    "elections": "not measured by this version: liars against a network that defends itself by elections",
    "profiles": "not measured by this version: the profiles consortium and dp-aggregate; all figures are for open",
}


def failure_modes(
    by_partition: dict[str, dict[str, Any]], settings: dict[str, list[Setting]], main: str, progress: Progress
) -> dict[str, Any]:
    """Return the sections that were measured, and ``not_measured``."""
    return {
        "non_iid": _non_iid(by_partition),
        "communication": _communication(by_partition[main], settings[main][0]),
        "byzantine": _byzantine(settings[IID][0], progress),
        "not_measured": NOT_MEASURED,
    }


def _non_iid(by_partition: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Penalties in points of accuracy against rows dealt out evenly, on the same asked rows."""
    names = ("accuracy", "auc", "log_loss", "worst_node_accuracy")
    return {
        "partitions": {
            name: {arm: {key: found[key] for key in names} for arm, found in arms.items()}
            for name, arms in by_partition.items()
        },
        "penalty_points": {
            name: {arm: 100 * (by_partition[IID][arm]["accuracy"] - found["accuracy"]) for arm, found in arms.items()}
            for name, arms in by_partition.items()
            if name != IID
        },
    }


def _communication(arms: dict[str, Any], setting: Setting) -> dict[str, Any]:
    """Bytes of routing by formula beside those of each federated arm as measured, and where they are equal."""
    observations, nodes, rounds = len(setting.train), setting.nodes, setting.plan.rounds
    model = setting.plan.network.parameters
    kept = PACKET_SIZE_BYTES * observations * REPLICAS
    fetched = PACKET_SIZE_BYTES * observations * (nodes - 1)
    ask = PACKET_SIZE_BYTES * CARRIERS_PER_ASK
    asks = len(setting.asked)
    federated = {arm: arms[arm]["bytes"] for arm in FEDERATED_ARMS}
    cheapest = min(federated.values())
    return {
        "formula": "512 (N R + N syncers + K asks) against 8 P n rounds",
        "observations": observations,
        "replicas": REPLICAS,
        "carriers_per_ask": CARRIERS_PER_ASK,
        "asks": asks,
        "model_parameters": model,
        "rounds": rounds,
        "routing_bytes_all_nodes_fetch": kept + fetched,
        "routing_bytes_ask_only": kept + ask * asks,
        "federated_bytes": federated,
        "break_even_parameters_all_nodes_fetch": (kept + fetched) / (8 * nodes * rounds),
        "break_even_asks": max(0.0, (cheapest - kept) / ask),
        "extrapolation": {
            "assumes": "1,000 nodes, 100 million parameters, 100 rounds, 1,000 observations a node, all fetched by 10",
            "federated_bytes": 8 * 100_000_000 * 1_000 * 100,
            "routing_bytes": PACKET_SIZE_BYTES * 1_000_000 * (REPLICAS + 10),
        },
    }


def _byzantine(setting: Setting, progress: Progress) -> dict[str, Any]:
    """Accuracy when some of the nodes state another outcome than the one that happened, for all of their rows."""
    chance = np.random.default_rng([setting.seed, 5])
    order = chance.permutation(setting.nodes)
    root = chance.permutation(setting.asked)[: min(ROOT_ROWS, len(setting.asked) // 3)]
    asked = np.setdiff1d(setting.asked, root)
    here = replace(setting, asked=asked, asked_at=np.zeros(len(asked), np.int64))
    rows = []
    for share in LIAR_SHARES:
        liars = order[: round(share * setting.nodes)]
        lying = np.isin(setting.owners, liars)
        stated = np.where(lying, (setting.codes + 1) % setting.levels, setting.codes)
        lied = replace(here, codes=stated)
        truth = setting.codes[asked]
        row: dict[str, Any] = {"liars": len(liars), "nodes": setting.nodes, "accuracy": {}}
        progress(f"{len(liars)} liars of {setting.nodes}")
        said = forecast_of(collect(setting.template, packets_of(lied)), lied, asked)
        row["accuracy"][f"{ROUTING}_undefended"] = accuracy(said.argmax(axis=1), truth)
        plan = replace(setting.plan, liars=len(liars))
        trusted = Shard(rows=setting.features[root], codes=setting.codes[root])
        for arm in ROBUST:
            if arm == "multi-krum" and len(liars) > setting.nodes - 3:
                continue
            found = federated_forecast(arm, lied.shards(), setting.features[asked], plan, root=trusted)
            row["accuracy"][arm] = accuracy(found.probabilities.argmax(axis=1), truth)
        rows.append(row)
    return {
        "attack": "a liar states the next outcome in the list for every row it has",
        "partition": IID,
        "trusted_rows_of_fltrust": len(root),
        "rows": rows,
    }


def scaling(setting: Setting, progress: Progress) -> dict[str, Any]:
    """Return error and bytes of routing when only the first 2, 3, 5 ... nodes tell, with a fitted power law."""
    counts = sorted({n for n in (2, 3, 5, 8, 12, 20, 35, 50) if n < setting.nodes} | {setting.nodes})
    truth = setting.codes[setting.asked]
    points = []
    for count in counts:
        progress(f"{count} nodes")
        train = setting.train[setting.owners[setting.train] < count]
        part = replace(setting, train=train)
        packets = packets_of(part)
        said = forecast_of(collect(setting.template, packets), part, setting.asked)
        points.append(
            {
                "nodes": count,
                "observations": len(train),
                "error": 1 - accuracy(said.argmax(axis=1), truth),
                "log_loss": log_loss(said, truth),
                "bytes": packets.nbytes * (count - 1),
            }
        )
    return {"partition": IID, "points": points, "laws": _laws(points)}


def _laws(points: list[dict[str, Any]]) -> dict[str, Any]:
    """Fit log-loss = a + b x^-c for the nodes and for the pairs of nodes; too few points fit nothing."""
    if len(points) < 3:
        return {}
    nodes = np.array([point["nodes"] for point in points], np.float64)
    loss = np.array([point["log_loss"] for point in points])
    slope, level = np.polyfit(np.log(nodes), np.log(loss), 1)
    residual = np.log(loss) - (level + slope * np.log(nodes))
    return {
        "log_loss_exponent_of_nodes": float(slope),
        "log_loss_exponent_of_pairs": _slope(np.log(nodes * (nodes - 1) / 2), np.log(loss)),
        "residual": float(np.sqrt((residual**2).mean())),
    }


def _slope(horizontal: NDArray[np.float64], vertical: NDArray[np.float64]) -> float:
    return float(np.polyfit(horizontal, vertical, 1)[0])
