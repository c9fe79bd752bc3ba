"""Every federated arm under one name and one call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fingerpost.errors import UsageError
from fingerpost.lab.federated.clients import Plan, Shard, Trained
from fingerpost.lab.federated.flower import STRATEGIES, run_flower
from fingerpost.lab.federated.further import run_eight_bits, run_fedma, run_top_k
from fingerpost.lab.federated.own import run_asynchronous, run_fltrust, run_gossip, run_moon, run_scaffold
from fingerpost.lab.federated.private import run_dp_sgd
from fingerpost.lab.federated.secure import run_secure_aggregation
from fingerpost.lab.federated.trees import ARM as TREES
from fingerpost.lab.federated.trees import bagged_trees

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

_OWN: dict[str, Callable[[Sequence[Shard], Plan], Trained]] = {
    "scaffold": run_scaffold,
    "moon": run_moon,
    "gossip": run_gossip,
    "asynchronous": run_asynchronous,
    "fedma": run_fedma,
    "top-k": run_top_k,
    "eight-bits": run_eight_bits,
    "dp-sgd": run_dp_sgd,
    "secure-aggregation": run_secure_aggregation,
}
FEDERATED_ARMS = (*STRATEGIES, *_OWN, TREES, "fltrust")
ROBUST_ARMS = ("krum", "multi-krum", "median", "trimmed-mean", "fltrust")


@dataclass(frozen=True, slots=True, kw_only=True)
class FederatedForecast:
    """What a federated arm says about q rows: ``probabilities`` (q, L), and the bytes of all its messages."""

    probabilities: NDArray[np.float64]
    bytes: int


def federated_forecast(
    arm: str, shards: Sequence[Shard], asked: NDArray[np.float64], plan: Plan, *, root: Shard | None = None
) -> FederatedForecast:
    """Train ``arm`` (one of ``FEDERATED_ARMS``) on the clients' rows; return what it says about ``asked`` (q, columns).

    Features are taken as they come: standardise them before, with what the protocol may know. ``root`` are the rows
    that FLTrust's server trusts. Raises ``UsageError``: ``lab-arm``, ``lab-no-clients``, ``lab-root``.
    """
    if arm == TREES:
        probabilities, moved = bagged_trees(shards, asked, plan)
        return FederatedForecast(probabilities=probabilities, bytes=moved)
    if arm == "fltrust":
        if root is None or not len(root.rows):
            raise UsageError("lab-root", "FLTrust needs rows that its server trusts", hint="give it root rows")
        trained = run_fltrust(shards, plan, root=root)
    elif arm in _OWN:
        trained = _OWN[arm](shards, plan)
    else:
        trained = run_flower(arm, shards, plan)
    return FederatedForecast(probabilities=plan.network.probabilities(trained.parameters, asked), bytes=trained.bytes)
