"""Four hospitals as four nodes in one process: they emit, fetch each other's packets, and ask."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fingerpost.fingerprint import Fingerprinter, sketch_values
from fingerpost.lab.heart import DISEASED, HOSPITALS, OUTCOME_COLUMN, Patient, columns_of
from fingerpost.node.facade import Node
from fingerpost.node.network import MemoryNetwork
from fingerpost.packet import packet_ids
from fingerpost.ports import SECONDS_PER_DAY
from fingerpost.synthesis import Evidence, fit
from fingerpost.template import CategoryOutcomeField, Template, encode_table

if TYPE_CHECKING:
    from fingerpost.lab.arms import Probabilities, Rows
    from fingerpost.synthesis import Answer

DAY_OF_THE_DATA = 6_755  # 1988-06-30, when the table was given to the archive
BLOCK_SIZE_BYTES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Emission:
    """What one hospital emitted: ``bytes`` of packets, and how many ``signatures`` they share."""

    hospital: str
    node_id: str
    patients: int
    diseased: int
    packets: int
    bytes: int
    signatures: int


class FixedClock:
    """A clock that stands still, so that the demo gives the same packets every day."""

    def now(self) -> float:
        """Return noon of the day of the data, in seconds since 1970."""
        return (DAY_OF_THE_DATA + 0.5) * SECONDS_PER_DAY


class SeededEntropy:
    """Bytes that follow from a seed: for keys and nonces of a demonstration, never for anything real."""

    def __init__(self, seed: int, purpose: str) -> None:
        self._key = hashlib.blake2s(f"{seed} {purpose}".encode()).digest()
        self._block = 0

    def read(self, size: int) -> bytes:
        """Return the next ``size`` bytes."""
        read = bytearray()
        while len(read) < size:
            block = self._block.to_bytes(8, "little")
            read += hashlib.blake2b(block, key=self._key, digest_size=BLOCK_SIZE_BYTES).digest()
            self._block += 1
        return bytes(read[:size])


class Exchange:
    """The hospitals of ``patients`` as nodes that are connected and have not emitted anything yet.

    ``emit`` lets one of them emit, and the others receive. A forecast rests on what the asking node has received: the
    packets of the hospitals it listens to, and those of its own patients that are confirmed.
    """

    def __init__(self, template: Template, patients: Sequence[Patient], *, seed: int) -> None:
        self.template = template
        self.patients = patients
        self._network = MemoryNetwork()
        self._nodes = {
            hospital: Node(template, network=self._network, clock=FixedClock(), entropy=SeededEntropy(seed, hospital))
            for hospital in HOSPITALS
        }
        self._rows_of_packets: dict[bytes, int] = {}
        self._bytes: dict[tuple[str, str], int] = {}  # (receiver, emitter)
        self._received: dict[str, tuple[Evidence, npt.NDArray[np.int64]]] = {}
        encoded, _ = encode_table(template, columns_of(patients), rows=len(patients))
        fingerprinter = Fingerprinter(template)
        self._fingerprints = fingerprinter.fingerprints(encoded)
        self._sketches = fingerprinter.sketches(encoded)
        if not isinstance(template.outcome, CategoryOutcomeField):
            raise AssertionError("the outcome of the demo is a category")
        self._levels = template.outcome.levels

    def emit(self, hospital: str) -> Emission:
        """Let a hospital turn its patients into packets and hand them to the others."""
        rows = [row for row, patient in enumerate(self.patients) if patient.hospital == hospital]
        mine = [self.patients[row] for row in rows]
        before = {other: node.bytes_received for other, node in self._nodes.items()}
        columns = columns_of(mine) | {OUTCOME_COLUMN: [patient.outcome for patient in mine]}
        emission = self._nodes[hospital].emit_table(columns)
        for other, node in self._nodes.items():
            if other != hospital:
                node.synchronise()
            self._bytes[other, hospital] = node.bytes_received - before[other]
        own_ids = [bytes.fromhex(packet_id) for packet_id in emission.packet_ids]
        self._rows_of_packets |= dict(zip(own_ids, rows, strict=True))
        self._received.clear()
        packets = self.packets(hospital)
        signatures = packets["signature"][[packet_id.tobytes() in set(own_ids) for packet_id in packet_ids(packets)]]
        return Emission(
            hospital=hospital,
            node_id=self._nodes[hospital].node_id.hex(),
            patients=len(mine),
            diseased=sum(patient.outcome == DISEASED for patient in mine),
            packets=len(own_ids),
            bytes=emission.size_bytes,
            signatures=len(np.unique(signatures, axis=0)),
        )

    def ask(self, hospital: str, situation: Mapping[str, object]) -> Answer:
        """Let a hospital ask about one patient, with every packet that it has."""
        return self._nodes[hospital].ask(situation)

    def packets(self, hospital: str) -> npt.NDArray[np.void]:
        """Return every packet at a hospital's node, its own ones too."""
        return self._nodes[hospital].packets()

    def forecast(self, hospital: str, sources: Sequence[str], *, own: Rows, asked: Rows) -> Probabilities:
        """Return the probability of disease for the rows ``asked``, from packets of ``sources`` and of rows ``own``."""
        evidence, rows = self._evidence(hospital)
        heard = np.isin([patient.hospital for patient in self.patients], list(sources))
        heard[own] = True
        heard_evidence = evidence.subset(heard[rows])
        fitted = fit(heard_evidence, day=DAY_OF_THE_DATA, sketches=_coordinates(heard_evidence.sketches))
        probabilities = fitted.predict(self._fingerprints[asked], _coordinates(self._sketches[asked]))
        return probabilities[:, self._levels.index(DISEASED)]

    def bytes_received(self, hospital: str, sources: Sequence[str]) -> int:
        """Return the bytes of all frames that reached a hospital while ``sources`` emitted."""
        return sum(self._bytes[hospital, source] for source in sources)

    def close(self) -> None:
        """Let all nodes leave."""
        for node in self._nodes.values():
            node.close()

    def _evidence(self, hospital: str) -> tuple[Evidence, npt.NDArray[np.int64]]:
        """Return every packet at a hospital's node as evidence, and the row of the patient behind each."""
        if hospital not in self._received:
            evidence = Evidence.from_packets(self.packets(hospital), self.template)
            rows = [self._rows_of_packets[packet_id.tobytes()] for packet_id in evidence.packet_ids]
            self._received[hospital] = evidence, np.array(rows, np.int64)
        return self._received[hospital]


def _coordinates(sketches: npt.NDArray[np.uint8] | None) -> npt.NDArray[np.float64] | None:
    """Return sketch coordinates (n, 64) of packed sketches (n, 32), and nothing of none."""
    return None if sketches is None or not sketches.shape[1] else sketch_values(sketches).astype(np.float64)
