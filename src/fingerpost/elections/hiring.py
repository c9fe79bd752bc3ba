"""The result of the first election: a verdict on every node, and whose packets to use."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from fingerpost.synthesis.answer import Election, NodeVerdict

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

    from fingerpost.synthesis import NoisyEvidence
    from fingerpost.synthesis.evidence import Evidence

Rule = Literal["dependence", "truth", "agreement", "counts"]
Finding = Literal["own", "hired", "tried", "refused", "unknown"]

ALPHA = 0.05
NODES_SHOWN = 64  # in an answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was found about one node.

    ``log_evidence`` is the natural logarithm of its e-value (by agreement: how well it agrees with the larger camp, in
    [-2, 2]), ``needed`` what it takes to be hired; ``familiar`` of its ``packets`` were judged. ``round`` is the round
    in which it was hired, from 1, else 0.
    """

    node_id: bytes
    finding: Finding
    log_evidence: float
    needed: float
    familiar: int
    packets: int
    round: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hiring:
    """Whom an asker hires, by which rule, at which false discovery rate.

    ``anchored`` says that the asker's own outcomes decided. ``unvetted`` says that the packets of nodes take part that
    nobody hired: without an anchor those of all unknown nodes, else those of nodes that are tried, since their claims
    are more like the truth than luck.
    """

    rule: Rule
    anchored: bool
    alpha: float
    unvetted: bool
    verdicts: tuple[Verdict, ...]

    def count(self, finding: Finding) -> int:
        """Return how many nodes were found to be so."""
        return sum(verdict.finding == finding for verdict in self.verdicts)

    @property
    def used(self) -> frozenset[bytes]:
        """The ids of the nodes whose packets take part in answers."""
        kinds = {"own", "hired", "tried"} | (set() if self.anchored else {"unknown"})
        return frozenset(verdict.node_id for verdict in self.verdicts if verdict.finding in kinds)

    def refusing(self, names: Collection[bytes]) -> Hiring:
        """Return the same, with these nodes refused as well."""
        changed = (replace(each, finding="refused") if each.node_id in names else each for each in self.verdicts)
        return replace(self, verdicts=tuple(changed))

    def rows(self, evidence: Evidence | NoisyEvidence) -> NDArray[np.bool_]:
        """Return which packets take part; packets of nodes without a verdict do not."""
        used = self.used
        taken = np.array([one.tobytes() in used for one in evidence.node_ids], bool)
        return taken[evidence.node_index] if len(taken) else np.zeros(len(evidence), bool)


def election_of(hiring: Hiring) -> Election:
    """Return a hiring as an answer shows it: the nodes with the most packets."""
    shown = sorted(hiring.verdicts, key=lambda verdict: (-verdict.packets, verdict.node_id))[:NODES_SHOWN]
    return Election(
        rule=hiring.rule,
        anchored=hiring.anchored,
        alpha=hiring.alpha,
        own_packets=sum(verdict.packets for verdict in hiring.verdicts if verdict.finding == "own"),
        hired=hiring.count("hired"),
        refused=hiring.count("refused"),
        tried=hiring.count("tried"),
        unknown=hiring.count("unknown"),
        unvetted=hiring.unvetted,
        nodes=tuple(
            NodeVerdict(
                node_id=verdict.node_id.hex(),
                finding=verdict.finding,
                log_evidence=verdict.log_evidence,
                needed=verdict.needed,
                familiar=verdict.familiar,
                packets=verdict.packets,
                round=verdict.round,
            )
            for verdict in shown
        ),
    )
