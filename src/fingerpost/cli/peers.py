"""``fingerpost peers``: whom this node believes, and why."""

from pathlib import Path
from typing import Annotated, Any

import typer

from fingerpost.cli._node import node_of
from fingerpost.cli._notes import noted
from fingerpost.cli._options import HomeOption, JsonOption, TemplateOption, home_of
from fingerpost.cli._output import Column, Output
from fingerpost.cli._templates import chosen_template
from fingerpost.cli._words import count_text, short_id
from fingerpost.cli.store import require_store
from fingerpost.errors import DaemonError, StoreError, TemplateError, UsageError

_HEAD = {
    "rule": "what decided: dependence, truth or counts (outcomes of this node), or agreement",
    "anchored": "whether outcomes of this node decided",
    "alpha": "bound of the false discovery rate of an anchored rule",
    "hired": "other nodes that were hired",
    "tried": "other nodes that are used on trial: their claims are likelier than luck, but this is not yet proven",
    "refused": "other nodes that were refused, or were hired and dismissed",
    "unknown": "other nodes about which nothing can be said",
    "unvetted": "whether packets of nodes are used that were not hired",
}
_RULES = {
    "dependence": "do its claims depend on the situation?",
    "truth": "are more than half of its claims right?",
    "counts": "are its counts more like those of this node, cell by cell, than luck?",
    "agreement": "does it agree with the others? (this node has too few outcomes of its own)",
}
NODES_SHOWN_MAX = 20


@noted(
    json_keys=_HEAD
    | {
        "node_id": "64 hex digits",
        "finding": "own, hired, tried, refused or unknown",
        "packets": "packets of that node",
        "familiar": "those in situations like some that this node knows",
        "log_evidence": "natural logarithm of its e-value",
        "needed": "what it takes to be hired",
        "round": "the round in which it was hired; 0 if it was not",
        "for": "the packets that spoke most for it: packet_id, claimed, expected, usual (probabilities of that claim "
        "with and without its situation), weight (natural logarithm)",
        "against": "those that spoke most against it, likewise",
    },
    errors=(TemplateError, StoreError, DaemonError, UsageError),
    examples=("fingerpost peers explain 0fcefab2", "fingerpost peers explain 0fcefab2 --json | jq .against"),
)
def explain(
    node: Annotated[str, typer.Argument(metavar="NODE", help="The id of a node, or how it begins.")],
    *,
    template: TemplateOption = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Say why a node was hired or refused, and which of its packets spoke for or against it."""
    out = Output(as_json=json)
    place = home_of(home)
    chosen = chosen_template(template, place)
    require_store(place)
    with node_of(place, chosen) as asked:
        document = asked.explain(_full_id(asked.graph(), node))
    if json:
        out.document(document)
        return
    out.title(f"{short_id(document['node_id'])}: {document['finding']}")
    out.facts(
        [
            ("question", _RULES[document["rule"]]),
            ("evidence", f"{document['log_evidence']:+.2f} nats, {document['needed']:.2f} needed"),
            (
                "judged",
                f"{document['familiar']:,} of {count_text(document['packets'], 'packet')} are in familiar places",
            ),
        ]
    )
    for word in ("for", "against"):
        if document[word]:
            out.line()
            _print_packets(out, word, document[word])


@noted(
    json_keys=_HEAD
    | {
        "nodes": "one each, camps side by side: node_id, finding, packets, log_evidence",
        "contrast": "for each two of them how much more alike their situations are when their outcomes are alike, in "
        "[-2, 2]; below zero they contradict each other; null where there is nothing to compare",
        "left_out": "nodes beyond the 256 with the most packets",
        "picture": "where --picture wrote it; null without",
    },
    errors=(TemplateError, StoreError, DaemonError, UsageError),
    examples=("fingerpost peers graph --picture peers.svg", "fingerpost peers graph --json | jq '.nodes[].finding'"),
)
def graph(
    *,
    picture: Annotated[
        Path | None,
        typer.Option("--picture", metavar="FILE", help="Draw it into a PNG or SVG file.", show_default=False),
    ] = None,
    template: TemplateOption = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Show who agrees with whom: nodes that collude stand out as a camp of their own."""
    out = Output(as_json=json)
    place = home_of(home)
    chosen = chosen_template(template, place)
    require_store(place)
    with node_of(place, chosen) as asked:
        document = asked.graph()
    if picture is not None:
        _draw(document, picture)
    document |= {"picture": None if picture is None else str(picture)}
    if json:
        out.document(document)
        return
    out.line(", ".join(f"{document[word]:,} {word}" for word in ("hired", "tried", "refused", "unknown")))
    out.line(f"asked: {_RULES[document['rule']]}")
    out.line()
    columns = [Column(title="node"), Column(title="finding"), Column(title="packets", align="right")]
    columns += [Column(title="evidence", align="right"), Column(title="agrees with"), Column(title="contradicts")]
    rows = [_row(document, place) for place in range(min(len(document["nodes"]), NODES_SHOWN_MAX))]
    out.table(columns, rows)
    if len(document["nodes"]) > NODES_SHOWN_MAX:
        out.line(f"  … and {len(document['nodes']) - NODES_SHOWN_MAX} more")
    if picture is not None:
        out.line(f"Picture: {picture}")


def _draw(document: dict[str, Any], file: Path) -> None:
    if file.suffix.lower() not in (".png", ".svg"):
        raise UsageError("bad-usage", f"{file} is neither a .png nor a .svg file", hint="try --picture peers.svg")
    try:
        from fingerpost.lab.graph_picture import draw

        draw(document, file)
    except ImportError as error:
        raise UsageError(
            "bad-usage", f"pictures need matplotlib: {error}", hint='pip install "fingerpost[lab]"'
        ) from None


def _full_id(document: dict[str, Any], start: str) -> bytes:
    found = [node["node_id"] for node in document["nodes"] if node["node_id"].startswith(start.lower())]
    if len(found) != 1:
        what = "no node" if not found else f"{len(found)} nodes"
        raise UsageError("bad-usage", f"{what} here has an id that begins with {start[:80]!r}", hint="see peers graph")
    return bytes.fromhex(found[0])


def _row(document: dict[str, Any], place: int) -> list[str]:
    node, contrasts = document["nodes"][place], document["contrast"][place]
    others = [value for column, value in enumerate(contrasts) if column != place and value is not None]
    agrees, against = sum(value > 0 for value in others), sum(value < 0 for value in others)
    evidence = f"{node['log_evidence']:+.2f}"
    return [short_id(node["node_id"]), node["finding"], f"{node['packets']:,}", evidence, f"{agrees}", f"{against}"]


def _print_packets(out: Output, word: str, packets: list[dict[str, Any]]) -> None:
    out.title(f"Packets that spoke {word} it")
    columns = [Column(title="packet"), Column(title="claimed"), Column(title="expected", align="right")]
    columns += [Column(title="usual", align="right"), Column(title="weight", align="right")]
    rows = []
    for packet in packets:
        claimed = packet["claimed"] if isinstance(packet["claimed"], str) else f"{packet['claimed']:.4g}"
        expected, usual = f"{packet['expected']:.0%}", f"{packet['usual']:.0%}"
        rows.append([short_id(packet["packet_id"]), claimed, expected, usual, f"{packet['weight']:+.2f}"])
    out.table(columns, rows)
