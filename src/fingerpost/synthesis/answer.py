"""The answer: what happened elsewhere in situations like this one, how sure that is, and who says so."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from fingerpost.synthesis import _sentences

if TYPE_CHECKING:
    from fingerpost.synthesis.evidence import OutcomeKind
    from fingerpost.synthesis.kernel import KernelSettings

ANSWER_VERSION = 1
CALCULATOR = "kernel-ridge-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A question: the fingerprint of a situation, and its sketch (32 bytes) where the template has sketches."""

    fingerprint: bytes
    sketch: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelEstimate:
    """The probability of one outcome level, with its 90 % credible interval."""

    level: str
    probability: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberEstimate:
    """An expected number: the mean with its 90 % credible interval, and an interval that holds 90 % of outcomes."""

    mean: float
    mean_low: float
    mean_high: float
    low: float
    high: float
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeShare:
    """What one node contributed. ``weight`` is its share of the estimate (shares of all nodes sum to one).

    ``agreement`` is how much more alike its packets and those of other nodes are when their outcomes are alike, in
    [-2, 2], averaged over the other nodes; None where there is nothing to compare, below zero where they contradict.
    """

    node_id: str
    packets: int
    records: int
    weight: float
    agreement: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketShare:
    """One packet behind the answer. ``weight`` is its share of the estimate; negative where it corrects others.

    ``distance`` is the share of differing bits, or the squared distance of sketches. ``outcome`` is a level, a number,
    or for a summary the records of each level that occurred (for numbers: their mean).
    """

    packet_id: str
    node_id: str
    distance: float
    weight: float
    outcome: str | float | dict[str, int]
    action: str | None
    records: int
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionEstimate:
    """What happened where one action was tried. ``share`` is its share of the estimate's weight in such situations.

    ``overlap`` is False where the action was hardly tried in situations like this one: its estimate is then mostly
    about other situations.
    """

    action: str
    packets: int
    records: int
    nodes: int
    effective_sample_size: float
    levels: tuple[LevelEstimate, ...]
    number: NumberEstimate | None
    share: float
    overlap: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PairSums:
    """Exact sums over all pairs of records i < j: of f_i . f_j, and of those with equal outcomes.

    For numbers ``same_outcome`` is None. Strings where a reader of JSON would lose digits: Python integers here.
    """

    pairs: int
    similarity: int
    same_outcome: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """A reason to abstain, or a warning: a stable code and a sentence."""

    code: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathering:
    """How the packets behind an answer came to the asker.

    ``mode`` is ``sync`` (the whole template is kept here), ``cells`` or ``direct``. Of ``holders_asked`` holders
    ``holders_answered`` did. ``attested`` says that two holders of every group signed the same digests of what they
    keep, so that neither left out what the other has; ``complete`` that among those who answered for each group there
    must be one that has whatever was acknowledged before.
    """

    mode: str
    holders_asked: int
    holders_answered: int
    attested: bool
    complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CalculatorShare:
    """What one calculator said. ``standing`` is what the election gives it, ``weight`` its share of this estimate.

    Standings sum to one. A calculator that is not ``awake`` had nothing to go on for this question: its weight is zero,
    its forecast empty, and its standing stays. A forecast is ``probabilities`` in the template's order, or a ``mean``
    with a standard ``deviation`` of single outcomes.
    """

    name: str
    standing: float
    weight: float
    awake: bool
    probabilities: tuple[float, ...]
    mean: float | None
    deviation: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Calculation:
    """Which calculators an estimate was mixed from, for the node ``asker`` (hex), after how many ``confirmations``.

    ``regret_nats`` bounds what asking cost, in all, beyond what the asker would have lost alone.
    """

    asker: str
    confirmations: int
    regret_nats: float
    calculators: tuple[CalculatorShare, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeVerdict:
    """What the election of nodes found about one: ``own``, ``hired``, ``tried``, ``refused`` or ``unknown``.

    ``log_evidence`` is the logarithm of its e-value and ``needed`` what it takes to be hired (by agreement: how well it
    agrees with the larger camp, and below which contrast it is refused). ``familiar`` of its ``packets`` were judged;
    ``round`` is the round in which it was hired, from 1, else 0.
    """

    node_id: str
    finding: str
    log_evidence: float
    needed: float
    familiar: int
    packets: int
    round: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Election:
    """Whose packets were used, and by which rule that was decided.

    ``rule`` is ``dependence`` or ``truth`` where outcomes of the asker's own decided (``anchored``), else
    ``agreement``. ``alpha`` bounds the false discovery rate of an anchored rule. ``own_packets`` are the asker's;
    ``hired``, ``tried``, ``refused`` and ``unknown`` count other nodes. ``unvetted`` says that packets of nodes that
    were not hired were used too: those ``tried``, or by agreement the ``unknown``. ``nodes`` are those with the most
    packets.
    """

    rule: str
    anchored: bool
    alpha: float
    own_packets: int
    hired: int
    refused: int
    unknown: int
    unvetted: bool
    nodes: tuple[NodeVerdict, ...]
    tried: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An estimate with everything that it rests on. When ``abstained`` the estimate, if any, is not to be relied on.

    ``levels`` (category outcomes, in the template's order) or ``number`` is the estimate. ``confidence`` in [0, 1]
    ranks answers: about the probability that the likeliest level is right, lowered where packets are far away; for
    numbers the share of the outcome's range that the interval rules out, lowered likewise.
    ``effective_sample_size`` counts independent records, packets of one node being worth less than as many nodes.
    """

    template_id: str
    template_name: str
    outcome_name: str
    kind: OutcomeKind
    levels: tuple[LevelEstimate, ...]
    number: NumberEstimate | None
    confidence: float
    effective_sample_size: float
    packets: int
    records: int
    evidence_digest: str  # BLAKE2s-256 of the ids of all packets used, in bytewise order; empty without packets
    node_count: int
    nodes: tuple[NodeShare, ...]
    agreement: tuple[tuple[float | None, ...], ...]  # between ``nodes``, in their order
    nearest: tuple[PacketShare, ...]
    carriers: tuple[PacketShare, ...]
    actions: tuple[ActionEstimate, ...]
    pair_sums: PairSums | None
    abstained: bool
    reason: Notice | None
    warnings: tuple[Notice, ...]
    query: Query
    conditions: tuple[tuple[str, str], ...]
    day: int
    settings: KernelSettings | None
    calculation: Calculation | None = None  # None: kernel ridge on all packets alike
    gathering: Gathering | None = None  # no part of a receipt: it cannot be derived from packets
    election: Election | None = None  # nor is this: it follows from packets that were not used, too
    calculator: str = CALCULATOR
    version: int = ANSWER_VERSION

    @property
    def probabilities(self) -> dict[str, float]:
        """Return the probability of each level, in the template's order; empty for numbers."""
        return {level.level: level.probability for level in self.levels}

    @property
    def likeliest(self) -> LevelEstimate | None:
        """Return the most probable level (the first in the template's order among equals), None for numbers."""
        return max(self.levels, key=lambda level: level.probability, default=None)

    @property
    def explanation(self) -> tuple[str, ...]:
        """Return the answer in sentences, the most important first."""
        return _sentences.explain(self)

    def as_dict(self) -> dict[str, Any]:
        """Return the answer as plain values, ready for JSON; numbers that are not finite become None."""
        tree = asdict(self)
        tree["query"] = {
            "fingerprint": self.query.fingerprint.hex(),
            "sketch": None if self.query.sketch is None else self.query.sketch.hex(),
        }
        if self.pair_sums is not None:
            tree["pair_sums"] = {name: None if v is None else str(v) for name, v in tree["pair_sums"].items()}
        tree["conditions"] = dict(self.conditions)
        tree["explanation"] = self.explanation
        plain: dict[str, Any] = _plain(tree)
        return plain

    def to_json(self) -> str:
        """Return the answer as JSON; integers beyond 53 bits (``pair_sums``) are strings."""
        return json.dumps(self.as_dict(), ensure_ascii=False, allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
