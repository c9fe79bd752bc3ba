"""Answers from counts packets: each is a part of one node's table, with the noise of its release."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fingerpost.limits import DP_RELEASE_EPSILON
from fingerpost.synthesis._counts_answers import NODES_SHOWN, PACKETS_SHOWN, NoisySynthesizer, Shown
from fingerpost.synthesis._counts_reading import CountsEvidence, level_count
from fingerpost.synthesis.answer import NodeShare, Notice, PacketShare
from fingerpost.synthesis.counts import SCALES, Table, cell_weights, laplace_variance
from fingerpost.template import CategoryOutcomeField, action_value

if TYPE_CHECKING:
    from numpy.typing import NDArray

CALCULATOR = "noisy-counts-2"
NOISY = Notice(
    code="noisy-counts",
    text="this is estimated from counts with noise (dp-aggregate, epsilon 1 for each record and day); the interval "
    "includes the noise.",
)


class CountsSynthesizer(NoisySynthesizer[CountsEvidence]):
    """Answers questions from counts packets."""

    calculator = CALCULATOR
    notice = NOISY

    def _table_of(self, action: int | None) -> Table:
        """Add up packets; entries that some release lacks have less noise, and count as having it."""
        rows = np.ones(len(self.evidence), np.bool_) if action is None else self._rows_of(action)
        totals = np.zeros((1 << self.template.cell_bits, level_count(self.template)))
        variance = np.zeros_like(totals)
        part, weights = self.evidence.subset(rows), self._weights[rows][:, None]
        np.add.at(totals, part.cells, weights * part.counts)
        np.add.at(variance, part.cells, weights**2 * part.noises[:, None] * part.counted)
        return Table(totals=totals, noise=laplace_variance(DP_RELEASE_EPSILON) * float(variance.max(initial=0.0)))

    def _rows_of(self, action: int) -> NDArray[np.bool_]:
        return np.asarray(self.evidence.actions == action, np.bool_)

    def _shown(self, distances: NDArray[np.float64]) -> Shown:
        share = self._shares_of_packets(cell_weights(distances[None], scale=SCALES[-1], usual=self._usual)[0])
        places = np.argsort(distances[self.evidence.cells], kind="stable")[:PACKETS_SHOWN]
        heavy = np.argsort(-np.abs(share).round(9), kind="stable")[:PACKETS_SHOWN]
        return Shown(
            nodes=self._nodes(share),
            nearest=self._packets(places, distances, share),
            carriers=self._packets(heavy, distances, share),
        )

    def _shares_of_packets(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the share (n,) of each packet in the count of records nearby."""
        parts = weights[self.evidence.cells] * self._weights * self.evidence.counts.sum(axis=1)
        whole = float(np.abs(parts).sum())
        return np.asarray(parts / whole if whole else parts, np.float64)

    def _nodes(self, share: NDArray[np.float64]) -> tuple[NodeShare, ...]:
        nodes = range(min(len(self.evidence.node_ids), NODES_SHOWN))
        return tuple(
            NodeShare(
                node_id=self.evidence.node_ids[node].tobytes().hex(),
                packets=int((self.evidence.node_index == node).sum()),
                records=max(0, int(self.evidence.counts[self.evidence.node_index == node].sum())),
                weight=float(share[self.evidence.node_index == node].sum()),
                agreement=None,
            )
            for node in nodes
        )

    def _packets(
        self, rows: NDArray[np.intp], distances: NDArray[np.float64], share: NDArray[np.float64]
    ) -> tuple[PacketShare, ...]:
        evidence = self.evidence
        return tuple(
            PacketShare(
                packet_id=evidence.packet_ids[row].tobytes().hex(),
                node_id=evidence.node_ids[evidence.node_index[row]].tobytes().hex(),
                distance=float(distances[evidence.cells[row]]),
                weight=float(share[row]),
                outcome=self._outcome(row),
                action=action_value(self.template, int(evidence.actions[row])),
                records=max(0, int(evidence.counts[row].sum())),
                epoch=int(evidence.epochs[row]),
            )
            for row in rows.tolist()
        )

    def _outcome(self, row: int) -> dict[str, int]:
        outcome, counts = self.template.outcome, self.evidence.counts[row].tolist()
        if isinstance(outcome, CategoryOutcomeField):
            return dict(zip(outcome.levels, counts, strict=True))
        knots = np.linspace(float(outcome.low), float(outcome.high), len(counts)).tolist()
        return {f"{knot:g}": count for knot, count in zip(knots, counts, strict=True)}
