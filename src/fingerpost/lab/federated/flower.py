"""Flower's own strategies, unmodified, in one process (needs the ``lab`` extra, flwr 1.41).

A small ``Grid`` hands every message of a strategy to a Python function instead of a network, and counts its bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fingerpost.errors import UsageError
from fingerpost.lab.federated.clients import Plan, Shard, Trained, occupied
from fingerpost.lab.federated.messages import float32_record, prepare_flower, size_of_message
from fingerpost.lab.federated.network import train

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

TRIMMED_SHARE = 0.2

STRATEGIES = ("fedavg", "fedavgm", "fedadam", "fedprox", "krum", "multi-krum", "median", "trimmed-mean")


def run_flower(name: str, shards: Sequence[Shard], plan: Plan) -> Trained:
    """Return what a strategy of Flower, one of ``STRATEGIES``, trains on these clients.

    Raises ``UsageError`` (``lab-arm``) for a name that is none.
    """
    prepare_flower()
    from flwr.app import Message, MetricRecord, RecordDict

    clients = occupied(shards)
    mu = plan.settings.proximal if name == "fedprox" else 0.0

    def answer(message: Any) -> Any:
        client, turn = message.metadata.dst_node_id - 1, int(message.content["config"]["server-round"])
        if message.metadata.message_type != "train" or client not in plan.present(len(clients), turn):
            return None
        start = [part.astype("float64") for part in message.content["arrays"].to_numpy_ndarrays()]
        shard = clients[client]
        trained, _ = train(
            plan.network,
            start,
            shard.rows,
            shard.codes,
            training=plan.training,
            chance=plan.chance(turn, client),
            adjust=_pull_back(start, mu) if mu else None,
        )
        content = {"arrays": float32_record(trained), "metrics": MetricRecord({"num-examples": len(shard.rows)})}
        return Message(RecordDict(content), reply_to=message)

    grid = grid_of(len(clients), answer)
    initial = float32_record(plan.network.start(plan.seed))
    result = strategy_of(name, clients=len(clients), plan=plan).start(
        grid=grid, initial_arrays=initial, num_rounds=plan.rounds
    )
    final = [part.astype("float64") for part in result.arrays.to_numpy_ndarrays()]
    return Trained(parameters=final, bytes_down=grid.bytes_down, bytes_up=grid.bytes_up)


def strategy_of(name: str, *, clients: int, plan: Plan) -> Any:
    """Return the strategy ``name`` of Flower, set up as the plan says. Raises ``UsageError`` (``lab-arm``)."""
    from flwr.serverapp import strategy

    settings = plan.settings
    common: dict[str, Any] = {"fraction_evaluate": 0.0, "min_train_nodes": 1, "min_available_nodes": 1}
    liars = min(plan.liars, max(0, (clients - 3) // 2))  # Krum asks for 2 f + 2 < n (Blanchard et al. 2017)
    match name:
        case "fedavg":
            return strategy.FedAvg(**common)
        case "fedavgm":
            return strategy.FedAvgM(
                **common, server_learning_rate=settings.server_rate, server_momentum=settings.momentum
            )
        case "fedadam":
            return strategy.FedAdam(**common, eta=settings.adam_rate, tau=1e-3)
        case "fedprox":
            return strategy.FedProx(**common, proximal_mu=settings.proximal)
        case "krum":
            return strategy.Krum(**common, num_malicious_nodes=liars)
        case "multi-krum":
            return strategy.MultiKrum(
                **common, num_malicious_nodes=liars, num_nodes_to_select=max(1, clients - plan.liars)
            )
        case "median":
            return strategy.FedMedian(**common)
        case "trimmed-mean":
            return strategy.FedTrimmedAvg(**common, beta=max(TRIMMED_SHARE, min(0.45, plan.liars / clients)))
    raise UsageError("lab-arm", f"Flower has no strategy {name!r} here", hint=f"there are {', '.join(STRATEGIES)}")


def _pull_back(
    start: Sequence[NDArray[np.float64]], mu: float
) -> Callable[[list[NDArray[np.float64]], list[NDArray[np.float64]], NDArray[np.int64]], None]:
    """Return FedProx's term (Li et al. 2020, equation 2): the gradient of mu / 2 |w - start|^2."""

    def adjust(
        parameters: list[NDArray[np.float64]], gradient: list[NDArray[np.float64]], _: NDArray[np.int64]
    ) -> None:
        for slope, part, origin in zip(gradient, parameters, start, strict=True):
            slope += mu * (part - origin)

    return adjust


def grid_of(nodes: int, answer: Callable[[Any], Any]) -> Any:
    """Return a ``Grid`` whose nodes 1 to ``nodes`` are one function; it has ``bytes_down`` and ``bytes_up``."""
    from flwr.app import Message
    from flwr.serverapp import Grid

    class InProcess(Grid):
        """Delivers each message to ``answer`` and counts the bytes that would have travelled."""

        def __init__(self) -> None:
            self.bytes_down = self.bytes_up = 0
            self._run: Any = None

        def set_run(self, run: Any) -> None:
            self._run = run

        @property
        def run(self) -> Any:
            return self._run

        def get_node_ids(self) -> list[int]:
            return list(range(1, nodes + 1))

        def create_message(self, content: Any, message_type: str, dst_node_id: int, *_: Any, **__: Any) -> Any:
            return Message(content, dst_node_id, message_type)

        def push_messages(self, _: Any) -> Any:
            raise UsageError("lab-arm", "this grid answers at once")

        def pull_messages(self, _: Any) -> Any:
            raise UsageError("lab-arm", "this grid answers at once")

        def send_and_receive(self, messages: Any, **_: Any) -> list[Any]:
            replies = []
            for message in sorted(messages, key=lambda each: each.metadata.dst_node_id):  # Flower shuffles its nodes
                self.bytes_down += size_of_message(message)
                reply = answer(message)
                if reply is not None:
                    self.bytes_up += size_of_message(reply)
                    replies.append(reply)
            return replies

    return InProcess()
