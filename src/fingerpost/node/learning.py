"""What a node has learnt from outcomes that it confirmed, kept durably in its store.

One record a template holds the standings of calculators, another what is known about packets and nodes. Both are
written in one transaction, so a crash leaves what was before an outcome or what is after it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import msgspec
import numpy as np

from fingerpost.elections.calculate import Ledger, losses_of, weigh
from fingerpost.elections.survive import Survival, agreement_with
from fingerpost.errors import UsageError
from fingerpost.node.knowledge import Knowledge, Panel
from fingerpost.store.base import PacketStore
from fingerpost.synthesis import Answer, Evidence, Synthesizer, Weighing
from fingerpost.synthesis.answer import Calculation
from fingerpost.synthesis.calculators import Calculator
from fingerpost.template import CategoryOutcomeField, Template, outcome_code

ELECTIONS_TABLE = "elections"
CALCULATORS, SURVIVAL, ASKED = b"calculators:", b"survival:", b"asked:"
PACKETS_MIN = 5
Kept = TypeVar("Kept", Ledger, Survival)

ASKED_MAX = 1_024  # questions that are remembered until their outcome is told


class Learning:
    """One node's experience with one template. ``me`` is its node id (32 bytes); ``calculators`` are elected among."""

    def __init__(self, store: PacketStore, template: Template, *, me: bytes, calculators: Sequence[Calculator]) -> None:
        self.calculators = tuple(calculators)
        self._store = store
        self._template = template
        self._me = me
        self._ledger = self._read(CALCULATORS, Ledger)
        self._survival = self._read(SURVIVAL, Survival) or Survival()
        self._trusted: tuple[Synthesizer, Survival, Synthesizer] | None = None
        self._asked = self._read_asked()
        self._asked_before = len(self._asked)
        self._is_open = True

    @property
    def ledger(self) -> Ledger | None:
        """What confirmations have said about the calculators; None before the first."""
        return self._ledger

    @property
    def survival(self) -> Survival:
        """What confirmations have said about packets and nodes."""
        return self._survival

    def trusted(self, evidence: Evidence, *, day: int) -> Evidence:
        """Return the packets of ``evidence``, each counting as much as outcomes have left it."""
        return evidence.trusted(self._survival.trust(evidence, day=day))

    def surviving(self, panel: Panel) -> Panel:
        """Return what answers from the same nodes, each packet counting as much as outcomes have left it."""
        before = panel.synthesizer
        trust = self._survival.trust(before.evidence, day=before.day)
        if trust is None:
            return panel
        if self._trusted is None or self._trusted[0] is not before or self._trusted[1] is not self._survival:
            after = before.with_evidence(before.evidence.trusted(trust))
            self._trusted = before, self._survival, after
        return replace(panel, synthesizer=self._trusted[2])

    def weighing(self, synthesizer: Synthesizer) -> Weighing | None:
        """Return how much each calculator counts for this node; None where packets are too few to tell them apart."""
        if len(synthesizer.evidence) < PACKETS_MIN:
            return None
        synthesizer.offer(self.calculators)
        return weigh(self._ledger, synthesizer.panel(self._me), asker=self._me)

    def asked(self, answer: Answer) -> None:
        """Remember an answer of this node until its outcome is told, here or by another process after ``close``."""
        if answer.calculation is not None:
            self._asked[answer.query.fingerprint] = answer.calculation
            self._asked.move_to_end(answer.query.fingerprint)
            while len(self._asked) > ASKED_MAX:
                self._asked.popitem(last=False)

    @property
    def waits(self) -> bool:
        """Whether a question has had no outcome yet."""
        return bool(self._asked)

    def calculation_of(self, fingerprint: bytes) -> Calculation | None:
        """Return what calculators said about a situation that was asked about and has had no outcome yet."""
        return self._asked.get(fingerprint)

    def confirm(
        self, fingerprint: bytes, calculation: Calculation | None, outcome: object, *, evidence: Evidence, day: int
    ) -> bool:
        """Take in how a situation turned out; say whether calculators learnt from it.

        ``evidence`` are the packets that were known before. What is learnt is durable when this returns. Calculators
        learn nothing from an answer to another node, nor from one by a single calculator.
        """
        lost: dict[str, float] = {}
        deviation = 0.0
        if calculation is not None and calculation.asker == self._me.hex():
            lost = losses_of(calculation, self._template, outcome)
            names = [share.name for share in calculation.calculators]
            start = {share.name: share.standing for share in calculation.calculators}
            ledger = self._ledger or Ledger.open(start)
            self._ledger = ledger.with_names(names).confirmed(lost)
            deviation = min((s.deviation for s in calculation.calculators if s.deviation is not None), default=0.0)
        code = float(outcome_code(self._template, outcome))
        if isinstance(self._template.outcome, CategoryOutcomeField):
            code -= 1
        else:
            span = float(self._template.outcome.high - self._template.outcome.low)
            deviation = deviation or span / 10
        agreement, chance = agreement_with(evidence, code, deviation=deviation)
        prints = np.frombuffer(fingerprint, np.uint8)
        self._survival = self._survival.tested(evidence, prints, agreement, chance=chance, day=day, own=self._me)
        changes: dict[bytes, bytes | None] = {SURVIVAL + self._template.template_id: self._survival.to_bytes()}
        if self._ledger is not None:
            changes[CALCULATORS + self._template.template_id] = self._ledger.to_bytes()
        self._asked.pop(fingerprint, None)
        self._store.put_records(ELECTIONS_TABLE, changes)
        return bool(lost)

    def close(self, knowledge: Knowledge | None = None) -> None:
        """Keep what was asked, so that another process may tell how it turned out; a second call does nothing.

        What ``knowledge`` has read from many packets is kept as well, so that another process starts sooner.
        """
        if self._is_open and knowledge is not None:
            knowledge.keep()
        if self._is_open and (self._asked or self._asked_before):
            data = msgspec.msgpack.encode(list(self._asked.items()))
            self._store.put_record(ELECTIONS_TABLE, ASKED + self._template.template_id, data)
        self._is_open = False

    def _read(self, kind: bytes, of: type[Kept]) -> Kept | None:
        data = self._store.get_record(ELECTIONS_TABLE, kind + self._template.template_id)
        try:
            return None if data is None else of.from_bytes(data)
        except UsageError:  # of a newer version: learning starts anew, no answer fails for its sake
            return None

    def _read_asked(self) -> OrderedDict[bytes, Calculation]:
        data = self._store.get_record(ELECTIONS_TABLE, ASKED + self._template.template_id)
        try:
            return OrderedDict() if data is None else OrderedDict(_ASKED.decode(data))
        except (msgspec.DecodeError, msgspec.ValidationError):
            return OrderedDict()


_ASKED = msgspec.msgpack.Decoder(list[tuple[bytes, Calculation]])
