"""Answers from randomised reports (local-dp): one record each, of which only sums over many tell anything.

With n reports, p the chance that a report speaks for the entry of its record and q that it speaks for any one other, an
entry that is spoken for s times is estimated to have (s - n q) / (p - q) records: unbiased, whatever the records are
(Wang et al. 2017, section 3). Its variance is n q (1 - q) / (p - q)^2, and a little more for the records of the entry
itself, which is spread over all entries here. All estimates together must come to n, which is known; what they miss is
shared out over the entries, which makes each of them better.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from fingerpost.errors import UsageError
from fingerpost.packet import Kind, OutcomeForm, PayloadLayout, Profile, has_layout, packet_ids, payloads
from fingerpost.synthesis._counts_answers import NODES_SHOWN, NoisySynthesizer, Shown
from fingerpost.synthesis._counts_reading import first_of_each, level_count, subset_of
from fingerpost.synthesis.answer import NodeShare, Notice
from fingerpost.synthesis.counts import Table
from fingerpost.synthesis.evidence import node_columns, order_of_bytes
from fingerpost.template import ReportPlan, plan_reports

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fingerpost.template import Template

CALCULATOR = "randomised-reports-1"
UNPACKED_AT_ONCE = 1 << 24  # bits
RANDOMISED = Notice(
    code="randomised-reports",
    text="this is estimated from reports that were randomised one by one (local-dp, epsilon 2 for each record); the "
    "interval includes the noise.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportsEvidence:
    """The reports of one template as columns, ordered by packet id; n packets.

    ``told`` holds the values (n,), or the bits in whole bytes (n, items).
    """

    packet_ids: NDArray[np.uint8]  # (n, 32)
    node_ids: NDArray[np.uint8]  # (V, 32), ordered bytewise
    node_index: NDArray[np.int64]  # (n,)
    epochs: NDArray[np.int64]
    ttl_days: NDArray[np.int64]
    told: NDArray[Any]

    def __len__(self) -> int:
        return len(self.packet_ids)

    @classmethod
    def from_packets(
        cls, packets: NDArray[Any], template: Template, *, ids: NDArray[np.uint8] | None = None
    ) -> ReportsEvidence:
        """Read a ``PACKET_DTYPE`` array of verified packets; what is no report of the template is left out."""
        if len(packets) and (packets["template_id"] != np.frombuffer(template.template_id, np.uint8)).any():
            raise UsageError("evidence-template", "a packet belongs to another template")
        every_id = packet_ids(packets) if ids is None else ids
        plan = plan_of(template)
        layout = PayloadLayout(
            fingerprint_bits=0, sketch=0, conditions=0, outcome_form=plan.form, outcome_items=plan.items
        )
        right = (packets["kind"] == Kind.REPORT) & (packets["profile"] == Profile.LOCAL_DP)
        rows = np.flatnonzero(right & has_layout(packets, layout))
        told = payloads(packets[rows], layout)["outcome"]
        if plan.form is OutcomeForm.REPORT_VALUE:
            rows, told = rows[told < plan.entries], told[told < plan.entries]
        order = order_of_bytes(every_id[rows])
        order = order[first_of_each(every_id[rows][order])]
        rows, told = rows[order], told[order]
        node_ids, node_index = node_columns(packets["emitter"][rows])
        return cls(
            packet_ids=every_id[rows],
            node_ids=node_ids,
            node_index=node_index,
            epochs=packets["epoch"][rows].astype(np.int64),
            ttl_days=packets["ttl_days"][rows].astype(np.int64),
            told=told.copy(),
        )

    def subset(self, rows: NDArray[np.bool_]) -> ReportsEvidence:
        """Return the packets of ``rows``; nodes without a packet left are dropped."""
        return subset_of(self, rows)


class ReportsSynthesizer(NoisySynthesizer[ReportsEvidence]):
    """Answers questions from randomised reports."""

    calculator = CALCULATOR
    notice = RANDOMISED

    def _table_of(self, action: int | None) -> Table:
        estimate = self._estimates if action is None else self._estimates[:, [action]]
        return Table(
            totals=estimate.sum(axis=1), noise=self._entry_noise * estimate.shape[1], records_known=action is None
        )

    def _rows_of(self, action: int) -> NDArray[np.bool_]:
        """Say that every report may speak for every action: that is the point of them."""
        return np.full(len(self.evidence), action > 0)

    def _shown(self, distances: NDArray[np.float64]) -> Shown:  # noqa: ARG002 - any situation shows the same
        """Show how many reports each node has; a single one tells next to nothing, so none is shown."""
        return Shown(nodes=self._nodes, nearest=(), carriers=())

    @cached_property
    def _nodes(self) -> tuple[NodeShare, ...]:
        counts = np.bincount(self.evidence.node_index, minlength=len(self.evidence.node_ids))
        weights = np.bincount(self.evidence.node_index, weights=self._weights, minlength=len(counts))
        return tuple(
            NodeShare(
                node_id=node_id.tobytes().hex(),
                packets=int(counts[node]),
                records=int(counts[node]),
                weight=float(weights[node] / weights.sum()),
                agreement=None,
            )
            for node, node_id in enumerate(self.evidence.node_ids[:NODES_SHOWN])
        )

    @cached_property
    def _plan(self) -> ReportPlan:
        return plan_of(self.template)

    @cached_property
    def _estimates(self) -> NDArray[np.float64]:
        """How many records each entry has, (cells, actions, levels)."""
        plan, whole = self._plan, float(self._weights.sum())
        estimates = (self._spoken_for() - whole * plan.q) / (plan.p - plan.q)
        estimates += (whole - estimates.sum()) / plan.entries
        return estimates.reshape(1 << self.template.cell_bits, -1, level_count(self.template))

    @cached_property
    def _entry_noise(self) -> float:
        plan, squares = self._plan, float((self._weights**2).sum())
        own = (plan.p * (1 - plan.p) - plan.q * (1 - plan.q)) / plan.entries
        return squares * (plan.q * (1 - plan.q) + own) / (plan.p - plan.q) ** 2

    def _spoken_for(self) -> NDArray[np.float64]:
        told, plan, weights = self.evidence.told, self._plan, self._weights
        if plan.form is OutcomeForm.REPORT_VALUE:
            return np.bincount(told.astype(np.int64), weights=weights, minlength=plan.entries).astype(np.float64)
        spoken, rows = np.zeros(plan.entries), max(1, UNPACKED_AT_ONCE // plan.entries)
        for start in range(0, len(told), rows):
            bits = np.unpackbits(told[start : start + rows], axis=1, count=plan.entries)
            spoken += weights[start : start + rows] @ bits
        return spoken


def plan_of(template: Template) -> ReportPlan:
    """Return how records of a template are reported."""
    actions = 1 + len(template.action.levels) if template.action else 1
    return plan_reports((1 << template.cell_bits) * actions * level_count(template))
