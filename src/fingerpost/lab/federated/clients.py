"""What federated arms are made of: clients with rows, rounds, and what came out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from fingerpost.errors import UsageError
from fingerpost.lab.federated.network import Network, Training

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """The rows of one client: (n, columns) features and (n,) outcome levels as it states them."""

    rows: NDArray[np.float64]
    codes: NDArray[np.int64]

    def __post_init__(self) -> None:
        if len(self.rows) != len(self.codes):
            raise UsageError("lab-shard", "a client has one outcome for each of its rows")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What single arms can be tuned by; ``tuning.GRIDS`` says which arm by what.

    ``server_rate`` scales the server's step (FedAvgM, SCAFFOLD) and ``momentum`` it (FedAvgM), ``adam_rate`` is
    FedAdam's, ``proximal`` FedProx's mu, ``contrast`` MOON's mu, ``mixing`` the weight of a fresh update (FedAsync),
    ``clip`` the norm that DP-SGD cuts the gradient of a record to, ``epsilon`` what a record may lose by all rounds,
    ``depth`` that of a tree (FedXgbBagging).
    """

    server_rate: float = 1.0
    momentum: float = 0.9
    adam_rate: float = 0.03
    proximal: float = 0.1
    contrast: float = 1.0
    mixing: float = 0.6
    clip: float = 1.0
    epsilon: float = 4.0
    depth: float = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One federated run: the model, the clients' training, rounds, and the seed of all chance."""

    network: Network
    training: Training = field(default_factory=Training)
    settings: Settings = field(default_factory=Settings)
    rounds: int = 30
    seed: int = 0
    liars: int = 0  # as many as the server is told to expect: rules that need a number get the true one
    participation: float = 1.0  # share of the clients that are there in a round

    def __post_init__(self) -> None:
        if self.rounds < 1 or not 0 < self.participation <= 1:
            raise UsageError("lab-rounds", "a run has at least one round, and somebody takes part in it")

    def chance(self, *places: int) -> np.random.Generator:
        """Return the chance of one place in the run, the same for every arm: (round, client) for a training."""
        return np.random.default_rng([self.seed, *places])

    def present(self, clients: int, turn: int) -> list[int]:
        """Return the clients that take part in round ``turn``, ascending, at least one."""
        if self.participation >= 1:
            return list(range(clients))
        count = max(1, round(self.participation * clients))
        chosen = self.chance(turn, clients).choice(clients, count, replace=False)
        return sorted(chosen.tolist())


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A run that ended: the last parameters, and the bytes of all messages from and to the clients."""

    parameters: list[NDArray[np.float64]]
    bytes_down: int
    bytes_up: int

    @property
    def bytes(self) -> int:
        """Return the bytes of all messages, both ways."""
        return self.bytes_down + self.bytes_up


def occupied(shards: Sequence[Shard]) -> list[Shard]:
    """Return the clients that have rows. Raises ``UsageError`` (``lab-no-clients``) when there is none."""
    found = [shard for shard in shards if len(shard.rows)]
    if not found:
        raise UsageError("lab-no-clients", "no client has a row to train on")
    return found


def weighted_mean(
    parameters: Sequence[Sequence[NDArray[np.float64]]], weights: Sequence[float]
) -> list[NDArray[np.float64]]:
    """Return the mean of several models, part by part."""
    total = float(sum(weights))
    return [
        np.asarray(sum(weight * part for weight, part in zip(weights, parts, strict=True)) / total)
        for parts in zip(*parameters, strict=True)
    ]
