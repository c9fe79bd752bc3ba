"""Whole arrays of packets: read from frames, signed and verified without an object per packet."""

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
    PAIR_SIZE_BYTES,
    batch_message,
    inner_node,
    root_from_path,
    tree_levels,
)
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

Rows: TypeAlias = npt.NDArray[np.intp]
Nodes: TypeAlias = npt.NDArray[np.uint64]  # two numbers for the 16 bytes of a node

# For fewer packets of one batch, following each path is faster.
WHOLE_TREE_PACKETS_MIN: Final = 12
PART_OF_TREE_PACKETS_MIN: Final = 48
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


def verify_packets(packets: Structured, *, cache: RootCache | None = None, ids: Octets | None = None) -> Flags:
    """Return for each packet of a ``PACKET_DTYPE`` array whether it is valid and signed by its emitter, shape (n,).

    This includes ``check_structure``. Where all packets of a batch are present, in any order, the tree is computed
    once, at two hashes a packet; where many are, as much of it as they give; otherwise each path is followed, at up to
    nine hashes. Each distinct root costs one Ed25519 check, unless ``cache`` knows it. ``ids`` may pass in
    ``packet_ids(packets)`` where it is at hand; it is trusted.
    """
    valid = np.zeros(len(packets), np.bool_)
    rows = np.flatnonzero(check_structure(packets) == Reason.FINE)
    if not len(rows):
        return valid
    sound = np.ascontiguousarray(packets if len(rows) == len(packets) else packets[rows])
    leaves = (packet_ids(sound) if ids is None else ids[rows])[:, :NODE_SIZE_BYTES]
    roots = RootCache(size_max=len(rows)) if cache is None else cache
    starts, ends = _runs(sound)
    alone = _verify_whole(sound, leaves, starts, ends, roots=roots, rows=rows, valid=valid)
    for members in _batches(sound, starts[alone], ends[alone]):
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
    levels = tree_levels(leaves.tobytes())
    packets["leaf_index"] = np.arange(len(packets))
    packets["depth"] = last.bit_length()
    packets["leaf_last"] = last
    packets["path"] = _paths(levels).view(np.uint8)
    signature = signer.sign(batch_message(levels[-1], leaf_last=last))
    packets["signature"] = np.frombuffer(signature, np.uint8)


def _paths(levels: list[bytes]) -> Nodes:
    """Return the path field of every leaf of a tree, shape (n, 8, 2): a node is compared faster as two numbers."""
    nodes = np.frombuffer(b"".join(levels) + EMPTY_NODE, "<u8").reshape(-1, 2)
    return nodes[_path_nodes(len(levels[0]) // NODE_SIZE_BYTES - 1)]


@lru_cache(maxsize=BATCH_PACKETS_MAX)
def _path_nodes(leaf_last: int) -> Rows:
    """Return where the path entries of each leaf stand among all nodes of the tree, an empty one last, shape (n, 8)."""
    index = np.arange(leaf_last + 1)
    widths = [(leaf_last >> level) + 1 for level in range(leaf_last.bit_length() + 1)]
    empty = sum(widths)
    rows = np.full((leaf_last + 1, BATCH_DEPTH_MAX), empty)
    for level, width in enumerate(widths[:-1]):
        sibling = (index >> level) ^ 1
        rows[:, level] = np.where(sibling < width, sum(widths[:level]) + sibling, empty)
    return rows


def _claims(packets: Structured) -> npt.NDArray[np.void]:
    """Return what the packets of a batch have in common, as one value each: emitter, depth, leaf count, signature."""
    octets = _octets_of(packets)
    joined = np.concatenate((octets[:, _EMITTER], octets[:, _PROOF_HEAD], octets[:, _SIGNATURE]), axis=1)
    claims: npt.NDArray[np.void] = joined.view(f"V{joined.shape[1]}")[:, 0]
    return claims


def _runs(packets: Structured) -> tuple[Rows, Rows]:
    """Return where packets of one batch that follow one another start and end."""
    claims = _claims(packets)
    changes = np.flatnonzero(claims[1:] != claims[:-1]) + 1
    return np.concatenate(([0], changes)), np.concatenate((changes, [len(packets)]))


def _batches(packets: Structured, starts: Rows, ends: Rows) -> list[Rows | slice]:
    """Return the rows of each batch, joined from the runs that are given."""
    runs: dict[bytes, list[tuple[int, int]]] = {}
    for claim, start, end in zip(_claims(packets[starts]).tolist(), starts.tolist(), ends.tolist(), strict=True):
        runs.setdefault(claim, []).append((start, end))
    return [
        slice(*parts[0]) if len(parts) == 1 else np.concatenate([np.arange(start, end) for start, end in parts])
        for parts in runs.values()
    ]


def _verify_whole(
    packets: Structured, leaves: Octets, starts: Rows, ends: Rows, *, roots: RootCache, rows: Rows, valid: Flags
) -> Flags:
    """Verify the runs that are a whole batch in its order, all of one size together; say which runs are left."""
    last = packets["leaf_last"][starts].astype(np.intp)
    in_order = packets["leaf_index"] == np.arange(len(packets)) - np.repeat(starts, ends - starts)
    left: Flags = (ends - starts != last + 1) | ~np.logical_and.reduceat(in_order, starts)
    for leaf_last in np.unique(last[~left]).tolist():
        runs = np.flatnonzero(~left & (last == leaf_last))
        members = starts[runs][:, None] + np.arange(leaf_last + 1)
        trees = [tree_levels(each.tobytes()) for each in leaves[members]]
        nodes = np.frombuffer(b"".join(part for levels in trees for part in (*levels, EMPTY_NODE)), "<u8")
        paths = nodes.reshape(len(runs), -1, 2)[:, _path_nodes(leaf_last)]
        fits = (packets["path"][members].view("<u8") == paths).all(axis=(1, 2, 3))
        left[runs[~fits]] = True
        first = packets[starts[runs]]
        signatures, keys = (
            np.ascontiguousarray(first[name]).view(f"V{size}")[:, 0].tolist()
            for name, size in (("signature", 64), ("emitter", 32))
        )
        for place in np.flatnonzero(fits).tolist():
            message = batch_message(trees[place][-1], leaf_last=leaf_last)
            valid[rows[members[place]]] = roots.holds(message, signatures[place], keys[place])
    return left


def _verify_batch(packets: Structured, leaves: Octets, roots: RootCache) -> Flags:
    """Verify packets that claim the same batch."""
    first = packets[0]
    last, public_key, signature = int(first["leaf_last"]), first["emitter"].tobytes(), first["signature"].tobytes()
    index = packets["leaf_index"].astype(np.intp)
    valid = np.zeros(len(packets), np.bool_)
    inside = valid
    is_whole = bool(np.bincount(index, minlength=last + 1).all())
    if len(packets) >= (WHOLE_TREE_PACKETS_MIN if is_whole else PART_OF_TREE_PACKETS_MIN):
        tree = _whole_tree if is_whole else _part_of_tree
        root, inside = tree(leaves.view("<u8"), index, packets["path"].view("<u8"), last)
        if inside.any():
            valid[inside] = roots.holds(batch_message(root, leaf_last=last), signature, public_key)
    for row in np.flatnonzero(~inside).tolist():
        path = [node.tobytes() for node in packets["path"][row, : last.bit_length()]]
        root = root_from_path(leaves[row].tobytes(), int(index[row]), path)
        valid[row] = roots.holds(batch_message(root, leaf_last=last), signature, public_key)
    return valid


def _whole_tree(leaves: Nodes, index: Rows, paths: Nodes, leaf_last: int) -> tuple[bytes, Flags]:
    """Return the root of a batch that is all there, and which packets have the leaf and the path of this tree.

    ``leaves`` has shape (n, 2) and ``paths`` (n, 8, 2). Where a place is claimed twice, one of the two is believed;
    a packet that does not agree must be checked alone.
    """
    rows = np.empty(leaf_last + 1, np.intp)
    rows[index] = np.arange(len(index))
    chosen = leaves[rows]
    levels = tree_levels(chosen.tobytes())
    inside: Flags = (leaves == chosen[index]).all(axis=1)
    inside &= (paths == _paths(levels)[index]).all(axis=(1, 2))
    return levels[-1], inside


def _part_of_tree(leaves: Nodes, index: Rows, paths: Nodes, leaf_last: int) -> tuple[bytes, Flags]:
    """Do the same for a batch of which packets are missing: what lies above those alone is taken from the paths."""
    inside = np.ones(len(index), np.bool_)
    position, own = index, leaves
    for level in range(leaf_last.bit_length()):
        width = (leaf_last >> level) + 1
        nodes = np.zeros((width + 1, 2), "<u8")  # an empty node last, to pair with
        sibling = np.minimum(position ^ 1, width)
        nodes[sibling] = paths[:, level]
        nodes[position] = own
        inside &= (nodes[position] == own).all(axis=1) & (nodes[sibling] == paths[:, level]).all(axis=1)
        joined = nodes.tobytes()
        position = position >> 1
        above = np.bincount(position) > 0
        digests = [
            inner_node(level + 1, parent, joined[parent * PAIR_SIZE_BYTES : (parent + 1) * PAIR_SIZE_BYTES])
            for parent in np.flatnonzero(above).tolist()
        ]
        own = np.frombuffer(b"".join(digests), "<u8").reshape(-1, 2)[(np.cumsum(above) - 1)[position]]
    return own[0].tobytes(), inside
