"""What more nodes bring, and what a newcomer gets: scaling with fitted laws, and learning curves of a site left out."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fingerpost.lab.assess.partitions import deal
from fingerpost.lab.assess.routing import Askers, evidence_of, packets_of
from fingerpost.lab.probabilities import accuracy, log_loss

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fingerpost.lab.assess.setting import Setting
    from fingerpost.lab.assess.tasks import Result

ROWS_OF_A_NODE = 40
NODES_MAX = 1_000
COUNTS = (2, 3, 5, 8, 12, 20, 35, 50, 100, 200, 400, 700)
NEWCOMER_ARMS = ("majority", "local_logistic", "own_packets", "consortium", "fedavg", "central_logistic")
NEWCOMER_ASKED_MAX = 300


def spread_out(base: Setting) -> Setting:
    """Return a split dealt to as many nodes as have about ``ROWS_OF_A_NODE`` training rows each."""
    nodes = int(np.clip(len(base.train) // ROWS_OF_A_NODE, 2, NODES_MAX))
    owners = deal(base.codes, nodes=nodes, chance=np.random.default_rng([base.seed, 8]))
    return replace(base, owners=owners, nodes=nodes)


def node_counts(nodes: int) -> list[int]:
    """Return the numbers of nodes to measure."""
    return sorted({count for count in COUNTS if count < nodes} | {nodes})


def scaled(base: Setting, count: int, *, asked_max: int) -> Result:
    """Return what node 0 is told when the first ``count`` nodes tell."""
    setting = spread_out(base)
    train = setting.train[setting.owners[setting.train] < count]
    part = replace(setting, train=train)
    started = time.perf_counter()
    packets = packets_of(part)
    askers = Askers(evidence_of(packets, part), part)
    said = askers.forecast(0, setting.asked)
    seconds = time.perf_counter() - started
    asked = setting.asked[:asked_max]
    every = np.ones(len(askers.evidence), np.bool_)
    answers = askers.synthesizer(every).ask_many(askers.queries(asked))
    behind = [_effective([node.weight for node in answer.nodes]) for answer in answers]
    pairs = answers[0].pair_sums.pairs if answers[0].pair_sums else 0
    truth = setting.codes[setting.asked]
    return {
        "nodes": count,
        "observations": len(train),
        "pairs_of_nodes": count * (count - 1) // 2,
        "pairs_of_records": pairs,
        "error": 1 - accuracy(said.argmax(axis=1), truth),
        "log_loss": log_loss(said, truth),
        "effective_sample_size": float(np.mean([answer.effective_sample_size for answer in answers])),
        "corroboration": float(np.mean(behind)),
        "bytes": packets.nbytes * (count - 1),
        "seconds": round(seconds, 3),
    }


def _effective(weights: list[float]) -> float:
    """Return how many nodes with equal weights would carry an answer as broadly as these do."""
    sizes = np.abs(np.array(weights))
    total = float((sizes**2).sum())
    return float(sizes.sum() ** 2 / total) if total > 0 else 0.0


def laws_of(points: list[dict[str, Any]]) -> dict[str, Any]:
    """Fit log-loss = a + b / sqrt(x) for x the nodes and the pairs of nodes, and powers of what grows with nodes."""
    if len(points) < 4:
        return {}
    column = {key: np.array([float(point[key]) for point in points]) for key in points[0]}
    nodes, pairs = column["nodes"], column["pairs_of_nodes"]
    by_nodes, by_pairs = _root_law(nodes, column["log_loss"]), _root_law(pairs, column["log_loss"])
    follows = "nodes" if by_nodes["residual"] <= by_pairs["residual"] else "pairs of nodes"
    powers = {
        key: _power(nodes, column[key])
        for key in ("log_loss", "effective_sample_size", "corroboration", "bytes", "pairs_of_records")
        if column[key].min() > 0
    }
    return {"log_loss_of_nodes": by_nodes, "log_loss_of_pairs": by_pairs, "follows": follows, "powers_of_nodes": powers}


def _root_law(across: NDArray[np.float64], loss: NDArray[np.float64]) -> dict[str, float]:
    columns = np.column_stack([np.ones(len(across)), 1 / np.sqrt(across)])
    (level, slope), *_ = np.linalg.lstsq(columns, loss, rcond=None)
    residual = loss - columns @ np.array([level, slope])
    return {"level": float(level), "slope": float(slope), "residual": float(np.sqrt((residual**2).mean()))}


def _power(across: NDArray[np.float64], value: NDArray[np.float64]) -> float:
    return float(np.polyfit(np.log(across), np.log(value), 1)[0])


def largest_sites(setting: Setting, count: int) -> list[int]:
    """Return the nodes with the most training rows."""
    sizes = np.bincount(setting.owners[setting.train], minlength=setting.nodes)
    return [int(node) for node in np.argsort(-sizes, kind="stable")[:count] if sizes[node] > 0]


def newcomer(setting: Setting, site: int, own: int) -> Setting | None:
    """Return the setting in which ``site`` has told nothing before and has ``own`` rows; None where it has too few.

    It asks about its other rows, training and test rows alike: nobody else has any of them.
    """
    chance = np.random.default_rng([setting.seed, 9, site])
    mine = chance.permutation(np.concatenate([setting.rows_of(site), setting.asked[setting.asked_at == site]]))
    asked = mine[max(len(mine) - NEWCOMER_ASKED_MAX, 0) :]
    if len(mine) - len(asked) < own:
        asked = mine[own:]
    if len(asked) < 20:
        return None
    others = setting.train[setting.owners[setting.train] != site]
    owners = setting.owners.copy()
    owners[mine] = site
    return replace(
        setting,
        owners=owners,
        train=np.concatenate([others, mine[:own]]),
        asked=asked,
        asked_at=np.full(len(asked), site),
    )


def curve_of(rows: list[Result]) -> list[dict[str, Any]]:
    """Return, by number of own rows and arm, means over the sites that have enough rows for all of them."""
    found = []
    owns = sorted({row["own_rows"] for row in rows})
    for own in owns:
        mine = [row for row in rows if row["own_rows"] == own]
        arms = {}
        for arm in dict.fromkeys(row["arm"] for row in mine):
            of_arm = [row for row in mine if row["arm"] == arm]
            arms[arm] = {
                "accuracy": float(np.mean([row["accuracy"] for row in of_arm])),
                "log_loss": float(np.mean([row["log_loss"] for row in of_arm])),
            }
        found.append({"own_rows": own, "sites": len({row["site"] for row in mine}), "arms": arms})
    return found
