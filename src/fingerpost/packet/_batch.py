"""The batch tree: one signature for up to 256 packets, each of which can still be checked alone.

Leaves are the first 16 bytes of the packet ids. A node at level ``l`` (from 1) and position ``p`` is BLAKE2s-128 of
``01 | l | p | left | right``; a subtree wholly beyond the last leaf is 16 zero bytes. Level and position in each hash
keep a node from standing in for another, the leaf count is signed with the root, and the nonce in every body salts the
leaves, so that nobody can prepare two packets for a leaf of somebody else.
"""

from __future__ import annotations

from collections import deque
from hashlib import blake2s
from typing import TYPE_CHECKING, Final

from fingerpost.limits import BATCH_DEPTH_MAX, BATCH_PACKETS_MAX
from fingerpost.packet._layout import BATCH_CONTEXT, NODE_SIZE_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

EMPTY_NODE: Final = bytes(NODE_SIZE_BYTES)
PAIR_SIZE_BYTES: Final = 2 * NODE_SIZE_BYTES

# Mapped over many hashing states these leave no loop to the interpreter, which costs as much as a short hash.
DIGEST: Final = type(blake2s()).digest
COPY: Final = type(blake2s()).copy
UPDATE: Final = type(blake2s()).update

# [level][position]: hashing states that have read the prefix of a node. Copying one takes a third less time than
# starting anew, and the tree is most of what a packet of a whole batch costs beside its own hash.
STARTED: Final = tuple(
    tuple(
        blake2s(bytes((1, level, position)), digest_size=NODE_SIZE_BYTES)
        for position in range(BATCH_PACKETS_MAX >> level)
    )
    for level in range(BATCH_DEPTH_MAX + 1)
)


def tree_levels(leaves: bytes) -> list[bytes]:
    """Return all nodes of the tree over 1 to 256 leaves, joined level by level: leaves first, the root alone last.

    ``leaves`` and the levels hold 16 bytes for each node.
    """
    levels = [leaves]
    while len(levels[-1]) > NODE_SIZE_BYTES:
        below = levels[-1]
        if len(below) % PAIR_SIZE_BYTES:
            below += EMPTY_NODE
        pairs = [below[at : at + PAIR_SIZE_BYTES] for at in range(0, len(below), PAIR_SIZE_BYTES)]
        states = list(map(COPY, STARTED[len(levels)][: len(pairs)]))
        deque(map(UPDATE, states, pairs), maxlen=0)
        levels.append(b"".join(map(DIGEST, states)))
    return levels


def path_of(levels: Sequence[bytes], leaf_index: int) -> tuple[bytes, ...]:
    """Return the siblings on the way from a leaf to the root, the lowest first; one beyond the last leaf is zero."""
    starts = [((leaf_index >> level) ^ 1) * NODE_SIZE_BYTES for level in range(len(levels) - 1)]
    return tuple(
        nodes[start : start + NODE_SIZE_BYTES] or EMPTY_NODE for nodes, start in zip(levels, starts, strict=False)
    )


def root_from_path(leaf: bytes, leaf_index: int, path: Sequence[bytes]) -> bytes:
    """Return the root that a leaf and its siblings lead to."""
    node = leaf
    for below, sibling in enumerate(path):
        position = leaf_index >> below
        node = inner_node(below + 1, position >> 1, sibling + node if position & 1 else node + sibling)
    return node


def inner_node(level: int, position: int, pair: bytes) -> bytes:
    """Return the node at this place above two nodes, which are given as one string of 32 bytes."""
    state = STARTED[level][position].copy()
    state.update(pair)
    return state.digest()


def batch_message(root: bytes, *, leaf_last: int) -> bytes:
    """Return the 37 bytes that the emitter signs."""
    return BATCH_CONTEXT + root + bytes((leaf_last.bit_length(), leaf_last))
