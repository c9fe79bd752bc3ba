"""Groups of at least k records, each of another subject, that leave as one summary: the profile k-anonymous.

Groups are disjoint and alike inside: the record farthest from the middle is grouped with its k - 1 nearest, again and
again (MDAV, Domingo-Ferrer and Mateo-Sanz 2002; blocks of at most ``BLOCK_ROWS_MAX`` first, by halving along the widest
coordinate). A group has one action and one set of conditions; records whose own are too rare for a group state them as
missing, conditions first; fewer than k that are left then stay at home.

A summary holds the fingerprint of the group's mean situation, and its outcomes: how many records had which level, or
count, mean and sum of squared deviations of numbers. All of it is the same whichever member is which, so whoever knows
nothing else that tells the members apart names the right one with a chance of at most 1 / k. The majority of the
members' bits would tell far more than the sign of their mean, and is never used.

No level is ever told of one to four records. Such small cells are merged: their records go to one of them in lumps of
at least five, drawn so that every level is expected to get what it had, and so that the group keeps its size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fingerpost.fingerprint import Fingerprinter, cell_of
from fingerpost.limits import GROUP_CELL_MIN, GROUP_SUBJECTS_MIN
from fingerpost.packet import Kind, Profile, blank_bodies, has_layout, payloads
from fingerpost.ports import Entropy
from fingerpost.template import CategoryOutcomeField, Template

NONCE_SIZE_BYTES: Final = 16
CONFIDENCE: Final = 255  # of every summary alike: one that varied would tell of its members
BLOCK_ROWS_MAX: Final = 4_096
ALONE: Final = -1  # the group of a row that is in none
_UNIT: Final = 1 << 64

Bodies = npt.NDArray[np.void]
Labels = npt.NDArray[np.int64]  # (n,): the group of each row, from 0, or ``ALONE``
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """What is grouped, one row a subject: codes as ``fingerpost.node.emission.Observations`` has them."""

    encoded: npt.NDArray[np.int16]
    outcomes: npt.NDArray[Any]
    actions: npt.NDArray[np.uint16]
    conditions: npt.NDArray[np.uint16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grouping:
    """Which group each record is in, and what each of the g groups states besides its outcomes."""

    labels: Labels
    actions: npt.NDArray[np.uint16]  # (g,)
    conditions: npt.NDArray[np.uint16]  # (g, conditions)

    def __len__(self) -> int:
        return len(self.actions)


@dataclass(frozen=True, slots=True, kw_only=True)
class Summaries:
    """The bodies of groups, ordered by random nonces, the group behind each, and which had a single outcome."""

    bodies: Bodies
    groups: npt.NDArray[np.intp]
    unanimous: int


def group_records(records: Records, *, size: int = GROUP_SUBJECTS_MIN) -> Grouping:
    """Return disjoint groups of ``size`` to 2 ``size`` - 1 records that are alike."""
    labels = np.full(len(records.actions), ALONE, np.int64)
    stated = np.column_stack([records.actions, records.conditions]).astype(np.uint16)
    told: list[npt.NDArray[np.uint16]] = []
    for columns in (stated.shape[1], 1, 0):  # all that is stated, then the action alone, then nothing
        left = np.flatnonzero(labels == ALONE)
        shown = stated[left].copy()
        shown[:, columns:] = 0
        kinds, kind_of = np.unique(shown, axis=0, return_inverse=True)
        for kind in range(len(kinds)):
            rows = left[kind_of.reshape(-1) == kind]
            if len(rows) < size:
                continue
            found = alike(records.encoded[rows], size=size)
            labels[rows] = found + len(told)
            told += [kinds[kind]] * (int(found.max()) + 1)
    every = np.array(told, np.uint16).reshape(len(told), stated.shape[1])
    return Grouping(labels=labels, actions=every[:, 0], conditions=every[:, 1:])


def alike(points: npt.NDArray[Any], *, size: int) -> Labels:
    """Return for each of n >= ``size`` points the number of its group, from 0: 'size' to 2 ``size`` - 1 neighbours."""
    every = points.astype(np.float64)
    labels, first = np.empty(len(every), np.int64), 0
    for rows in _blocks(every):
        found = _mdav(every[rows], size)
        labels[rows] = found + first
        first += int(found.max()) + 1
    return labels


def _blocks(points: npt.NDArray[np.float64]) -> list[npt.NDArray[np.intp]]:
    waiting, whole = [np.arange(len(points))], []
    while waiting:
        rows = waiting.pop()
        if len(rows) <= BLOCK_ROWS_MAX:
            whole.append(rows)
            continue
        widest = int(points[rows].var(axis=0).argmax())
        order = rows[np.argsort(points[rows, widest], kind="stable")]
        waiting += [order[: len(order) // 2], order[len(order) // 2 :]]
    return whole


def _mdav(points: npt.NDArray[np.float64], size: int) -> Labels:
    labels, left, number = np.zeros(len(points), np.int64), np.arange(len(points)), 0
    while len(left) >= 2 * size:
        far = left[_squares(points[left], points[left].mean(axis=0)).argmax()]
        ends = [far]
        if len(left) >= 3 * size:
            ends.append(left[_squares(points[left], points[far]).argmax()])
        for end in ends:
            distances = _squares(points[left], points[end])
            chosen = np.argpartition(distances, size - 1)[:size]
            labels[left[chosen]] = number
            left, number = np.delete(left, chosen), number + 1
    labels[left] = number
    return labels


def _squares(points: npt.NDArray[np.float64], place: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(((points - place) ** 2).sum(axis=1), np.float64)


def merge_small(counts: Counts, entropy: Entropy, *, least: int = GROUP_CELL_MIN) -> Counts:
    """Return histograms (g, levels) without a cell of 1 to ``least`` - 1 records.

    Every histogram keeps its sum (at least 2 ``least``), and every cell its expectation.
    """
    merged = counts.copy()
    chances = np.frombuffer(entropy.read(32 * len(counts)), np.uint64).reshape(-1, 4) / _UNIT
    for row in np.flatnonzero(((counts > 0) & (counts < least)).any(axis=1)):
        merged[row] = _merged(counts[row], chances[row], least)
    return merged


def _merged(counts: Counts, chances: npt.NDArray[np.float64], least: int) -> Counts:
    small = np.flatnonzero((counts > 0) & (counts < least))
    pool, merged = int(counts[small].sum()), counts.copy()
    merged[small] = 0
    if pool >= least:  # lumps for some of the small levels, drawn by systematic sampling in proportion to their counts
        lumps = pool // least
        ends = np.cumsum(counts[small]) * (lumps / pool)
        winners = small[np.minimum(np.searchsorted(ends, chances[0] + np.arange(lumps), side="right"), len(small) - 1)]
        extra = (np.arange(lumps) + int(chances[1] * lumps)) % lumps < pool % lumps
        merged[winners] = pool // lumps + extra
        return merged
    level = small[np.searchsorted(np.cumsum(counts[small]) / pool, chances[0], side="right").clip(max=len(small) - 1)]
    donor = int(merged.argmax())
    both = pool + int(merged[donor])
    lump = least if both >= 2 * least else both
    if chances[1] < pool / lump:
        merged[donor] -= lump - pool
        merged[level] = lump
    else:
        merged[donor] = both
    return merged


def summary_bodies(
    template: Template,
    fingerprinter: Fingerprinter,
    records: Records,
    grouping: Grouping,
    *,
    emitter: bytes,
    day: int,
    entropy: Entropy,
) -> Summaries:
    """Return one body for each group. Nothing in it tells one member of a group from another."""
    layout, count = template.summary_layout(), len(grouping)
    bodies = blank_bodies(
        count,
        kind=Kind.SUMMARY,
        profile=Profile.K_ANONYMOUS,
        epoch=day,
        ttl_days=template.ttl_days,
        template_id=template.template_id,
        emitter=emitter,
        layout=layout,
    )
    inside = np.flatnonzero(grouping.labels != ALONE)
    labels, outcomes = grouping.labels[inside], records.outcomes[inside]
    sizes = np.bincount(labels, minlength=count)
    means = np.zeros((count, records.encoded.shape[1]))
    np.add.at(means, labels, records.encoded[inside].astype(np.float64))
    centroids = np.rint(means / sizes[:, None]).astype(np.int16)
    content = payloads(bodies, layout)
    content["fingerprint"] = fingerprinter.fingerprints(centroids)
    bodies["cell"] = cell_of(content["fingerprint"], template)
    content["confidence"] = CONFIDENCE
    content["action"] = grouping.actions
    content["conditions"] = grouping.conditions
    if isinstance(template.outcome, CategoryOutcomeField):
        counts = np.zeros((count, len(template.outcome.levels)), np.int64)
        np.add.at(counts, (labels, outcomes.astype(np.int64) - 1), 1)
        unanimous = int(((counts > 0).sum(axis=1) == 1).sum())
        content["outcome"] = merge_small(counts, entropy)
    else:
        mean = np.bincount(labels, weights=outcomes, minlength=count) / sizes
        mean = np.clip(mean, float(template.outcome.low), float(template.outcome.high)) + 0.0
        squares = np.bincount(labels, weights=(outcomes - mean[labels]) ** 2, minlength=count)
        unanimous = int((squares == 0).sum())
        content["outcome"]["n"], content["outcome"]["mean"], content["outcome"]["m2"] = sizes, mean, squares
    bodies["nonce"] = np.frombuffer(entropy.read(count * NONCE_SIZE_BYTES), np.uint8).reshape(-1, NONCE_SIZE_BYTES)
    order = np.lexsort(bodies["nonce"].T[::-1])
    return Summaries(bodies=bodies[order], groups=order, unanimous=unanimous)


def fits_groups(packets: Bodies, template: Template) -> npt.NDArray[np.bool_]:
    """Say of each packet (n,) of a template whether its outcomes are those of a group that may leave.

    Whether its cell and what it states fit the template is asked elsewhere, as of observations.
    """
    layout = template.summary_layout()
    fits: npt.NDArray[np.bool_] = (packets["kind"] == Kind.SUMMARY) & (packets["profile"] == Profile.K_ANONYMOUS)
    fits &= has_layout(packets, layout)
    rows = np.flatnonzero(fits)
    content = payloads(packets[rows], layout)
    sound = (content["confidence"] == CONFIDENCE) & (content["first_level"] == 0)
    said = content["outcome"]
    if isinstance(template.outcome, CategoryOutcomeField):
        sound &= said.sum(axis=1, dtype=np.int64) >= GROUP_SUBJECTS_MIN
        sound &= ((said == 0) | (said >= GROUP_CELL_MIN)).all(axis=1)
    else:
        low, high = float(template.outcome.low), float(template.outcome.high)
        sound &= (said["n"] >= GROUP_SUBJECTS_MIN) & (said["mean"] >= low) & (said["mean"] <= high)
        sound &= said["m2"] <= said["n"] * ((high - low) / 2) ** 2 * (1 + 1e-9)
    fits[rows] = sound
    return fits
