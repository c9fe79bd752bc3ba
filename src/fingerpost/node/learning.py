"""What a node has learnt from outcomes that it confirmed, kept durably in its store: the standings of calculators."""

from __future__ import annotations

from fingerpost.elections.calculate import Ledger, losses_of, weigh
from fingerpost.errors import UsageError
from fingerpost.store.base import PacketStore
from fingerpost.synthesis import Answer, Synthesizer
from fingerpost.synthesis.panel import Weighing
from fingerpost.template import Template

LEDGERS_TABLE = "calculators"
PACKETS_MIN = 5


class Learning:
    """One node's experience with calculators, for all its templates. ``me`` is its node id (32 bytes)."""

    def __init__(self, store: PacketStore, *, me: bytes) -> None:
        self._store = store
        self._me = me
        self._ledgers: dict[bytes, Ledger | None] = {}

    def ledger(self, template_id: bytes) -> Ledger | None:
        """Return what confirmations have said about the calculators of a template; None before the first."""
        if template_id not in self._ledgers:
            self._ledgers[template_id] = self._read(template_id)
        return self._ledgers[template_id]

    def weighing(self, synthesizer: Synthesizer) -> Weighing | None:
        """Return how much each calculator counts for this node; None where packets are too few to tell them apart."""
        if len(synthesizer.evidence) < PACKETS_MIN:
            return None
        ledger = self.ledger(synthesizer.template.template_id)
        return weigh(ledger, synthesizer.panel(self._me), asker=self._me)

    def confirm(self, template: Template, answer: Answer, outcome: object) -> bool:
        """Take in how the situation of an answer to this node turned out; say whether calculators could learn from it.

        What they learn is durable when this returns. Nothing is learnt from an answer to another node, nor from one by
        a single calculator.
        """
        calculation = answer.calculation
        if calculation is None or calculation.asker != self._me.hex():
            return False
        lost = losses_of(calculation, template, outcome)
        ledger = self.ledger(template.template_id)
        if ledger is None:
            ledger = Ledger.open({share.name: share.standing for share in calculation.calculators})
        ledger = ledger.with_names([share.name for share in calculation.calculators]).confirmed(lost)
        self._store.put_record(LEDGERS_TABLE, template.template_id, ledger.to_bytes())
        self._ledgers[template.template_id] = ledger
        return bool(lost)

    def _read(self, template_id: bytes) -> Ledger | None:
        data = self._store.get_record(LEDGERS_TABLE, template_id)
        try:
            return None if data is None else Ledger.from_bytes(data)
        except UsageError:  # of a newer version: standings start anew, no answer fails for their sake
            return None
