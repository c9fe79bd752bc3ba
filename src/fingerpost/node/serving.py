"""What a node answers to the questions of its peers, from what it keeps."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from fingerpost.fingerprint import hamming
from fingerpost.ids import PublicKey
from fingerpost.limits import FRAME_IDS_MAX, FRAME_PACKETS_MAX
from fingerpost.node.haves import cells_statement
from fingerpost.node.inventory import Inventory
from fingerpost.node.wire import (
    DIGEST_SIZE_BYTES,
    PACKET_ID_SIZE_BYTES,
    CellsHeld,
    Compare,
    Compared,
    Get,
    List,
    Listed,
    Nearest,
    Packets,
    WantCells,
)
from fingerpost.packet import Signer
from fingerpost.store.base import PacketStore
from fingerpost.synthesis.evidence import Evidence


def compared(question: Compare, inventory: Inventory) -> Compared:
    """Answer with the digest of a group and, where it differs, with those of its leaves."""
    shelf = inventory.shelf(question.group)
    same = shelf.root() == question.root
    return Compared(answers=question.number, root=shelf.root(), leaves=b"" if same else shelf.leaf_records())


def listed(question: List, inventory: Inventory) -> Listed:
    """Answer with the ids in some leaves of a group."""
    asked = question.leaves
    leaves = [int.from_bytes(asked[at : at + 2], "big") for at in range(0, len(asked), 2)]
    ids, more = inventory.shelf(question.group).ids(leaves, after=question.after, count=FRAME_IDS_MAX)
    return Listed(answers=question.number, packet_ids=b"".join(ids), more=more)


def packets_asked(question: Get, store: PacketStore) -> Packets:
    """Answer with the packets asked for that are here."""
    ids = np.frombuffer(question.packet_ids, np.uint8).reshape(-1, PACKET_ID_SIZE_BYTES)
    return Packets(answers=question.number, packets=store.get(ids).tobytes())


def cells_held(
    question: WantCells,
    inventory: Inventory,
    *,
    asker: PublicKey,
    signer: Signer,
    complete: Callable[[int], bool],
    now: float,
) -> CellsHeld:
    """Answer with the digests of some cells, signed, and the ids where the asker has something else.

    ``complete`` says of a cell whether this node has compared it with all holders within its reach.
    """
    shelves = [inventory.cell(cell) for cell in question.cells]
    digests = b"".join(shelf.root() for shelf in shelves)
    size = DIGEST_SIZE_BYTES
    known = [question.known[at : at + size] for at in range(0, len(question.known), size)]
    unknown = [shelf for shelf, digest in zip(shelves, known, strict=True) if shelf.root() != digest]
    ids = sorted(each for shelf in unknown for each in shelf if each > question.after)
    whole = all(complete(cell) for cell in question.cells)
    statement = cells_statement(
        question.cells, digests, template_id=question.template_id, asker=asker, at=int(now), complete=whole
    )
    return CellsHeld(
        answers=question.number,
        digests=digests,
        packet_ids=b"".join(ids[:FRAME_IDS_MAX]),
        more=len(ids) > FRAME_IDS_MAX,
        complete=whole,
        at=int(now),
        signature=signer.sign(statement),
    )


def nearest(question: Nearest, evidence: Evidence, store: PacketStore) -> Packets:
    """Answer with the packets nearest to a fingerprint by Hamming distance; of equally near ones the smaller ids."""
    count = min(question.count, FRAME_PACKETS_MAX)
    if len(question.fingerprint) * 8 != evidence.bits or not len(evidence):
        return Packets(answers=question.number, packets=b"")
    rows = nearest_rows(evidence.fingerprints, np.frombuffer(question.fingerprint, np.uint8), count=count)
    return Packets(answers=question.number, packets=store.get(evidence.packet_ids[rows]).tobytes())


def nearest_rows(
    fingerprints: npt.NDArray[np.uint8], fingerprint: npt.NDArray[np.uint8], *, count: int
) -> npt.NDArray[np.intp]:
    """Return the rows of the ``count`` fingerprints (n, bytes) nearest to one (bytes,), nearest first, then by row."""
    return np.argsort(hamming(fingerprint[None, :], fingerprints)[0], kind="stable")[:count]
