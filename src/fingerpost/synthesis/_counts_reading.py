"""Counts packets as evidence columns, and the distances between a situation and the cells that they count."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from fingerpost.errors import UsageError
from fingerpost.fingerprint import cell_of, hamming
from fingerpost.limits import COUNTS_ITEMS_MAX, COUNTS_KNOTS
from fingerpost.packet import Kind, OutcomeForm, PayloadLayout, Profile, has_layout, packet_ids, payloads
from fingerpost.synthesis.evidence import node_columns, order_of_bytes
from fingerpost.template import CategoryOutcomeField

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fingerpost.synthesis._counts_reports import ReportsEvidence
    from fingerpost.template import Template

Columns = TypeVar("Columns", "CountsEvidence", "ReportsEvidence")
CERTAIN = 255  # the confidence of counts that had noise added once


@dataclass(frozen=True, slots=True, kw_only=True)
class CountsEvidence:
    """The counts packets of one template as columns, ordered by packet id; n packets.

    ``counts`` (n, levels) is zero at levels that a packet does not count; ``counted`` says which it does. ``noises``
    says how often noise was added to each count: a sum of several nodes has it twice.
    """

    packet_ids: NDArray[np.uint8]  # (n, 32)
    node_ids: NDArray[np.uint8]  # (V, 32), ordered bytewise
    node_index: NDArray[np.int64]  # (n,)
    epochs: NDArray[np.int64]
    ttl_days: NDArray[np.int64]
    cells: NDArray[np.int64]
    actions: NDArray[np.int64]
    counts: NDArray[np.int64]  # (n, levels)
    counted: NDArray[np.bool_]  # (n, levels)
    noises: NDArray[np.int64]  # (n,)

    def __len__(self) -> int:
        return len(self.packet_ids)

    @classmethod
    def from_packets(
        cls, packets: NDArray[Any], template: Template, *, ids: NDArray[np.uint8] | None = None
    ) -> CountsEvidence:
        """Read a ``PACKET_DTYPE`` array of verified packets; what is no counts packet of the template is left out."""
        if len(packets) and (packets["template_id"] != np.frombuffer(template.template_id, np.uint8)).any():
            raise UsageError("evidence-template", "a packet belongs to another template")
        every_id = packet_ids(packets) if ids is None else ids
        levels, actions = level_count(template), 1 + (len(template.action.levels) if template.action else 0)
        counts, counted = np.zeros((len(packets), levels), np.int64), np.zeros((len(packets), levels), np.bool_)
        action, noises = np.zeros(len(packets), np.int64), np.ones(len(packets), np.int64)
        right = (packets["kind"] == Kind.COUNTS) & (packets["profile"] == Profile.DP_AGGREGATE)
        right &= packets["cell"] < (1 << template.cell_bits)
        for start in range(0, levels, COUNTS_ITEMS_MAX):
            stop = min(start + COUNTS_ITEMS_MAX, levels)
            layout = PayloadLayout(
                fingerprint_bits=0,
                sketch=0,
                conditions=0,
                outcome_form=OutcomeForm.COUNTS,
                outcome_items=stop - start,
            )
            rows = np.flatnonzero(right & has_layout(packets, layout))
            content = payloads(packets[rows], layout)
            fits = (content["first_level"] == start) & (content["action"] < actions)
            rows, content = rows[fits], content[fits]
            counts[rows, start:stop] = content["outcome"]
            counted[rows, start:stop] = True
            action[rows] = content["action"]
            noises[rows] = np.where(content["confidence"] == CERTAIN, 1, 2)
        rows = np.flatnonzero(counted.any(axis=1))
        order = order_of_bytes(every_id[rows])
        rows = rows[order[first_of_each(every_id[rows][order])]]
        node_ids, node_index = node_columns(packets["emitter"][rows])
        return cls(
            packet_ids=every_id[rows],
            node_ids=node_ids,
            node_index=node_index,
            epochs=packets["epoch"][rows].astype(np.int64),
            ttl_days=packets["ttl_days"][rows].astype(np.int64),
            cells=packets["cell"][rows].astype(np.int64),
            actions=action[rows],
            counts=counts[rows],
            counted=counted[rows],
            noises=noises[rows],
        )

    def subset(self, rows: NDArray[np.bool_]) -> CountsEvidence:
        """Return the packets of ``rows``; nodes without a packet left are dropped."""
        return subset_of(self, rows)


def subset_of(evidence: Columns, rows: NDArray[np.bool_]) -> Columns:
    """Return the packets of ``rows`` of evidence that is columns, one for each packet; unused nodes are dropped."""
    of_any: Any = evidence
    kept, node_index = np.unique(of_any.node_index[rows], return_inverse=True)
    columns: dict[str, Any] = {
        column.name: getattr(of_any, column.name)[rows]
        for column in fields(of_any)
        if column.name not in ("node_ids", "node_index")
    }
    columns |= {"node_ids": of_any.node_ids[kept], "node_index": node_index.astype(np.int64).reshape(-1)}
    subset: Columns = replace(of_any, **columns)
    return subset


def level_count(template: Template) -> int:
    """Return the number of levels that outcomes are counted at."""
    return len(template.outcome.levels) if isinstance(template.outcome, CategoryOutcomeField) else COUNTS_KNOTS


def cell_distances(fingerprints: NDArray[np.uint8], template: Template) -> NDArray[np.float64]:
    """Return (q, cells): the share of differing bits, of prototypes or, without a codebook, of the cell's own bits."""
    if template.codebook:
        prototypes = np.frombuffer(template.codebook, np.uint8).reshape(1 << template.cell_bits, -1)
        return np.asarray(hamming(fingerprints, prototypes) / template.fingerprint_bits, np.float64)
    return _bit_distances(cell_of(fingerprints, template), template.cell_bits)


def distances_between_cells(template: Template) -> NDArray[np.float64]:
    """Return (cells, cells): how far cells lie from each other."""
    if template.codebook:
        prototypes = np.frombuffer(template.codebook, np.uint8).reshape(1 << template.cell_bits, -1)
        return cell_distances(prototypes, template)
    return _bit_distances(np.arange(1 << template.cell_bits, dtype=np.uint32), template.cell_bits)


def _bit_distances(cells: NDArray[np.uint32], bits: int) -> NDArray[np.float64]:
    every = np.arange(1 << bits, dtype=np.uint32)
    return np.asarray(np.bitwise_count(cells[:, None] ^ every) / max(bits, 1), np.float64)


def first_of_each(ordered: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Say which rows of ids in order differ from the one before."""
    fresh = np.ones(len(ordered), np.bool_)
    fresh[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    return fresh
