"""``fingerpost assess``: what sharing outcomes would bring on a table of your own, beside federated learning."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fingerpost.cli._notes import noted
from fingerpost.cli._output import Column, Output
from fingerpost.errors import FingerpostError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

STANDARD_OUTPUT = "-"


@noted(
    json_keys={
        "schema": "fingerpost-assess/1; docs/reference/assess.md describes every key",
        "source": "the table",
        "outcome": "the outcome column",
        "levels": "its levels",
        "rows_read": "rows of the table",
        "rows_used": "rows that were used",
        "nodes": "how many nodes share them",
        "seed": "seed of every random choice",
        "splits": "how often training and asked rows were drawn",
        "headline_partition": "who has which rows in the figures of arms",
        "rules": "what was fixed before anything was scored",
        "notes": "what was repaired, dropped or drawn",
        "arms": "by name: accuracy, auc, log_loss, worst_node_accuracy, bytes, seconds, intervals",
        "failure_modes": "non_iid, communication, byzantine, and what was not measured",
        "scaling": "error and bytes of outcome routing for more and more nodes, with a fitted law",
        "dimensions": "the summary: outcome routing beside federated learning",
        "recommendation": "what to use on this data, and the sentences that say why",
    },
    errors=(FingerpostError, UsageError),
    examples=(
        "fingerpost assess patients.csv --outcome disease --node-column hospital --quick",
        "fingerpost assess loans.parquet --outcome repaid --nodes 8 --alpha 0.1 --report loans.html",
    ),
)
def assess(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="A CSV or Parquet table, one record a row.")],
    *,
    outcome: Annotated[str, typer.Option("--outcome", metavar="COLUMN", help="The column that says what happened.")],
    node_column: Annotated[
        str | None,
        typer.Option(
            "--node-column", metavar="COLUMN", help="The column that says whose row it is.", show_default=False
        ),
    ] = None,
    nodes: Annotated[
        int, typer.Option("--nodes", metavar="N", min=2, max=50, help="How many nodes share rows that name none.")
    ] = 10,
    alpha: Annotated[
        float, typer.Option("--alpha", metavar="A", min=0.001, help="Skew of the drawn partition; less is more skewed.")
    ] = 0.1,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer rows, splits and rounds: minutes.")] = False,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, max=1_000_000, help="Seed of all chance.")] = 0,
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="FILE", help="Write a report as one HTML file.", show_default=False),
    ] = None,
    json: Annotated[
        Path | None,
        typer.Option(
            "--json", metavar="FILE", help="Write every figure to FILE as JSON; with - print it.", show_default=False
        ),
    ] = None,
) -> None:
    """Measure on your own table what sharing outcomes would bring, beside federated and central learning.

    The table stays on this machine. Nodes, packets and federated rounds all run in this process.
    """
    out = Output(as_json=str(json) == STANDARD_OUTPUT)
    files = [file for file in (report, None if out.as_json else json) if file is not None]
    _check(files)
    document = _assessed(
        data, outcome=outcome, node_column=node_column, nodes=nodes, alpha=alpha, quick=quick, seed=seed, out=out
    )
    _write(document, report=report, json=None if out.as_json else json)
    if out.as_json:
        out.document(document)
        return
    _tell(document, out)
    for file in files:
        out.line(f"Written: {file}")


def _check(files: list[Path]) -> None:
    """Refuse now what could not be written, or run, minutes later."""
    from importlib.util import find_spec

    for file in files:
        if file.is_dir() or not file.parent.is_dir():
            raise UsageError("assess-target", f"{file}: cannot be written", hint="name a file in a folder that exists")
    if find_spec("sklearn") is None or find_spec("flwr") is None:
        raise UsageError(
            "assess-extra",
            "an assessment needs the libraries that it compares with",
            hint="pip install fingerpost[lab]",
        )


def _assessed(
    data: Path,
    *,
    outcome: str,
    node_column: str | None,
    nodes: int,
    alpha: float,
    quick: bool,
    seed: int,
    out: Output,
) -> dict[str, Any]:
    from fingerpost.lab.assess import rules
    from fingerpost.lab.assess.run import Request, assess
    from fingerpost.lab.assess.table import read_assessed

    sizes = rules.QUICK if quick else rules.FULL
    table = read_assessed(data, outcome=outcome, node_column=node_column, rows_max=sizes.rows_max, seed=seed)
    request = Request(table=table, source=data.name, sizes=sizes, nodes=nodes, alpha=alpha, seed=seed)
    with out.progress("Assessing", total=None) as advance:
        return assess(request, lambda _step: advance(1))


def _write(document: "Mapping[str, Any]", *, report: Path | None, json: Path | None) -> None:
    from json import dumps

    from fingerpost.files import write_atomically

    if json is not None:
        write_atomically(json, (dumps(document, indent=2, allow_nan=False) + "\n").encode())
    if report is not None:
        from fingerpost.lab.assess.html import html_of

        write_atomically(report, html_of(document).encode())


def _tell(document: "Mapping[str, Any]", out: Output) -> None:
    for note in document["notes"]:
        out.note(note)
    out.title(f"{document['source']}: {document['outcome']}, {document['nodes']} nodes, {document['rows_used']:,} rows")
    columns = [Column(title="arm"), *(Column(title=name, align="right") for name in _HEADS)]
    rows = [
        [
            name,
            f"{arm['accuracy']:.3f}",
            f"{arm['auc']:.3f}",
            f"{arm['log_loss']:.3f}",
            f"{arm['worst_node_accuracy']:.3f}",
            f"{arm['bytes']:,}",
        ]
        for name, arm in document["arms"].items()
    ]
    out.table(columns, rows)
    out.title("What this says")
    for sentence in document["recommendation"]["sentences"]:
        out.line(f"  {sentence}")
    out.title("Not measured")
    for text in document["failure_modes"]["not_measured"].values():
        out.line(f"  {text}")


_HEADS = ("accuracy", "AUC", "log-loss", "worst node", "bytes")
