"""``fingerpost assess``: what sharing outcomes would bring on a table of your own, beside federated learning."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fingerpost.cli._notes import noted
from fingerpost.cli._output import Column, Output
from fingerpost.cli._report_files import check_targets, write_reports
from fingerpost.errors import FingerpostError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fingerpost.lab.assess.deployment import Deployment
    from fingerpost.lab.assess.splits import Request
    from fingerpost.lab.assess.table import Roles

STANDARD_OUTPUT = "-"


DataArgument = Annotated[Path, typer.Argument(metavar="DATA", help="A CSV or Parquet table, one record a row.")]
OutcomeOption = Annotated[str, typer.Option("--outcome", metavar="COLUMN", help="The column that says what happened.")]
NodeColumnOption = Annotated[
    str | None,
    typer.Option("--node-column", metavar="COLUMN", help="The column that says whose row it is.", show_default=False),
]
ActionOption = Annotated[
    str | None,
    typer.Option("--action", metavar="COLUMN", help="The column that says what was done.", show_default=False),
]
TimeColumnOption = Annotated[
    str | None,
    typer.Option(
        "--time-column",
        metavar="COLUMN",
        help="The column that says when: train on the past, ask about the future.",
        show_default=False,
    ),
]
HorizonOption = Annotated[
    int,
    typer.Option(
        "--horizon", metavar="N", min=1, max=10_000, help="With --time-column: outcomes are known N moments later."
    ),
]
TemplateOption = Annotated[
    Path | None,
    typer.Option("--template", metavar="FILE", help="Use this template; without one, draft one.", show_default=False),
]
DeploymentOption = Annotated[
    Path | None,
    typer.Option(
        "--deployment", metavar="FILE", help="A deployment (TOML) to hold the figures against.", show_default=False
    ),
]
ResumeOption = Annotated[
    Path | None,
    typer.Option(
        "--resume",
        metavar="FOLDER",
        help="Keep finished parts there, and go on where a run that was interrupted stopped.",
        show_default=False,
    ),
]
NodesOption = Annotated[
    int, typer.Option("--nodes", metavar="N", min=2, max=50, help="How many nodes share rows that name none.")
]
AlphaOption = Annotated[
    float, typer.Option("--alpha", metavar="A", min=0.001, help="Skew of the drawn partition; less is more skewed.")
]
QuickOption = Annotated[bool, typer.Option("--quick", help="Fewer rows, splits and rounds: minutes.")]
SeedOption = Annotated[int, typer.Option("--seed", metavar="N", min=0, max=1_000_000, help="Seed of all chance.")]
ReportOption = Annotated[
    Path | None,
    typer.Option("--report", metavar="FILE", help="Write a report as one HTML file.", show_default=False),
]
JsonOption = Annotated[
    Path | None,
    typer.Option(
        "--json", metavar="FILE", help="Write every figure to FILE as JSON; with - print it.", show_default=False
    ),
]


@noted(
    json_keys={
        "schema": "fingerpost-assess/2; docs/reference/assess.md describes every key",
        "source": "the table",
        "outcome": "the outcome column",
        "levels": "its levels",
        "rows_read": "rows of the table",
        "rows_used": "rows that were used",
        "nodes": "how many nodes share them",
        "seed": "seed of every random choice",
        "size": "quick or full",
        "splits": "how often training and asked rows were drawn",
        "headline_partition": "who has which rows in the figures of arms",
        "chosen": "the profile and the federated arm that did best on training rows, and the log-losses",
        "rules": "what was fixed before anything was scored",
        "notes": "what was repaired, dropped or drawn",
        "arms": "by name: accuracy, auc, log_loss, worst_node_accuracy, bytes, seconds, intervals",
        "failure_modes": "inversion, non_iid, communication, byzantine, coordinator, and what was not measured",
        "scaling": "error and bytes of outcome routing for more and more nodes, with fitted laws; who agrees with whom",
        "actions": "with --action: estimates by action, raw shares, and whether they can be compared",
        "dimensions": "the summary: outcome routing beside federated learning",
        "recommendation": "what to use on this data, and the sentences that say why",
        "checklist": "with --deployment: five questions with value, limit and wall, and the sentence that follows",
    },
    errors=(FingerpostError, UsageError),
    examples=(
        "fingerpost assess patients.csv --outcome disease --node-column hospital --quick",
        "fingerpost assess loans.parquet --outcome repaid --nodes 8 --alpha 0.1 --report loans.html",
        "fingerpost assess trial.csv --outcome recovered --node-column centre --action drug --deployment ours.toml",
    ),
)
def assess(
    data: DataArgument,
    *,
    outcome: OutcomeOption,
    node_column: NodeColumnOption = None,
    action: ActionOption = None,
    time_column: TimeColumnOption = None,
    horizon: HorizonOption = 1,
    template: TemplateOption = None,
    deployment: DeploymentOption = None,
    resume: ResumeOption = None,
    nodes: NodesOption = 10,
    alpha: AlphaOption = 0.1,
    quick: QuickOption = False,
    seed: SeedOption = 0,
    report: ReportOption = None,
    json: JsonOption = None,
) -> None:
    """Measure on your own table what sharing outcomes would bring, beside federated and central learning.

    The table stays on this machine. Nodes, packets and federated rounds run in processes of this
    command.
    """
    out = Output(as_json=str(json) == STANDARD_OUTPUT)
    files = [file for file in (report, None if out.as_json else json) if file is not None]
    _check(files)
    walls = None if deployment is None else _deployment(deployment)
    from fingerpost.lab.assess.table import Roles

    roles = Roles(outcome=outcome, node=node_column, action=action, time=time_column, horizon=horizon)
    request = _request(data, roles, template=template, nodes=nodes, alpha=alpha, quick=quick, seed=seed)
    document = _assessed(request, resume=resume, out=out)
    if walls is not None:
        _hold_against(document, walls)
    from fingerpost.lab.assess.html import html_of  # needs the extra that was checked

    write_reports(document, json=None if out.as_json else json, report=report, page_of=html_of)
    if out.as_json:
        out.document(document)
        return
    _tell(document, out)
    for file in files:
        out.line(f"Written: {file}")


def _check(files: list[Path]) -> None:
    """Refuse now what could not be written, or run, minutes later."""
    from importlib.util import find_spec

    check_targets(files)
    if find_spec("sklearn") is None or find_spec("flwr") is None:
        raise UsageError(
            "assess-extra",
            "an assessment needs the libraries that it compares with",
            hint="pip install fingerpost[lab]",
        )


def _deployment(file: Path) -> "Deployment":
    from fingerpost.lab.assess.deployment import read_deployment

    return read_deployment(file)


def _hold_against(document: dict[str, Any], deployment: "Deployment") -> None:
    from fingerpost.lab.assess.deployment import checklist

    document["checklist"] = checklist(document, deployment)


def _request(
    data: Path,
    roles: "Roles",
    *,
    template: Path | None,
    nodes: int,
    alpha: float,
    quick: bool,
    seed: int,
) -> "Request":
    from fingerpost.files import load_template
    from fingerpost.lab.assess import rules
    from fingerpost.lab.assess.splits import Request
    from fingerpost.lab.assess.table import read_assessed

    sizes = rules.QUICK if quick else rules.FULL
    given = None if template is None else load_template(template)
    table = read_assessed(data, roles, rows_max=sizes.rows_max, seed=seed)
    return Request(table=table, source=data.name, sizes=sizes, nodes=nodes, alpha=alpha, seed=seed, template=given)


def _assessed(request: "Request", *, resume: Path | None, out: Output) -> dict[str, Any]:
    from os import sched_getaffinity

    from fingerpost.lab.assess.run import assess

    with out.progress("Assessing", total=None) as advance:
        return assess(request, lambda _step: advance(1), workers=len(sched_getaffinity(0)), kept=resume)


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
    if "checklist" in document:
        out.title("The deployment")
        for question in document["checklist"]["questions"]:
            wall = "wall" if question["wall"] else "no wall"
            out.line(f"  {question['question']} {question['value']}; limit: {question['limit']}: {wall}")
        out.line(f"  {document['checklist']['sentence']}")
    if "actions" in document and document["actions"]["overlap_warning"]:
        out.warning("actions were taken in different situations: their outcomes are associations, not effects")
    if document["failure_modes"]["not_measured"]:
        out.title("Not measured")
    for text in document["failure_modes"]["not_measured"].values():
        out.line(f"  {text}")


_HEADS = ("accuracy", "AUC", "log-loss", "worst node", "bytes")
