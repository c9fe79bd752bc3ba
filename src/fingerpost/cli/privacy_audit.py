"""``fingerpost privacy audit``: attack your own table under every profile, beside federated learning."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fingerpost.cli._notes import noted
from fingerpost.cli._output import Column, Output
from fingerpost.cli._report_files import check_targets, write_reports
from fingerpost.errors import FingerpostError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

STANDARD_OUTPUT = "-"
LIBRARIES = ("autograd", "matplotlib", "opendp", "scipy", "sklearn")


@noted(
    json_keys={
        "schema": "fingerpost-privacy-audit/1; docs/reference/privacy-audit.md describes every key",
        "source": "the table",
        "outcome": "the outcome column",
        "levels": "its levels",
        "template": "name of the template",
        "rows_read": "rows of the table",
        "rows": "records that were attacked or public",
        "members": "records whose packets and gradients were seen",
        "candidates": "records among which attackers name",
        "seed": "seed of every choice but the noise, which is the product's own",
        "quick": "whether the short form was run",
        "notes": "what was left out or drawn",
        "profiles": "by name: read_by, packets, accuracy, naming, membership, informed, auc_bound, attributes",
        "not_measured": "profiles that this version does not attack",
        "inversion": "records reconstructed: baselines, packets by profile and attack, updates of federated learning",
        "federated": "accuracy and membership of a network trained on the members, without and with DP-SGD",
        "controls": "by attack: whether it does what it must where the answer is known",
        "sentences": "what the figures say",
    },
    errors=(FingerpostError, UsageError),
    examples=(
        "fingerpost privacy audit patients.csv --outcome disease --template heart.toml --quick",
        "fingerpost privacy audit loans.parquet --outcome repaid --subject-column client --report loans.html",
    ),
)
def audit(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="A CSV or Parquet table, one record a row.")],
    *,
    outcome: Annotated[str, typer.Option("--outcome", metavar="COLUMN", help="The column that says what happened.")],
    template: Annotated[
        Path | None,
        typer.Option(
            "--template",
            "-t",
            metavar="FILE",
            help="The template (TOML). Without it, one is drafted.",
            show_default=False,
        ),
    ] = None,
    subject_column: Annotated[
        str | None,
        typer.Option(
            "--subject-column",
            metavar="COLUMN",
            help="Whom each row is about; one row of each is attacked.",
            show_default=False,
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer records, attacks and releases: a minute or two.")
    ] = False,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, max=1_000_000, help="Seed of the choices.")] = 0,
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
    """Attack your own table: what would each profile, and federated learning, give away of it, and at what use?

    A third of the table plays what an attacker knows of such records anyway, a third is emitted and attacked, a third
    stays out. Packets are real ones, of this process only: nothing is kept or sent, and no budget is spent.
    """
    out = Output(as_json=str(json) == STANDARD_OUTPUT)
    files = [file for file in (report, None if out.as_json else json) if file is not None]
    _check(files)
    document = _audited(
        data, outcome=outcome, template=template, subject_column=subject_column, quick=quick, seed=seed, out=out
    )
    from fingerpost.lab.leakage.page import page_of  # needs the extra that was checked

    write_reports(document, json=None if out.as_json else json, report=report, page_of=page_of)
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
    absent = [name for name in LIBRARIES if find_spec(name) is None]
    if absent:
        raise UsageError(
            "audit-extra",
            f"the attacks need libraries that are not installed: {', '.join(absent)}",
            hint="pip install 'fingerpost[lab,privacy]'",
        )


def _audited(
    data: Path,
    *,
    outcome: str,
    template: Path | None,
    subject_column: str | None,
    quick: bool,
    seed: int,
    out: Output,
) -> dict[str, Any]:
    from fingerpost.files import load_template
    from fingerpost.lab.leakage.report import FULL, QUICK, audit
    from fingerpost.lab.leakage.table import read_attacked
    from fingerpost.lab.leakage.verdict import sentences_of

    sizes = QUICK if quick else FULL
    chosen = None if template is None else load_template(template)
    table = read_attacked(
        data,
        outcome=outcome,
        template=chosen,
        subject_column=subject_column,
        rows_max=sizes.rows_max,
        seed=seed,
    )
    with out.progress("Attacking", total=None) as advance:
        found = audit(
            table.template,
            table.encoded,
            table.outcomes,
            levels=len(table.levels),
            seed=seed,
            sizes=sizes,
            progress=lambda _step: advance(1),
        )
    return {
        "schema": "fingerpost-privacy-audit/1",
        "source": data.name,
        "outcome": outcome,
        "levels": list(table.levels),
        "template": table.template.name,
        "rows_read": table.rows_read,
        "seed": seed,
        "quick": quick,
        "notes": list(table.notes),
        **found.as_json(),
        "sentences": sentences_of(found),
    }


def _tell(document: "Mapping[str, Any]", out: Output) -> None:
    for note in document["notes"]:
        out.note(note)
    out.title(f"{document['source']}: {document['members']:,} records attacked, {document['candidates']:,} candidates")
    inversion = document["inversion"]
    rows = []
    for name, leak in document["profiles"].items():
        best = inversion["packets"][name]["attacks"][inversion["packets"][name]["best"]]
        seen = leak["membership"]
        rows.append(
            [
                name,
                f"{leak['accuracy']:.3f}",
                f"{leak['naming']['value']:.4f}",
                f"{seen['auc']:.3f} ({seen['low']:.2f}-{seen['high']:.2f})",
                f"{seen['true_positive_rate']:.3f}",
                f"{best['psnr']:.1f}",
                f"{best['r2']:.2f}",
                _gain(leak["attributes"]),
            ]
        )
    heads = ("accuracy", "named", "membership AUC", "TPR at 1 %", "PSNR dB", "R2", "field, points")
    out.table([Column(title="profile"), *(Column(title=head, align="right") for head in heads)], rows)
    out.title("Federated updates of the same records")
    out.table(
        [Column(title="attack"), *(Column(title=head, align="right") for head in ("named", "PSNR dB", "R2"))],
        [
            [each["label"], f"{each['named']:.2f}", f"{each['psnr']:.1f}", f"{each['r2']:.2f}"]
            for each in inversion["updates"]
        ],
    )
    out.title("What this says")
    for sentence in document["sentences"]:
        out.line(f"  {sentence}")


def _gain(attributes: "Mapping[str, Any] | None") -> str:
    if attributes is None:
        return "-"
    return f"{100 * (attributes['accuracy'] - attributes['prior']):+.1f}"
