"""What a node answers to the questions of its peers, from what it keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import numpy.typing as npt

from fingerpost.fingerprint import hamming
from fingerpost.ids import PublicKey
from fingerpost.limits import FRAME_IDS_MAX, FRAME_PACKETS_MAX
from fingerpost.node.audit import PROMISE_SECONDS
from fingerpost.node.groups import Group
from fingerpost.node.haves import cells_statement, have_statement
from fingerpost.node.inventory import Inventory
from fingerpost.node.wire import (
    DIGEST_SIZE_BYTES,
    PACKET_ID_SIZE_BYTES,
    Answer,
    CellsHeld,
    Check,
    Compare,
    Compared,
    Get,
    Have,
    List,
    Listed,
    Nearest,
    Packets,
    WantCells,
)
from fingerpost.packet import Signer
from fingerpost.store.base import PacketStore
from fingerpost.synthesis.evidence import Evidence

Question = Check | Compare | List | Get | WantCells | Nearest


class Serving:
    """Answers what peers ask; it changes nothing but what has been promised."""

    def __init__(
        self,
        *,
        signer: Signer,
        store: PacketStore,
        inventory: Callable[[bytes], Inventory],
        inventories: Callable[[], Iterable[Inventory]],
        groups: Mapping[tuple[bytes, int], Group],
        evidence: Callable[[bytes, float], Evidence],
    ) -> None:
        self._signer = signer
        self._store = store
        self._inventory = inventory
        self._inventories = inventories
        self._groups = groups
        self._evidence = evidence

    def answer(self, question: Question, *, peer: PublicKey, now: float) -> Answer:
        """Return the answer to a peer's question. Raises ``UsageError`` for a template that is not served."""
        match question:
            case Check():
                ids = np.frombuffer(question.packet_ids, np.uint8).reshape(-1, PACKET_ID_SIZE_BYTES)
                return self.have(question.number, ids[self._store.contains(ids)], {}, peer=peer, now=now)
            case Compare():
                shelf = self._inventory(question.template_id).shelf(question.group)
                same = shelf.root() == question.root
                leaves = b"" if same else shelf.leaf_records()
                return Compared(answers=question.number, root=shelf.root(), leaves=leaves)
            case List():
                shelf = self._inventory(question.template_id).shelf(question.group)
                leaves = question.leaves
                numbers = [int.from_bytes(leaves[at : at + 2], "big") for at in range(0, len(leaves), 2)]
                found, more = shelf.ids(numbers, after=question.after, count=FRAME_IDS_MAX)
                return Listed(answers=question.number, packet_ids=b"".join(found), more=more)
            case Get():
                ids = np.frombuffer(question.packet_ids, np.uint8).reshape(-1, PACKET_ID_SIZE_BYTES)
                packets = self._store.get(ids).tobytes()
                return Packets(answers=question.number, packets=packets, padded=question.padded)
            case WantCells():
                return self._cells(question, peer, now)
            case Nearest():
                return self._nearest(question, now)

    def have(
        self, number: int, ids: npt.NDArray[np.uint8], refused: dict[str, int], *, peer: PublicKey, now: float
    ) -> Have:
        """Return the signed word that these packets (ids (n, 32)) are kept, and keep it: their groups are promised."""
        for inventory in self._inventories():
            for group in {inventory.group_of(packet_id.tobytes()) for packet_id in ids}:
                if group is not None:
                    self._groups[inventory.template_id, group].promised_until = now + PROMISE_SECONDS
        joined, at = ids.tobytes(), int(now)
        signature = self._signer.sign(have_statement(joined, asker=peer, at=at))
        return Have(answers=number, packet_ids=joined, at=at, signature=signature, refused=refused)

    def _cells(self, question: WantCells, peer: PublicKey, now: float) -> CellsHeld:
        inventory = self._inventory(question.template_id)
        shelves = [inventory.cell(cell) for cell in question.cells]
        digests = b"".join(shelf.root() for shelf in shelves)
        size = DIGEST_SIZE_BYTES
        known = [question.known[at : at + size] for at in range(0, len(question.known), size)]
        unknown = [shelf for shelf, digest in zip(shelves, known, strict=True) if shelf.root() != digest]
        ids = sorted(each for shelf in unknown for each in shelf if each > question.after)
        groups = [self._groups.get((inventory.template_id, inventory.group_of_cell(cell))) for cell in question.cells]
        complete = all(group is not None and group.complete for group in groups)
        statement = cells_statement(
            question.cells, digests, template_id=question.template_id, asker=peer, at=int(now), complete=complete
        )
        room = FRAME_IDS_MAX - -(-len(digests) // PACKET_ID_SIZE_BYTES)
        return CellsHeld(
            answers=question.number,
            digests=digests,
            packet_ids=b"".join(ids[:room]),
            more=len(ids) > room,
            complete=complete,
            at=int(now),
            signature=self._signer.sign(statement),
        )

    def _nearest(self, question: Nearest, now: float) -> Packets:
        """Answer with the packets nearest to a fingerprint by Hamming distance; of equally near ones the smaller id."""
        evidence = self._evidence(question.template_id, now)
        if len(question.fingerprint) * 8 != evidence.bits or not len(evidence):
            return Packets(answers=question.number, packets=b"", padded=True)
        fingerprint = np.frombuffer(question.fingerprint, np.uint8)
        rows = nearest_rows(evidence.fingerprints, fingerprint, count=min(question.count, FRAME_PACKETS_MAX))
        packets = self._store.get(evidence.packet_ids[rows]).tobytes()
        return Packets(answers=question.number, packets=packets, padded=True)


def nearest_rows(
    fingerprints: npt.NDArray[np.uint8], fingerprint: npt.NDArray[np.uint8], *, count: int
) -> npt.NDArray[np.intp]:
    """Return the rows of the ``count`` fingerprints (n, bytes) nearest to one (bytes,), nearest first, then by row."""
    return np.argsort(hamming(fingerprint[None, :], fingerprints)[0], kind="stable")[:count]
