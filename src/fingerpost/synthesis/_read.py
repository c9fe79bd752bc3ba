"""Packets as evidence columns, without an object per packet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fingerpost.errors import UsageError
from fingerpost.packet import Kind, OutcomeForm, PayloadLayout, Profile, has_layout, packet_ids, payloads
from fingerpost.template import CategoryOutcomeField

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from fingerpost.template import Template

HEADER_BYTES = 5  # words, sketch bytes, conditions, form, items: together they say how a payload is laid out
FORMS = {
    "category": {(Kind.OBSERVATION, OutcomeForm.CATEGORY), (Kind.SUMMARY, OutcomeForm.HISTOGRAM)},
    "number": {(Kind.OBSERVATION, OutcomeForm.NUMBER), (Kind.SUMMARY, OutcomeForm.MOMENTS)},
}


def columns_of(packets: NDArray[Any], template: Template, ids: NDArray[np.uint8] | None) -> dict[str, Any]:
    """Return the keyword arguments of ``Evidence.from_arrays`` for the observations and summaries among ``packets``.

    Left out are packets that say nothing here: other kinds, sealed payloads, and payloads that do not fit the template
    (another shape, an unknown level, a number out of range).

    :raises UsageError: when a packet belongs to another template.
    """
    if len(packets) and (packets["template_id"] != np.frombuffer(template.template_id, np.uint8)).any():
        raise UsageError("evidence-template", "a packet belongs to another template")
    every_id = packet_ids(packets) if ids is None else ids
    parts = [
        part | {"packet_ids": every_id[rows], "emitters": packets["emitter"][rows]}
        for rows, layout in _by_layout(packets, template)
        for rows, part in [_part(packets, rows, layout, template)]
    ]
    return joined(parts or [_nothing(template)])


def joined(parts: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return the columns of several parts, one after another; those without a packet say nothing."""
    found = list(parts)
    told = [part for part in found if len(part["packet_ids"])] or found[:1]
    return {name: _joined([part.pop(name) for part in told]) for name in list(told[0])}


def _joined(columns: list[Any]) -> Any:
    return None if columns[0] is None else np.concatenate(columns)


def _by_layout(packets: NDArray[Any], template: Template) -> list[tuple[NDArray[np.intp], PayloadLayout]]:
    """Return the rows of every layout that fits ``template``, with that layout."""
    category = isinstance(template.outcome, CategoryOutcomeField)
    shape = template.observation_layout()
    found = []
    for kind, form in sorted(FORMS["category" if category else "number"]):
        of_kind = np.flatnonzero((packets["kind"] == kind) & _strong_enough(packets, template))
        for items in np.unique(packets["payload"][of_kind, HEADER_BYTES - 1]):
            if not items:
                continue
            layout = PayloadLayout(
                fingerprint_bits=shape.fingerprint_bits,
                sketch=shape.sketch,
                conditions=shape.conditions,
                outcome_form=form,
                outcome_items=int(items) if form == OutcomeForm.HISTOGRAM else 1,
            )
            rows = of_kind[has_layout(_taken(packets, of_kind), layout)]
            rows = rows[packets["payload"][rows, HEADER_BYTES - 1] == items]
            if len(rows):
                found.append((rows, layout))
    return found


def _taken(packets: NDArray[Any], rows: NDArray[np.intp]) -> NDArray[Any]:
    """Return the packets of ascending rows, without a copy where these are all."""
    return packets if len(rows) == len(packets) else packets[rows]


def _strong_enough(packets: NDArray[Any], template: Template) -> NDArray[np.bool_]:
    """Say which packets are groups where the template demands groups: others of its floor arrive sealed or opened."""
    if template.profile is Profile.K_ANONYMOUS:
        return np.asarray(packets["profile"] == Profile.K_ANONYMOUS, np.bool_)
    return np.ones(len(packets), np.bool_)


def _part(
    packets: NDArray[Any], rows: NDArray[np.intp], layout: PayloadLayout, template: Template
) -> tuple[NDArray[np.intp], dict[str, Any]]:
    content = payloads(_taken(packets, rows), layout)
    outcome, sound = _outcome(content, layout, template)
    levels = len(template.action.levels) if template.action else 0
    sound &= content["action"] <= levels
    for column, condition in enumerate(template.conditions):
        sound &= content["conditions"][:, column] <= len(condition.levels)
    if not sound.all():
        content, rows = content[sound], rows[sound]
    part: dict[str, Any] = {
        "fingerprints": np.ascontiguousarray(content["fingerprint"]),
        "sketches": np.ascontiguousarray(content["sketch"]) if template.sketch else None,
        "conditions": content["conditions"].astype(np.uint16),
        "actions": content["action"].astype(np.uint16),
        "confidences": content["confidence"].astype(np.uint8),
        "epochs": packets["epoch"][rows].astype(np.int64),
        "ttl_days": packets["ttl_days"][rows].astype(np.int64),
    }
    part |= {name: column[sound] if len(column) == len(sound) else column for name, column in outcome.items()}
    return rows, part


def _outcome(
    content: NDArray[Any], layout: PayloadLayout, template: Template
) -> tuple[dict[str, NDArray[Any]], NDArray[np.bool_]]:
    """Return the outcome columns of ``from_arrays`` and which packets have a sound one."""
    said, n = content["outcome"], len(content)
    if isinstance(template.outcome, CategoryOutcomeField):
        levels = len(template.outcome.levels)
        if layout.outcome_form == OutcomeForm.CATEGORY:
            codes = said.astype(np.int32) - 1
            sound = (codes >= 0) & (codes < levels)
            return {"codes": codes, "counts": np.zeros((0, levels), np.int64)}, sound
        counts = np.zeros((n, levels + layout.outcome_items), np.int64)
        first = np.minimum(content["first_level"].astype(np.int64), levels)
        place = first[:, None] + np.arange(layout.outcome_items)
        np.put_along_axis(counts, place, said.astype(np.int64), axis=1)
        sound = (counts[:, levels:] == 0).all(axis=1) & (counts[:, :levels].sum(axis=1) > 0)
        return {"codes": np.full(n, -1, np.int32), "counts": counts[:, :levels]}, sound
    low, high = float(template.outcome.low), float(template.outcome.high)
    if layout.outcome_form == OutcomeForm.NUMBER:
        values = said.astype(np.float64)
        columns = {"values": values, "squares": np.zeros(n), "records": np.ones(n, np.int64)}
    else:
        values = said["mean"].astype(np.float64)
        columns = {"values": values, "squares": said["m2"].astype(np.float64), "records": said["n"].astype(np.int64)}
    return columns, (values >= low) & (values <= high)


def _nothing(template: Template) -> dict[str, Any]:
    shape = template.observation_layout()
    part: dict[str, Any] = {
        "fingerprints": np.zeros((0, shape.fingerprint_bytes), np.uint8),
        "sketches": np.zeros((0, shape.sketch), np.uint8) if template.sketch else None,
        "conditions": np.zeros((0, shape.conditions), np.uint16),
        "packet_ids": np.zeros((0, 32), np.uint8),
        "emitters": np.zeros((0, 32), np.uint8),
    }
    if isinstance(template.outcome, CategoryOutcomeField):
        counts = np.zeros((0, len(template.outcome.levels)), np.int64)
        return part | {"codes": np.zeros(0, np.int32), "counts": counts}
    return part | {"values": np.zeros(0)}
