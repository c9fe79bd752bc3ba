"""Reports: one record each, randomised before anybody but its own node sees it (the profile local-dp).

Whoever reads a report, its signer's holders and askers included, finds any two records that could stand behind it at
most e^epsilon times as likely as each other. See ``fingerpost.template.plan_reports`` for the two ways to randomise.
Nothing else in a packet depends on the record: no fingerprint, no condition, always cell 0, always the same confidence.

Chances are drawn as whole numbers of 32 bits from the system's randomness; no floating-point number decides anything.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fingerpost.packet import Kind, OutcomeForm, PayloadLayout, Profile, blank_bodies, has_layout, payloads
from fingerpost.ports import Entropy
from fingerpost.privacy.counts import grid_of
from fingerpost.template import ReportPlan, Template, plan_reports

NONCE_SIZE_BYTES: Final = 16
CONFIDENCE: Final = 255  # of every report alike: one that varied would be a second report
DRAWN_AT_ONCE: Final = 1 << 22  # chances
_HALF_UNITS: Final = 1 << 31

Bodies = npt.NDArray[np.void]
Entries = npt.NDArray[np.int64]


def plan_of(template: Template) -> ReportPlan:
    """Return how records of a template are reported."""
    grid = grid_of(template)
    return plan_reports(grid.cells * grid.actions * grid.levels)


def report_layout(plan: ReportPlan) -> PayloadLayout:
    """Return how the payload of a report is laid out: nothing but what was drawn."""
    return PayloadLayout(fingerprint_bits=0, sketch=0, conditions=0, outcome_form=plan.form, outcome_items=plan.items)


def entries_of(
    template: Template,
    *,
    cells: npt.NDArray[np.integer[Any]],
    actions: npt.NDArray[np.integer[Any]],
    levels: npt.NDArray[np.integer[Any]],
) -> Entries:
    """Return the number (n,) of the entry that each record is."""
    grid = grid_of(template)
    entries: Entries = (cells.astype(np.int64) * grid.actions + actions.astype(np.int64)) * grid.levels + levels
    return entries


def randomised(entries: Entries, plan: ReportPlan, entropy: Entropy) -> npt.NDArray[Any]:
    """Return what is told of each entry (n,): values (n,) or bits in whole bytes (n, items), first bit highest."""
    if plan.form is OutcomeForm.REPORT_VALUE:
        return _values(entries, plan, entropy)
    rows = max(1, DRAWN_AT_ONCE // plan.entries)
    parts = [_bits(entries[start : start + rows], plan, entropy) for start in range(0, len(entries), rows)]
    return np.concatenate(parts) if parts else np.zeros((0, plan.items), np.uint8)


def report_bodies(template: Template, told: npt.NDArray[Any], *, emitter: bytes, day: int, entropy: Entropy) -> Bodies:
    """Return one body for each report of ``told``, in its order, which has to say nothing of the records'."""
    plan = plan_of(template)
    layout = report_layout(plan)
    bodies = blank_bodies(
        len(told),
        kind=Kind.REPORT,
        profile=Profile.LOCAL_DP,
        epoch=day,
        ttl_days=template.ttl_days,
        template_id=template.template_id,
        emitter=emitter,
        layout=layout,
    )
    content = payloads(bodies, layout)
    content["confidence"] = CONFIDENCE
    content["outcome"] = told
    size = len(told) * NONCE_SIZE_BYTES
    bodies["nonce"] = np.frombuffer(entropy.read(size), np.uint8).reshape(-1, NONCE_SIZE_BYTES)
    return bodies


def fits_reports(packets: Bodies, template: Template) -> npt.NDArray[np.bool_]:
    """Say of each packet (n,) of a template whether ``report_bodies`` makes such packets, whatever was drawn."""
    plan = plan_of(template)
    layout = report_layout(plan)
    fits: npt.NDArray[np.bool_] = (packets["kind"] == Kind.REPORT) & (packets["profile"] == Profile.LOCAL_DP)
    fits &= has_layout(packets, layout) & (packets["cell"] == 0)
    rows = np.flatnonzero(fits)
    content = payloads(packets[rows], layout)
    sound = (content["confidence"] == CONFIDENCE) & (content["action"] == 0) & (content["first_level"] == 0)
    if plan.form is OutcomeForm.REPORT_VALUE:
        sound &= content["outcome"] < plan.entries
    elif plan.entries % 8:
        sound &= content["outcome"][:, -1] & ((1 << 8 - plan.entries % 8) - 1) == 0
    fits[rows] = sound
    return fits


def _values(entries: Entries, plan: ReportPlan, entropy: Entropy) -> Entries:
    if plan.entries == 1:
        return entries.copy()
    kept = np.frombuffer(entropy.read(4 * len(entries)), np.uint32) < plan.kept
    others = _below(plan.entries - 1, len(entries), entropy)
    others += others >= entries  # every entry but the record's own, each as likely
    return np.where(kept, entries, others)


def _below(bound: int, count: int, entropy: Entropy) -> Entries:
    """Return ``count`` numbers from 0 to ``bound`` - 1, each as likely: draws beyond a multiple are repeated."""
    whole = (1 << 32) // bound * bound
    found = np.full(count, -1, np.int64)
    while (left := np.flatnonzero(found < 0)).size:
        drawn = np.frombuffer(entropy.read(4 * len(left)), np.uint32).astype(np.int64)
        found[left] = np.where(drawn < whole, drawn % bound, -1)
    return found


def _bits(entries: Entries, plan: ReportPlan, entropy: Entropy) -> npt.NDArray[np.uint8]:
    drawn = np.frombuffer(entropy.read(4 * len(entries) * plan.entries), np.uint32).reshape(-1, plan.entries)
    bits = drawn < plan.other
    rows = np.arange(len(entries))
    bits[rows, entries] = drawn[rows, entries] < _HALF_UNITS
    return np.packbits(bits, axis=1)
