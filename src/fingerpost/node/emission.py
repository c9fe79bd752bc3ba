"""From observed records to signed packets: the path that every observation of this node takes.

It decides nothing about storage or the network, and never sees a value outside its template.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from fingerpost.errors import RecordError, TableError, UsageError
from fingerpost.fingerprint import Fingerprinter, cell_of
from fingerpost.packet import Kind, Profile, Signer, blank_bodies, payloads, sign_bodies
from fingerpost.ports import Entropy
from fingerpost.privacy.seal import Seals
from fingerpost.template import (
    RowProblem,
    Template,
    action_code,
    action_codes,
    condition_codes,
    condition_column_codes,
    encode_record,
    encode_table,
    outcome_code,
    outcome_codes,
    profile_name,
)

NONCE_SIZE_BYTES = 16
CONFIDENCE_UNIT = 255
RELEASING = frozenset({Profile.K_ANONYMOUS, Profile.DP_AGGREGATE, Profile.LOCAL_DP})

Packets = npt.NDArray[np.void]
Rows = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True)
class Observations:
    """Records as codes, ready to be written into packets: n rows.

    ``encoded`` (n, width) int16, ``outcomes`` (n,) uint16 level codes or float64 numbers, ``actions`` (n,) uint16,
    ``conditions`` (n, conditions) uint16, ``confidences`` (n,) uint8 in 255ths. ``subjects`` (n, 16) are the keys of
    the subjects that the records are about, None where nobody said; they never enter a packet.
    """

    encoded: npt.NDArray[np.int16]
    outcomes: npt.NDArray[Any]
    actions: npt.NDArray[np.uint16]
    conditions: npt.NDArray[np.uint16]
    confidences: npt.NDArray[np.uint8]
    subjects: npt.NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        return len(self.encoded)

    def part(self, rows: slice | Rows) -> Observations:
        """Return the observations of these rows."""
        return Observations(
            encoded=self.encoded[rows],
            outcomes=self.outcomes[rows],
            actions=self.actions[rows],
            conditions=self.conditions[rows],
            confidences=self.confidences[rows],
            subjects=None if self.subjects is None else self.subjects[rows],
        )

    def without(self, rows: Rows) -> Observations:
        """Return the observations that are not among ``rows``."""
        return self.part(np.setdiff1d(np.arange(len(self)), rows))


@dataclass(frozen=True, slots=True, kw_only=True)
class Emitted:
    """An emission that is durable here: its number, its packets, and the row that each one came from."""

    number: int
    packets: Packets
    rows: Rows


def observation(
    template: Template,
    situation: Mapping[str, object],
    *,
    outcome: object,
    action: object = None,
    conditions: Mapping[str, object] | None = None,
    confidence: float = 1.0,
) -> Observations:
    """Return one record as codes. Raises ``RecordError`` for whatever does not fit the template."""
    return Observations(
        encoded=encode_record(template, situation)[None, :],
        outcomes=np.array([outcome_code(template, outcome)], _outcome_type(template)),
        actions=np.array([action_code(template, action)], np.uint16),
        conditions=np.array(condition_codes(template, conditions or {}), np.uint16).reshape(1, -1),
        confidences=np.array([confidence_code(confidence)], np.uint8),
    )


def observations_of_table(
    template: Template, columns: Mapping[str, object], *, rows: int
) -> tuple[Observations, list[RowProblem]]:
    """Return a whole table as codes, and every cell that does not fit; a row with a problem must be left out.

    The outcome and the action are the columns that the template names. Raises ``TableError`` for an absent column.
    """
    wanted = [template.outcome.name, *([template.action.name] if template.action else [])]
    for name in wanted:
        if name not in columns:
            raise TableError(
                "column-missing",
                f"the table has no column {name!r}",
                hint=f"its columns are: {', '.join(list(columns)[:20])}",
            )
    encoded, problems = encode_table(template, columns, rows=rows)
    outcomes, found = outcome_codes(template, columns[template.outcome.name])
    problems = problems + found
    actions = np.zeros(rows, np.uint16)
    if template.action:
        codes, found = action_codes(template, columns[template.action.name])
        actions, problems = codes.astype(np.uint16), problems + found
    conditions, found = condition_column_codes(template, columns, rows=rows)
    observations = Observations(
        encoded=encoded,
        outcomes=outcomes,
        actions=actions,
        conditions=conditions,
        confidences=np.full(rows, CONFIDENCE_UNIT, np.uint8),
    )
    return observations, sorted(problems + found, key=lambda problem: (problem.row, problem.field))


def told_of_table(
    template: Template,
    columns: Mapping[str, object],
    *,
    skip_bad_rows: bool = False,
    subject_column: str | None,
    keys_of: Callable[[object], npt.NDArray[np.uint8]],
) -> tuple[Observations, list[RowProblem]]:
    """Return the rows of a table that fit the template, with their subjects by key, and what does not fit.

    Raises ``RecordError`` for the first row that does not fit unless ``skip_bad_rows``, and what ``keys_of`` raises.
    """
    rows = row_count(columns)
    told, problems = observations_of_table(template, columns, rows=rows)
    if problems and not skip_bad_rows:
        raise first_problem(problems, rows)
    bad = np.array(sorted({problem.row - 1 for problem in problems}), np.intp)
    if subject_column is not None:
        require_subject_column(template, columns, subject_column)
        told = replace(told, subjects=keys_of(columns[subject_column]))
    return told.without(bad), problems


def require_subject_column(template: Template, columns: Mapping[str, object], name: str) -> None:
    """Raise unless this column of a table can say whom each row is about, without being part of what is told.

    Raises ``TableError`` (``column-missing``) and ``UsageError`` (``subject-in-template``).
    """
    if name not in columns:
        raise TableError(
            "column-missing",
            f"the table has no column {name!r}",
            hint=f"its columns are: {', '.join(list(columns)[:20])}",
        )
    told = {part.name for part in (*template.situation, *template.conditions)} | {template.outcome.name}
    if name in told or (template.action and name == template.action.name):
        raise UsageError(
            "subject-in-template",
            f"the column {name!r} names the subject and is also part of the template",
            hint="remove it from the template: who a record is about must not enter its fingerprint",
        )


def confidence_code(confidence: float) -> int:
    """Return a confidence of 0 to 1 in 255ths. Raises ``RecordError`` for anything else."""
    if not 0 <= confidence <= 1:
        raise RecordError("confidence-range", f"a confidence is 0 to 1, not {confidence}", field="confidence")
    return round(confidence * CONFIDENCE_UNIT)


def require_emittable(template: Template) -> None:
    """Raise unless this template lets raw observations leave the node."""
    template.check_may_emit()


def is_release(template: Template) -> bool:
    """Say whether records of a template leave as releases of many, of which the ledger keeps account."""
    return template.profile in RELEASING


def require_single(template: Template) -> None:
    """Raise unless this template lets one record leave by itself."""
    require_emittable(template)
    if is_release(template):
        raise UsageError(
            "profile-one-record",
            f"under the profile {profile_name(template.profile)} records leave in releases of many, not one by one",
            hint="emit a table, with the column that names its subjects",
        )


def subjects_needed(template: Template) -> UsageError:
    """Return the error that says that somebody has to be named."""
    return UsageError(
        "subject-column",
        f"under the profile {profile_name(template.profile)} each subject counts once, so a column has to name it",
        hint="say which column says whom a row is about: --subject-column COL (it never leaves this node)",
    )


def build_packets(
    template: Template,
    fingerprinter: Fingerprinter,
    observations: Observations,
    *,
    signer: Signer,
    day: int,
    entropy: Entropy,
    seals: Seals | None = None,
) -> tuple[Packets, Rows]:
    """Return signed packets in batches of up to 256, and the row that each one came from.

    Packets are ordered by their random nonces, so that neither a batch nor its order tells which record came first.
    Under the profile consortium ``seals`` closes them; without it ``KeyFileError`` (``consortium-keys-absent``).
    """
    require_single(template)
    count = len(observations)
    nonces = np.frombuffer(entropy.read(count * NONCE_SIZE_BYTES), np.uint8).reshape(count, NONCE_SIZE_BYTES)
    order = np.lexsort(nonces.T[::-1])
    layout = template.observation_layout()
    bodies = blank_bodies(
        count,
        kind=Kind.OBSERVATION,
        profile=Profile.OPEN,
        epoch=day,
        ttl_days=template.ttl_days,
        template_id=template.template_id,
        emitter=signer.public_key,
        layout=layout,
    )
    encoded = observations.encoded[order]
    fingerprints = fingerprinter.fingerprints(encoded)
    bodies["cell"] = cell_of(fingerprints, template)
    bodies["nonce"] = nonces[order]
    content = payloads(bodies, layout)
    content["fingerprint"] = fingerprints
    if layout.sketch:
        content["sketch"] = fingerprinter.sketches(encoded)
    content["conditions"] = observations.conditions[order]
    content["confidence"] = observations.confidences[order]
    content["action"] = observations.actions[order]
    content["outcome"] = observations.outcomes[order]
    if template.profile is Profile.CONSORTIUM:
        bodies = (seals or Seals(None)).seal(bodies, day=day)
    return sign_bodies(bodies, signer), order


def row_count(columns: Mapping[str, object]) -> int:
    """Return the number of rows of a table, columns by name. Raises ``TableError`` without columns."""
    if not columns:
        raise TableError("table-empty", "a table without columns has nothing to tell")
    return len(next(iter(columns.values())))  # type: ignore[arg-type]


def first_problem(problems: Sequence[RowProblem], rows: int) -> RecordError:
    """Return the error that says that rows of a table do not fit, and which is the first."""
    first, bad = problems[0], len({problem.row for problem in problems})
    return RecordError(
        first.code,
        f"row {first.row}, {first.message} ({bad} of {rows} rows have a problem; nothing was written)",
        hint=first.hint,
        field=first.field,
        row=first.row,
    )


def _outcome_type(template: Template) -> type[np.generic]:
    return np.uint16 if hasattr(template.outcome, "levels") else np.float64
