"""Whole arrays of packets: read from frames, signed and verified without an object per packet."""

from __future__ import annotations

from hashlib import blake2s
from typing import Final, cast

import numpy as np
import numpy.typing as npt

from fingerpost.errors import UsageError
from fingerpost.limits import BATCH_PACKETS_MAX, PACKET_SIZE_BYTES
from fingerpost.packet._batch import EMPTY_NODE, batch_message, root_from_path, tree_levels
from fingerpost.packet._layout import (
    BODY_DTYPE,
    BODY_SIZE_BYTES,
    NODE_SIZE_BYTES,
    PACKET_DTYPE,
    Flags,
    Octets,
    Structured,
)
from fingerpost.packet._reasons import Reason, refusal
from fingerpost.packet._signing import Signer, signature_holds
from fingerpost.packet._structure import check_bodies, check_structure

ROOT_CACHE_SIZE_DEFAULT: Final = 16_384  # roots of each verdict; about 4 MB in all

_EMITTER = slice(45, 77)
_PROOF_HEAD = slice(318, 320)
_SIGNATURE = slice(448, 512)


class RootCache:
    """Remembers verdicts on signed roots, good and bad apart, so that garbage cannot push out what is good.

    A key holds everything the signature binds (message, public key) and the signature, so a verdict never ages.
    Each side keeps at most ``size_max`` of them and forgets the oldest first.
    """

    def __init__(self, *, size_max: int = ROOT_CACHE_SIZE_DEFAULT) -> None:
        self.size_max = size_max
        self._verdicts: dict[bool, dict[bytes, None]] = {True: {}, False: {}}

    def __len__(self) -> int:
        return len(self._verdicts[True]) + len(self._verdicts[False])

    def holds(self, message: bytes, signature: bytes, public_key: bytes) -> bool:
        """Say what ``signature_holds`` says, from memory where possible."""
        key = message + signature + public_key
        for verdict, known in self._verdicts.items():
            if key in known:
                return verdict
        verdict = signature_holds(message, signature, public_key)
        known = self._verdicts[verdict]
        known[key] = None
        if len(known) > self.size_max:
            del known[next(iter(known))]
        return verdict


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
    view = np.ascontiguousarray(packets).view(np.uint8).reshape(-1).data
    step = packets.dtype.itemsize
    digests = [blake2s(view[at : at + BODY_SIZE_BYTES]).digest() for at in range(0, len(view), step)]
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32)


def sign_bodies(bodies: Octets | Structured, signer: Signer) -> Structured:
    """Return signed packets (``PACKET_DTYPE``) for bodies of one emitter, in the same order.

    ``bodies`` has shape (n, 317), uint8, or (n,), ``BODY_DTYPE``. Every 256 in a row form a batch. Raises
    ``PacketError`` for the first body that is not valid, ``UsageError`` if one names another emitter.
    """
    if bodies.dtype != BODY_DTYPE:
        bodies = np.ascontiguousarray(bodies).view(BODY_DTYPE)[:, 0]
    return _sign_structured(cast("Structured", bodies), signer)


def verify_packets(packets: Structured, *, cache: RootCache | None = None, ids: Octets | None = None) -> Flags:
    """Return for each packet of a ``PACKET_DTYPE`` array whether it is valid and signed by its emitter, shape (n,).

    This includes ``check_structure``. Where all packets of a batch are present, in any order, the tree is computed
    once, at two hashes a packet; otherwise each path is followed, at up to nine. Each distinct root costs one Ed25519
    check, unless ``cache`` knows it. ``ids`` may pass in ``packet_ids(packets)`` where it is at hand; it is trusted.
    """
    valid = np.zeros(len(packets), np.bool_)
    rows = np.flatnonzero(check_structure(packets) == Reason.FINE)
    if not len(rows):
        return valid
    sound = np.ascontiguousarray(packets if len(rows) == len(packets) else packets[rows])
    leaves = (packet_ids(sound) if ids is None else ids[rows])[:, :NODE_SIZE_BYTES]
    roots = RootCache(size_max=len(rows)) if cache is None else cache
    for members in _batches(sound):
        valid[rows[members]] = _verify_batch(sound[members], leaves[members], roots)
    return valid


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


def _octets_of(packets: Structured) -> Octets:
    octets: Octets = packets.view(np.uint8).reshape(len(packets), PACKET_SIZE_BYTES)
    return octets


def _sign_rows(packets: Structured, leaves: Octets, signer: Signer) -> None:
    """Fill in the proofs and the signature of one batch."""
    last = len(packets) - 1
    levels = tree_levels([leaf.tobytes() for leaf in leaves])
    index = np.arange(len(packets))
    packets["leaf_index"] = index
    packets["depth"] = last.bit_length()
    packets["leaf_last"] = last
    packets["path"] = _paths(levels, index)
    signature = signer.sign(batch_message(levels[-1][0], leaf_last=last))
    packets["signature"] = np.frombuffer(signature, np.uint8)


def _paths(levels: list[list[bytes]], index: npt.NDArray[np.int64]) -> Octets:
    """Return the path field of the leaves at ``index``, shape (n, 8, 16)."""
    paths = np.zeros((len(index), *PACKET_DTYPE["path"].shape), np.uint8)
    for level, nodes in enumerate(levels[:-1]):
        padded = np.frombuffer(b"".join([*nodes, EMPTY_NODE]), np.uint8).reshape(-1, NODE_SIZE_BYTES)
        paths[:, level] = padded[np.minimum((index >> level) ^ 1, len(nodes))]
    return paths


def _batches(packets: Structured) -> list[npt.NDArray[np.intp] | slice]:
    """Return the rows of each batch: equal emitter, depth, leaf count and signature."""
    octets = _octets_of(packets)
    claims = np.concatenate((octets[:, _EMITTER], octets[:, _PROOF_HEAD], octets[:, _SIGNATURE]), axis=1)
    changes = np.flatnonzero((claims[1:] != claims[:-1]).any(axis=1)) + 1
    starts = [0, *changes.tolist()]
    ends = [*starts[1:], len(packets)]
    runs: dict[bytes, list[tuple[int, int]]] = {}
    for start, end in zip(starts, ends, strict=True):
        runs.setdefault(claims[start].tobytes(), []).append((start, end))
    return [
        slice(*parts[0]) if len(parts) == 1 else np.concatenate([np.arange(start, end) for start, end in parts])
        for parts in runs.values()
    ]


def _verify_batch(packets: Structured, leaves: Octets, roots: RootCache) -> Flags:
    """Verify packets that claim the same batch."""
    first = packets[0]
    last, public_key, signature = int(first["leaf_last"]), first["emitter"].tobytes(), first["signature"].tobytes()
    index = packets["leaf_index"].astype(np.int64)
    valid = np.zeros(len(packets), np.bool_)
    alone = np.ones(len(packets), np.bool_)  # packets whose own path has to be followed
    present, rows = np.unique(index, return_index=True)
    if len(present) == last + 1:
        tree_leaves = leaves[rows]
        levels = tree_levels([leaf.tobytes() for leaf in tree_leaves])
        inside = (leaves == tree_leaves[index]).all(axis=1)
        inside &= (packets["path"] == _paths(levels, index)).all(axis=(1, 2))
        if inside.any():
            valid[inside] = roots.holds(batch_message(levels[-1][0], leaf_last=last), signature, public_key)
        alone = ~inside
    depth = last.bit_length()
    for row in np.flatnonzero(alone).tolist():
        path = [node.tobytes() for node in packets["path"][row, :depth]]
        root = root_from_path(leaves[row].tobytes(), int(index[row]), path)
        valid[row] = roots.holds(batch_message(root, leaf_last=last), signature, public_key)
    return valid
