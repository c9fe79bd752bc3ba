"""Answering from the packets of this node: questions in, answers, confirmations and receipts out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast, get_args

import numpy as np
import numpy.typing as npt

from fingerpost.elections import explain
from fingerpost.elections.audit import rank_doubts
from fingerpost.elections.hiring import Hiring, election_of
from fingerpost.errors import NetworkError, RecordError, UsageError
from fingerpost.fingerprint import Fingerprinter, cell_of, likely_cells
from fingerpost.fingerprint.cells import Cells, probes
from fingerpost.limits import PROBES_DEFAULT
from fingerpost.node.emission import Observations
from fingerpost.node.engine import Engine
from fingerpost.node.events import Fetched
from fingerpost.node.knowledge import Panel
from fingerpost.node.learning import Learning
from fingerpost.packet import packet_ids
from fingerpost.ports import day_of
from fingerpost.synthesis import Answer, Calculation, CountsEvidence, Evidence, Query
from fingerpost.synthesis._counts_reports import ReportsEvidence
from fingerpost.synthesis._draw import drawn_rows
from fingerpost.synthesis.answer import Gathering
from fingerpost.synthesis.by_profile import counts_answer, read_evidence, synthesizer_of
from fingerpost.synthesis.receipt import Receipt, make_receipt
from fingerpost.template import DataClass, Template, encode_record, encode_table, outcome_value

AUDITED_MAX = 256  # packets whose situations are looked at

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

    Of a personal situation they follow from the cell that it lies in, so that all of them tell no more than that one.
    Raises ``RecordError`` for a value that does not fit the template.
    """
    encoded = encode_record(template, situation)[None, :]
    fingerprinter = engine.knowledge(template.template_id).fingerprinter
    (query,) = _queries(template, fingerprinter, encoded)
    if counts_answer(template):  # Answers rest on the counts of all cells, so which are asked for says nothing.
        cells = 1 << template.cell_bits
    if template.data_class is DataClass.PERSONAL:
        likely = _cells_near(int(cell_of(fingerprinter.fingerprints(encoded), template)[0]), template, cells)
    else:
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
    if counts_answer(template):
        cells = None if mode == "sync" else situation.cells
        return _counts(engine, template, [situation.query], cells=cells, conditions=conditions, now=now)[0]
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
    queries = _queries(template, engine.knowledge(template.template_id).fingerprinter, encoded)
    if counts_answer(template):
        return _counts(engine, template, queries, cells=None, conditions={}, now=now)
    panel = engine.panel(template.template_id, conditions={}, now=now)
    return _answers(panel, queries, learning)


def audit(engine: Engine, template: Template, *, count: int, learning: Learning, now: float) -> list[Answer]:
    """Return the answers about situations of known packets whose confirmation would help most, that one first."""
    evidence = engine.evidence(template.template_id, now=now)
    if not len(evidence):
        return []
    known = evidence.subset(drawn_rows(evidence, evidence.records.astype(np.float64), AUDITED_MAX))
    sketches = [None] * len(known) if known.sketches is None else [each.tobytes() for each in known.sketches]
    queries = [
        Query(fingerprint=row.tobytes(), sketch=sketch if template.sketch else None)
        for row, sketch in zip(known.fingerprints, sketches, strict=True)
    ]
    panel = learning.surviving(engine.panel(template.template_id, conditions={}, now=now))
    answers = panel.ask_many(queries, weighing=learning.weighing(panel.synthesizer))
    return [answers[doubt.place] for doubt in rank_doubts(answers, count=count)]


def explained(engine: Engine, template: Template, *, asker: bytes, node: bytes, now: float) -> dict[str, Any]:
    """Return why a node was hired or refused, as plain values."""
    return explain.explain(_all(engine, template, now=now), template, asker=asker, node=node, day=day_of(now))


def graph(engine: Engine, template: Template, *, asker: bytes, now: float) -> dict[str, Any]:
    """Return who agrees with whom, as plain values."""
    return explain.graph(_all(engine, template, now=now), template, asker=asker, day=day_of(now))


def rows_of(columns: Mapping[str, object], *, rows: int) -> list[dict[str, object]]:
    """Return the rows of a table, columns by name, as situations."""
    plain = {name: column.to_pylist() if hasattr(column, "to_pylist") else column for name, column in columns.items()}
    return [{name: column[row] for name, column in plain.items()} for row in range(rows)]  # type: ignore[index]


def holders_silent(seconds: float) -> NetworkError:
    """Return the error that says that there are holders, of which none answered in time."""
    return NetworkError(
        "peer-silent",
        f"none of the holders answered within {seconds:.0f} s",
        hint="what is here is answered from meanwhile; try again when they are back",
    )


def require_direct_allowed(template: Template, *, tells_situation: bool) -> None:
    """Raise ``UsageError`` (``direct-personal``) when a personal situation would be told to a holder unasked."""
    if template.data_class is DataClass.PERSONAL and not tells_situation:
        raise UsageError(
            "direct-personal",
            "asking directly tells a holder the fingerprint of the situation, and the data are personal",
            hint='ask with mode "sync" or "cells", or say that this member may be told (tells_situation=True)',
        )


def gathering_of(mode: Mode, fetched: Fetched | None) -> Gathering:
    """Return how packets came to an asker; without ``fetched`` no holder was asked, or none answered in time."""
    return Gathering(
        mode=mode,
        holders_asked=0 if fetched is None else fetched.asked,
        holders_answered=0 if fetched is None else len(fetched.answered),
        attested=fetched is not None and fetched.attested,
        complete=fetched is not None and fetched.complete,
    )


def receipt(engine: Engine, template: Template, answer: Answer, *, learning: Learning, now: float) -> Receipt:
    """Return the evidence of an answer. Raises ``ReceiptError`` when the packets or the trust in them have changed."""
    if counts_answer(template):
        packets = _counts_behind(engine, template, answer, now=now)
    else:
        packets = engine.packets_behind(template.template_id, answer.evidence_digest, now=now)
    readable = engine.knowledge(template.template_id).readable(packets)
    return make_receipt(
        answer,
        packets[readable.rows],
        template,
        secrets=readable.secrets,
        trusted=lambda found: learning.trusted(found, day=answer.day),
        calculators=learning.calculators,
    )


def before(
    engine: Engine,
    template: Template,
    observations: Observations,
    confirmed: Outcomes,
    *,
    learning: Learning,
    now: float,
) -> tuple[Outcomes, Evidence | None]:
    """Return the outcomes that some observations tell of questions, and what was known before they become packets.

    They are those in ``confirmed``, or else the observations in situations that were asked about. A packet must not
    confirm itself: hence the evidence, which is not read where there are no outcomes.
    """
    outcomes = confirmed or _outcomes_of_questions(engine, template, observations, learning)
    return outcomes, engine.evidence(template.template_id, now=now) if outcomes else None


def learn(known: tuple[Outcomes, Evidence | None], *, learning: Learning, now: float) -> int:
    """Take in how situations turned out; return from how many of them calculators learnt."""
    outcomes, evidence = known
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


def _outcomes_of_questions(
    engine: Engine, template: Template, observations: Observations, learning: Learning
) -> Outcomes:
    if not learning.waits:
        return []
    fingerprints = engine.knowledge(template.template_id).fingerprinter.fingerprints(observations.encoded)
    said = [(one.tobytes(), learning.calculation_of(one.tobytes())) for one in fingerprints]
    return [
        (fingerprint, calculation, outcome_value(template, observations.outcomes[row]))
        for row, (fingerprint, calculation) in enumerate(said)
        if calculation is not None
    ]


def _answers(panel: Panel, queries: Sequence[Query], learning: Learning) -> list[Answer]:
    surviving = learning.surviving(panel)
    answers = surviving.ask_many(queries, weighing=learning.weighing(surviving.synthesizer))
    for answer in answers:
        learning.asked(answer)
    return answers


def _all(engine: Engine, template: Template, *, now: float) -> Evidence | CountsEvidence | ReportsEvidence:
    """Return all live packets as what answers rest on."""
    if counts_answer(template):
        return read_evidence(engine.packets(template.template_id, now=now), template)
    return engine.evidence(template.template_id, now=now)


def _counts(
    engine: Engine,
    template: Template,
    queries: Sequence[Query],
    *,
    cells: Sequence[int] | None,
    conditions: Mapping[str, object],
    now: float,
) -> list[Answer]:
    """Answer from noisy counts or reports of the nodes elected: all kept here, or those known in ``cells``."""
    if cells is None:
        packets = engine.packets(template.template_id, now=now)
    else:
        packets = engine.known_packets(template.template_id, cells)
    chosen, hiring = _elected_counts(engine, template, packets, now=now)
    synthesizer = synthesizer_of(chosen, template, day=day_of(now), conditions=conditions)
    return [replace(answer, election=election_of(hiring)) for answer in synthesizer.ask_many(queries)]


def _elected_counts(
    engine: Engine, template: Template, packets: npt.NDArray[np.void], *, now: float
) -> tuple[CountsEvidence | ReportsEvidence, Hiring]:
    """Return the counts or reports of the nodes elected, and how they were."""
    evidence = read_evidence(packets, template)
    if isinstance(evidence, Evidence):
        raise AssertionError("noisy counts answer for this template")
    hiring = engine.knowledge(template.template_id).counts_elector.read(evidence, day=day_of(now))
    return evidence.subset(hiring.rows(evidence)), hiring


def _counts_behind(engine: Engine, template: Template, answer: Answer, *, now: float) -> npt.NDArray[np.void]:
    """Return the packets elected for an answer: of all that are kept here, or of those that holders sent as well."""
    kept = engine.packets(template.template_id, now=now)
    known = engine.known_packets(template.template_id, range(1 << template.cell_bits))
    found = []
    for packets in (kept, known):
        chosen, _ = _elected_counts(engine, template, packets, now=now)
        found.append(packets[np.isin(_names(packet_ids(packets)), _names(chosen.packet_ids))])
        if synthesizer_of(chosen, template, day=day_of(now)).evidence_digest == answer.evidence_digest:
            return found[-1]
    return found[0]


def _cells_near(cell: int, template: Template, count: int) -> Cells:
    """Return the cells most likely to hold the like of a situation in ``cell``, of which nothing more is known."""
    if template.codebook:
        return likely_cells(template.prototypes()[cell], template, count=count)
    return probes(cell, template, count=count)


def _queries(template: Template, fingerprinter: Fingerprinter, encoded: npt.NDArray[np.int16]) -> Sequence[Query]:
    fingerprints = fingerprinter.fingerprints(encoded)
    if not template.sketch:
        return [Query(fingerprint=row.tobytes()) for row in fingerprints]
    sketches = fingerprinter.sketches(encoded)
    return [
        Query(fingerprint=row.tobytes(), sketch=sketch.tobytes())
        for row, sketch in zip(fingerprints, sketches, strict=True)
    ]


def _names(ids: npt.NDArray[np.uint8]) -> npt.NDArray[np.void]:
    """Return ids (n, 32) as (n,) values that can be compared."""
    return np.ascontiguousarray(ids).view(np.dtype((np.void, ids.shape[1]))).reshape(-1)
