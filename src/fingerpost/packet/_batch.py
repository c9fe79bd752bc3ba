"""The batch tree: one signature for up to 256 packets, each of which can still be checked alone.

Leaves are the first 16 bytes of the packet ids. A node at level ``l`` (from 1) and position ``p`` is BLAKE2s-128 of
``01 | l | p | left | right``; a subtree wholly beyond the last leaf is 16 zero bytes. Level and position in each hash
keep a node from standing in for another, the leaf count is signed with the root, and the nonce in every body salts the
leaves, so that nobody can prepare two packets for a leaf of somebody else.
"""

from __future__ import annotations

from hashlib import blake2s
from typing import TYPE_CHECKING, Final

from fingerpost.packet._layout import BATCH_CONTEXT, NODE_SIZE_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

EMPTY_NODE: Final = bytes(NODE_SIZE_BYTES)

_NODE_PREFIXES = tuple(
    tuple(bytes((1, level, position)) for position in range(256 >> level)) for level in range(9)
)  # [level][position]


def tree_levels(leaves: Sequence[bytes]) -> list[list[bytes]]:
    """Return all nodes of the tree over 1 to 256 leaves of 16 bytes: leaves first, then level by level to the root."""
    levels = [list(leaves)]
    while len(levels[-1]) > 1:
        below = levels[-1]
        if len(below) % 2:
            below = [*below, EMPTY_NODE]
        prefixes = _NODE_PREFIXES[len(levels)]
        levels.append(
            [
                blake2s(prefixes[at >> 1] + below[at] + below[at + 1], digest_size=NODE_SIZE_BYTES).digest()
                for at in range(0, len(below), 2)
            ]
        )
    return levels


def path_of(levels: Sequence[Sequence[bytes]], leaf_index: int) -> tuple[bytes, ...]:
    """Return the siblings on the way from a leaf to the root, the lowest first."""
    siblings = [(leaf_index >> level) ^ 1 for level in range(len(levels) - 1)]
    return tuple(
        nodes[sibling] if sibling < len(nodes) else EMPTY_NODE for nodes, sibling in zip(levels, siblings, strict=False)
    )


def root_from_path(leaf: bytes, leaf_index: int, path: Sequence[bytes]) -> bytes:
    """Return the root that a leaf and its siblings lead to."""
    node = leaf
    for below, sibling in enumerate(path):
        position = leaf_index >> below
        pair = sibling + node if position & 1 else node + sibling
        node = blake2s(_NODE_PREFIXES[below + 1][position >> 1] + pair, digest_size=NODE_SIZE_BYTES).digest()
    return node


def batch_message(root: bytes, *, leaf_last: int) -> bytes:
    """Return the 37 bytes that the emitter signs."""
    return BATCH_CONTEXT + root + bytes((leaf_last.bit_length(), leaf_last))
