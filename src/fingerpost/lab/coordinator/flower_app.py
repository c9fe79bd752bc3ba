"""A Flower app as a careful operator would write it: FedAvg over hospitals, with a checkpoint after every round.

Flower 1.41 keeps none itself. The checkpoint holds the model and how many rounds made it; a new run that finds one goes
on from there. Run by Flower's own processes, which ``flower_side`` starts.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from fingerpost.files import write_atomically
from fingerpost.lab.data import UNIT, load
from fingerpost.lab.federated.network import Network, Training, train

CHECKPOINT = "checkpoint.npz"
ROUND_SECONDS_MAX = 120.0

server = ServerApp()
client = ClientApp()


@server.main()
def serve(grid: Grid, context: Context) -> None:
    """Train for as many rounds as are missing; note each round that is done."""
    settings = context.run_config
    folder, rounds, nodes = Path(str(settings["folder"])), int(settings["rounds"]), int(settings["nodes"])
    done, start = read_checkpoint(folder)
    if start is None:
        start = network_of(hospital_rows(str(settings["hospital"]))[0]).start(seed=0)

    def keep(turn: int, arrays: ArrayRecord) -> None:
        if turn:
            write_checkpoint(folder, done + turn, arrays.to_numpy_ndarrays())

    strategy = FedAvg(fraction_evaluate=0.0, min_train_nodes=nodes, min_evaluate_nodes=nodes, min_available_nodes=nodes)
    strategy.start(
        grid=grid,
        initial_arrays=ArrayRecord([part.astype(np.float32) for part in start]),
        num_rounds=rounds - done,
        timeout=ROUND_SECONDS_MAX,
        train_config=ConfigRecord({"done": done}),
        evaluate_fn=keep,
    )


@client.train()
def learn(message: Message, context: Context) -> Message:
    """Train on the rows of this node's hospital."""
    rows, codes = hospital_rows(str(context.node_config["hospital"]))
    content: Any = message.content
    turn = int(content["config"]["server-round"]) + int(content["config"]["done"])
    start = [part.astype(np.float64) for part in content["arrays"].to_numpy_ndarrays()]
    chance = np.random.default_rng([turn, len(rows)])
    trained, _ = train(network_of(rows), start, rows, codes, training=Training(epochs=5, rate=0.1), chance=chance)
    arrays = ArrayRecord([part.astype(np.float32) for part in trained])
    return Message(
        RecordDict({"arrays": arrays, "metrics": MetricRecord({"num-examples": len(rows)})}), reply_to=message
    )


def network_of(rows: np.ndarray) -> Network:
    """Return the model: a softmax regression over the encoded table."""
    return Network(inputs=rows.shape[1], hidden=0, levels=2)


@lru_cache
def hospital_rows(hospital: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the encoded patients of a hospital and their outcomes."""
    found = load("heart")
    if found.sites is None:
        raise AssertionError("heart has hospitals")
    part = found.part(np.flatnonzero(found.sites == hospital))
    return part.encoded() / UNIT, np.asarray(part.outcomes, np.int64)


def write_checkpoint(folder: Path, done: int, parameters: list[np.ndarray]) -> None:
    """Keep a model that ``done`` rounds made; a crash meanwhile leaves the one before."""
    from io import BytesIO

    buffer = BytesIO()
    parts: dict[str, Any] = {f"part{place}": part for place, part in enumerate(parameters)}
    np.savez(buffer, **parts, done=np.int64(done))
    write_atomically(folder / CHECKPOINT, buffer.getvalue())


def read_checkpoint(folder: Path) -> tuple[int, list[np.ndarray] | None]:
    """Return how many rounds are done, and the model they made, if there is one."""
    file = folder / CHECKPOINT
    if not file.is_file():
        return 0, None
    with np.load(file) as kept:
        parts = [kept[f"part{place}"].astype(np.float64) for place in range(len(kept.files) - 1)]
        return int(kept["done"]), parts
