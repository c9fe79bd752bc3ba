"""FedAvg under secure aggregation: the server learns sums of updates only, and what that costs.

Masks cancel in the sum, so they change nothing about the model and are not drawn here. What does change it is done:
updates are cut, rounded to whole numbers and summed modulo a power of two. Bytes are a model: those of a real masked
update, and Bonawitz et al. 2017, section 7.1, for keys and shares when nobody drops out.
"""

from __future__ import annotations

from math import ceil, log2
from typing import TYPE_CHECKING

import numpy as np

from fingerpost.lab.federated.clients import Plan, Shard, Trained, occupied
from fingerpost.lab.federated.messages import Line
from fingerpost.lab.federated.network import train

if TYPE_CHECKING:
    from collections.abc import Sequence

KEY_SIZE_BYTES = 32
SHARE_SIZE_BYTES = 32
STEP_BITS = 16  # of a number of an update
CUT = 4.0  # numbers of weighted updates beyond this are cut


def run_secure_aggregation(shards: Sequence[Shard], plan: Plan) -> Trained:
    """Return what FedAvg trains when updates are summed as whole numbers, and the bytes of keys, shares and masks."""
    clients, line = occupied(shards), Line()
    central = plan.network.start(plan.seed)
    down = up = 0
    largest = max(len(shard.rows) for shard in clients)
    for turn in range(1, plan.rounds + 1):
        present = plan.present(len(clients), turn)
        numbers = sum(part.size for part in central) + 1
        total = [np.zeros(part.shape, np.int64) for part in central]
        rows = 0
        for client in present:
            shard = clients[client]
            start = line.down(central, client=client, turn=turn)
            chance = plan.chance(turn, client)
            end, _ = train(plan.network, start, shard.rows, shard.codes, training=plan.training, chance=chance)
            weight = len(shard.rows) / largest  # as whole numbers too: the server may not know who has how many rows
            for sums, begin, after in zip(total, start, end, strict=True):
                sums += as_steps((after - begin) * weight)
            rows += len(shard.rows)
            up += masked_size(numbers, clients=len(present)) + setup_size_up(len(present))
            down += setup_size_down(len(present))
        central = [part + from_steps(sums) * (largest / rows) for part, sums in zip(central, total, strict=True)]
    return Trained(parameters=central, bytes_down=line.bytes_down + down, bytes_up=up)


def as_steps(numbers: np.ndarray) -> np.ndarray:
    """Return numbers as whole steps between minus and plus ``CUT``."""
    steps: np.ndarray = np.rint(numbers.clip(-CUT, CUT) * (1 << (STEP_BITS - 1)) / CUT).astype(np.int64)
    return steps


def from_steps(steps: np.ndarray) -> np.ndarray:
    """Return what ``as_steps`` said, or the sum of several."""
    numbers: np.ndarray = steps * (CUT / (1 << (STEP_BITS - 1)))
    return numbers


def masked_size(numbers: int, *, clients: int) -> int:
    """Return the bytes of a masked update: each number needs room for the sum over all clients."""
    return ceil(numbers * (STEP_BITS + 1 + ceil(log2(max(2, clients)))) / 8)


def setup_size_up(clients: int) -> int:
    """Return what a client sends beside its update: two keys, two shares to each other, one share of each at the end.

    In the paper's count of a client's traffic, 2 n keys and 5 n - 4 shares, this is the part that goes up.
    """
    return 2 * KEY_SIZE_BYTES + (2 * (clients - 1) + clients) * SHARE_SIZE_BYTES


def setup_size_down(clients: int) -> int:
    """Return what a client is sent beside the model: all others' keys and shares, and who is still there."""
    return (2 * (clients - 1)) * KEY_SIZE_BYTES + 2 * (clients - 1) * SHARE_SIZE_BYTES + ceil(clients / 8)
