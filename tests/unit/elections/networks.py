"""Small networks whose truth is known: blobs of situations, each kind with its usual outcome."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fingerpost.ids import node_id
from fingerpost.synthesis import Evidence

BITS, LEVELS, DIMENSIONS = 128, 4, 12


def key(node: int) -> NDArray[np.uint8]:
    """The public key of the node with this number."""
    return np.frombuffer(node.to_bytes(32, "big"), np.uint8)


def name(node: int) -> bytes:
    """The id of the node with this number; 0 is the asker."""
    return node_id(key(node).tobytes())


class Town:
    """``nodes`` nodes with ``each`` packets, and the ``truth`` of every row; the asker is node 0 and has ``own``."""

    def __init__(self, seed: int, *, nodes: int = 12, each: int = 25, own: int = 25, spread: float = 0.5) -> None:
        self.rng = np.random.default_rng(seed)
        self.node = np.concatenate([np.zeros(own, int), np.repeat(np.arange(1, nodes), each)])
        n = len(self.node)
        self.truth = self.rng.integers(0, LEVELS, n)
        centres = self.rng.standard_normal((LEVELS, DIMENSIONS))
        situations = centres[self.truth] + spread * self.rng.standard_normal((n, DIMENSIONS))
        planes = self.rng.standard_normal((DIMENSIONS, BITS))
        self.fingerprints = np.packbits(situations @ planes + 0.5 * self.rng.standard_normal(BITS) > 0, axis=1)
        self.ids = self.rng.integers(0, 256, (n, 32), dtype=np.uint8)

    def evidence(self, claims: NDArray[np.int64], rows: NDArray[np.bool_] | None = None) -> Evidence:
        """The packets that make these claims, all or some of them."""
        chosen = np.ones(len(claims), bool) if rows is None else rows
        return Evidence.from_arrays(
            fingerprints=self.fingerprints[chosen],
            codes=claims[chosen],
            counts=np.zeros((0, LEVELS), np.int64),
            emitters=np.stack([key(int(node)) for node in self.node[chosen]]),
            packet_ids=self.ids[chosen],
        )

    def told_on(self, claims: NDArray[np.int64], days: NDArray[np.int64], until: int) -> Evidence:
        """The packets that were told on ``days`` up to the day ``until``."""
        chosen = days <= until
        return Evidence.from_arrays(
            fingerprints=self.fingerprints[chosen],
            codes=claims[chosen],
            counts=np.zeros((0, LEVELS), np.int64),
            emitters=np.stack([key(int(node)) for node in self.node[chosen]]),
            packet_ids=self.ids[chosen],
            epochs=days[chosen],
        )

    def numbers(self, values: NDArray[np.float64]) -> Evidence:
        """The packets that claim these numbers."""
        return Evidence.from_arrays(
            fingerprints=self.fingerprints,
            values=values,
            emitters=np.stack([key(int(node)) for node in self.node]),
            packet_ids=self.ids,
        )

    def flipped(self, liars: list[int]) -> NDArray[np.int64]:
        """Claims of which the liars' are all wrong in the same way."""
        return np.where(np.isin(self.node, liars), (self.truth + 1) % LEVELS, self.truth)
