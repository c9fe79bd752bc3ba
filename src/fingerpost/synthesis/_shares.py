"""Who and what carried an answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fingerpost.synthesis import pairs
from fingerpost.synthesis.answer import NodeShare, PacketShare
from fingerpost.template import CategoryOutcomeField, action_value

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fingerpost.synthesis.evidence import Evidence
    from fingerpost.synthesis.kernel import Smoothing
    from fingerpost.template import Template

NODES_SHOWN = 64  # those with the most records; the agreement of all pairs of a thousand nodes is nothing to look at
NODES_SUMMED_MAX = 512
RECORDS_TO_CONTRADICT = 10  # of each node: below, a negative contrast is as likely chance


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """The nodes shown (indices into the evidence's nodes), their sizes, and the contrast between each two."""

    nodes: tuple[int, ...]
    packets: tuple[int, ...]
    records: tuple[int, ...]
    matrix: tuple[tuple[float | None, ...], ...]
    mean: tuple[float | None, ...]
    contradicts: bool


def agreement_of(evidence: Evidence, template: Template) -> Agreement:
    """Compare the nodes with the most records (ties by node id) by the pair sums of their packets."""
    count = len(evidence.node_ids)
    records = np.bincount(evidence.node_index, weights=evidence.records, minlength=count).astype(np.int64)
    packets = np.bincount(evidence.node_index, minlength=count)
    shown = np.sort(np.argsort(-records, kind="stable")[:NODES_SHOWN])
    few = count <= NODES_SUMMED_MAX  # then summing over all of them is less than copying the packets of those shown
    is_category = isinstance(template.outcome, CategoryOutcomeField)
    part = evidence if few and is_category else evidence.subset(np.isin(evidence.node_index, shown))
    if isinstance(template.outcome, CategoryOutcomeField):
        rows = shown if few else np.arange(len(shown))
        found = pairs.node_agreement(pairs.node_memories(part)[rows], pairs.node_counts(part)[rows])
    else:
        low, high = float(template.outcome.low), float(template.outcome.high)
        found = pairs.number_agreement(part, low=low, high=high)
    between = found.contrast.copy()
    np.fill_diagonal(between, np.nan)
    large = records[shown] >= RECORDS_TO_CONTRADICT
    return Agreement(
        nodes=tuple(int(node) for node in shown),
        packets=tuple(int(packets[node]) for node in shown),
        records=tuple(int(records[node]) for node in shown),
        matrix=tuple(tuple(_known(value) for value in row) for row in found.contrast.tolist()),
        mean=tuple(_known(float(row[~np.isnan(row)].mean()) if (~np.isnan(row)).any() else np.nan) for row in between),
        contradicts=bool((between[np.ix_(large, large)] < 0).any()),
    )


def node_shares(evidence: Evidence, agreement: Agreement, weights: NDArray[np.float64]) -> tuple[NodeShare, ...]:
    """Return what each node shown contributed, given the summed packet weights (V,) of one query."""
    return tuple(
        NodeShare(
            node_id=evidence.node_ids[node].tobytes().hex(),
            packets=packets,
            records=records,
            weight=float(weights[node]),
            agreement=mean,
        )
        for node, packets, records, mean in zip(
            agreement.nodes, agreement.packets, agreement.records, agreement.mean, strict=True
        )
    )


def packet_shares(
    evidence: Evidence, template: Template, smoothing: Smoothing, query: int, places: NDArray[np.int64]
) -> tuple[PacketShare, ...]:
    """Return the packets at ``places`` of a smoothing, as one of its queries used them."""
    shares = []
    for place in places.tolist():
        row = int(smoothing.rows[place])
        shares.append(
            PacketShare(
                packet_id=evidence.packet_ids[row].tobytes().hex(),
                node_id=evidence.node_ids[evidence.node_index[row]].tobytes().hex(),
                distance=float(smoothing.distances[query, place]),
                weight=float(smoothing.weights[query, place]),
                outcome=_outcome(evidence, template, row),
                action=action_value(template, int(evidence.actions[row])),
                records=int(evidence.records[row]),
                epoch=int(evidence.epochs[row]),
            )
        )
    return tuple(shares)


def _outcome(evidence: Evidence, template: Template, row: int) -> str | float | dict[str, int]:
    if not isinstance(template.outcome, CategoryOutcomeField):
        return float(evidence.means[row])
    levels, code = template.outcome.levels, int(evidence.codes[row])
    if code >= 0:
        return levels[code]
    counts = evidence.summary_counts[np.searchsorted(evidence.summary_rows, row)]
    return {levels[level]: int(counts[level]) for level in np.flatnonzero(counts)}


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
