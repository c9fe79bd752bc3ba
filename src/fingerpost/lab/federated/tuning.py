"""Each federated arm at its best: a small stated grid of its own, judged by what clients hold back from training.

Nothing that is asked about later plays a part. Every client keeps a fifth of its rows; a setting's loss is the mean
log-loss over all rows kept, of the model that the others' rows gave. The split of rows over clients is the one of the
run, since that is what an operator would tune on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from fingerpost.lab.federated.arms import federated_forecast
from fingerpost.lab.federated.clients import Plan, Shard, occupied
from fingerpost.lab.probabilities import log_loss

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fingerpost.lab.federated.network import Network

KEPT_BACK = 0.2
ROWS_TO_KEEP_BACK_MIN = 5  # a client with fewer keeps nothing back
RATES = (0.03, 0.1, 0.3, 1.0)
ROUND_FACTORS = (0.5, 1.0, 2.0)

# Beside these, every arm is tuned by RATES (or a "rate" of its own) and, last, by ROUND_FACTORS of the planned rounds.
GRIDS: Mapping[str, Mapping[str, tuple[float, ...]]] = {
    "fedavgm": {"momentum": (0.5, 0.9), "server_rate": (0.3, 1.0)},
    "fedadam": {"adam_rate": (0.01, 0.03, 0.1)},
    "fedprox": {"proximal": (0.01, 0.1, 1.0)},
    "scaffold": {"rate": (0.01, 0.03, 0.1, 0.3, 1.0), "server_rate": (0.5, 1.0)},
    "moon": {"contrast": (0.1, 1.0, 5.0)},
    "asynchronous": {"mixing": (0.3, 0.6, 0.9)},
    "dp-sgd": {"clip": (0.3, 1.0)},
    "xgb-bagging": {"rate": (0.3, 1.0, 3.0), "depth": (3, 6)},
}
ROUND_SHARES: Mapping[str, float] = {"xgb-bagging": 0.25}  # of the planned rounds: each sends all trees so far around


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One setting that was tried, as words and numbers, and its loss on what was kept back, in nats."""

    chosen: Mapping[str, float]
    loss: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """The plan that did best, and everything that was tried, in order."""

    plan: Plan
    tried: tuple[Tried, ...]


def tuned(
    arm: str,
    shards: Sequence[Shard],
    plan: Plan,
    *,
    root: Shard | None = None,
    networks: Sequence[Network] = (),
    round_factors: Sequence[float] = ROUND_FACTORS,
) -> Tuned:
    """Return ``plan`` with the settings at which ``arm`` does best on rows that the clients keep back.

    First the learning rates, the arm's own settings and ``networks`` (by default the planned one) all with all, at the
    planned rounds; then the rounds. Of equal losses the first counts. Raises ``UsageError`` as ``federated_forecast``.
    """
    plan = replace(plan, rounds=max(1, round(ROUND_SHARES.get(arm, 1.0) * plan.rounds)))
    fitting, kept = held_back(occupied(shards), seed=plan.seed)
    grid = dict(GRIDS.get(arm, {}))
    rates = grid.pop("rate", RATES)
    tried: list[Tried] = []
    best: tuple[float, Plan] | None = None

    def attempt(candidate: Plan, chosen: Mapping[str, float]) -> None:
        nonlocal best
        with np.errstate(over="ignore", invalid="ignore"):  # a learning rate of the grid may be too large
            said = federated_forecast(arm, fitting, kept.rows, candidate, root=root).probabilities
        loss = log_loss(said, kept.codes) if np.isfinite(said).all() else float("inf")
        tried.append(Tried(chosen=chosen, loss=loss))
        if best is None or loss < best[0]:
            best = loss, candidate

    for network, (rate, *values) in product(networks or (plan.network,), product(rates, *grid.values())):
        own = dict(zip(grid, values, strict=True))
        changed = replace(
            plan,
            network=network,
            training=replace(plan.training, rate=rate),
            settings=replace(plan.settings, **own),
        )
        attempt(changed, {"hidden": network.hidden, "rate": rate, **own})
    if best is None:
        raise AssertionError("the grid is not empty")
    here = best[1]
    for factor in round_factors:
        rounds = max(1, round(factor * plan.rounds))
        if rounds != plan.rounds:
            attempt(replace(here, rounds=rounds), {"rounds": rounds})
    return Tuned(plan=best[1], tried=tuple(tried))


def held_back(shards: Sequence[Shard], *, seed: int) -> tuple[list[Shard], Shard]:
    """Return the clients without a fifth of their rows, and those rows together (all rows, where that is none)."""
    chance = np.random.default_rng([seed, 41])
    fitting, rows, codes = [], [], []
    for shard in shards:
        order = chance.permutation(len(shard.rows))
        cut = round(KEPT_BACK * len(order)) if len(order) >= ROWS_TO_KEEP_BACK_MIN else 0
        fitting.append(Shard(rows=shard.rows[order[cut:]], codes=shard.codes[order[cut:]]))
        rows.append(shard.rows[order[:cut]])
        codes.append(shard.codes[order[:cut]])
    if not sum(len(one) for one in codes):
        rows, codes = [shard.rows for shard in shards], [shard.codes for shard in shards]
    return fitting, Shard(rows=np.concatenate(rows), codes=np.concatenate(codes))
