"""Pools of made-up evidence for the tests of synthesis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fingerpost.synthesis.evidence import Evidence

if TYPE_CHECKING:
    from numpy.typing import NDArray


def random_fingerprints(generator: np.random.Generator, rows: int, bits: int) -> NDArray[np.uint8]:
    return generator.integers(0, 256, (rows, bits // 8), dtype=np.uint8)


def sign_fingerprints(points: NDArray[np.float64], bits: int, seed: int = 0) -> NDArray[np.uint8]:
    """Fingerprints of points (n, p) by random affine projections."""
    generator = np.random.default_rng(seed)
    planes = generator.standard_normal((points.shape[1], bits))
    offsets = 0.5 * np.sqrt(points.shape[1]) * generator.standard_normal(bits)
    return np.packbits(points @ planes + offsets >= 0, axis=1)


def emitters(nodes: NDArray[np.int64]) -> NDArray[np.uint8]:
    """One made-up public key (n, 32) for every node number."""
    keys = np.zeros((len(nodes), 32), np.uint8)
    keys[:, 0], keys[:, 1] = nodes % 256, nodes // 256
    return keys


def random_pool(seed: int, *, rows: int, levels: int, nodes: int, bits: int = 64, summaries: int = 0) -> Evidence:
    generator = np.random.default_rng(seed)
    codes = generator.integers(0, levels, rows + summaries)
    codes[rows:] = -1
    counts = generator.integers(0, 60_000, (rows + summaries, levels))
    counts[:, 0] += 1
    return Evidence.from_arrays(
        fingerprints=random_fingerprints(generator, rows + summaries, bits),
        codes=codes,
        levels=levels,
        counts=counts,
        emitters=emitters(generator.integers(0, nodes, rows + summaries)),
    )
