"""Packets in which a node tells a situation again: they prove nothing that the first did not.

One claim that was right by luck, told a hundred times with a few bits changed, would make an e-value of any size. So
only the first packet of a node in any situation counts when the node is judged: a later one from whose fingerprint at
most ``SAME_BITS_SHARE`` of the bits differ is passed over. In answers it takes part like any other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fingerpost.synthesis.evidence import Evidence

SAME_BITS_SHARE = 0.04
BLOCK_ROWS = 1_024  # of a node that are compared at a time


def repeated(evidence: Evidence, rows: NDArray[np.int64], nodes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which of ``rows`` (k,), those of a node side by side in the order they are read, were told before."""
    found = np.zeros(len(rows), bool)
    starts = np.flatnonzero(np.diff(nodes, prepend=-1))
    for start, end in zip(starts, np.append(starts, len(rows))[1:], strict=True):
        part = rows[start:end]
        found[start:end] = _told_before(np.unpackbits(evidence.fingerprints[part], axis=1), evidence.actions[part])
    return found


def _told_before(bits: NDArray[np.uint8], actions: NDArray[np.uint16]) -> NDArray[np.bool_]:
    signs = 2 * bits.astype(np.float32) - 1
    width = bits.shape[1]
    alike = width * (1 - 2 * SAME_BITS_SHARE)
    before = np.zeros(len(signs), bool)
    for first in range(0, len(signs), BLOCK_ROWS):
        part = signs[first : first + BLOCK_ROWS]
        near = part @ signs[: first + len(part)].T >= alike
        near &= actions[first : first + len(part), None] == actions[None, : first + len(part)]
        before[first : first + len(part)] = np.tril(near, first - 1).any(axis=1)
    return before
