"""Why a node was hired or refused, and who agrees with whom, as plain values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fingerpost.elections import agreement
from fingerpost.elections.counting import CountsElector
from fingerpost.elections.hire import Elector
from fingerpost.synthesis import CountsEvidence
from fingerpost.synthesis.evidence import Evidence
from fingerpost.template import CategoryOutcomeField, NumberOutcomeField

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fingerpost.elections.counting import CountsWeights
    from fingerpost.elections.hiring import Hiring
    from fingerpost.synthesis import NoisyEvidence
    from fingerpost.template import Template

PACKETS_SHOWN = 10  # for a node, and as many against it
NODES_SHOWN = 256  # in a graph: those with the most packets


def elector_for(template: Template, asker: bytes) -> Elector:
    """Return an elector that has read nothing yet."""
    return Elector(asker=asker, actions=0 if template.action is None else len(template.action.levels))


def explain(
    evidence: Evidence | NoisyEvidence, template: Template, *, asker: bytes, node: bytes, day: int = 0
) -> dict[str, Any]:
    """Return the verdict on ``node`` and the packets that spoke most for and against it, by the latest model.

    ``weight`` of a packet is the logarithm of its factor: above zero where the node claims what was expected. Counts
    are weighed as of ``day``, all those of one cell together.
    """
    hiring, shown = _judged(evidence, template, asker=asker, node=node, day=day)
    verdict = next((each for each in hiring.verdicts if each.node_id == node), None)
    document: dict[str, Any] = _head(hiring) | {"node_id": node.hex(), "finding": "unknown", "packets": 0}
    document |= {"familiar": 0, "log_evidence": 0.0, "needed": 0.0, "round": 0, "for": [], "against": []}
    if verdict is None:
        return document
    for name in ("finding", "packets", "familiar", "log_evidence", "needed", "round"):
        document[name] = getattr(verdict, name)
    shown.sort(key=lambda packet: -packet["weight"])
    document["for"] = [each for each in shown if each["weight"] > 0][:PACKETS_SHOWN]
    document["against"] = [each for each in reversed(shown) if each["weight"] < 0][:PACKETS_SHOWN]
    return document


def graph(evidence: Evidence | NoisyEvidence, template: Template, *, asker: bytes, day: int = 0) -> dict[str, Any]:
    """Return who agrees with whom: nodes in an order that puts camps side by side, and the contrast of each two."""
    hiring, _ = _judged(evidence, template, asker=asker, node=None, day=day)
    count = len(evidence.node_ids)
    packets = np.bincount(evidence.node_index, minlength=count)
    shown = np.sort(np.argsort(-packets, kind="stable")[:NODES_SHOWN])
    part = evidence.subset(np.isin(evidence.node_index, shown))
    matrix = _contrasts(part, template)
    order = agreement.camp_order(matrix)
    findings = {verdict.node_id: verdict for verdict in hiring.verdicts}
    names = [part.node_ids[node].tobytes() for node in order.tolist()]
    return _head(hiring) | {
        "nodes": [
            {
                "node_id": name.hex(),
                "finding": findings[name].finding,
                "packets": findings[name].packets,
                "log_evidence": findings[name].log_evidence,
            }
            for name in names
        ],
        "contrast": [
            [None if np.isnan(value) else float(value) for value in row] for row in matrix[np.ix_(order, order)]
        ],
        "left_out": count - len(shown),
    }


def _judged(
    evidence: Evidence | NoisyEvidence, template: Template, *, asker: bytes, node: bytes | None, day: int
) -> tuple[Hiring, list[dict[str, Any]]]:
    """Return who is hired, and what each packet of ``node`` in a familiar situation, or each cell, says."""
    if not isinstance(evidence, Evidence):
        counts_elector = CountsElector(asker=asker, template=template)
        hiring = counts_elector.read(evidence, day=day)
        told = None if node is None else counts_elector.weights(evidence, node, day=day)
        if told is None or node is None or not isinstance(evidence, CountsEvidence):
            return hiring, []
        return hiring, _cells(evidence, template, told, node)
    elector = elector_for(template, asker)
    hiring = elector.read(evidence)
    weights = None if node is None else elector.weights(evidence, node)
    if weights is None:
        return hiring, []
    places = np.flatnonzero(weights.familiar).tolist()
    return hiring, [_packet(evidence, template, weights, place) for place in places]


def _contrasts(evidence: Evidence | NoisyEvidence, template: Template) -> NDArray[np.float64]:
    count = len(evidence.node_ids)
    if isinstance(evidence, Evidence):
        return agreement.contrasts(evidence) if len(evidence) else np.zeros((0, 0))
    if isinstance(evidence, CountsEvidence):
        return agreement.contrasts_of_counts(evidence, cells=1 << template.cell_bits)
    return np.full((count, count), np.nan)  # A single node's reports tell next to nothing.


def _cells(evidence: CountsEvidence, template: Template, told: CountsWeights, node: bytes) -> list[dict[str, Any]]:
    """Return what a node counted in each cell, of all levels the one that differs most from what is usual there."""
    place = [one.tobytes() for one in evidence.node_ids].index(node)
    rows = np.flatnonzero(evidence.node_index == place)
    cells, first = np.unique(evidence.cells[rows], return_index=True)
    names = _levels(template, told.counts.shape[1])
    found = []
    for cell, row in zip(cells.tolist(), rows[first].tolist(), strict=True):
        level = int(np.abs(told.expected[cell] - told.usual).argmax())
        found.append(
            {
                "packet_id": evidence.packet_ids[row].tobytes().hex(),
                "claimed": f"{names[level]}: {told.counts[cell, level]} of {told.counts[cell].sum()}",
                "expected": float(told.expected[cell, level]),
                "usual": float(told.usual[level]),
                "weight": float(told.logs[cell]),
            }
        )
    return found


def _levels(template: Template, count: int) -> tuple[str, ...]:
    outcome = template.outcome
    if isinstance(outcome, NumberOutcomeField):
        return tuple(f"{knot:g}" for knot in np.linspace(float(outcome.low), float(outcome.high), count).tolist())
    return outcome.levels


def _head(hiring: Hiring) -> dict[str, Any]:
    return {
        "rule": hiring.rule,
        "anchored": hiring.anchored,
        "alpha": hiring.alpha,
        "hired": hiring.count("hired"),
        "refused": hiring.count("refused"),
        "tried": hiring.count("tried"),
        "unknown": hiring.count("unknown"),
        "unvetted": hiring.unvetted,
    }


def _packet(evidence: Evidence, template: Template, weights: Any, place: int) -> dict[str, Any]:
    row = int(weights.rows[place])
    if not isinstance(template.outcome, CategoryOutcomeField):
        claimed: str | float = float(evidence.means[row])
    else:
        code = int(evidence.codes[row])
        claimed = template.outcome.levels[code] if code >= 0 else "summary"
    return {
        "packet_id": evidence.packet_ids[row].tobytes().hex(),
        "claimed": claimed,
        "expected": float(weights.expected[place]),
        "usual": float(weights.usual[place]),
        "weight": float(weights.logs[place]),
    }
