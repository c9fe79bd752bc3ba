"""One hospital of the demo tells the opposite of what it saw: answers without elections, with them, and why.

The asker is a newcomer with a few patients of its own; it answers for its other patients. Evidence is that of the
demo: every patient of the other hospitals is one packet, the liar's with the outcome turned round.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fingerpost.elections.explain import elector_for, explain
from fingerpost.elections.hiring import election_of
from fingerpost.fingerprint import Fingerprinter
from fingerpost.ids import node_id
from fingerpost.lab.exchange import DAY_OF_THE_DATA, answers_of
from fingerpost.lab.heart import DISEASED, HOSPITALS, columns_of, load_heart_template, load_patients
from fingerpost.packet import Profile
from fingerpost.synthesis import Evidence, Query, Synthesizer
from fingerpost.template import CategoryOutcomeField, encode_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fingerpost.synthesis import Answer, Election
    from fingerpost.template import Template

ASKER, LIAR = "Long Beach", "Hungary"
OWN_ROWS = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Flipped:
    """How good the asker's answers are, as shares that are right, and what it found out about the liar.

    ``honest`` is what everybody's packets would give if nobody lied, ``undefended`` what they give, ``defended`` what
    those of the elected give, ``alone`` the asker's own. ``findings`` maps every hospital to what was found, and
    ``explained`` is what ``fingerpost peers explain`` says about the liar.
    """

    asker: str
    liar: str
    own_rows: int
    patients: int
    honest: float
    undefended: float
    defended: float
    alone: float
    findings: dict[str, str]
    election: Election
    explained: dict[str, Any]

    def to_document(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "asker": self.asker,
            "liar": self.liar,
            "own_rows": self.own_rows,
            "patients": self.patients,
            "accuracy": {
                "honest": self.honest,
                "undefended": self.undefended,
                "defended": self.defended,
                "alone": self.alone,
            },
            "findings": self.findings,
            "explained": self.explained,
        }

    def lines(self) -> tuple[str, ...]:
        """Return the story in a few sentences."""
        against = self.explained["against"]
        told = [
            f"{self.liar} now tells the opposite of what it saw; {self.asker} has {self.own_rows} patients of its own."
        ]
        told.append(f"Believing everybody, it is right about {self.undefended:.0%} of {self.patients} patients.")
        words = ", ".join(f"{name} {finding}" for name, finding in self.findings.items() if finding != "own")
        told.append(f"Electing by its own outcomes ({words}) it is right about {self.defended:.0%};")
        told.append(f"had nobody lied, about {self.honest:.0%}.")
        if against:
            worst = against[0]
            told.append(
                f"Why: {self.liar} claimed {worst['claimed']!r} where {worst['expected']:.0%} was expected of that, "
                f"and so on in {self.explained['familiar']:,} familiar packets "
                f"({self.explained['log_evidence']:+.1f} nats, {self.explained['needed']:.1f} needed)."
            )
        return tuple(told)


def flipped_hospital(
    *, asker: str = ASKER, liar: str = LIAR, own_rows: int = OWN_ROWS, seed: int = 0, profile: Profile = Profile.OPEN
) -> Flipped:
    """Let the hospital ``liar`` turn its outcomes round, and let ``asker`` answer for the patients it has left."""
    template = load_heart_template(profile)
    patients = load_patients()
    hospital = np.array([HOSPITALS.index(patient.hospital) for patient in patients])
    truth = np.array([patient.outcome == DISEASED for patient in patients], np.int64)
    if isinstance(template.outcome, CategoryOutcomeField) and template.outcome.levels[1] != DISEASED:
        truth = 1 - truth
    encoded, _ = encode_table(template, columns_of(patients), rows=len(patients))
    fingerprinter = Fingerprinter(template)
    fingerprints, sketches = fingerprinter.fingerprints(encoded), fingerprinter.sketches(encoded)
    mine = np.random.default_rng(seed).permutation(np.flatnonzero(hospital == HOSPITALS.index(asker)))
    known, asked = mine[:own_rows], mine[own_rows:]
    told = np.concatenate([known, np.flatnonzero(hospital != HOSPITALS.index(asker))])
    lying = hospital[told] == HOSPITALS.index(liar)
    claims = np.where(lying, 1 - truth[told], truth[told])

    def evidence(codes: NDArray[np.int64], rows: NDArray[np.bool_] | None = None) -> Evidence:
        chosen = np.ones(len(told), bool) if rows is None else rows
        return Evidence.from_arrays(
            fingerprints=fingerprints[told[chosen]],
            sketches=sketches[told[chosen]],
            codes=codes[chosen],
            counts=np.zeros((0, 2), np.int64),
            emitters=np.stack([np.frombuffer(_key(name), np.uint8) for name in HOSPITALS])[hospital[told[chosen]]],
            packet_ids=np.stack([np.frombuffer(_packet_id(row), np.uint8) for row in told[chosen].tolist()]),
            epochs=np.full(int(chosen.sum()), DAY_OF_THE_DATA),
        )

    me = node_id(_key(asker))
    queries = [Query(fingerprint=fingerprints[row].tobytes(), sketch=sketches[row].tobytes()) for row in asked.tolist()]
    everybody = evidence(claims)
    hiring = elector_for(template, me).read(everybody)
    names: dict[bytes, str] = {node_id(_key(name)): name for name in HOSPITALS}
    return Flipped(
        asker=asker,
        liar=liar,
        own_rows=len(known),
        patients=len(asked),
        honest=_right(_pooled(evidence(truth[told]), template, queries), truth[asked]),
        undefended=_right(_pooled(everybody, template, queries), truth[asked]),
        defended=_right(answers_of(me, everybody, template, queries, day=DAY_OF_THE_DATA), truth[asked]),
        alone=_right(_pooled(evidence(claims, np.isin(told, known)), template, queries), truth[asked]),
        findings={names[verdict.node_id]: verdict.finding for verdict in hiring.verdicts},
        election=election_of(hiring),
        explained=explain(everybody, template, asker=me, node=node_id(_key(liar))),
    )


def _pooled(evidence: Evidence, template: Template, queries: Sequence[Query]) -> list[Answer]:
    return Synthesizer(evidence, template, day=DAY_OF_THE_DATA).ask_many(queries)


def _right(answers: Sequence[Answer], happened: NDArray[np.int64]) -> float:
    """Return the share of answers whose likeliest level is what happened; an abstention counts by its estimate."""
    guessed = [max(range(2), key=lambda level: answer.levels[level].probability) for answer in answers]
    return float((np.array(guessed) == happened).mean())


def _key(name: str) -> bytes:
    return hashlib.blake2s(f"hospital {name}".encode()).digest()


def _packet_id(row: int) -> bytes:
    return hashlib.blake2s(f"patient {row}".encode()).digest()
