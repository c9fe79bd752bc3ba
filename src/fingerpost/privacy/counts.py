"""Counts under differential privacy: what a node says of all its records of an epoch, with noise on every cell.

Every record adds one to one entry of a table: (cell of its situation, action, outcome). Each entry gets independent
discrete Laplace noise of scale 1 / epsilon, and all entries are published, also those that are empty. Adding or
removing one record changes one entry by one, so the table is epsilon-private for it (Dwork et al. 2006; Ghosh,
Roughgarden and Sundararajan 2009 for integers). Whatever is done with the noisy table afterwards costs nothing more.
What is decided before noise (a threshold, a choice of cells) would cost: nothing is.

A number is counted at ``COUNTS_KNOTS`` equally spaced values of its range: one between two of them goes to either at
random, nearer ones more often, so that sums stay unbiased. One record still changes one entry by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from fingerpost.errors import UsageError
from fingerpost.limits import COUNTS_ITEMS_MAX, COUNTS_KNOTS, DP_RELEASE_EPSILON
from fingerpost.packet import (
    Kind,
    OutcomeForm,
    PayloadLayout,
    Profile,
    blank_bodies,
    has_layout,
    payloads,
)
from fingerpost.ports import Entropy
from fingerpost.privacy.noise import CountNoise, Counts
from fingerpost.template import CategoryOutcomeField, Template

NONCE_SIZE_BYTES: Final = 16
CONFIDENCE_OF_NOISES: Final = {1: 255, 2: 127}  # by how often noise was added; alike in all packets of a release
_UNIT: Final = 1 << 32
_INT32: Final = np.iinfo(np.int32)

Bodies = npt.NDArray[np.void]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The entries of a template's table: ``cells`` x ``actions`` x ``levels``; action 0 is that none was stated."""

    cells: int
    actions: int
    levels: int

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return the shape of a table of counts."""
        return self.cells, self.actions, self.levels

    @property
    def parts(self) -> tuple[range, ...]:
        """Return the levels that go into each packet of a cell and action."""
        starts = range(0, self.levels, COUNTS_ITEMS_MAX)
        return tuple(range(start, min(start + COUNTS_ITEMS_MAX, self.levels)) for start in starts)

    @property
    def packets(self) -> int:
        """Return how many packets one release has."""
        return self.cells * self.actions * len(self.parts)


def grid_of(template: Template) -> Grid:
    """Return the entries that records of a template are counted in."""
    levels = len(template.outcome.levels) if isinstance(template.outcome, CategoryOutcomeField) else COUNTS_KNOTS
    actions = 1 + len(template.action.levels) if template.action else 1
    return Grid(cells=1 << template.cell_bits, actions=actions, levels=levels)


def counts_layout(items: int) -> PayloadLayout:
    """Return how the payload of a counts packet with this many levels is laid out: nothing but counts."""
    return PayloadLayout(
        fingerprint_bits=0, sketch=0, conditions=0, outcome_form=OutcomeForm.COUNTS, outcome_items=items
    )


def knot_values(template: Template) -> npt.NDArray[np.float64]:
    """Return the (COUNTS_KNOTS,) values at which a number outcome is counted."""
    if isinstance(template.outcome, CategoryOutcomeField):
        raise UsageError("counts-number", f"the outcome of {template.name!r} is a category")
    return np.linspace(float(template.outcome.low), float(template.outcome.high), COUNTS_KNOTS)


def outcome_levels(template: Template, outcomes: npt.NDArray[Any], entropy: Entropy) -> npt.NDArray[np.int64]:
    """Return the level (from 0) that each outcome is counted at: its category, or one of the knots beside its value."""
    if isinstance(template.outcome, CategoryOutcomeField):
        return outcomes.astype(np.int64) - 1
    knots = knot_values(template)
    places = np.clip((outcomes - knots[0]) / (knots[-1] - knots[0]), 0, 1) * (COUNTS_KNOTS - 1)
    below = np.minimum(places.astype(np.int64), COUNTS_KNOTS - 2)
    chance = np.frombuffer(entropy.read(4 * len(outcomes)), np.uint32).astype(np.float64) / _UNIT
    levels: npt.NDArray[np.int64] = below + (chance < places - below)
    return levels


def count_records(
    grid: Grid,
    *,
    cells: npt.NDArray[np.integer[Any]],
    actions: npt.NDArray[np.integer[Any]],
    levels: npt.NDArray[np.integer[Any]],
) -> Counts:
    """Return the exact table of counts of ``grid.shape``. It must not leave the node."""
    counts = np.zeros(grid.shape, np.int64)
    np.add.at(counts, (cells.astype(np.int64), actions.astype(np.int64), levels.astype(np.int64)), 1)
    return counts


def noisy_counts(counts: Counts, noise: CountNoise, *, epsilon: float = DP_RELEASE_EPSILON) -> Counts:
    """Return a table that is ``epsilon``-private for each record behind ``counts``."""
    noisy = noise.discrete_laplace(counts.reshape(-1), scale=1 / epsilon).reshape(counts.shape)
    return np.clip(noisy, _INT32.min, _INT32.max)


def counts_bodies(
    template: Template, noisy: Counts, *, emitter: bytes, day: int, entropy: Entropy, noises: int = 1
) -> Bodies:
    """Return the packet bodies of a noisy table: one for each cell, action and part, ordered by random nonces.

    Nothing but ``noisy`` in them depends on records: all cells are there, and confidence says only how often noise was
    added to each entry, once, or twice for a sum of several nodes.
    """
    grid = grid_of(template)
    parts = []
    for part in grid.parts:
        layout = counts_layout(len(part))
        bodies = blank_bodies(
            grid.cells * grid.actions,
            kind=Kind.COUNTS,
            profile=Profile.DP_AGGREGATE,
            epoch=day,
            ttl_days=template.ttl_days,
            template_id=template.template_id,
            emitter=emitter,
            layout=layout,
        )
        bodies["cell"] = np.repeat(np.arange(grid.cells), grid.actions)
        content = payloads(bodies, layout)
        content["confidence"] = CONFIDENCE_OF_NOISES[noises]
        content["action"] = np.tile(np.arange(grid.actions), grid.cells)
        content["first_level"] = part.start
        content["outcome"] = noisy[:, :, part.start : part.stop].reshape(-1, len(part))
        parts.append(bodies)
    every = np.concatenate(parts)
    size = len(every) * NONCE_SIZE_BYTES
    every["nonce"] = np.frombuffer(entropy.read(size), np.uint8).reshape(-1, NONCE_SIZE_BYTES)
    return every[np.lexsort(every["nonce"].T[::-1])]


def fits_grid(packets: Bodies, template: Template) -> npt.NDArray[np.bool_]:
    """Say of each packet (n,) of a template whether ``counts_bodies`` makes such packets, whatever its numbers."""
    grid = grid_of(template)
    fits = np.zeros(len(packets), np.bool_)
    for part in grid.parts:
        layout = counts_layout(len(part))
        rows = np.flatnonzero(has_layout(packets, layout))
        content = payloads(packets[rows], layout)
        sound = (content["first_level"] == part.start) & (content["action"] < grid.actions)
        sound &= np.isin(content["confidence"], list(CONFIDENCE_OF_NOISES.values()))
        sound &= packets["cell"][rows] < grid.cells
        fits[rows] |= sound
    fits &= (packets["kind"] == Kind.COUNTS) & (packets["profile"] == Profile.DP_AGGREGATE)
    return fits
