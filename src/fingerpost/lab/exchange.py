"""What four hospitals do as nodes: they emit, fetch each other's packets, and ask; wherever the nodes run."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from fingerpost.elections.calculate import weigh
from fingerpost.elections.hire import Elector
from fingerpost.fingerprint import Fingerprinter
from fingerpost.ids import NodeId
from fingerpost.lab.heart import DISEASED, HOSPITALS, OUTCOME_COLUMN, Patient, columns_of
from fingerpost.node.admission import Refusal, judge_contents
from fingerpost.node.emission import is_release
from fingerpost.node.facade import Node
from fingerpost.node.network import MemoryNetwork
from fingerpost.packet import Profile, packet_ids
from fingerpost.ports import SECONDS_PER_DAY
from fingerpost.privacy.seal import KEY_SIZE_BYTES, KeyRing, Seals
from fingerpost.synthesis import Evidence, Query, Synthesizer
from fingerpost.synthesis.by_profile import read_evidence, synthesizer_of
from fingerpost.synthesis.shipped_calculators import shipped_calculators
from fingerpost.template import CategoryOutcomeField, Template, encode_table

if TYPE_CHECKING:
    from fingerpost.lab.arms import Probabilities, Rows
    from fingerpost.node.reports import Emission as NodeEmission
    from fingerpost.synthesis import Answer

DAY_OF_THE_DATA = 6_755  # 1988-06-30, when the table was given to the archive
BLOCK_SIZE_BYTES = 64
SUBJECT_COLUMN = "record"  # says whom a row is about, where a profile counts each subject once: its number here


class HospitalNode(Protocol):
    """What the exchange needs of a node: ``fingerpost.Node`` has it, and so has a node in another process."""

    @property
    def node_id(self) -> NodeId:
        """The id under which others know the node."""
        ...

    @property
    def bytes_received(self) -> int:
        """Bytes of all frames that arrived so far."""
        ...

    def emit_table(self, columns: Mapping[str, Any], *, subject_column: str | None = None) -> NodeEmission:
        """Tell the outcomes of a table."""
        ...

    def ask(self, situation: Mapping[str, object]) -> Answer:
        """Return what happened elsewhere in situations like this one."""
        ...

    def ask_table(self, columns: Mapping[str, Any]) -> list[Answer]:
        """Return an answer for each row of a table."""
        ...

    def explain(self, node: bytes) -> dict[str, Any]:
        """Return why a node was hired or refused, as plain values."""
        ...

    def find_packets(self, ids: Sequence[str]) -> npt.NDArray[np.void]:
        """Return the packets with these ids (hex) that are there."""
        ...

    def synchronise(self) -> int:
        """Fetch every packet that the network holds; return how many were new."""
        ...

    def close(self) -> None:
        """Leave the network."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Emission:
    """What one hospital emitted: ``bytes`` of packets, how many ``signatures`` they share, and who else has them.

    ``holders`` others had every packet on their disks (in memory, where the nodes have none) when the emission was
    reported; ``acknowledged`` says that this is enough.
    """

    hospital: str
    node_id: str
    patients: int
    diseased: int
    packets: int
    bytes: int
    signatures: int
    holders: int
    acknowledged: bool


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

    Under the profile consortium all hospitals have the ``keys``. ``emit`` lets one of them emit, and the others
    receive. A forecast is one of ``day``; it rests on what the asking node has received: the packets of the hospitals
    it listens to, and those of its own patients that are confirmed.
    """

    def __init__(
        self,
        template: Template,
        patients: Sequence[Patient],
        *,
        nodes: Mapping[str, HospitalNode],
        day: int,
        keys: KeyRing | None = None,
    ) -> None:
        self._seals = Seals(keys)
        self.template = template
        self.patients = patients
        self._nodes = nodes
        self._day = day
        self._ids: dict[str, list[str]] = {}  # of every packet that a hospital emitted
        self._rows_of_packets: dict[bytes, int] = {}  # where a packet tells of one patient
        self._bytes: dict[tuple[str, str], int] = {}  # (receiver, emitter)
        self._missed: dict[tuple[str, str], int] = {}  # what an absent receiver had received before
        self._received: dict[str, tuple[Evidence, npt.NDArray[np.int64]]] = {}
        self._homes: list[tempfile.TemporaryDirectory[str]] = []
        encoded, _ = encode_table(template, columns_of(patients), rows=len(patients))
        fingerprinter = Fingerprinter(template)
        self._fingerprints = fingerprinter.fingerprints(encoded)
        self._sketches = fingerprinter.sketches(encoded) if template.sketch else None
        if not isinstance(template.outcome, CategoryOutcomeField):
            raise AssertionError("the outcome of the demo is a category")

    @classmethod
    def in_memory(cls, template: Template, patients: Sequence[Patient], *, seed: int) -> Exchange:
        """Return an exchange with all nodes in this process, on the day of the data: a seed fixes every packet."""
        network, clock, keys = MemoryNetwork(), FixedClock(), None
        if template.profile is Profile.CONSORTIUM:
            secret = SeededEntropy(seed, "consortium").read(KEY_SIZE_BYTES)
            empty = KeyRing(template_id=template.template_id, keys=(), ttl_days=template.ttl_days)
            keys = empty.next(secret, day=DAY_OF_THE_DATA)
        homes = [tempfile.TemporaryDirectory(prefix="fingerpost-demo-") for _ in HOSPITALS if is_release(template)]
        places = dict(zip(HOSPITALS, homes, strict=False))  # A ledger has to outlive its node.
        nodes = {
            hospital: Node(
                template,
                home=places[hospital].name if hospital in places else None,
                network=network,
                clock=clock,
                entropy=SeededEntropy(seed, hospital),
                keys=keys,
            )
            for hospital in HOSPITALS
        }
        exchange = cls(template, patients, nodes=nodes, day=DAY_OF_THE_DATA, keys=keys)
        exchange._homes = homes
        return exchange

    @property
    def tells_records(self) -> bool:
        """Whether each packet tells of one patient, so that a newcomer can leave out all but a few of its own."""
        return not is_release(self.template)

    def packet_ids(self, hospitals: Collection[str]) -> list[str]:
        """Return the ids (hex) of all packets that these hospitals emitted, in the order in which they did."""
        return [packet_id for hospital, ids in self._ids.items() if hospital in hospitals for packet_id in ids]

    def emit(self, hospital: str, *, rows: Rows | None = None, absent: Collection[str] = ()) -> Emission:
        """Let a hospital turn its patients, or those of ``rows``, into packets; ``absent`` hospitals do not run."""
        if rows is None:
            rows = np.flatnonzero([patient.hospital == hospital for patient in self.patients])
        mine = [self.patients[row] for row in rows]
        before = {other: node.bytes_received for other, node in self._nodes.items()}
        columns: dict[str, Any] = columns_of(mine) | {OUTCOME_COLUMN: [patient.outcome for patient in mine]}
        if is_release(self.template):
            columns |= {SUBJECT_COLUMN: [str(row) for row in rows]}
        subject_column = SUBJECT_COLUMN if is_release(self.template) else None
        emission = self._nodes[hospital].emit_table(columns, subject_column=subject_column)
        for other in HOSPITALS:
            if other in absent:
                self._missed[other, hospital] = before[other]
            else:
                self._receive(other, hospital, before=before[other])
        own_ids = list(emission.packet_ids)
        self._ids.setdefault(hospital, []).extend(own_ids)
        if self.tells_records:
            self._rows_of_packets |= dict(zip(map(bytes.fromhex, own_ids), rows.tolist(), strict=True))
        self._received.clear()
        signatures = self._nodes[hospital].find_packets(emission.packet_ids)["signature"]
        return Emission(
            hospital=hospital,
            node_id=self._nodes[hospital].node_id.hex(),
            patients=len(mine),
            diseased=sum(patient.outcome == DISEASED for patient in mine),
            packets=len(own_ids),
            bytes=emission.size_bytes,
            signatures=len(np.unique(signatures, axis=0)),
            holders=emission.holders,
            acknowledged=emission.acknowledged,
        )

    def catch_up(self, hospital: str, source: str) -> None:
        """Let a hospital that was absent when ``source`` emitted fetch what it lacks, and count its bytes since."""
        self._receive(hospital, source, before=self._missed.pop((hospital, source)))
        self._received.clear()

    def ask(self, hospital: str, situation: Mapping[str, object]) -> Answer:
        """Let a hospital ask about one patient, with every packet that it has."""
        return self._nodes[hospital].ask(situation)

    def ask_rows(self, hospital: str, rows: Rows) -> Probabilities:
        """Let a hospital's node ask about patients, with every packet it has; return the probabilities of disease."""
        answers = self._nodes[hospital].ask_table(columns_of([self.patients[row] for row in rows]))
        return np.array([answer.probabilities[DISEASED] for answer in answers])

    def explain(self, hospital: str, about: str) -> dict[str, Any]:
        """Let a hospital's node say why it hired or refused that of another one, as ``fingerpost peers explain``."""
        return self._nodes[hospital].explain(self._nodes[about].node_id)

    def packets(self, hospital: str) -> npt.NDArray[np.void]:
        """Return every packet of the demo that is at a hospital's node, its own ones too."""
        return self._nodes[hospital].find_packets(self.packet_ids(HOSPITALS))

    def forecast(
        self, hospital: str, sources: Sequence[str], *, own: Rows, asked: Rows, elects: bool = True
    ) -> Probabilities:
        """Return the probability of disease for the rows ``asked``, from packets of ``sources`` and of rows ``own``.

        Unless it ``elects``, the hospital believes all of them alike. Where packets tell of many patients together
        there are no ``own`` rows to choose, and nothing to believe but all.
        """
        queries = [
            Query(
                fingerprint=self._fingerprints[row].tobytes(),
                sketch=None if self._sketches is None else self._sketches[row].tobytes(),
            )
            for row in asked
        ]
        asker = self._nodes[hospital].node_id
        if self.tells_records:
            known, rows = self._evidence(hospital)
            heard = np.isin([patient.hospital for patient in self.patients], list(sources))
            heard[own] = True
            evidence = known.subset(heard[rows])
            answers = answers_of(asker, evidence, self.template, queries, day=self._day, elects=elects)
        else:
            packets = self._nodes[hospital].find_packets(self.packet_ids(sources))
            answers = released_answers(packets, self.template, queries, asker=asker, day=self._day)
        return np.array([answer.probabilities[DISEASED] for answer in answers])

    def bytes_received(self, hospital: str, sources: Sequence[str]) -> int:
        """Return the bytes of all frames that reached a hospital while ``sources`` emitted."""
        return sum(self._bytes[hospital, source] for source in sources)

    def close(self) -> None:
        """Let all nodes leave."""
        for node in self._nodes.values():
            node.close()
        for home in self._homes:
            home.cleanup()

    def _receive(self, hospital: str, source: str, *, before: int) -> None:
        """Let a node fetch what it lacks after ``source`` emitted, and count the bytes since it had ``before``."""
        node = self._nodes[hospital]
        if hospital != source:
            node.synchronise()
        self._bytes[hospital, source] = node.bytes_received - before

    def _evidence(self, hospital: str) -> tuple[Evidence, npt.NDArray[np.int64]]:
        """Return every packet at a hospital's node as evidence, and the row of the patient behind each."""
        if hospital not in self._received:
            packets = self.packets(hospital)
            opened = self._seals.open(packets)
            ids = packet_ids(packets[opened.rows])
            evidence = Evidence.from_packets(opened.packets, self.template, packet_ids=ids)
            rows = [self._rows_of_packets[packet_id.tobytes()] for packet_id in evidence.packet_ids]
            self._received[hospital] = evidence, np.array(rows, np.int64)
        return self._received[hospital]


def answers_of(
    asker: NodeId,
    evidence: Evidence,
    template: Template,
    queries: Sequence[Query],
    *,
    day: int,
    elects: bool = True,
) -> list[Answer]:
    """Return what a node that has just this evidence answers: its elections, then all calculators, as in a node.

    Unless it ``elects``, it believes everybody, and all else is the same.
    """
    if elects:
        evidence = evidence.subset(Elector(asker=asker).read(evidence).rows(evidence))
    synthesizer = Synthesizer(evidence, template, day=day)
    synthesizer.offer(shipped_calculators())
    return synthesizer.ask_many(queries, weighing=weigh(None, synthesizer.panel(asker), asker=asker))


def released_answers(
    packets: npt.NDArray[np.void], template: Template, queries: Sequence[Query], *, asker: NodeId, day: int
) -> list[Answer]:
    """Return what a node answers that has just these packets, each of which tells of many records, or with noise."""
    evidence = read_evidence(packets[judge_contents(packets, template) == Refusal.WELCOME], template)
    if isinstance(evidence, Evidence):
        return answers_of(asker, evidence, template, queries, day=day)
    return synthesizer_of(evidence, template, day=day).ask_many(queries)
