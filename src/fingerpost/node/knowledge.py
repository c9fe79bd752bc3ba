"""What a node knows of a template's packets, ready to answer: read and fitted once while they stay the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from fingerpost.fingerprint import Fingerprinter
from fingerpost.node.admission import Refusal, judge_contents
from fingerpost.packet import PACKET_DTYPE, packet_ids, sealed_rows
from fingerpost.privacy.seal import KeyRing, Opened, Seals
from fingerpost.store.base import PacketStore
from fingerpost.synthesis.calculators import AnyEvidence, AnySynthesizer, read_evidence, synthesizer_of
from fingerpost.synthesis.evidence import Evidence
from fingerpost.template import Template, condition_codes

Released = Callable[[npt.NDArray[np.void], int], npt.NDArray[np.bool_]]
SYNTHESIZERS_MAX = 8  # fitted calculators kept: one for each choice of conditions that is asked for


class Knowledge:
    """One template's packets in a store, as evidence and as fitted calculators; its owner lets packets expire.

    ``released`` says of packets on a day which may be answered from; without it all may, always.
    """

    def __init__(self, store: PacketStore, template: Template, *, released: Released | None = None) -> None:
        self._store = store
        self._template = template
        self._released = released
        self._seals = Seals(None)
        self._fingerprinter: Fingerprinter | None = None
        self._evidence: tuple[tuple[int, int], AnyEvidence] | None = None
        self._synthesizers: dict[tuple[int, tuple[int, ...]], tuple[AnyEvidence, AnySynthesizer]] = {}
        self._passing: tuple[object, AnySynthesizer, npt.NDArray[np.void]] | None = None

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

    def use_keys(self, ring: KeyRing | None) -> None:
        """Seal and open with these keys of the template's consortium from now on; without any when it is None."""
        if ring != self._seals.ring:
            self._seals = Seals(ring)
            self._evidence = self._passing = None
            self._synthesizers.clear()

    def readable(self, packets: npt.NDArray[np.void]) -> Opened:
        """Return what packets say that can be read here: sealed ones with a key here, and contents that fit."""
        opened = self._seals.open(packets)
        sealed = sealed_rows(packets[opened.rows])
        if not sealed.any():
            return opened
        fits = ~sealed
        fits[sealed] = judge_contents(opened.packets[sealed], self._template) == Refusal.WELCOME
        return Opened(packets=opened.packets[fits], rows=opened.rows[fits], secrets=opened.secrets[fits])

    def packets(self) -> npt.NDArray[np.void]:
        """Return the live packets."""
        blocks = list(self._store.scan(self._template.template_id))
        return np.concatenate(blocks) if blocks else np.zeros(0, PACKET_DTYPE)

    def evidence(self, *, day: int) -> Evidence:
        """Return the live packets of single records that may be answered from, as columns; none under noisy counts."""
        found = self._read(day)
        return found if isinstance(found, Evidence) else Evidence.from_packets(self.packets()[:0], self._template)

    def synthesizer(self, *, conditions: Mapping[str, object], day: int) -> AnySynthesizer:
        """Return what answers from the live packets. Raises ``RecordError`` for conditions the template lacks."""
        evidence = self._read(day)
        key = day, tuple(condition_codes(self._template, conditions))
        known = self._synthesizers.get(key)
        if known is None or known[0] is not evidence:
            if len(self._synthesizers) >= SYNTHESIZERS_MAX:
                self._synthesizers.clear()
            known = evidence, synthesizer_of(evidence, self._template, day=day, conditions=conditions)
            self._synthesizers[key] = known
        return known[1]

    def synthesizer_of(
        self,
        packets: Callable[[], npt.NDArray[np.void]],
        *,
        name: object,
        conditions: Mapping[str, object],
        day: int,
    ) -> AnySynthesizer:
        """Return what answers from some packets, which ``name`` tells from all others; the last one is kept."""
        key = name, day, tuple(condition_codes(self._template, conditions))
        if self._passing is None or self._passing[0] != key:
            chosen = self._of_answers(packets(), day)
            evidence = self._evidence_of(chosen)
            synthesizer = synthesizer_of(evidence, self._template, day=day, conditions=conditions)
            self._passing = key, synthesizer, chosen
        return self._passing[1]

    def packets_behind(self, evidence_digest: str, *, day: int) -> npt.NDArray[np.void]:
        """Return the packets that an answer was made from: those of the last passing choice, or all that may be."""
        if self._passing is not None and self._passing[1].evidence_digest == evidence_digest:
            return self._passing[2]
        return self._of_answers(self.packets(), day)

    def _read(self, day: int) -> AnyEvidence:
        """Return what answers rest on; built anew only when it may have changed."""
        state = self._store.generation, 0 if self._released is None else day
        if self._evidence is None or self._evidence[0] != state:
            self._evidence = state, self._evidence_of(self._of_answers(self.packets(), day))
        return self._evidence[1]

    def _evidence_of(self, packets: npt.NDArray[np.void]) -> AnyEvidence:
        if not sealed_rows(packets).any():
            return read_evidence(packets, self._template)
        readable = self.readable(packets)
        return Evidence.from_packets(readable.packets, self._template, packet_ids=packet_ids(packets[readable.rows]))

    def _of_answers(self, packets: npt.NDArray[np.void], day: int) -> npt.NDArray[np.void]:
        return packets if self._released is None else packets[self._released(packets, day)]
