"""Everything the demo found, as one document."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from fingerpost import __version__
from fingerpost.lab.heart import CITATION
from fingerpost.template import profile_name

if TYPE_CHECKING:
    from fingerpost.lab.crash import NetworkPart
    from fingerpost.lab.demo_profiles import ProfileResult
    from fingerpost.lab.exchange import Emission
    from fingerpost.lab.flipped import Flipped
    from fingerpost.lab.verdicts import Newcomer
    from fingerpost.synthesis import Answer
    from fingerpost.template import Template

SCHEMA = "fingerpost-demo/2"
OWN_ROWS = 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question in full: ``patient`` counts from 1 in the newcomer's rows; ``happened`` is what came true."""

    newcomer: str
    patient: int
    situation: dict[str, str | None]
    answer: Answer
    happened: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoReport:
    """Everything the demo found; ``docs/reference/demo.md`` describes ``to_document``."""

    seed: int
    repetitions: int
    template: Template
    network: NetworkPart
    emissions: tuple[Emission, ...]
    question: Question
    newcomers: tuple[Newcomer, ...]
    flipped: Flipped | None
    profiles: tuple[ProfileResult, ...]
    verdicts: tuple[str, ...]
    notes: tuple[str, ...]
    seconds: float

    def to_document(self) -> dict[str, Any]:
        """Return the report as plain dicts, lists, texts and numbers."""
        return {
            "schema": SCHEMA,
            "fingerpost": __version__,
            "seed": self.seed,
            "repetitions": self.repetitions,
            "own_rows": OWN_ROWS,
            "seconds": round(self.seconds, 1),
            "data": CITATION,
            "template": {
                "name": self.template.name,
                "template_id": self.template.template_id.hex(),
                "fingerprint_bits": self.template.fingerprint_bits,
                "profile": profile_name(self.template.profile),
            },
            "network": self.network.to_document(),
            "hospitals": [asdict(emission) for emission in self.emissions],
            "question": {
                "newcomer": self.question.newcomer,
                "patient": self.question.patient,
                "situation": self.question.situation,
                "answer": self.question.answer.as_dict(),
                "happened": self.question.happened,
            },
            "newcomers": [_newcomer_document(newcomer) for newcomer in self.newcomers],
            "flipped": None if self.flipped is None else self.flipped.to_document(),
            "profiles": [result.to_document() for result in self.profiles],
            "verdicts": list(self.verdicts),
            "notes": list(self.notes),
        }

    def to_json(self) -> str:
        """Return the report as a JSON text."""
        return json.dumps(self.to_document(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _newcomer_document(newcomer: Newcomer) -> dict[str, Any]:
    return {
        "name": newcomer.name,
        "patients": newcomer.patients,
        "diseased_share": newcomer.share,
        "others_share": newcomer.others_share,
        "warning": newcomer.warning or None,
        "results": [
            {"arm": result.arm.value, "own_rows": result.own_rows, **asdict(result.scores), "bytes": result.bytes}
            for result in newcomer.results
        ],
    }
