"""One hospital of the demo tells the opposite of what it saw: answers without elections, with them, and why.

Everything else is as in the demo: the same patients, the same keys, the same draws of confirmed patients, and nodes
that run where those of the demo run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fingerpost.lab.arms import Arm
from fingerpost.lab.heart import DISEASED, HOSPITALS, Patient
from fingerpost.lab.scores import Scores, mean_scores, score
from fingerpost.lab.verdicts import TIE_AREA

if TYPE_CHECKING:
    from fingerpost.lab.arms import Draw, Probabilities
    from fingerpost.lab.exchange import Exchange
    from fingerpost.lab.verdicts import Newcomer

ASKER, LIAR = "Long Beach", "Hungary"
HEALTHY = "no"
STEPS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How good one way to answer is: with no outcomes of the asker's own, and with some; None where it cannot."""

    alone: Scores | None
    with_own: Scores | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Flipped:
    """How good the asker's answers are, and what it found out about the liar.

    ``honest`` is what it answers when nobody lies. With the liar, ``undefended`` believes everybody, ``defended`` is
    what a node answers, which elects whom to believe, and ``own`` rests on the asker's confirmed patients only.
    ``findings`` maps the number of confirmed patients to what the asker finds about the liar, and ``explained`` is what
    its node says in ``fingerpost peers explain`` once ``own_rows`` of them are confirmed, those of the first draw.
    """

    asker: str
    liar: str
    patients: int
    own_rows: int
    honest: Way
    undefended: Way
    defended: Way
    own: Way
    findings: dict[int, str]
    explained: dict[str, Any]

    def to_document(self) -> dict[str, Any]:
        """Return it as plain values; ``docs/reference/demo.md`` describes them."""
        document = asdict(self)
        for name in ("honest", "undefended", "defended", "own"):
            document[name] = {"0": document[name]["alone"], str(self.own_rows): document[name]["with_own"]}
        document["findings"] = {str(confirmed): finding for confirmed, finding in self.findings.items()}
        return document

    def verdict(self) -> str:
        """Say what elections were worth here, whatever that is."""
        first = self._compared(self.undefended.alone, self.defended.alone)
        then = self._compared(self.undefended.with_own, self.defended.with_own)
        told = f"With no outcomes of its own, {first}; with {self.own_rows}, {then}"
        if self.defended.with_own is None or self.own.with_own is None:
            return f"{told}."
        gained, own = self.defended.with_own.auc - self.own.with_own.auc, f"{self.own.with_own.auc:.3f}"
        if abs(gained) <= TIE_AREA:
            return f"{told}. Those {self.own_rows} alone, with nobody else's packets, reach as much: {own}."
        worse = "less" if gained > 0 else "more"
        return f"{told}. Those {self.own_rows} alone, with nobody else's packets, reach {worse}: {own}."

    @staticmethod
    def _compared(undefended: Scores | None, defended: Scores | None) -> str:
        if undefended is None or defended is None:
            raise AssertionError("both have been measured")
        gained = defended.auc - undefended.auc
        figures = f"({defended.auc:.3f} against {undefended.auc:.3f})"
        if abs(gained) <= TIE_AREA:
            return f"elections make no difference {figures}"
        return f"elections help {figures}" if gained > 0 else f"elections do harm {figures}"


def lied(patients: Sequence[Patient], *, liar: str = LIAR) -> list[Patient]:
    """Return the patients as the hospitals tell of them when ``liar`` turns every outcome round."""
    other = {DISEASED: HEALTHY, HEALTHY: DISEASED}
    return [
        replace(patient, outcome=other[patient.outcome]) if patient.hospital == liar else patient
        for patient in patients
    ]


def measure_flipped(
    lying: Exchange, honest: Newcomer, drawn: Sequence[Draw], advance: Callable[[int], None], *, liar: str = LIAR
) -> Flipped:
    """Let the hospitals of ``lying``, none of which has emitted, emit, and one of them ask; ``honest`` is the asker.

    Its confirmed patients are ``drawn`` as for ``honest``; ``advance`` is told of ``STEPS`` steps.
    """
    asker, others = honest.name, [hospital for hospital in HOSPITALS if hospital != honest.name]
    truth = np.array([patient.outcome == DISEASED for patient in lying.patients])
    mine = np.flatnonzero([patient.hospital == asker for patient in lying.patients])
    for hospital in others:
        lying.emit(hospital)
    advance(1)
    undefended = score(lying.forecast(asker, others, own=mine[:0], asked=mine, elects=False), truth[mine])
    defended = score(lying.ask_rows(asker, mine), truth[mine])
    findings = {0: str(lying.explain(asker, liar)["finding"])}
    advance(1)
    first = drawn[0]
    lying.emit(asker, rows=first.own)
    explained = lying.explain(asker, liar)
    lying.emit(asker, rows=first.asked)
    findings |= {len(first.own): explained["finding"], len(mine): lying.explain(asker, liar)["finding"]}
    advance(1)

    def forecast(draw: Draw, *, elects: bool) -> Probabilities:
        return lying.forecast(asker, others, own=draw.own, asked=draw.asked, elects=elects)

    believing, electing = (
        mean_scores([score(forecast(draw, elects=elects), truth[draw.asked]) for draw in drawn])
        for elects in (False, True)
    )
    advance(1)
    own_rows = len(first.own)
    return Flipped(
        asker=asker,
        liar=liar,
        patients=len(mine),
        own_rows=own_rows,
        honest=Way(alone=honest.scores(Arm.PACKETS, 0), with_own=honest.scores(Arm.PACKETS, own_rows)),
        undefended=Way(alone=undefended, with_own=believing),
        defended=Way(alone=defended, with_own=electing),
        own=Way(alone=None, with_own=honest.scores(Arm.OWN_PACKETS, own_rows)),
        findings=findings,
        explained=explained,
    )
