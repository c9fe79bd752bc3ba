"""Answers from noisy tables, whoever added the noise: what counts and reports have in common.

The ``Answer`` is the same as from packets of single records, made by another calculator.
"""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, Self, TypeVar

import numpy as np

from fingerpost.errors import UsageError
from fingerpost.limits import CLOCK_SKEW_DAYS_MAX
from fingerpost.synthesis import _abstention
from fingerpost.synthesis._counts_reading import cell_distances, distances_between_cells
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
from fingerpost.synthesis.counts import Table, estimate_shares, usual_distance
from fingerpost.synthesis.intervals import NORMAL_95
from fingerpost.template import CategoryOutcomeField, action_value, condition_codes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from fingerpost.synthesis.counts import Shares
    from fingerpost.template import Template

PACKETS_SHOWN = 10
NODES_SHOWN = 64
OVERLAP_SHARE = 0.05


class NoisyEvidence(Protocol):
    """Packets as columns, ordered by packet id; n packets of V nodes."""

    @property
    def packet_ids(self) -> NDArray[np.uint8]:
        """Ids, (n, 32)."""

    @property
    def node_ids(self) -> NDArray[np.uint8]:
        """Nodes, (V, 32), ordered bytewise."""

    @property
    def node_index(self) -> NDArray[np.int64]:
        """The node of each packet, (n,)."""

    @property
    def epochs(self) -> NDArray[np.int64]:
        """Days, (n,)."""

    @property
    def ttl_days(self) -> NDArray[np.int64]:
        """Days to live, (n,)."""

    def __len__(self) -> int: ...

    def subset(self, rows: NDArray[np.bool_]) -> Self:
        """Return the packets of ``rows``; nodes without a packet left are dropped."""


E = TypeVar("E", bound=NoisyEvidence)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What an answer shows of the packets behind it."""

    nodes: tuple[NodeShare, ...]
    nearest: tuple[PacketShare, ...]
    carriers: tuple[PacketShare, ...]


class NoisySynthesizer(ABC, Generic[E]):
    """Answers questions from one pool of packets as of one day; see ``fingerpost.synthesis.counts``.

    Tables state no conditions, so a question that asks for one finds no evidence.
    """

    calculator: ClassVar[str]
    notice: ClassVar[Notice]

    def __init__(
        self, evidence: E, template: Template, *, day: int, conditions: Mapping[str, object] | None = None
    ) -> None:
        self.template = template
        self.day = day
        self.conditions = condition_codes(template, conditions or {})
        live = (evidence.epochs <= day + CLOCK_SKEW_DAYS_MAX) & (day < evidence.epochs + evidence.ttl_days)
        self.evidence = evidence.subset(live & (not any(self.conditions)))

    @abstractmethod
    def _table_of(self, action: int | None) -> Table:
        """Return the table of one action's code, or of all of them."""

    @abstractmethod
    def _rows_of(self, action: int) -> NDArray[np.bool_]:
        """Say which packets tell of an action, (n,)."""

    @abstractmethod
    def _shown(self, distances: NDArray[np.float64]) -> Shown:
        """Return what to show of the packets, for a situation at these distances from the cells."""

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

    def shares_by_cell(self) -> NDArray[np.float64]:
        """Return the shares (cells, levels) of outcomes that the counts make expected in each cell."""
        return estimate_shares(self._table, distances_between_cells(self.template), usual=self._usual).shares

    @property
    def has_too_few(self) -> bool:
        """Whether all packets together are worth too few records to answer from."""
        return self._too_few() is not None

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
        return self._table_of(None)

    @cached_property
    def _action_tables(self) -> list[Table]:
        levels = len(self.template.action.levels) if self.template.action else 0
        return [self._table_of(code) for code in range(1, levels + 1)]

    def _answer(
        self, query: Query, distances: NDArray[np.float64], found: Shares, actions: list[Shares], row: int
    ) -> Answer:
        levels, number, confidence = self._estimate(found, row)
        reason = self._reason(found, row)
        compared = self._actions(actions, row)
        warnings = [self.notice]
        if len(self.evidence.node_ids) == 1:
            warnings.append(_abstention.ONE_NODE)
        if len(compared) > 1 and not all(action.overlap for action in compared):
            warnings.append(_abstention.ACTION_OVERLAP)
        shown = self._shown(distances)
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
            nodes=shown.nodes,
            agreement=(),
            nearest=shown.nearest,
            carriers=shown.carriers,
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
        few = self._too_few()
        if few is not None:
            return few
        nearby, error = float(found.nearby[row]), float(found.nearby_error[row])
        if nearby > NORMAL_95 * error:
            return None
        return Notice(
            code="too-far",
            text=f"about {max(nearby, 0):.1f} records were counted nearby, and noise alone would make {error:.1f}.",
        )

    def _too_few(self) -> Notice | None:
        return _abstention.too_few(self._table.records - NORMAL_95 * self._table.records_error)

    def _actions(self, found: list[Shares], row: int) -> tuple[ActionEstimate, ...]:
        nearby = np.array([max(float(shares.nearby[row]), 0.0) for shares in found])
        whole = nearby.sum() or 1.0
        compared = []
        for code, (shares, table) in enumerate(zip(found, self._action_tables, strict=True), start=1):
            rows = self._rows_of(code)
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
            "calculator": self.calculator,
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
