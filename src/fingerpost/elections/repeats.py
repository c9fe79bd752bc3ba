"""Packets in which a node tells a situation again: they prove nothing that the first did not.

One claim that was right by luck, told a hundred times with a few bits changed, would make an e-value of any size. So
only the first packet of a node in any situation counts when the node is judged: a later one from whose fingerprint at
most ``SAME_BITS_SHARE`` of the bits differ is passed over. In answers it takes part like any other.

Two fingerprints of which at most r bits differ agree in one of r + 1 parts at least, wherever these are cut. So only
packets that agree in a part are compared, which takes time in proportion to their number as long as few do. Where many
agree in a part though they are not alike, as fingerprints made for it do, they are compared with all before them.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from fingerpost.synthesis.evidence import Evidence

SAME_BITS_SHARE = 0.04
BATCH_ROWS = 65_536  # of whole nodes that are looked at together
BLOCK_ROWS = 1_024  # that are compared at a time with all before them
BEFORE_MAX = 64  # packets that one is compared with for each part that they agree in


def repeated(evidence: Evidence, rows: NDArray[np.int64], nodes: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which of ``rows`` (k,), those of a node side by side in the order they are read, were told before."""
    found = np.zeros(len(rows), bool)
    for batch in _batches(nodes):
        part = rows[batch]
        groups = nodes[batch].astype(np.uint64) << np.uint64(16) | evidence.actions[part]
        groups = np.unique(groups, return_inverse=True)[1].reshape(-1)
        found[batch] = _told_before(evidence.fingerprints[part], groups)
    return found


def _batches(nodes: NDArray[np.int64]) -> Iterator[slice]:
    """Yield places of whole nodes, as many as fit into ``BATCH_ROWS``, one at least."""
    ends = np.append(np.flatnonzero(np.diff(nodes)) + 1, len(nodes)).tolist()
    start = last = 0
    for end in ends:
        if end - start > BATCH_ROWS and last > start:
            yield slice(start, last)
            start = last
        last = end
    yield slice(start, last)


def _told_before(prints: NDArray[np.uint8], groups: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Return which of ``prints`` (k, B) are like one that stands before them in their group (k,)."""
    width = 8 * prints.shape[1]
    radius = int((width - width * (1 - 2 * SAME_BITS_SHARE)) / 2)
    words = np.zeros((len(prints), -(-prints.shape[1] // 8) * 8), np.uint8)
    words[:, : prints.shape[1]] = prints
    packed = words.view(np.uint64)
    told, unsure = np.zeros(len(prints), bool), np.zeros(len(prints), bool)
    cuts = np.linspace(0, width, radius + 2).astype(int).tolist()
    for start, end in pairwise(cuts):
        keys = groups.astype(np.uint64) << np.uint64(end - start) | _bits_between(prints, start, end)
        order = np.argsort(keys, kind="stable")
        fresh = np.append(True, np.diff(keys[order]) != 0)  # the first that has this part in its group
        place = np.arange(len(order)) - np.flatnonzero(fresh)[np.cumsum(fresh) - 1]
        asked = np.flatnonzero((place > 0) & ~told[order])
        for back in range(1, BEFORE_MAX + 1):
            asked = asked[place[asked] >= back]
            if not len(asked):
                break
            apart = np.bitwise_count(packed[order[asked]] ^ packed[order[asked - back]]).sum(axis=1)
            told[order[asked[apart <= radius]]] = True
            asked = asked[apart > radius]
        unsure[order[asked[place[asked] > BEFORE_MAX]]] = True
    for group in np.unique(groups[unsure & ~told]):
        rows = np.flatnonzero(groups == group)
        told[rows] |= _beside_all(np.unpackbits(prints[rows], axis=1), unsure[rows] & ~told[rows], radius=radius)
    return told


def _bits_between(prints: NDArray[np.uint8], start: int, end: int) -> NDArray[np.uint64]:
    """Return the bits from ``start`` up to ``end``, fewer than 57 of them, of each fingerprint (k, B) as a number."""
    found = np.zeros(len(prints), np.uint64)
    for byte in range(start // 8, -(-end // 8)):
        found = found << np.uint64(8) | prints[:, byte]
    return found >> np.uint64(-end % 8) & np.uint64((1 << (end - start)) - 1)


def _beside_all(bits: NDArray[np.uint8], asked: NDArray[np.bool_], *, radius: int) -> NDArray[np.bool_]:
    """Return which of the ``asked`` (k,) among fingerprints (k, m) of one group are like one before them."""
    signs = 2 * bits.astype(np.float32) - 1
    before, places = np.zeros(len(signs), bool), np.flatnonzero(asked)
    for start in range(0, len(places), BLOCK_ROWS):
        part = places[start : start + BLOCK_ROWS]
        near = signs[part] @ signs[: part[-1]].T >= bits.shape[1] - 2 * radius
        before[part] = (near & (np.arange(part[-1]) < part[:, None])).any(axis=1)
    return before
