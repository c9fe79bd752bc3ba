"""Answering from the packets of this node: questions in, answers, confirmations and receipts out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

import numpy as np
import numpy.typing as npt

from fingerpost.errors import RecordError, UsageError
from fingerpost.fingerprint import Fingerprinter, likely_cells
from fingerpost.limits import PROBES_DEFAULT
from fingerpost.node.emission import Observations
from fingerpost.node.engine import Engine
from fingerpost.node.knowledge import Panel
from fingerpost.node.learning import Learning
from fingerpost.ports import day_of
from fingerpost.synthesis import Answer, Calculation, Evidence, Query
from fingerpost.synthesis.receipt import Receipt, make_receipt
from fingerpost.template import DataClass, Template, encode_record, encode_table, outcome_value

Outcomes = Sequence[tuple[bytes, Calculation | None, object]]  # fingerprint, what calculators said, what happened

Mode = Literal["sync", "cells", "direct"]
MODES = ", ".join(get_args(Mode))


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """One situation as holders and calculators see it: its query, and the cells in which its like may lie."""

    query: Query
    cells: tuple[int, ...]


def as_mode(name: str | None) -> Mode | None:
    """Return a mode of asking by its name. Raises ``UsageError`` (``mode-unknown``)."""
    if name is None or name in get_args(Mode):
        return cast("Mode | None", name)
    raise UsageError("mode-unknown", f"no mode of asking is called {name!r}", hint=f"there are: {MODES}")


def require_follow(mode: Mode, *, follows: bool) -> None:
    """Raise ``UsageError`` (``mode-follow``) when a node that keeps no more than its share is to answer alone."""
    if mode == "sync" and not follows:
        raise UsageError(
            "mode-follow",
            "this node keeps no more than its share of the template, so it cannot answer from its own packets alone",
            hint='ask with mode "cells", or open the node with follow=True',
        )


def locate(
    engine: Engine, template: Template, situation: Mapping[str, object], *, cells: int = PROBES_DEFAULT
) -> Situation:
    """Encode a situation and name the ``cells`` cells most likely to hold its like, best first.

    Raises ``RecordError`` for a value that does not fit the template.
    """
    encoded = encode_record(template, situation)[None, :]
    fingerprinter = engine.knowledge(template.template_id).fingerprinter
    (query,) = _queries(template, fingerprinter, encoded)
    costs = fingerprinter.flip_costs(encoded)[0]
    likely = likely_cells(query.fingerprint, template, count=cells, flip_costs=costs)
    return Situation(query=query, cells=tuple(likely.tolist()))


def answer(
    engine: Engine,
    template: Template,
    situation: Situation,
    *,
    mode: str,
    nearest: Sequence[bytes] = (),
    conditions: Mapping[str, object],
    learning: Learning,
    now: float,
) -> Answer:
    """Return the answer from the nodes elected and what is here of theirs by now.

    These are all their packets, those of the situation's cells, or the nearest ones. The answer is mixed from several
    calculators, each as much as ``learning`` trusts it.
    """
    if mode == "cells":
        panel = engine.panel(template.template_id, cells=situation.cells, conditions=conditions, now=now)
    elif mode == "direct":
        panel = engine.panel(template.template_id, ids=nearest, conditions=conditions, now=now)
    else:
        panel = engine.panel(template.template_id, conditions=conditions, now=now)
    return _answers(panel, [situation.query], learning)[0]


def ask_table(
    engine: Engine,
    template: Template,
    columns: Mapping[str, object],
    *,
    rows: int,
    learning: Learning,
    now: float,
) -> list[Answer]:
    """Return an answer for each row. Raises ``RecordError`` for the first row that does not fit."""
    encoded, problems = encode_table(template, columns, rows=rows, absent="missing")
    if problems:
        first = problems[0]
        message = f"row {first.row}, {first.message}"
        raise RecordError(first.code, message, hint=first.hint, field=first.field, row=first.row)
    panel = engine.panel(template.template_id, conditions={}, now=now)
    queries = _queries(template, engine.knowledge(template.template_id).fingerprinter, encoded)
    return _answers(panel, queries, learning)


def rows_of(columns: Mapping[str, object], *, rows: int) -> list[dict[str, object]]:
    """Return the rows of a table, columns by name, as situations."""
    plain = {name: column.to_pylist() if hasattr(column, "to_pylist") else column for name, column in columns.items()}
    return [{name: column[row] for name, column in plain.items()} for row in range(rows)]  # type: ignore[index]


def require_direct_allowed(template: Template, *, tells_situation: bool) -> None:
    """Raise ``UsageError`` (``direct-personal``) when a personal situation would be told to a holder unasked."""
    if template.data_class is DataClass.PERSONAL and not tells_situation:
        raise UsageError(
            "direct-personal",
            "asking directly tells a holder the fingerprint of the situation, and the data are personal",
            hint='ask with mode "sync" or "cells", or say that this member may be told (tells_situation=True)',
        )


def receipt(engine: Engine, template: Template, answer: Answer, *, learning: Learning, now: float) -> Receipt:
    """Return the evidence of an answer. Raises ``ReceiptError`` when the packets or the trust in them have changed."""
    packets = engine.packets_behind(template.template_id, answer.evidence_digest, now=now)
    readable = engine.knowledge(template.template_id).readable(packets)
    return make_receipt(
        answer,
        packets[readable.rows],
        template,
        secrets=readable.secrets,
        trusted=lambda found: learning.trusted(found, day=answer.day),
    )


def outcomes_of_questions(
    engine: Engine, template: Template, observations: Observations, *, learning: Learning
) -> Outcomes:
    """Return those of some observations that say how a situation turned out that was asked about before."""
    if not learning.waits:
        return []
    fingerprints = engine.knowledge(template.template_id).fingerprinter.fingerprints(observations.encoded)
    said = [(one.tobytes(), learning.calculation_of(one.tobytes())) for one in fingerprints]
    return [
        (fingerprint, calculation, outcome_value(template, observations.outcomes[row]))
        for row, (fingerprint, calculation) in enumerate(said)
        if calculation is not None
    ]


def evidence_before(engine: Engine, template: Template, outcomes: Outcomes, *, now: float) -> Evidence | None:
    """Return what is known before these outcomes become packets, which must not confirm themselves."""
    return engine.evidence(template.template_id, now=now) if outcomes else None


def learn(outcomes: Outcomes, evidence: Evidence | None, *, learning: Learning, now: float) -> int:
    """Take in how situations turned out; return from how many of them calculators learnt."""
    if evidence is None:
        return 0
    return sum(
        learning.confirm(fingerprint, calculation, outcome, evidence=evidence, day=day_of(now))
        for fingerprint, calculation, outcome in outcomes
    )


def log_loss(answer: Answer, outcome: object) -> float | None:
    """Return -ln of the probability that the answer gave this outcome; None for numbers and for no estimate."""
    probability = answer.probabilities.get(str(outcome))
    return None if probability is None else -math.log(max(probability, 1e-12))


def _answers(panel: Panel, queries: Sequence[Query], learning: Learning) -> list[Answer]:
    surviving = learning.surviving(panel)
    answers = surviving.ask_many(queries, weighing=learning.weighing(surviving.synthesizer))
    for answer in answers:
        learning.asked(answer)
    return answers


def _queries(template: Template, fingerprinter: Fingerprinter, encoded: npt.NDArray[np.int16]) -> Sequence[Query]:
    fingerprints = fingerprinter.fingerprints(encoded)
    if not template.sketch:
        return [Query(fingerprint=row.tobytes()) for row in fingerprints]
    sketches = fingerprinter.sketches(encoded)
    return [
        Query(fingerprint=row.tobytes(), sketch=sketch.tobytes())
        for row, sketch in zip(fingerprints, sketches, strict=True)
    ]
