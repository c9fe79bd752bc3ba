"""Answers from noisy counts: the same ``Answer`` as from packets of single records, made by another calculator."""

from __future__ import annotations

import hashlib
import math
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from fingerpost.errors import UsageError
from fingerpost.limits import CLOCK_SKEW_DAYS_MAX, DP_RELEASE_EPSILON
from fingerpost.synthesis import _abstention
from fingerpost.synthesis._counts_reading import CountsEvidence, cell_distances, distances_between_cells, level_count
from fingerpost.synthesis.answer import (
    ActionEstimate,
    Answer,
    LevelEstimate,
    NodeShare,
    Notice,
    NumberEstimate,
    PacketShare,
    Query,
)
from fingerpost.synthesis.counts import SCALES, Table, cell_weights, estimate_shares, laplace_variance, usual_distance
from fingerpost.synthesis.intervals import NORMAL_95
from fingerpost.template import CategoryOutcomeField, action_value, condition_codes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from fingerpost.synthesis.counts import Shares
    from fingerpost.template import Template

CALCULATOR = "noisy-counts-1"
PACKETS_SHOWN = 10
NODES_SHOWN = 64
OVERLAP_SHARE = 0.05

NOISY = Notice(
    code="noisy-counts",
    text="this is estimated from counts with noise (dp-aggregate, epsilon 1 for each record and day); the interval "
    "includes the noise.",
)

UNVETTED = Notice(
    code="unvetted",
    text="nobody vetted these nodes: counts with noise are too coarse to be elected by, so a node that publishes false "
    "ones takes part like all others.",
)


class CountsSynthesizer:
    """Answers questions from one pool of counts packets as of one day; see ``fingerpost.synthesis.counts``.

    Counts state no conditions, so a question that asks for one finds no evidence.
    """

    def __init__(
        self, evidence: CountsEvidence, template: Template, *, day: int, conditions: Mapping[str, object] | None = None
    ) -> None:
        self.template = template
        self.day = day
        self.conditions = condition_codes(template, conditions or {})
        live = (evidence.epochs <= day + CLOCK_SKEW_DAYS_MAX) & (day < evidence.epochs + evidence.ttl_days)
        self.evidence = evidence.subset(live & (not any(self.conditions)))

    def ask(self, query: Query) -> Answer:
        """Answer one question."""
        return self.ask_many([query])[0]

    def ask_many(self, queries: Sequence[Query]) -> list[Answer]:
        """Answer many questions. Raises ``UsageError`` for a fingerprint of the wrong size."""
        size = self.template.fingerprint_bits // 8
        if any(len(query.fingerprint) != size for query in queries):
            raise UsageError("query-fingerprint", f"a fingerprint of this template has {size} bytes")
        if not len(self.evidence):
            return [self._without_evidence(query) for query in queries]
        fingerprints = np.frombuffer(b"".join(query.fingerprint for query in queries), np.uint8).reshape(-1, size)
        distances = cell_distances(fingerprints, self.template)
        found = estimate_shares(self._table, distances, usual=self._usual)
        actions = [estimate_shares(table, distances, usual=self._usual) for table in self._action_tables]
        return [self._answer(query, distances[row], found, actions, row) for row, query in enumerate(queries)]

    @cached_property
    def evidence_digest(self) -> str:
        """Which packets were used, in 64 hex digits."""
        return hashlib.blake2s(self.evidence.packet_ids.tobytes()).hexdigest()

    @cached_property
    def _usual(self) -> float:
        return usual_distance(distances_between_cells(self.template))

    @cached_property
    def _weights(self) -> NDArray[np.float64]:
        """How much each packet counts, (n,): older ones less where the template says so."""
        if not self.template.half_life_days:
            return np.ones(len(self.evidence))
        age = np.maximum(self.day - self.evidence.epochs, 0)
        return np.asarray(0.5 ** (age / self.template.half_life_days), np.float64)

    @cached_property
    def _table(self) -> Table:
        return self._table_of(np.ones(len(self.evidence), np.bool_))

    @cached_property
    def _action_tables(self) -> list[Table]:
        levels = len(self.template.action.levels) if self.template.action else 0
        return [self._table_of(self.evidence.actions == code) for code in range(1, levels + 1)]

    def _table_of(self, rows: NDArray[np.bool_]) -> Table:
        """Add up the packets of ``rows``; entries that some release lacks have less noise, and count as having it."""
        totals = np.zeros((1 << self.template.cell_bits, level_count(self.template)))
        variance = np.zeros_like(totals)
        part, weights = self.evidence.subset(rows), self._weights[rows][:, None]
        np.add.at(totals, part.cells, weights * part.counts)
        np.add.at(variance, part.cells, weights**2 * part.counted)
        return Table(totals=totals, noise=laplace_variance(DP_RELEASE_EPSILON) * float(variance.max(initial=0.0)))

    def _answer(
        self, query: Query, distances: NDArray[np.float64], found: Shares, actions: list[Shares], row: int
    ) -> Answer:
        levels, number, confidence = self._estimate(found, row)
        reason = self._reason(found, row)
        weights = cell_weights(distances[None], scale=SCALES[-1], usual=self._usual)[0]
        compared = self._actions(actions, row)
        warnings = [NOISY]
        if len(self.evidence.node_ids) == 1:
            warnings.append(_abstention.ONE_NODE)
        else:
            warnings.append(UNVETTED)
        if len(compared) > 1 and not all(action.overlap for action in compared):
            warnings.append(_abstention.ACTION_OVERLAP)
        places = np.argsort(distances[self.evidence.cells], kind="stable")[:PACKETS_SHOWN]
        share = self._shares_of_packets(weights)
        heavy = np.argsort(-np.abs(share).round(9), kind="stable")[:PACKETS_SHOWN]
        return Answer(
            **self._head(query),
            levels=levels,
            number=number,
            confidence=confidence,
            effective_sample_size=float(1 / found.spread[row]),
            packets=len(self.evidence),
            records=max(0, round(self._table.records)),
            evidence_digest=self.evidence_digest,
            node_count=len(self.evidence.node_ids),
            nodes=self._nodes(share),
            agreement=(),
            nearest=self._packets(places, distances, share),
            carriers=self._packets(heavy, distances, share),
            actions=compared,
            pair_sums=None,
            abstained=reason is not None,
            reason=reason,
            warnings=tuple(warnings),
        )

    def _estimate(self, found: Shares, row: int) -> tuple[tuple[LevelEstimate, ...], NumberEstimate | None, float]:
        """Return level estimates or a number, and the confidence."""
        shares, spread = found.shares[row], float(found.spread[row])
        outcome = self.template.outcome
        if isinstance(outcome, CategoryOutcomeField):
            levels = tuple(
                _level(level, share, spread) for level, share in zip(outcome.levels, shares.tolist(), strict=True)
            )
            return levels, None, max(level.probability for level in levels)
        knots = np.linspace(float(outcome.low), float(outcome.high), len(shares))
        mean = float(shares @ knots)
        reach = NORMAL_95 * math.sqrt(spread * float(shares @ (knots - mean) ** 2))
        low, high = max(mean - reach, float(knots[0])), min(mean + reach, float(knots[-1]))
        below = np.cumsum(shares)
        number = NumberEstimate(
            mean=mean,
            mean_low=low,
            mean_high=high,
            low=min(low, float(knots[int(np.searchsorted(below, 0.05))])),
            high=max(high, float(knots[min(int(np.searchsorted(below, 0.95)), len(knots) - 1)])),
            unit=outcome.unit,
        )
        return (), number, 1 - (number.high - number.low) / float(knots[-1] - knots[0])

    def _reason(self, found: Shares, row: int) -> Notice | None:
        """Return why not to rely on an estimate: too few records in all, or none nearby beyond what noise makes."""
        table = self._table
        few = _abstention.too_few(table.records - NORMAL_95 * table.records_error)
        if few is not None:
            return few
        nearby, error = float(found.nearby[row]), float(found.nearby_error[row])
        if nearby > NORMAL_95 * error:
            return None
        return Notice(
            code="too-far",
            text=f"about {max(nearby, 0):.1f} records were counted nearby, and noise alone would make {error:.1f}.",
        )

    def _actions(self, found: list[Shares], row: int) -> tuple[ActionEstimate, ...]:
        nearby = np.array([max(float(shares.nearby[row]), 0.0) for shares in found])
        whole = nearby.sum() or 1.0
        compared = []
        for code, (shares, table) in enumerate(zip(found, self._action_tables, strict=True), start=1):
            rows = self.evidence.actions == code
            if not rows.any():
                continue
            levels, number, _ = self._estimate(shares, row)
            compared.append(
                ActionEstimate(
                    action=action_value(self.template, code) or "",
                    packets=int(rows.sum()),
                    records=max(0, round(table.records)),
                    nodes=len(np.unique(self.evidence.node_index[rows])),
                    effective_sample_size=float(1 / shares.spread[row]),
                    levels=levels,
                    number=number,
                    share=float(nearby[code - 1] / whole),
                    overlap=bool(nearby[code - 1] > max(OVERLAP_SHARE * whole, float(shares.nearby_error[row]))),
                )
            )
        return tuple(compared)

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

    def _head(self, query: Query) -> dict[str, Any]:
        """Return what every answer states, with or without evidence."""
        return {
            "template_id": self.template.template_id.hex(),
            "template_name": self.template.name,
            "outcome_name": self.template.outcome.name,
            "kind": "category" if isinstance(self.template.outcome, CategoryOutcomeField) else "number",
            "query": query,
            "conditions": tuple(
                (part.name, part.levels[code - 1])
                for part, code in zip(self.template.conditions, self.conditions, strict=True)
                if code
            ),
            "day": self.day,
            "settings": None,
            "calculator": CALCULATOR,
        }

    def _without_evidence(self, query: Query) -> Answer:
        return Answer(
            **self._head(query),
            levels=(),
            number=None,
            confidence=0.0,
            effective_sample_size=0.0,
            packets=0,
            records=0,
            evidence_digest="",
            node_count=0,
            nodes=(),
            agreement=(),
            nearest=(),
            carriers=(),
            actions=(),
            pair_sums=None,
            abstained=True,
            reason=_abstention.NO_EVIDENCE,
            warnings=(),
        )


def _level(level: str, share: float, spread: float) -> LevelEstimate:
    """Return a share with its 90 % interval: normal in log-odds, variance by the delta method."""
    odds = math.log(share / (1 - share))
    reach = NORMAL_95 * math.sqrt(spread / (share * (1 - share)))
    low, high = (1 / (1 + math.exp(-end)) if end > -700 else 0.0 for end in (odds - reach, odds + reach))
    return LevelEstimate(level=level, probability=share, low=low, high=high)
