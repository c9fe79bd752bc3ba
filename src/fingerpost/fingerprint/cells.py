"""Cells and groups: regions of fingerprint space, and which of them to look into for situations like one's own.

A cell is the first ``cell_bits`` bits of a fingerprint, or the number of the nearest prototype in the template's
codebook. Cells that share their first ``group_bits`` bits are a group and have the same holders: to look into another
cell of a group costs bytes only, into another group a message too.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from fingerpost.errors import UsageError
from fingerpost.template import Template

Cells = npt.NDArray[np.uint32]
_DISTANCES_AT_ONCE = 1 << 20


def cell_of(fingerprints: npt.NDArray[np.uint8], template: Template) -> Cells:
    """Return the ``(n,)`` cells of ``(n, bytes)`` fingerprints: their first ``cell_bits`` bits as a number.

    Bit 0 of the fingerprint is the highest bit of the number; without cell bits all are in cell 0. With a codebook it
    is the number of the nearest prototype, of equally near ones the lowest.
    """
    if template.codebook:
        blocks = range(0, len(fingerprints), max(1, _DISTANCES_AT_ONCE >> template.cell_bits))
        found = [
            _prototype_distances(fingerprints[start : start + blocks.step], template).argmin(axis=1) for start in blocks
        ]
        return np.concatenate(found).astype(np.uint32) if found else np.zeros(0, np.uint32)
    first = np.ascontiguousarray(fingerprints[:, :4]).view(">u4")[:, 0].astype(np.uint64)
    return (first >> np.uint64(32 - template.cell_bits)).astype(np.uint32)


def group_of(cells: npt.NDArray[np.integer[Any]], template: Template) -> Cells:
    """Return the ``(n,)`` groups of ``(n,)`` cells: their first ``group_bits`` bits as a number.

    Raises ``UsageError`` (``cell-range``) for a number that is no cell of the template.
    """
    numbers = np.asarray(cells).astype(np.uint64)
    if len(numbers) and int(numbers.max()) >> template.cell_bits:
        raise _no_cell(int(numbers.max()), template)
    return (numbers >> np.uint64(template.cell_bits - template.group_bits)).astype(np.uint32)


def likely_cells(
    fingerprint: bytes,
    template: Template,
    *,
    count: int,
    flip_costs: Sequence[int] | npt.NDArray[np.int64] | None = None,
    groups_max: int | None = None,
) -> Cells:
    """Return the ``count`` cells that most likely hold near neighbours of a situation, best first, from any template.

    With prefix cells these are the ``probes``. With a codebook they are the cells of the nearest prototypes, of equally
    near ones the lowest first, and groups come by their nearest prototype; ``flip_costs`` are of no use there.
    """
    row = np.frombuffer(fingerprint, np.uint8)[None, :]
    if not template.codebook:
        home = int(cell_of(row, template)[0])
        return probes(home, template, count=count, flip_costs=flip_costs, groups_max=groups_max)
    _check_counts(count, groups_max)
    order = np.argsort(_prototype_distances(row, template)[0], kind="stable").astype(np.uint32)
    if groups_max is not None:
        groups = group_of(order, template)
        _, first = np.unique(groups, return_index=True)
        order = order[np.isin(groups, groups[np.sort(first)[:groups_max]])]
    return order[:count]


def probes(
    cell: int,
    template: Template,
    *,
    count: int,
    flip_costs: Sequence[int] | npt.NDArray[np.int64] | None = None,
    groups_max: int | None = None,
) -> Cells:
    """Return the ``count`` cells that most likely hold near neighbours of a situation in ``cell``, best first.

    ``flip_costs`` (cell_bits,) says how unlikely a neighbour differs in each bit: ``Fingerprinter.flip_costs`` of the
    asker's own situation. A cell costs the sum over the bits in which it differs, and cheaper cells come first
    (query-directed probing: Lv et al., "Multi-probe LSH", VLDB 2007). Without them every bit costs 1, which walks
    Hamming balls. Of two cells of equal cost that one comes first which keeps the dearest bit in which they differ;
    of bits of equal cost an earlier one counts as dearer, so that a flip outside the group comes last.

    With ``groups_max`` all cells are from that many groups, the cheapest ones, the situation's own first. Fewer than
    ``count`` cells are returned where there are no more. Raises ``UsageError``: ``cell-range``, and ``probe-argument``,
    also for a template with a codebook.
    """
    if template.codebook:
        raise UsageError(
            "probe-argument", "the numbers of cells of a codebook say nothing about likeness", hint="ask likely_cells"
        )
    if cell < 0 or cell >> template.cell_bits:
        raise _no_cell(cell, template)
    bits = _ranked(template, flip_costs)
    if count < 1 or (groups_max is not None and groups_max < 1):
        raise UsageError(
            "probe-argument", f"{count} probes of {groups_max} groups", hint="ask for at least one of each"
        )
    if groups_max is None:
        flips = _cheapest_first(bits)
    else:
        inside = 1 << (template.cell_bits - template.group_bits)
        groups = islice(_cheapest_first([bit for bit in bits if bit.value >= inside]), groups_max)
        within = [bit for bit in bits if bit.value < inside]
        flips = heapq.merge(*(_cheapest_first(within, start=group) for group in groups))
    return np.array([cell ^ flip.value for flip in islice(flips, count)], np.uint32)


def probe_groups(cells: Cells, template: Template) -> dict[int, Cells]:
    """Return the cells of each group, both in the order of ``cells``: what to ask of each set of holders."""
    found: dict[int, list[int]] = {}
    for cell, group in zip(cells.tolist(), group_of(cells, template).tolist(), strict=True):
        found.setdefault(group, []).append(cell)
    return {group: np.array(members, np.uint32) for group, members in found.items()}


@dataclass(frozen=True, slots=True, order=True)
class _Flip:
    """A set of bits to flip: what they cost, their ranks as a bit mask (which settles ties), and their places."""

    cost: int = 0
    ranks: int = 0
    value: int = 0

    def __add__(self, other: _Flip) -> _Flip:
        return _Flip(self.cost + other.cost, self.ranks + other.ranks, self.value + other.value)

    def __sub__(self, other: _Flip) -> _Flip:
        return _Flip(self.cost - other.cost, self.ranks - other.ranks, self.value - other.value)


def _ranked(template: Template, flip_costs: Sequence[int] | npt.NDArray[np.int64] | None) -> list[_Flip]:
    """Return the single flips, cheapest first; of equal ones the lower place first."""
    costs = [1] * template.cell_bits if flip_costs is None else [int(cost) for cost in flip_costs]
    if len(costs) != template.cell_bits or min(costs, default=0) < 0:
        raise UsageError(
            "probe-argument",
            f"{len(costs)} costs of flips, the least {min(costs, default=0)}, for {template.cell_bits} cell bits",
            hint="pass one row of Fingerprinter.flip_costs of the same template",
        )
    ordered = sorted((cost, 1 << place) for place, cost in enumerate(reversed(costs)))
    return [_Flip(cost, 1 << rank, value) for rank, (cost, value) in enumerate(ordered)]


def _cheapest_first(bits: Sequence[_Flip], *, start: _Flip | None = None) -> Iterator[_Flip]:
    """Yield ``start`` with each subset of ``bits``, which are in order, by cost and rank.

    Every subset is reached once: from one without its dearest bit, or from one with the next cheaper bit in its stead.
    Neither step lessens cost or rank, so a heap yields them in order.
    """
    empty = start or _Flip()
    yield empty
    heap = [(empty + bits[0], 0)] if bits else []
    while heap:
        flip, last = heapq.heappop(heap)
        yield flip
        if last + 1 < len(bits):
            longer = flip + bits[last + 1]
            heapq.heappush(heap, (longer, last + 1))
            heapq.heappush(heap, (longer - bits[last], last + 1))


def _prototype_distances(fingerprints: npt.NDArray[np.uint8], template: Template) -> npt.NDArray[np.uint16]:
    """Return the ``(n, prototypes)`` numbers of bits in which fingerprints differ from the prototypes."""
    words = template.fingerprint_bits // 64
    left = np.ascontiguousarray(fingerprints).view(np.uint64).reshape(-1, words)
    right = np.frombuffer(template.codebook, np.uint64).reshape(-1, words)
    distances = np.zeros((len(left), len(right)), np.uint16)
    for word in range(words):
        distances += np.bitwise_count(left[:, word, None] ^ right[:, word])
    return distances


def _check_counts(count: int, groups_max: int | None) -> None:
    if count < 1 or (groups_max is not None and groups_max < 1):
        raise UsageError(
            "probe-argument", f"{count} probes of {groups_max} groups", hint="ask for at least one of each"
        )


def _no_cell(cell: int, template: Template) -> UsageError:
    return UsageError(
        "cell-range",
        f"{cell} is no cell of the template {template.name!r}, which has {1 << template.cell_bits}",
        hint="pass what cell_of returned for the same template",
    )
