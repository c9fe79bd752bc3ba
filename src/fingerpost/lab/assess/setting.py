"""One split under one partition: what every arm is given, and nothing that only some of them see."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from fingerpost.lab.federated.clients import Plan, Shard

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from fingerpost.template import Template

    Probabilities = NDArray[np.float64]
    Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Setting:
    """One split under one partition.

    ``codes`` (n,) are outcomes as their owners state them, ``names`` what the template calls them; ``owners`` (n,) say
    which node has a row, ``train`` which rows it may tell of; ``asked`` (q,) are the rows asked about, each at one node
    ``asked_at`` (q,). ``plan`` is FedAvg's, ``plans`` are those of all federated arms that were tuned. ``actions`` (n,)
    are template codes, 0 for none. ``previous`` (n,) are the outcomes last seen, -1 for none, where rows have a time.
    ``heard`` are the nodes whose packets reached anybody, None for all.
    """

    features: NDArray[np.float64]
    encoded: NDArray[np.int16]
    template: Template
    codes: Rows
    names: tuple[str, ...]
    owners: Rows
    nodes: int
    train: Rows
    asked: Rows
    asked_at: Rows
    plan: Plan
    seed: int
    plans: Mapping[str, Plan] = field(default_factory=dict)
    actions: Rows | None = None
    previous: Rows | None = None
    heard: frozenset[int] | None = None

    @property
    def levels(self) -> int:
        """Return how many outcomes there are."""
        return len(self.names)

    def plan_of(self, arm: str) -> Plan:
        """Return the plan that a federated arm was tuned to; FedAvg's where it was not tuned by itself."""
        return self.plans.get(arm, self.plan)

    def rows_of(self, node: int) -> Rows:
        """Return the training rows of a node."""
        return np.asarray(self.train[self.owners[self.train] == node], np.int64)

    def shards(self) -> list[Shard]:
        """Return every node's training rows as federated arms take them."""
        owned = [self.rows_of(node) for node in range(self.nodes)]
        return [Shard(rows=self.features[rows], codes=self.codes[rows]) for rows in owned]

    def shares(self, rows: Rows) -> Probabilities:
        """Return the shares (L,) of outcomes in some rows, with one imagined row of each."""
        counts = np.bincount(self.codes[rows], minlength=self.levels) + 1.0
        return np.asarray(counts / counts.sum(), np.float64)
