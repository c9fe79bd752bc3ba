"""Data sets as federated arms take them: one split, one partition, features scaled by what the clients hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fingerpost.lab.assess.partitions import deal, held_out, skew
from fingerpost.lab.data import UNIT, load
from fingerpost.lab.federated.clients import Shard

if TYPE_CHECKING:
    from numpy.typing import NDArray

CLIENTS = 10
TEST_SHARE = 0.25
ALPHAS = {"iid": None, "dirichlet_01": 0.1}


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Split:
    """What the clients have, and what is asked; ``root`` are 50 rows of the training side that a server trusts."""

    shards: list[Shard]
    root: Shard
    asked: NDArray[np.float64]
    codes: NDArray[np.int64]
    levels: int


def split_of(name: str, partition: str, *, seed: int) -> Split:
    """Return a split of one of the lab's data sets with a category outcome."""
    found = load(name)
    codes = np.asarray(found.outcomes, np.int64)
    chance = np.random.default_rng([seed, 5])
    test = held_out(codes, share=TEST_SHARE, most=len(codes), chance=chance)
    train = np.flatnonzero(~test)
    table = found.encoded() / UNIT
    centre, spread = table[train].mean(axis=0), table[train].std(axis=0)
    features = ((table - centre)[:, spread > 0] / spread[spread > 0]).clip(-10, 10)
    alpha = ALPHAS[partition]
    owners = (
        deal(codes[train], nodes=CLIENTS, chance=chance)
        if alpha is None
        else skew(codes[train], nodes=CLIENTS, alpha=alpha, chance=chance)
    )
    trusted = chance.choice(train, 50, replace=False)
    return Split(
        shards=[
            Shard(rows=features[train[owners == one]], codes=codes[train[owners == one]]) for one in range(CLIENTS)
        ],
        root=Shard(rows=features[trusted], codes=codes[trusted]),
        asked=features[test],
        codes=codes[test],
        levels=found.levels,
    )
