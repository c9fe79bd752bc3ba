"""Answering from the packets of this node: questions in, answers, confirmations and receipts out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from fingerpost.errors import RecordError
from fingerpost.fingerprint import Fingerprinter
from fingerpost.node.engine import Engine
from fingerpost.synthesis import Answer, Query
from fingerpost.synthesis.receipt import Receipt, make_receipt
from fingerpost.template import Template, encode_record, encode_table


def ask(
    engine: Engine,
    template: Template,
    situation: Mapping[str, object],
    *,
    conditions: Mapping[str, object],
    now: float,
) -> Answer:
    """Return the answer to one situation. Raises ``RecordError`` for a value that does not fit the template."""
    encoded = encode_record(template, situation)[None, :]
    return _answers(engine, template, encoded, conditions=conditions, now=now)[0]


def ask_table(
    engine: Engine, template: Template, columns: Mapping[str, object], *, rows: int, now: float
) -> list[Answer]:
    """Return an answer for each row. Raises ``RecordError`` for the first row that does not fit."""
    encoded, problems = encode_table(template, columns, rows=rows, absent="missing")
    if problems:
        first = problems[0]
        message = f"row {first.row}, {first.message}"
        raise RecordError(first.code, message, hint=first.hint, field=first.field, row=first.row)
    return _answers(engine, template, encoded, conditions={}, now=now)


def receipt(engine: Engine, template: Template, answer: Answer, *, now: float) -> Receipt:
    """Return the evidence of an answer. Raises ``ReceiptError`` when the packets have changed since."""
    return make_receipt(answer, engine.packets(template.template_id, now=now), template)


def log_loss(answer: Answer, outcome: object) -> float | None:
    """Return -ln of the probability that the answer gave this outcome; None for numbers and for no estimate."""
    probability = answer.probabilities.get(str(outcome))
    return None if probability is None else -math.log(max(probability, 1e-12))


def _answers(
    engine: Engine, template: Template, encoded: npt.NDArray[np.int16], *, conditions: Mapping[str, object], now: float
) -> list[Answer]:
    synthesizer = engine.synthesizer(template.template_id, conditions=conditions, now=now)
    return synthesizer.ask_many(_queries(template, engine.fingerprinter(template.template_id), encoded))


def _queries(template: Template, fingerprinter: Fingerprinter, encoded: npt.NDArray[np.int16]) -> Sequence[Query]:
    fingerprints = fingerprinter.fingerprints(encoded)
    if not template.sketch:
        return [Query(fingerprint=row.tobytes()) for row in fingerprints]
    sketches = fingerprinter.sketches(encoded)
    return [
        Query(fingerprint=row.tobytes(), sketch=sketch.tobytes())
        for row, sketch in zip(fingerprints, sketches, strict=True)
    ]
