"""Federated boosting: Flower's FedXgbBagging, unmodified, on trees of xgboost (the ``lab`` extra).

Every client grows one tree a round on top of all trees so far; the server puts the trees together. Flower counts one
tree for each client and round, so outcomes of more than two levels get a model each, of that level against the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fingerpost.lab.federated.clients import Plan, Shard, occupied
from fingerpost.lab.federated.flower import grid_of
from fingerpost.lab.federated.messages import prepare_flower

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

ARM = "xgb-bagging"
PROBABILITY_MIN = 1e-6  # of a level, before those of all levels are made to add up to 1


def bagged_trees(shards: Sequence[Shard], asked: NDArray[np.float64], plan: Plan) -> tuple[NDArray[np.float64], int]:
    """Return (q, L) what the trees of all clients say about ``asked`` (q, columns), and the bytes of all messages.

    ``plan.training.rate`` is shared out among the clients, as Flower's own example does; ``settings.depth`` is that of
    a tree. Raises ``UsageError`` (``lab-no-clients``).
    """
    clients = occupied(shards)
    levels = plan.network.levels
    said = np.zeros((len(asked), levels))
    moved = 0
    for level in (1,) if levels == 2 else range(levels):
        model, size = _bagged([_against(shard, level) for shard in clients], plan)
        said[:, level] = _probabilities(model, asked)
        moved += size
    if levels == 2:
        said[:, 0] = 1 - said[:, 1]
    said = said.clip(PROBABILITY_MIN, None)
    return said / said.sum(axis=1, keepdims=True), moved


def _against(shard: Shard, level: int) -> Shard:
    return Shard(rows=shard.rows, codes=(shard.codes == level).astype(np.int64))


def _bagged(clients: Sequence[Shard], plan: Plan) -> tuple[bytes, int]:
    """Return the trees of all rounds, as xgboost's JSON, and the bytes of all messages."""
    prepare_flower()
    import xgboost
    from flwr.app import ArrayRecord, Message, MetricRecord, RecordDict
    from flwr.serverapp.strategy import FedXgbBagging

    told = [xgboost.DMatrix(shard.rows, label=shard.codes, nthread=1) for shard in clients]

    def answer(message: Any) -> Any:
        client, turn = message.metadata.dst_node_id - 1, int(message.content["config"]["server-round"])
        if message.metadata.message_type != "train" or client not in plan.present(len(clients), turn):
            return None
        model = message.content["arrays"].to_numpy_ndarrays()[0].tobytes()
        tree = np.frombuffer(_one_more(model, told[client], _options(len(clients), plan)), np.uint8)
        metrics = MetricRecord({"num-examples": len(clients[client].rows)})
        return Message(RecordDict({"arrays": ArrayRecord([tree]), "metrics": metrics}), reply_to=message)

    grid = grid_of(len(clients), answer)
    strategy = FedXgbBagging(fraction_evaluate=0.0, min_train_nodes=1, min_available_nodes=1)
    nothing = ArrayRecord([np.zeros(0, np.uint8)])
    result = strategy.start(grid=grid, initial_arrays=nothing, num_rounds=plan.rounds)
    return result.arrays.to_numpy_ndarrays()[0].tobytes(), grid.bytes_down + grid.bytes_up


def _options(clients: int, plan: Plan) -> dict[str, Any]:
    return {
        "objective": "binary:logistic",
        "base_score": 0.5,  # one for all clients: trees of several start from the same place
        "eta": plan.training.rate / clients,
        "max_depth": int(plan.settings.depth),
        "tree_method": "hist",
        "nthread": 1,
        "seed": plan.seed,
        "verbosity": 0,
    }


def _one_more(model: bytes, told: Any, options: dict[str, Any]) -> bytes:
    """Return the one tree that a client adds to a model, none at first."""
    import xgboost

    booster = xgboost.Booster(options, [told], model_file=bytearray(model) if model else None)
    grown = booster.num_boosted_rounds()
    booster.update(told, grown)
    return bytes(booster[grown : grown + 1].save_raw("json"))


def _probabilities(model: bytes, asked: NDArray[np.float64]) -> NDArray[np.float64]:
    import xgboost

    booster = xgboost.Booster({"nthread": 1}, model_file=bytearray(model))
    return np.asarray(booster.predict(xgboost.DMatrix(asked, nthread=1)), np.float64)
