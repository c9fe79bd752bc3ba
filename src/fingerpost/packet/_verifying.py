"""Whole arrays of packets verified: many packets a signature, and few operations of numpy for many batches."""

from __future__ import annotations

from collections import deque
from hashlib import blake2s
from typing import TYPE_CHECKING, Final

import numpy as np

from fingerpost.limits import BATCH_DEPTH_MAX, PACKET_SIZE_BYTES
from fingerpost.packet._arrays import NODE_DTYPE, Nodes, Rows, packet_ids, path_nodes
from fingerpost.packet._batch import (
    COPY,
    DIGEST,
    PAIR_SIZE_BYTES,
    STARTED,
    UPDATE,
    batch_message,
    root_from_path,
)
from fingerpost.packet._layout import NODE_SIZE_BYTES, PACKET_FIELDS, Flags, Octets, Structured
from fingerpost.packet._reasons import Reason
from fingerpost.packet._signing import signature_holds
from fingerpost.packet._structure import check_structure

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

# For fewer packets in all, following each path is faster than what numpy takes to begin.
SEVERAL_PACKETS_MIN: Final = 48
ROOT_CACHE_SIZE_DEFAULT: Final = 16_384  # roots of each verdict; about 4 MB in all

_EMITTER = slice(45, 77)
_PROOF_HEAD = slice(318, 320)
_SIGNATURE = slice(448, 512)
_CLAIM_SIZE_BYTES = 104  # emitter, proof head and signature take 98; whole words are compared faster
_CLAIM_WORDS = _CLAIM_SIZE_BYTES // 8
_PAIR_DTYPE = np.dtype(f"V{PAIR_SIZE_BYTES}")

# Fields as one value each: numpy copies and lists them at once, not byte by byte.
_SIGNED_FIELDS = [field for field in PACKET_FIELDS if field.name in {"emitter", "path", "signature"}]
_SIGNED = np.dtype(
    {
        "names": [field.name for field in _SIGNED_FIELDS],
        "formats": [f"V{field.size}" for field in _SIGNED_FIELDS],
        "offsets": [field.offset for field in _SIGNED_FIELDS],
        "itemsize": PACKET_SIZE_BYTES,
    }
)


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


def verify_packets(packets: Structured, *, cache: RootCache | None = None, ids: Octets | None = None) -> Flags:
    """Return for each packet of a ``PACKET_DTYPE`` array whether it is valid and signed by its emitter, shape (n,).

    This includes ``check_structure``. Where all packets of a batch are present in their order the tree is computed
    once, at two hashes a packet; of other batches as much of it as they give, each node once; packets that do not
    agree with the others of their batch, and few packets, have their paths followed, at up to nine hashes. Each
    distinct root costs one Ed25519 check, unless ``cache`` knows it. ``ids`` may pass in ``packet_ids(packets)`` where
    it is at hand; it is trusted.
    """
    valid = np.zeros(len(packets), np.bool_)
    rows = np.flatnonzero(check_structure(packets) == Reason.FINE)
    if not len(rows):
        return valid
    sound = np.ascontiguousarray(packets if len(rows) == len(packets) else packets[rows])
    leaves = np.ascontiguousarray((packet_ids(sound) if ids is None else ids[rows])[:, :NODE_SIZE_BYTES])
    check = _Check(sound, leaves.view(NODE_DTYPE)[:, 0], RootCache(size_max=len(rows)) if cache is None else cache)
    check.whole_batches()
    check.parts_of_batches()
    check.single_packets()
    valid[rows] = check.valid
    return valid


class _Check:
    """Packets of sound structure, which of them are still to be verified, and which are valid."""

    def __init__(self, packets: Structured, leaves: Nodes, roots: RootCache) -> None:
        self.packets = packets
        self.leaves = leaves
        self.signed = packets.view(_SIGNED)
        self.last: npt.NDArray[np.uint8] = np.ascontiguousarray(packets["leaf_last"])
        self.index: Rows = packets["leaf_index"].astype(np.intp)
        self.roots = roots
        self.left = np.ones(len(packets), np.bool_)
        self.valid = np.zeros(len(packets), np.bool_)

    def whole_batches(self) -> None:
        """Verify the batches that are all there in their order, all of one size together."""
        starts, ends = _runs(_claims(self.packets))
        last = self.last[starts].astype(np.intp)
        in_order = self.index == np.arange(len(self.packets)) - np.repeat(starts, ends - starts)
        is_whole = (ends - starts == last + 1) & np.logical_and.reduceat(in_order, starts)
        for leaf_last in np.unique(last[is_whole]).tolist():
            runs = starts[is_whole & (last == leaf_last)]
            members = runs[:, None] + np.arange(leaf_last + 1)
            nodes = _trees(self.leaves[members])
            paths = nodes.take(path_nodes(leaf_last), axis=1)
            fits = _same_rows(self.signed["path"][members], paths, count=len(runs))
            self._decide_batches(members[fits], nodes[fits, -2].tolist())

    def parts_of_batches(self) -> None:
        """Verify packets that agree with the others of their batch: what lies above those alone comes from the paths.

        Where a place is claimed twice, one of the two is believed, and the other is left.
        """
        rows = np.flatnonzero(self.left)
        sizes, counts = np.unique(self.last[rows], return_counts=True)
        for leaf_last in sizes[counts >= SEVERAL_PACKETS_MIN].tolist():
            members = rows[self.last[rows] == leaf_last]
            batches = _batches(_claims(self.packets[members]))
            roots, agrees = _climb(
                self.leaves[members],
                self.index[members],
                self.signed["path"][members].view(NODE_DTYPE).reshape(len(members), BATCH_DEPTH_MAX),
                batches,
                leaf_last,
            )
            order = np.argsort(batches, kind="stable")
            for batch, of_batch in enumerate(np.split(order, np.cumsum(np.bincount(batches))[:-1])):
                if len(agreeing := of_batch[agrees[of_batch]]):
                    self._decide(members[agreeing], roots[batch].tobytes())

    def single_packets(self) -> None:
        """Verify what is left, each by its own path."""
        for row in np.flatnonzero(self.left).tolist():
            depth = int(self.last[row]).bit_length()
            path = [node.tobytes() for node in self.packets["path"][row, :depth]]
            root = root_from_path(self.leaves[row].tobytes(), int(self.index[row]), path)
            self._decide(np.array([row]), root)

    def _decide_batches(self, members: Rows, roots: list[bytes]) -> None:
        """Note the verdicts on batches of one size, a row of ``members`` each."""
        first = self.signed[members[:, 0]]
        signatures, keys = (np.ascontiguousarray(first[name]).tolist() for name in ("signature", "emitter"))
        leaf_last = members.shape[1] - 1
        verdicts = [
            self.roots.holds(batch_message(root, leaf_last=leaf_last), signature, key)
            for root, signature, key in zip(roots, signatures, keys, strict=True)
        ]
        self.valid[members] = np.array(verdicts, np.bool_)[:, None]
        self.left[members] = False

    def _decide(self, members: Rows, root: bytes) -> None:
        """Note the verdict on packets of one batch that all lead to this root."""
        first = self.signed[members[0]]
        message = batch_message(root, leaf_last=int(self.last[members[0]]))
        self.valid[members] = self.roots.holds(message, first["signature"].tobytes(), first["emitter"].tobytes())
        self.left[members] = False


def _claims(packets: Structured) -> npt.NDArray[np.uint64]:
    """Return what the packets of a batch have in common, shape (n, 13): emitter, depth, leaf count, signature."""
    octets = packets.view(np.uint8).reshape(len(packets), PACKET_SIZE_BYTES)
    claims = np.zeros((len(packets), _CLAIM_SIZE_BYTES), np.uint8)
    claims[:, :32] = octets[:, _EMITTER]
    claims[:, 32:34] = octets[:, _PROOF_HEAD]
    claims[:, 40:] = octets[:, _SIGNATURE]
    return claims.view(np.uint64)


def _runs(claims: npt.NDArray[np.uint64]) -> tuple[Rows, Rows]:
    """Return where packets of one batch that follow one another start and end."""
    differing = np.flatnonzero(claims[1:] != claims[:-1]) // _CLAIM_WORDS
    changes = np.unique(differing) + 1
    return np.concatenate(([0], changes)), np.concatenate((changes, [len(claims)]))


def _batches(claims: npt.NDArray[np.uint64]) -> Rows:
    """Return a number for the batch of each packet, counted from 0."""
    numbers: dict[bytes, int] = {}
    keys = claims.view(f"V{_CLAIM_SIZE_BYTES}")[:, 0].tolist()
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.intp)


def _same_rows(nodes: Nodes, others: Nodes, *, count: int) -> Flags:
    """Say which of so many rows of nodes are alike; words are compared, and differences found, all at once."""
    words, other_words = (np.ascontiguousarray(each).view(np.uint64).reshape(count, -1) for each in (nodes, others))
    same = np.ones(count, np.bool_)
    same[np.flatnonzero(words != other_words) // words.shape[1]] = False
    return same


def _trees(leaves: Nodes) -> Nodes:
    """Return all nodes of trees of one size, a tree a row: level by level, the root last but for an empty node.

    ``leaves`` has shape (trees, leaves of a tree). All trees are climbed together, a level at a time.
    """
    count, width = leaves.shape
    empty = np.zeros((count, 1), NODE_DTYPE)
    levels = [leaves]
    while width > 1:
        below = levels[-1] if width % 2 == 0 else np.concatenate((levels[-1], empty), axis=1)
        width = (width + 1) // 2
        started = STARTED[len(levels)][:width] * count
        levels.append(_hashed(started, np.ascontiguousarray(below)).reshape(count, width))
    return np.concatenate((*levels, empty), axis=1)


def _climb(leaves: Nodes, index: Rows, paths: Nodes, batches: Rows, leaf_last: int) -> tuple[Nodes, Flags]:
    """Return the root of each batch, and which packets have the leaf and the path of such a tree.

    ``leaves`` has shape (n,) and ``paths`` (n, 8); all batches have one size. Level by level the nodes of all trees
    stand in one table, a tree a row, with an empty node at its end to pair with.
    """
    agrees = np.ones(len(index), np.bool_)
    count = int(batches.max()) + 1
    position, own = index, leaves
    for level in range(leaf_last.bit_length()):
        width = (leaf_last >> level) + 1
        table = np.zeros(count * (width + 1), NODE_DTYPE)
        first = batches * (width + 1)
        place, sibling = first + position, first + np.minimum(position ^ 1, width)
        table[sibling] = paths[:, level]
        table[place] = own
        agrees &= _same_rows(table[place], own, count=len(index))
        agrees &= _same_rows(table[sibling], paths[:, level], count=len(index))
        position = position >> 1
        width_above = leaf_last >> (level + 1)
        parent = batches * (width_above + 1) + position
        is_parent = np.zeros(count * (width_above + 1), np.bool_)
        is_parent[parent] = True
        parents = np.flatnonzero(is_parent)
        tree, above = np.divmod(parents, width_above + 1)
        left = tree * (width + 1) + 2 * above
        started = map(STARTED[level + 1].__getitem__, above.tolist())
        digests = _hashed(started, np.stack((table[left], table[left + 1]), axis=1))
        own = digests[(np.cumsum(is_parent) - 1)[parent]]
    roots = np.zeros(count, NODE_DTYPE)
    roots[batches] = own
    return roots, agrees


def _hashed(started: Iterable[blake2s], pairs: Nodes) -> Nodes:
    """Return a node for each hashing state and the two nodes below it, which ``pairs`` holds in this order."""
    states: list[blake2s] = list(map(COPY, started))
    deque(map(UPDATE, states, pairs.reshape(-1, 2).view(_PAIR_DTYPE)[:, 0].tolist()), maxlen=0)
    return np.frombuffer(b"".join(map(DIGEST, states)), NODE_DTYPE)
