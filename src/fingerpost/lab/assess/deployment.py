"""The checklist of an architect: five questions to a deployment, each with a measured value, a limit, and a verdict.

Each question is about a wall that federated learning may run into. A wall is there when the measured value passes the
limit that the deployment states. At three walls or more, routing outcomes is worth examining.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fingerpost.errors import TableError
from fingerpost.lab.assess.communication import federated_bytes
from fingerpost.lab.assess.verdict import OURS, none_in_the_middle, without_server

if TYPE_CHECKING:
    from pathlib import Path

WALLS_MANY = 3
NON_IID_POINTS_MAX = 1.0
LIAR_POINTS_MAX = 5.0
PSNR_RECOGNISED_DB = 20.0  # above, a reconstructed record counts as recovered
ADVERSARIES = ("none", "server", "members")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """What is known of a deployment. ``adversary``: who may try to read records, besides their owner."""

    adversary: str
    iid: bool
    bytes_per_node: int
    liars: float
    coordinator_acceptable: bool
    model_parameters: int

    def __post_init__(self) -> None:
        if self.adversary not in ADVERSARIES:
            raise _wrong("adversary", f"is one of {', '.join(ADVERSARIES)}")
        if not 0 <= self.liars < 1:
            raise _wrong("liars", "is the share of nodes that may lie, from 0 to below 1")
        if self.bytes_per_node < 1 or self.model_parameters < 1:
            raise _wrong("bytes_per_node and model_parameters", "are whole numbers above 0")


KINDS: dict[str, type] = {
    "adversary": str,
    "iid": bool,
    "bytes_per_node": int,
    "liars": float,
    "coordinator_acceptable": bool,
    "model_parameters": int,
}


def read_deployment(file: Path) -> Deployment:
    """Read a deployment (TOML). Raises ``TableError`` (``assess-deployment``)."""
    try:
        found = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TableError(
            "assess-deployment", f"{file.name} cannot be read: {error}", hint="it is a TOML file"
        ) from None
    unknown = sorted(set(found) - set(KINDS))
    if unknown:
        raise _wrong(unknown[0], "is not something that a deployment states")
    for name, kind in KINDS.items():
        value = found.get(name)
        fits = isinstance(value, kind) or (kind is float and isinstance(value, int))
        if not fits or (isinstance(value, bool) and kind is not bool):
            raise _wrong(name, f"has to be there, as {'a ' if kind is not int else 'an '}{kind.__name__}")
    return Deployment(**found)


def checklist(report: dict[str, Any], deployment: Deployment) -> dict[str, Any]:
    """Return the five questions with their answers, and the sentence that follows from them."""
    questions = [
        _inversion(report, deployment),
        _non_iid(report, deployment),
        _communication(report, deployment),
        _byzantine(report, deployment),
        _coordinator(report, deployment),
    ]
    walls = sum(bool(question["wall"]) for question in questions)
    if walls >= WALLS_MANY:
        sentence = f"{walls} walls of five: outcome routing is worth examining for this deployment."
    else:
        sentence = f"{walls} walls of five, fewer than {WALLS_MANY}: federated learning does not rule itself out here."
    return {"questions": questions, "walls": walls, "sentence": sentence}


def _question(question: str, value: str, limit: str, *, wall: bool) -> dict[str, Any]:
    return {"question": question, "value": value, "limit": limit, "wall": wall}


def _inversion(report: dict[str, Any], deployment: Deployment) -> dict[str, Any]:
    """Who reads updates is stated; how much they give away is measured."""
    limit = f"no record recovered beyond {PSNR_RECOGNISED_DB:.0f} dB by {deployment.adversary}"
    if deployment.adversary == "none":
        return _question("Who may try to read records?", "nobody", "no adversary is stated", wall=False)
    updates = report["failure_modes"]["inversion"]["updates"]
    best = max(updates, key=lambda row: float(row["psnr"]))
    value = f"{best['psnr']:.1f} dB from an update ({best['label']})"
    return _question("Who may try to read records?", value, limit, wall=best["psnr"] > PSNR_RECOGNISED_DB)


def _non_iid(report: dict[str, Any], deployment: Deployment) -> dict[str, Any]:
    federated, modes = report["chosen"]["federated"], report["failure_modes"]["non_iid"]
    partition, lost = max(
        ((name, found[federated]) for name, found in modes["penalty_points"].items()), key=lambda pair: float(pair[1])
    )
    return _question(
        "Are nodes alike?",
        f"{federated} loses {lost:+.1f} points under {partition}",
        "nodes are alike" if deployment.iid else f"at most {NON_IID_POINTS_MAX} point",
        wall=not deployment.iid and lost > NON_IID_POINTS_MAX,
    )


def _communication(report: dict[str, Any], deployment: Deployment) -> dict[str, Any]:
    rounds = report["failure_modes"]["communication"]["rounds"]
    each = federated_bytes(parameters=deployment.model_parameters, nodes=1, rounds=rounds)
    return _question(
        "How many bytes may a node move?",
        f"{each:,.0f} for {deployment.model_parameters:,} parameters in {rounds} rounds",
        f"{deployment.bytes_per_node:,}",
        wall=each > deployment.bytes_per_node,
    )


def _byzantine(report: dict[str, Any], deployment: Deployment) -> dict[str, Any]:
    """Compare at the smallest measured share of liars that is at least what has to be tolerated."""
    rows = [row for row in report["failure_modes"]["byzantine"]["rows"] if row["attack"] == "flip"]
    row = next((row for row in rows if row["share"] >= deployment.liars), rows[-1])
    loss = {name: value for name, value in row["loss_points"].items() if name not in OURS}
    best = min(loss, key=loss.__getitem__)
    return _question(
        "How many liars must be survived?",
        f"{best}, the best of {len(loss)} federated rules, loses {loss[best]:+.1f} points to {row['share']:.0%} liars",
        f"{deployment.liars:.0%} liars cost at most {LIAR_POINTS_MAX:.0f} points",
        wall=deployment.liars > 0 and loss[best] > LIAR_POINTS_MAX,
    )


def _coordinator(report: dict[str, Any], deployment: Deployment) -> dict[str, Any]:
    section = report["failure_modes"]["coordinator"]
    return _question(
        "Is a coordinator acceptable?",
        f"federated learning has {without_server(section)}; outcome routing has {none_in_the_middle(section)}",
        "acceptable" if deployment.coordinator_acceptable else "not acceptable",
        wall=not deployment.coordinator_acceptable,
    )


def _wrong(name: str, text: str) -> TableError:
    return TableError(
        "assess-deployment",
        f"the deployment's {name} {text}",
        hint='for example: adversary = "server", iid = false, bytes_per_node = 10_000_000, liars = 0.2, '
        "coordinator_acceptable = false, model_parameters = 1_000_000",
    )
