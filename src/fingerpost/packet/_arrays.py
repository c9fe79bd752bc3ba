"""Whole arrays of packets: read from frames, named and signed without an object per packet."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2s
from typing import Final, TypeAlias, cast

import numpy as np
import numpy.typing as npt

from fingerpost.errors import UsageError
from fingerpost.limits import BATCH_DEPTH_MAX, BATCH_PACKETS_MAX, PACKET_SIZE_BYTES
from fingerpost.packet._batch import (
    DIGEST,
    EMPTY_NODE,
    batch_message,
    tree_levels,
)
from fingerpost.packet._layout import (
    BODY_DTYPE,
    BODY_SIZE_BYTES,
    NODE_SIZE_BYTES,
    PACKET_DTYPE,
    Octets,
    Structured,
)
from fingerpost.packet._reasons import Reason, refusal
from fingerpost.packet._signing import Signer
from fingerpost.packet._structure import check_bodies

Rows: TypeAlias = npt.NDArray[np.intp]
Nodes: TypeAlias = npt.NDArray[np.void]

NODE_DTYPE: Final = np.dtype(f"V{NODE_SIZE_BYTES}")


def packets_from_frame(data: bytes | bytearray | memoryview) -> Structured:
    """Return a view of the packets that follow one another in ``data``, shape (n,), ``PACKET_DTYPE``.

    Nothing is copied or checked but the length. Raises ``PacketError`` (``packet-length``).
    """
    view = memoryview(data).cast("B")
    if len(view) % PACKET_SIZE_BYTES:
        raise refusal(Reason.LENGTH, f"{len(view)} bytes are not whole packets")
    packets: Structured = np.frombuffer(view, PACKET_DTYPE) if len(view) else np.empty(0, PACKET_DTYPE)
    return packets


def packet_ids(packets: Structured) -> Octets:
    """Return the packet ids, shape (n, 32), of an array of ``PACKET_DTYPE`` or ``BODY_DTYPE``."""
    body = np.dtype({"names": ["body"], "formats": [f"V{BODY_SIZE_BYTES}"], "itemsize": packets.dtype.itemsize})
    bodies = np.ascontiguousarray(packets).view(body)["body"].tolist()  # One copy of each body, as bytes.
    return np.frombuffer(b"".join(map(DIGEST, map(blake2s, bodies))), np.uint8).reshape(-1, 32)


def sign_bodies(bodies: Octets | Structured, signer: Signer) -> Structured:
    """Return signed packets (``PACKET_DTYPE``) for bodies of one emitter, in the same order.

    ``bodies`` has shape (n, 317), uint8, or (n,), ``BODY_DTYPE``. Every 256 in a row form a batch. Raises
    ``PacketError`` for the first body that is not valid, ``UsageError`` if one names another emitter.
    """
    if bodies.dtype != BODY_DTYPE:
        bodies = np.ascontiguousarray(bodies).view(BODY_DTYPE)[:, 0]
    return _sign_structured(cast("Structured", bodies), signer)


def _sign_structured(bodies: Structured, signer: Signer) -> Structured:
    reasons = check_bodies(bodies)
    if reasons.any():
        row = int(np.flatnonzero(reasons)[0])
        raise refusal(Reason(int(reasons[row])), f"body {row} of {len(bodies)}")
    if (bodies["emitter"] != np.frombuffer(signer.public_key, np.uint8)).any():
        raise UsageError("batch-emitter", "a body names an emitter that is not the signer")
    packets: Structured = np.zeros(len(bodies), PACKET_DTYPE)
    for name in BODY_DTYPE.names or ():
        packets[name] = bodies[name]
    leaves = packet_ids(packets)[:, :NODE_SIZE_BYTES]
    for start in range(0, len(packets), BATCH_PACKETS_MAX):
        _sign_rows(packets[start : start + BATCH_PACKETS_MAX], leaves[start : start + BATCH_PACKETS_MAX], signer)
    return packets


def _sign_rows(packets: Structured, leaves: Octets, signer: Signer) -> None:
    """Fill in the proofs and the signature of one batch."""
    last = len(packets) - 1
    levels = tree_levels(leaves.tobytes())
    packets["leaf_index"] = np.arange(len(packets))
    packets["depth"] = last.bit_length()
    packets["leaf_last"] = last
    packets["path"] = paths_of_tree(levels).view(np.uint8).reshape(len(packets), BATCH_DEPTH_MAX, NODE_SIZE_BYTES)
    signature = signer.sign(batch_message(levels[-1], leaf_last=last))
    packets["signature"] = np.frombuffer(signature, np.uint8)


def paths_of_tree(levels: list[bytes]) -> Nodes:
    """Return the path field of every leaf of a tree, shape (n, 8), ``NODE_DTYPE``."""
    nodes = np.frombuffer(b"".join((*levels, EMPTY_NODE)), NODE_DTYPE)
    return nodes.take(path_nodes(len(levels[0]) // NODE_SIZE_BYTES - 1))


@lru_cache(maxsize=BATCH_PACKETS_MAX)
def path_nodes(leaf_last: int) -> Rows:
    """Return where the path entries of each leaf stand among all nodes of the tree, an empty one last, shape (n, 8)."""
    index = np.arange(leaf_last + 1)
    widths = [(leaf_last >> level) + 1 for level in range(leaf_last.bit_length() + 1)]
    empty = sum(widths)
    rows = np.full((leaf_last + 1, BATCH_DEPTH_MAX), empty)
    for level, width in enumerate(widths[:-1]):
        sibling = (index >> level) ^ 1
        rows[:, level] = np.where(sibling < width, sum(widths[:level]) + sibling, empty)
    return rows
