"""From evidence to answers: one fit, any number of questions."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from fingerpost.errors import UsageError
from fingerpost.fingerprint import sketch_values
from fingerpost.limits import CLOCK_SKEW_DAYS_MAX
from fingerpost.synthesis import _abstention, pairs
from fingerpost.synthesis._estimates import estimate_of
from fingerpost.synthesis._shares import Agreement, agreement_of, node_shares, packet_shares
from fingerpost.synthesis.actions import ActionPool, action_pools, compare_actions
from fingerpost.synthesis.answer import Answer, Notice, PairSums, Query
from fingerpost.synthesis.calculators import Questions, own_pool
from fingerpost.synthesis.distances import Scan, nearest_rows
from fingerpost.synthesis.findings import Findings
from fingerpost.synthesis.intervals import Uncertainty, uncertainty
from fingerpost.synthesis.kernel import KernelOptions, fit, packet_weights
from fingerpost.synthesis.panel import Panel, pool_range
from fingerpost.synthesis.shipped_calculators import shipped_calculators
from fingerpost.template import CategoryOutcomeField, condition_codes, condition_values

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from fingerpost.synthesis._estimates import Estimate
    from fingerpost.synthesis.calculators import Calculator
    from fingerpost.synthesis.distances import NeighboursOf
    from fingerpost.synthesis.evidence import Evidence
    from fingerpost.synthesis.kernel import KernelSettings, Smoothing
    from fingerpost.synthesis.panel import Weighing
    from fingerpost.template import Template

Pooled = tuple["NDArray[np.float64]", "NDArray[np.float64]"]
PACKETS_SHOWN = 10
WEIGHT_DIGITS = 9  # weights equal so far are ordered by packet id: another machine must list the same carriers


class Synthesizer:
    """Answers questions from one pool of evidence as of one day; everything that does not depend on the question is
    computed once, when first needed. The half-life is the template's, whatever ``options`` say.

    ``conditions`` keeps only the packets that state these levels. Packets that are expired, from the future, or of no
    weight are left out. Given ``settings`` (from an earlier answer) nothing is searched for. ``calculators`` (default:
    those of this package) are what estimates are mixed from where a question says how. ``neighbours_of`` makes what
    finds the nearest packets (default: looking at all); whichever it is, answers are the same.
    """

    def __init__(
        self,
        evidence: Evidence,
        template: Template,
        *,
        day: int,
        options: KernelOptions | None = None,
        conditions: Mapping[str, object] | None = None,
        settings: KernelSettings | None = None,
        calculators: Sequence[Calculator] | None = None,
        neighbours_of: NeighboursOf = Scan,
    ) -> None:
        self.template = template
        self.day = day
        self.options = replace(options or KernelOptions(), half_life_days=template.half_life_days)
        self.conditions = condition_codes(template, conditions or {})
        self.settings = settings
        self.calculators = tuple(shipped_calculators() if calculators is None else calculators)
        self.neighbours_of = neighbours_of
        self._panel: tuple[bytes, Panel] | None = None
        self._found: tuple[bytes, Findings] | None = None
        self.evidence = evidence.subset(self._usable(evidence))

    def ask(self, query: Query, *, weighing: Weighing | None = None) -> Answer:
        """Answer one question."""
        return self.ask_many([query], weighing=weighing)[0]

    def ask_many(self, queries: Sequence[Query], *, weighing: Weighing | None = None) -> list[Answer]:
        """Answer many questions with one fit; each answer is the same as alone, to about 1e-12.

        With a ``weighing`` estimates are mixed from several calculators; without, they are those of kernel ridge on all
        packets alike.

        :raises UsageError: for a fingerprint or sketch of the wrong size.
        """
        if weighing is None or not len(self.evidence):
            return self._ask_pooled(queries)[0]
        answers, pooled = self._ask_pooled(queries)
        return self.panel(weighing.asker).mix(answers, replace(self._questions(queries), pooled=pooled), weighing)

    def with_evidence(self, evidence: Evidence) -> Synthesizer:
        """Return what answers the same way from other evidence."""
        return Synthesizer(
            evidence,
            self.template,
            day=self.day,
            options=self.options,
            conditions=dict(self._stated_conditions()),
            settings=self.settings,
            calculators=self.calculators,
            neighbours_of=self.neighbours_of,
        )

    def offer(self, calculators: Sequence[Calculator]) -> None:
        """Mix estimates from these calculators from now on."""
        if [each.name for each in calculators] != [each.name for each in self.calculators]:
            self.calculators, self._panel = tuple(calculators), None

    def panel(self, asker: bytes) -> Panel:
        """Return the calculators, fitted for the node with this id; the last one is kept."""
        if self._panel is None or self._panel[0] != asker:
            low, high = pool_range(self.template)
            found = None
            if self._found is not None and self._found[0] == asker and self._is_shipped:
                found = self._found[1].panel
            pool = own_pool(
                self.evidence,
                self.uncertainty.fitted,
                asker=asker,
                day=self.day,
                options=self.options,
                low=low,
                high=high,
                known=None if found is None else found.known,
            )
            self._panel = asker, Panel(pool, self.template, self.calculators, found=found)
        return self._panel[1]

    def recall(self, found: Findings, *, asker: bytes) -> None:
        """Take what ``findings`` returned for this asker about the very same packets, before anything is asked."""
        self._found = asker, found

    def findings(self, asker: bytes) -> Findings | None:
        """Return what another process with the same packets need not seek; None where nothing was asked yet.

        What calculators found is part of it where all are of this package: what others find may change with them.
        """
        if "uncertainty" not in self.__dict__ or self.settings is not None:
            return None
        fitted = self.uncertainty.fitted
        knows = self._panel is not None and self._panel[0] == asker and self._is_shipped
        panel = self._panel[1].findings() if self._panel is not None and knows else None
        return Findings(
            settings=fitted.settings,
            residuals=fitted.residuals,
            agreement=self.__dict__.get("agreement"),
            pair_sums=self.__dict__.get("pair_sums"),
            panel=panel,
        )

    @property
    def _is_shipped(self) -> bool:
        return self.calculators == tuple(shipped_calculators())

    def _questions(self, queries: Sequence[Query]) -> Questions:
        features = self._features(queries)
        size = self.template.fingerprint_bits // 8
        prints = np.frombuffer(b"".join(q.fingerprint for q in queries), np.uint8).reshape(-1, size)
        sketches = np.asarray(features, np.float64) if self.template.sketch else None
        return Questions(fingerprints=prints, sketches=sketches)

    def _ask_pooled(self, queries: Sequence[Query]) -> tuple[list[Answer], Pooled]:
        """Return the answers of kernel ridge on all packets, and the scores (q, c) and variances (q,) behind them."""
        features = self._features(queries)
        if not len(self.evidence):
            return [self._without_evidence(query) for query in queries], (np.zeros((0, 0)), np.zeros(0))
        answers: list[Answer] = []
        scores, variances = [np.zeros((0, self.uncertainty.fitted.targets.shape[1]))], [np.zeros(0)]
        for smoothing in self.uncertainty.fitted.smooth(features):
            estimates = estimate_of(self.uncertainty, smoothing, self.template)
            confidences = self._confidences(smoothing, estimates)
            sizes = self.uncertainty.effective_sizes(smoothing)
            node_weights = self.uncertainty.node_weights(smoothing)
            scores.append(smoothing.weights @ self.uncertainty.fitted.targets[smoothing.rows])
            variances.append(smoothing.variance)
            for row, estimate in enumerate(estimates):
                place = len(answers)
                answers.append(
                    self._answer(
                        queries[place],
                        features[place : place + 1],
                        smoothing,
                        row,
                        estimate=estimate,
                        confidence=float(confidences[row]),
                        size=float(sizes[row]),
                        node_weights=node_weights[row],
                    )
                )
        return answers, (np.vstack(scores), np.concatenate(variances))

    def smoothings(self, queries: Sequence[Query]) -> Iterator[Smoothing]:
        """Yield, in blocks, which packets answer the questions and with what weights."""
        return self.uncertainty.fitted.smooth(self._features(queries))

    @cached_property
    def uncertainty(self) -> Uncertainty:
        """The fitted calculator and what it knows about its own errors."""
        values = None if self.evidence.sketches is None else sketch_values(self.evidence.sketches)
        found = self._found[1] if self._found is not None and self.settings is None else None
        fitted = fit(
            self.evidence,
            day=self.day,
            options=self.options,
            sketches=values,
            settings=self.settings if found is None else found.settings,
            residuals=None if found is None else found.residuals,
            neighbours_of=self.neighbours_of,
        )
        return uncertainty(fitted)

    @cached_property
    def records(self) -> int:
        """How many records the packets stand for."""
        return int(self.evidence.records.sum())

    @cached_property
    def agreement(self) -> Agreement:
        """How the nodes with the most records agree with each other."""
        known = None if self._found is None else self._found[1].agreement
        return known or agreement_of(self.evidence, self.template)

    @cached_property
    def pair_sums(self) -> PairSums:
        """Sums over all pairs of records of the pool."""
        if self._found is not None and self._found[1].pair_sums is not None:
            return self._found[1].pair_sums
        records, bits = self.records, self.evidence.bits
        count = records * (records - 1) // 2
        if self.evidence.kind == "number":
            total = pairs.record_memory(self.evidence)
            return PairSums(pairs=count, similarity=_half(total, records, bits), same_outcome=None)
        memory = pairs.memory_of(self.evidence)
        return PairSums(
            pairs=count,
            similarity=_half(memory.sum(axis=0), records, bits),
            same_outcome=_half(memory, records, bits),
        )

    @cached_property
    def evidence_digest(self) -> str:
        """Which packets were used, in 64 hex digits."""
        return hashlib.blake2s(np.ascontiguousarray(self.evidence.packet_ids).data).hexdigest()

    @cached_property
    def _action_pools(self) -> list[ActionPool]:
        return action_pools(self.uncertainty) if self.template.action else []

    @cached_property
    def _pool_notices(self) -> tuple[Notice | None, tuple[Notice, ...]]:
        """The reason to abstain that holds for every question, and the warnings that do."""
        warnings = []
        if len(self.evidence.node_ids) == 1:
            warnings.append(_abstention.ONE_NODE)
        if _abstention.prior_only(self.uncertainty.fitted):
            warnings.append(_abstention.PRIOR_ONLY)
        if self.agreement.contradicts:
            warnings.append(_abstention.CONTRADICTION)
        return _abstention.too_few(self.uncertainty.pool_size), tuple(warnings)

    def _usable(self, evidence: Evidence) -> NDArray[np.bool_]:
        usable = evidence.live_on(self.day, skew_days=CLOCK_SKEW_DAYS_MAX)
        usable &= packet_weights(evidence, day=self.day, options=self.options) > 0
        for column, code in enumerate(self.conditions):
            if code:
                usable &= evidence.conditions[:, column] == code
        return usable

    def _features(self, queries: Sequence[Query]) -> NDArray[np.uint8] | NDArray[np.float64]:
        size = self.template.fingerprint_bits // 8
        if any(len(query.fingerprint) != size for query in queries):
            raise UsageError("query-fingerprint", f"a fingerprint of this template has {size} bytes")
        fingerprints = np.frombuffer(b"".join(q.fingerprint for q in queries), np.uint8).reshape(-1, size)
        if not self.template.sketch:
            return fingerprints
        if any(query.sketch is None or len(query.sketch) != 32 for query in queries):
            raise UsageError("query-sketch", "a sketch of this template has 32 bytes")
        joined = b"".join(query.sketch or b"" for query in queries)
        return sketch_values(np.frombuffer(joined, np.uint8).reshape(-1, 32))

    def _confidences(self, smoothing: Smoothing, estimates: list[Estimate]) -> NDArray[np.float64]:
        """Return (q,) scores that rank answers: sure ones in familiar places first."""
        fitted = self.uncertainty.fitted
        nearest = smoothing.distances.min(axis=1)
        familiar = np.array([_abstention.familiarity(fitted, float(distance)) for distance in nearest])
        known = np.minimum(1, familiar / _abstention.STRANGE_SHARE)
        outcome = self.template.outcome
        if isinstance(outcome, CategoryOutcomeField):
            scores = smoothing.weights @ fitted.targets[smoothing.rows]
            chance = 1 / len(outcome.levels)
            return np.asarray(chance + (self.uncertainty.moderated(smoothing, scores) - chance) * known, np.float64)
        widths = np.array([0.0 if number is None else number.high - number.low for _, number in estimates])
        return np.asarray((1 - widths / float(outcome.high - outcome.low)) * known, np.float64)

    def _answer(
        self,
        query: Query,
        features: NDArray[np.uint8] | NDArray[np.float64],
        smoothing: Smoothing,
        row: int,
        *,
        estimate: Estimate,
        confidence: float,
        size: float,
        node_weights: NDArray[np.float64],
    ) -> Answer:
        fitted = self.uncertainty.fitted
        distances, weights = smoothing.distances[row], smoothing.weights[row]
        by_row = np.argsort(smoothing.rows, kind="stable")  # equal distances in order of packet id
        near = by_row[nearest_rows(distances[by_row], PACKETS_SHOWN)]
        heavy = by_row[np.argsort(-np.abs(weights[by_row]).round(WEIGHT_DIGITS), kind="stable")[:PACKETS_SHOWN]]
        actions = compare_actions(self._action_pools, self.uncertainty, smoothing, row, features, self.template)
        reason, warnings = self._pool_notices
        reason = reason or _abstention.too_far(fitted, float(distances.min()))
        if len(actions) > 1 and not all(action.overlap for action in actions):
            warnings = (*warnings, _abstention.ACTION_OVERLAP)
        return Answer(
            template_id=self.template.template_id.hex(),
            template_name=self.template.name,
            outcome_name=self.template.outcome.name,
            kind=self.evidence.kind,
            levels=estimate[0],
            number=estimate[1],
            confidence=confidence,
            effective_sample_size=size,
            packets=len(self.evidence),
            evidence_digest=self.evidence_digest,
            records=self.records,
            node_count=len(self.evidence.node_ids),
            nodes=node_shares(self.evidence, self.agreement, node_weights),
            agreement=self.agreement.matrix,
            nearest=packet_shares(self.evidence, self.template, smoothing, row, near),
            carriers=packet_shares(self.evidence, self.template, smoothing, row, heavy),
            actions=actions,
            pair_sums=self.pair_sums,
            abstained=reason is not None,
            reason=reason,
            warnings=warnings,
            query=query,
            conditions=self._stated_conditions(),
            day=self.day,
            settings=fitted.settings,
        )

    def _without_evidence(self, query: Query) -> Answer:
        return Answer(
            template_id=self.template.template_id.hex(),
            template_name=self.template.name,
            outcome_name=self.template.outcome.name,
            kind=self.evidence.kind,
            levels=(),
            number=None,
            confidence=0.0,
            effective_sample_size=0.0,
            packets=0,
            evidence_digest="",
            records=0,
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
            query=query,
            conditions=self._stated_conditions(),
            day=self.day,
            settings=None,
        )

    def _stated_conditions(self) -> tuple[tuple[str, str], ...]:
        stated = condition_values(self.template, self.conditions)
        return tuple((name, level) for name, level in stated.items() if level is not None)


def synthesize(
    query: Query,
    evidence: Evidence,
    template: Template,
    *,
    day: int,
    options: KernelOptions | None = None,
    conditions: Mapping[str, object] | None = None,
) -> Answer:
    """Answer one question from ``evidence`` as of ``day`` (days since 1970-01-01).

    The same packets give the same answer however they arrived; but for intervals, sample sizes and what names nodes,
    also whichever node emitted them. An abstention is an answer, not an error.

    :raises RecordError: for a condition that the template does not have.
    :raises UsageError: for a query that does not fit the template.
    """
    return synthesize_many([query], evidence, template, day=day, options=options, conditions=conditions)[0]


def synthesize_many(
    queries: Sequence[Query],
    evidence: Evidence,
    template: Template,
    *,
    day: int,
    options: KernelOptions | None = None,
    conditions: Mapping[str, object] | None = None,
) -> list[Answer]:
    """Answer many questions with one fit (see ``synthesize``)."""
    synthesizer = Synthesizer(evidence, template, day=day, options=options, conditions=conditions)
    return synthesizer.ask_many(queries)


def _half(memory: NDArray[np.int64], records: int, bits: int) -> int:
    return (pairs.sum_of_squares(memory) - records * bits) // 2
