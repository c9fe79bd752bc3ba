"""What a node knows of a template's packets, ready to answer: read and fitted once while they stay the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from hashlib import blake2s

import msgspec
import numpy as np
import numpy.typing as npt

from fingerpost.elections.counting import CountsElector
from fingerpost.elections.hire import Elector
from fingerpost.elections.hiring import Hiring, election_of
from fingerpost.errors import StoreFullError
from fingerpost.fingerprint import Fingerprinter
from fingerpost.ids import NodeId
from fingerpost.node.kept_evidence import keep_evidence, kept_evidence
from fingerpost.node.kept_findings import keep_findings, recall_findings
from fingerpost.node.opened import OpenedPackets
from fingerpost.packet import PACKET_DTYPE, packet_ids, sealed_rows
from fingerpost.privacy.seal import KeyRing, Opened, Seals
from fingerpost.store.base import PacketStore
from fingerpost.synthesis import Answer, Election, Query, Synthesizer, Weighing
from fingerpost.synthesis.distances import NeighboursOf, Scan
from fingerpost.synthesis.evidence import Evidence
from fingerpost.template import Template, condition_codes

Released = Callable[[npt.NDArray[np.void], int], npt.NDArray[np.bool_]]
HIRINGS_TABLE = "hirings"
HIRING_VERSION = 2  # grows whenever an election on the same packets may find something else than before
KEPT_PACKETS_MIN = 65_536  # below, electing anew takes less than a second
PART_BLOCKS = 256  # blocks of a store that are read at a time: up to 32 MiB
SYNTHESIZERS_MAX = 8  # fitted calculators kept: one for each choice of conditions that is asked for


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """The nodes that were elected, ready to answer."""

    synthesizer: Synthesizer
    election: Election

    def ask_many(self, queries: Sequence[Query], *, weighing: Weighing | None) -> list[Answer]:
        """Answer many questions; every answer says how its nodes were elected, and is mixed by ``weighing``."""
        answers = self.synthesizer.ask_many(queries, weighing=weighing)
        return [replace(answer, election=self.election) for answer in answers]


class _Kept(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An election as it is kept in the store: which packets were read, by whom, and whom it hired."""

    packets: bytes
    asker: bytes
    hiring: Hiring
    version: int = HIRING_VERSION


class Knowledge:
    """One template's packets in a store, as evidence and as fitted calculators; its owner lets packets expire.

    ``asker`` is the node that asks: it elects by its own packets whose others to use. ``released`` says of packets on a
    day which may be answered from; without it all may, always.
    """

    def __init__(
        self, store: PacketStore, template: Template, *, asker: NodeId, released: Released | None = None
    ) -> None:
        self._store = store
        self._template = template
        self._released = released
        self._seals = Seals(None)
        self._opened = OpenedPackets(self._seals, template)
        self._neighbours_of: NeighboursOf = Scan
        self._fingerprinter: Fingerprinter | None = None
        self._evidence: tuple[tuple[int, int], Evidence] | None = None
        self._synthesizers: dict[tuple[int, tuple[int, ...]], tuple[Evidence, Synthesizer]] = {}
        self._passing: tuple[object, Synthesizer, npt.NDArray[np.void]] | None = None
        actions = 0 if template.action is None else len(template.action.levels)
        self._asker = bytes(asker)
        self._elector = Elector(asker=asker, actions=actions)
        self.counts_elector = CountsElector(asker=bytes(asker), template=template)
        self._has_elected = False
        self._hiring: tuple[Evidence, Hiring] | None = None
        self._panels: dict[tuple[object, ...], tuple[Evidence, Panel]] = {}

    @property
    def fingerprinter(self) -> Fingerprinter:
        """The projection of the template, made once."""
        if self._fingerprinter is None:
            self._fingerprinter = Fingerprinter(self._template)
        return self._fingerprinter

    @property
    def seals(self) -> Seals:
        """What seals and opens packets of the template here."""
        return self._seals

    def find_with(self, neighbours_of: NeighboursOf) -> None:
        """Find the nearest of many packets with what this makes, which finds the same sooner, from now on."""
        self._neighbours_of = neighbours_of

    def use_keys(self, ring: KeyRing | None) -> None:
        """Seal and open with these keys of the template's consortium from now on; without any when it is None."""
        if ring != self._seals.ring:
            self._seals = Seals(ring)
            self._opened = OpenedPackets(self._seals, self._template)
            self._evidence = self._passing = self._hiring = None
            self._synthesizers.clear()
            self._panels.clear()

    def readable(self, packets: npt.NDArray[np.void]) -> Opened:
        """Return what packets say that can be read here: sealed ones with a key here, and contents that fit."""
        return self._opened.read(packets) if sealed_rows(packets).any() else self._seals.open(packets)

    def packets(self) -> npt.NDArray[np.void]:
        """Return the live packets."""
        return _joined([np.zeros(0, PACKET_DTYPE), *self._store.scan(self._template.template_id)])

    def evidence(self, *, day: int) -> Evidence:
        """Return the live packets that may be answered from, as columns; built anew only when they may have changed."""
        state = self._store.generation, 0 if self._released is None else day
        if self._evidence is None or self._evidence[0] != state:
            is_first, kept = self._evidence is None, None
            self._evidence = None  # what was known before makes room
            if is_first and self._keeps_evidence:
                kept = kept_evidence(self._store, self._template.template_id)
            if kept is None:
                parts = (self._told(self._of_answers(part, day)) for part in self._parts())
                with self._opened.pruning():
                    kept = Evidence.from_blocks(parts, self._template)
            self._evidence = state, kept
        return self._evidence[1]

    def keep(self) -> None:
        """Keep the evidence of many packets, if it is still current, and what was found in it, for the next process."""
        if self._evidence is None or not self._keeps_evidence or len(self._evidence[1]) < KEPT_PACKETS_MIN:
            return
        if self._evidence[0][0] == self._store.generation:
            with suppress(StoreFullError):  # then the next process reads the packets
                keep_evidence(self._store, self._template.template_id, self._evidence[1])
                asked = [panel.synthesizer for of, panel in self._panels.values() if of is self._evidence[1]]
                keep_findings(self._store, self._template.template_id, asked, asker=self._asker)

    @property
    def _keeps_evidence(self) -> bool:
        """Whether evidence follows from the live packets alone, and says nothing that they keep sealed."""
        return self._released is None and self._seals.ring is None

    def synthesizer(self, *, conditions: Mapping[str, object], day: int) -> Synthesizer:
        """Return what answers from the live packets. Raises ``RecordError`` for conditions the template lacks."""
        evidence = self.evidence(day=day)
        key = day, tuple(condition_codes(self._template, conditions))
        known = self._synthesizers.get(key)
        if known is None or known[0] is not evidence:
            if len(self._synthesizers) >= SYNTHESIZERS_MAX:
                self._synthesizers.clear()
            known = evidence, self._synthesizer(evidence, conditions=conditions, day=day)
            self._synthesizers[key] = known
        return known[1]

    def synthesizer_of(
        self,
        packets: Callable[[], npt.NDArray[np.void]],
        *,
        name: object,
        conditions: Mapping[str, object],
        day: int,
    ) -> Synthesizer:
        """Return what answers from some packets, which ``name`` tells from all others; the last one is kept."""
        key = name, day, tuple(condition_codes(self._template, conditions))
        if self._passing is None or self._passing[0] != key:
            chosen = self._of_answers(packets(), day)
            evidence = self._evidence_of(chosen)
            synthesizer = self._synthesizer(evidence, conditions=conditions, day=day)
            self._passing = key, synthesizer, chosen
        return self._passing[1]

    def hiring(self, *, day: int) -> Hiring:
        """Return whom to believe, given the live packets."""
        evidence = self.evidence(day=day)
        if self._hiring is None or self._hiring[0] is not evidence:
            self._hiring = evidence, self._recalled(evidence) or self._elect(evidence)
        return self._hiring[1]

    def panel(self, *, conditions: Mapping[str, object], day: int) -> Panel:
        """Return what answers from the live packets of the nodes that were elected. Raises as ``synthesizer`` does."""
        evidence, hiring = self.evidence(day=day), self.hiring(day=day)
        key = "all", day, tuple(condition_codes(self._template, conditions))
        return self._panel(key, evidence, hiring, conditions=conditions, day=day)

    def panel_of(
        self,
        packets: Callable[[], npt.NDArray[np.void]],
        *,
        name: object,
        conditions: Mapping[str, object],
        day: int,
    ) -> Panel:
        """Return what answers from those of some packets whose nodes were elected, by them and by all live packets."""
        chosen = self.synthesizer_of(packets, name=name, conditions=conditions, day=day).evidence
        key = name, day, tuple(condition_codes(self._template, conditions))
        known = self._panels.get(key)
        if known is not None and known[0] is chosen:
            return known[1]
        behind = self._of_answers(np.concatenate([self.packets(), self._passing_packets()]), day)
        hiring = self._elector.read(self._evidence_of(behind))
        self._hiring = None
        return self._panel(key, chosen, hiring, conditions=conditions, day=day)

    def packets_behind(self, evidence_digest: str, *, day: int) -> npt.NDArray[np.void]:
        """Return the packets that an answer was made from: those of the last passing choice, or all that may be."""
        if self._passing is not None and self._passing[1].evidence_digest == evidence_digest:
            return self._passing[2]
        known = self._of_answers(self.packets(), day)
        panels = (panel.synthesizer for _, panel in self._panels.values())
        used = next((each for each in panels if each.evidence_digest == evidence_digest), None)
        if used is None:
            return known
        wanted = {one.tobytes() for one in used.evidence.packet_ids}
        known = np.concatenate([known, self._passing_packets()])
        return known[[one.tobytes() in wanted for one in packet_ids(known)]]

    def _panel(
        self,
        key: tuple[object, ...],
        evidence: Evidence,
        hiring: Hiring,
        *,
        conditions: Mapping[str, object],
        day: int,
    ) -> Panel:
        known = self._panels.get(key)
        if known is None or known[0] is not evidence:
            if len(self._panels) >= SYNTHESIZERS_MAX:
                self._panels.clear()
            elected = evidence.subset(hiring.rows(evidence))
            synthesizer = self._synthesizer(elected, conditions=conditions, day=day)
            if self._keeps_evidence and len(evidence) >= KEPT_PACKETS_MIN:
                recall_findings(self._store, self._template.template_id, synthesizer, asker=self._asker)
            known = evidence, Panel(synthesizer=synthesizer, election=election_of(hiring))
            self._panels[key] = known
        return known[1]

    def _synthesizer(self, evidence: Evidence, *, conditions: Mapping[str, object], day: int) -> Synthesizer:
        return Synthesizer(evidence, self._template, day=day, conditions=conditions, neighbours_of=self._neighbours_of)

    def _elect(self, evidence: Evidence) -> Hiring:
        """Read claims and elect; what was found on many packets is kept for a process that starts on the same ones."""
        self._has_elected = True
        hiring = self._elector.read(evidence)
        if len(evidence) >= KEPT_PACKETS_MIN:
            kept = _Kept(packets=_digest(evidence), asker=self._asker, hiring=hiring)
            self._store.put_record(HIRINGS_TABLE, self._template.template_id, msgspec.msgpack.encode(kept))
        return hiring

    def _recalled(self, evidence: Evidence) -> Hiring | None:
        """Return what an earlier process of this node found on the very same packets, if it did, and none since."""
        if self._has_elected or len(evidence) < KEPT_PACKETS_MIN:
            return None
        data = self._store.get_record(HIRINGS_TABLE, self._template.template_id)
        if data is None:
            return None
        try:
            kept = msgspec.msgpack.decode(data, type=_Kept)
        except (msgspec.DecodeError, msgspec.ValidationError):  # of another version: it is elected anew
            return None
        same = kept.packets == _digest(evidence) and kept.asker == self._asker and kept.version == HIRING_VERSION
        return kept.hiring if same else None

    def _passing_packets(self) -> npt.NDArray[np.void]:
        return np.zeros(0, PACKET_DTYPE) if self._passing is None else self._passing[2]

    def _parts(self) -> Iterator[npt.NDArray[np.void]]:
        """Yield the live packets some at a time, at least one part: all at once they would be most of the memory."""
        blocks: list[npt.NDArray[np.void]] = [np.zeros(0, PACKET_DTYPE)]
        for block in self._store.scan(self._template.template_id):
            blocks.append(block)
            if len(blocks) > PART_BLOCKS:
                yield _joined(blocks)
                blocks.clear()
        yield _joined([np.zeros(0, PACKET_DTYPE), *blocks])

    def _evidence_of(self, packets: npt.NDArray[np.void]) -> Evidence:
        return Evidence.from_blocks([self._told(packets)], self._template)

    def _told(self, packets: npt.NDArray[np.void]) -> tuple[npt.NDArray[np.void], npt.NDArray[np.uint8] | None]:
        """Return what packets say that can be read here, and the ids of the packets that say so."""
        if not sealed_rows(packets).any():
            return packets, None
        readable = self.readable(packets)
        return readable.packets, packet_ids(packets[readable.rows])

    def _of_answers(self, packets: npt.NDArray[np.void], day: int) -> npt.NDArray[np.void]:
        return packets if self._released is None else packets[self._released(packets, day)]


def _joined(blocks: Sequence[npt.NDArray[np.void]]) -> npt.NDArray[np.void]:
    """Return packets one after another, copied whole: field by field takes three times as long."""
    octets = np.dtype(("V", PACKET_DTYPE.itemsize))
    return np.concatenate([block.view(octets) for block in blocks]).view(PACKET_DTYPE)


def _digest(evidence: Evidence) -> bytes:
    return blake2s(np.ascontiguousarray(evidence.packet_ids).data).digest()
