"""Why a node was hired or refused, and who agrees with whom, as plain values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fingerpost.elections import agreement
from fingerpost.elections.hire import Elector
from fingerpost.template import CategoryOutcomeField

if TYPE_CHECKING:
    from fingerpost.elections.hiring import Hiring
    from fingerpost.synthesis.evidence import Evidence
    from fingerpost.template import Template

PACKETS_SHOWN = 10  # for a node, and as many against it
NODES_SHOWN = 256  # in a graph: those with the most packets


def elector_for(template: Template, asker: bytes) -> Elector:
    """Return an elector that has read nothing yet."""
    return Elector(asker=asker, actions=0 if template.action is None else len(template.action.levels))


def explain(evidence: Evidence, template: Template, *, asker: bytes, node: bytes) -> dict[str, Any]:
    """Return the verdict on ``node`` and the packets that spoke most for and against it, by the latest model.

    ``weight`` of a packet is the logarithm of its factor: above zero where the node claims what was expected.
    """
    elector = elector_for(template, asker)
    hiring = elector.read(evidence)
    verdict = next((each for each in hiring.verdicts if each.node_id == node), None)
    document: dict[str, Any] = _head(hiring) | {"node_id": node.hex(), "finding": "unknown", "packets": 0}
    document |= {"familiar": 0, "log_evidence": 0.0, "needed": 0.0, "round": 0, "for": [], "against": []}
    if verdict is None:
        return document
    for name in ("finding", "packets", "familiar", "log_evidence", "needed", "round"):
        document[name] = getattr(verdict, name)
    weights = elector.weights(evidence, node)
    if weights is None:
        return document
    order = sorted(range(len(weights.rows)), key=lambda place: -float(weights.logs[place]))
    shown = [_packet(evidence, template, weights, place) for place in order if weights.familiar[place]]
    document["for"] = [each for each in shown if each["weight"] > 0][:PACKETS_SHOWN]
    document["against"] = [each for each in reversed(shown) if each["weight"] < 0][:PACKETS_SHOWN]
    return document


def graph(evidence: Evidence, template: Template, *, asker: bytes) -> dict[str, Any]:
    """Return who agrees with whom: nodes in an order that puts camps side by side, and the contrast of each two."""
    hiring = elector_for(template, asker).read(evidence)
    count = len(evidence.node_ids)
    packets = np.bincount(evidence.node_index, minlength=count)
    shown = np.sort(np.argsort(-packets, kind="stable")[:NODES_SHOWN])
    part = evidence.subset(np.isin(evidence.node_index, shown))
    matrix = agreement.contrasts(part) if len(part) else np.zeros((0, 0))
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
