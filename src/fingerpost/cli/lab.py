"""``fingerpost lab``: the committed benchmark suites on public data sets."""

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
        "schema": "fingerpost-lab/1",
        "seed": "seed of every random choice",
        "suites": "by name: rows_read, rows_used, levels, metric, splits, notes, and partitions; a partition has arms"
        " (accuracy, auc, log_loss, worst_node_accuracy, bytes, seconds), opponents (the chosen federated, the best"
        " central and local arm), differences (consortium minus each, with 95 % bounds) and validation_log_loss",
    },
    errors=(FingerpostError, UsageError),
    examples=("fingerpost lab run heart --quick", "fingerpost lab run heart digits beijing --data FOLDER --json -"),
)
def run(
    suites: Annotated[
        list[str],
        typer.Argument(metavar="SUITE...", help="heart, digits, default_credit, flights, beijing, clinc150, elec2."),
    ],
    *,
    seeds: Annotated[
        int | None, typer.Option("--seeds", metavar="N", min=2, max=20, help="How many splits.", show_default=False)
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="FOLDER", help="Where the sets are that no package has.", show_default=False),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer rows, splits, partitions and arms.")] = False,
    json: Annotated[
        Path | None,
        typer.Option(
            "--json", metavar="FILE", help="Write every figure to FILE as JSON; with - print it.", show_default=False
        ),
    ] = None,
) -> None:
    """Run benchmark suites: outcome routing beside federated, central, local and one-shot learning, on the same splits.

    Each federated arm is tuned by a grid of its own on rows that its clients keep back. Differences are those of the
    consortium to the federated arm that did best there, and to the best central and local arm on the asked rows.
    """
    from dataclasses import replace
    from importlib.util import find_spec
    from json import dumps

    from fingerpost.files import write_atomically

    out = Output(as_json=str(json) == STANDARD_OUTPUT)
    if find_spec("sklearn") is None or find_spec("flwr") is None:
        raise UsageError(
            "lab-extra", "the suites need the libraries that they compare with", hint="pip install fingerpost[lab]"
        )
    from fingerpost.lab.suites.run import BRIEF, SCHEMA, WHOLE, run_suite
    from fingerpost.lab.suites.tables import require_suites

    require_suites(suites, data)
    extent = BRIEF if quick else WHOLE
    extent = extent if seeds is None else replace(extent, seeds=seeds)
    found: dict[str, Any] = {}
    for suite in suites:
        with out.progress(f"Running {suite}", total=None) as advance:
            found[suite] = run_suite(suite, folder=data, extent=extent, progress=lambda _step: advance(1))
        _tell(suite, found[suite], out)
    document = {"schema": SCHEMA, "seed": 0, "suites": found}
    if out.as_json:
        out.document(document)
    elif json is not None:
        write_atomically(json, (dumps(document, indent=2, allow_nan=False) + "\n").encode())
        out.line(f"Written: {json}")


def _tell(suite: str, found: "Mapping[str, Any]", out: Output) -> None:
    for note in found["notes"]:
        out.note(note)
    metric = found["metric"]
    for partition, part in found["partitions"].items():
        out.title(f"{suite}, {partition}: {found['rows_used']:,} rows, {found['splits']} splits")
        heads = ("accuracy", "AUC", "log-loss", "worst node", "bytes")
        columns = [Column(title="arm"), *(Column(title=head, align="right") for head in heads)]
        names = ("accuracy", "auc", "log_loss", "worst_node_accuracy")
        rows = [
            [arm, *(f"{scores[name]:.3f}" for name in names), f"{scores['bytes']:,}"]
            for arm, scores in part["arms"].items()
        ]
        out.table(columns, rows)
        for kind, differences in part["differences"].items():
            one = differences[metric]
            out.line(
                f"  consortium minus {part['opponents'][kind]} ({kind}): {100 * one['value']:+.1f} points of "
                f"{'AUC' if metric == 'auc' else metric} [{100 * one['low']:+.1f}, {100 * one['high']:+.1f}]"
            )
