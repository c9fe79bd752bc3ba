"""``fingerpost emit``: from a table of your own to signed packets, after a look at what would leave."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fingerpost.cli._emitted import Progress, read_progress, table_digest, write_progress
from fingerpost.cli._joint import Joint, emit_joint
from fingerpost.cli._node import node_of
from fingerpost.cli._notes import noted
from fingerpost.cli._options import HomeOption, JsonOption, TemplateOption, home_of
from fingerpost.cli._output import Output
from fingerpost.cli._templates import chosen_template, keep_template
from fingerpost.cli._words import count_text, date_text, today
from fingerpost.errors import (
    ConfigError,
    DaemonError,
    KeyFileError,
    NetworkError,
    PrivacyError,
    RecordError,
    StoreError,
    TableError,
    TemplateError,
    UsageError,
)
from fingerpost.limits import PACKET_SIZE_BYTES
from fingerpost.system import SystemEntropy

if TYPE_CHECKING:
    from fingerpost.cli._emission_view import EmissionView
    from fingerpost.files import Table
    from fingerpost.node.home import Home
    from fingerpost.node.reports import Emission
    from fingerpost.packet import Signer
    from fingerpost.template import RowProblem, Template


SubjectOption = Annotated[
    str | None,
    typer.Option(
        "--subject-column",
        metavar="COLUMN",
        help="Whom each row is about: hashed, kept here and never sent, so that 'fingerpost forget' finds it.",
        show_default=False,
    ),
]
SumOption = Annotated[
    Path | None,
    typer.Option(
        "--sum",
        metavar="CONFIG",
        help="Add the counts up with those of all members that this configuration of a node lists, so that nobody sees "
        "but the sum (dp-aggregate). All of them run this at the same time, whether a node runs in their homes or not.",
        show_default=False,
    ),
]
SumSecondsOption = Annotated[
    float, typer.Option("--sum-seconds", min=1, help="How long to wait for the other members of a sum.")
]
OutputOption = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Also write the packets to a file.", show_default=False),
]


@noted(
    json_keys={
        "dry_run": "true when nothing was emitted",
        "template": "name of the template",
        "template_id": "32 hex digits",
        "node_id": "64 hex digits: the emitter; null in a dry run without an identity",
        "rows": "rows in the table",
        "skipped": "rows left out because they do not fit the template",
        "packets": "packets made: one for each other row; under dp-aggregate one for each cell and action, under "
        "k-anonymous one for each group",
        "signatures": "one for each batch of up to 256 packets",
        "bytes": "bytes of all packets, which is all that leaves",
        "problems": "what does not fit, at most 1,000: row (from 1), field, code, message",
        "leaves": "every field of a packet: field, bytes, note (what it tells those who hold it)",
        "stays": "what does not leave this node, one text each",
        "example": "the first packet decoded, with the keys of 'fingerpost packet show --json'; null without packets",
        "packet_ids": "64 hex digits each, in the order of the rows; null in a dry run",
        "holders": "other nodes that keep the packets too; null in a dry run, 0 when no node runs in this home",
        "release": "under k-anonymous, dp-aggregate and local-dp what was counted: number, rows; same_subject, spent, "
        "ungrouped (rows left out); epsilon, lifetime_epsilon, holders_checked; groups, and unanimous, how many of "
        "them had one outcome; parties, how many nodes added up their counts; else null",
        "file": "where --output wrote the packets; null without it",
    },
    errors=(
        TemplateError,
        TableError,
        RecordError,
        KeyFileError,
        StoreError,
        DaemonError,
        PrivacyError,
        ConfigError,
        NetworkError,
        UsageError,
    ),
    examples=(
        "fingerpost emit ours.csv --template template.toml --dry-run",
        "fingerpost emit ours.csv --template template.toml --output packets.bin",
        "fingerpost emit ours.csv --subject-column patient",
        "fingerpost emit ours.csv --subject-column patient --sum node.toml",
    ),
)
def emit(
    file: Annotated[Path, typer.Argument(metavar="TABLE", help="A table: .csv, .tsv, .csv.gz, .csv.xz or .parquet.")],
    *,
    template: TemplateOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show exactly what would leave this node, and emit nothing.")
    ] = False,
    skip_bad_rows: Annotated[
        bool, typer.Option("--skip-bad-rows", help="Leave out rows that do not fit the template, and list them.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Emit a table that was emitted before; each row then counts twice.")
    ] = False,
    subject_column: SubjectOption = None,
    sum_config: SumOption = None,
    sum_seconds: SumSecondsOption = 300.0,
    output: OutputOption = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Turn each row of a table into a signed packet of 512 bytes and keep it in the store of this node.

    A node that runs in this home does it, and hands the packets to the other holders too.

    Either all rows fit the template, or nothing is emitted, unless --skip-bad-rows says otherwise. After an
    interruption the same command goes on where it stopped.
    """
    from fingerpost.files import read_table
    from fingerpost.node.emission import require_emittable, require_subject_column

    out = Output(as_json=json)
    place = home_of(home)
    chosen = chosen_template(template, place)
    require_emittable(chosen)
    table = read_table(file)
    if subject_column is not None:
        require_subject_column(chosen, table.columns, subject_column)
    if dry_run:
        _dry_run(out, chosen, table, place, skip_bad_rows=skip_bad_rows)
        return
    view = _emit(
        out,
        chosen,
        table,
        place,
        source=template,
        skip_bad_rows=skip_bad_rows,
        again=again,
        subject_column=subject_column,
        output=output,
        joint=None if sum_config is None else Joint(config=sum_config, seconds=sum_seconds),
    )
    if json:
        out.document(view.document())
        return
    from fingerpost.cli._emission_view import print_emission

    print_emission(out, view, place)
    out.next_step(f"fingerpost ask --set {chosen.situation[0].name}=VALUE")


def _dry_run(out: Output, template: "Template", table: "Table", place: "Home", *, skip_bad_rows: bool) -> None:
    from fingerpost.cli._emission_view import print_dry_run

    view = _preview(template, table, place)
    if not out.as_json:
        print_dry_run(out, view)
    if view.problems and not skip_bad_rows:
        first = view.problems[0]
        out.finding(
            view.document(),
            RecordError(
                "rows-refused",
                f"{view.skipped:,} of {count_text(table.rows, 'row')} do not fit, the first being row {first.row}",
                hint="correct the rows or the template; --skip-bad-rows leaves them out",
                field=first.field,
                row=first.row,
            ),
        )
    if out.as_json:
        out.document(view.document())
    else:
        out.next_step("run it again without --dry-run")


def _preview(template: "Template", table: "Table", place: "Home") -> "EmissionView":
    """Make the packets as an emission would, and throw them away."""
    import numpy as np

    from fingerpost.cli._emission_view import EmissionView
    from fingerpost.fingerprint import Fingerprinter
    from fingerpost.node.consortium import RingFile
    from fingerpost.node.emission import build_packets, is_release, observations_of_table
    from fingerpost.node.forms import formed
    from fingerpost.packet import decode
    from fingerpost.privacy.seal import KEY_SIZE_BYTES, Seals, passing_ring

    observations, problems = observations_of_table(template, table.columns, rows=table.rows)
    bad = np.array(sorted({problem.row - 1 for problem in problems}), np.intp)
    ring = RingFile(place, template.template_id).ring(day=today())
    signer, node_id = _signer(place)
    if is_release(template):
        packets = formed(
            template,
            Fingerprinter(template),
            observations.without(bad),
            signer=signer,
            day=today(),
            entropy=SystemEntropy(),
        ).packets
    else:
        packets, _ = build_packets(
            template,
            Fingerprinter(template),
            observations.without(bad),
            signer=signer,
            day=today(),
            entropy=SystemEntropy(),
            seals=Seals(ring or passing_ring(template.template_id, SystemEntropy().read(KEY_SIZE_BYTES), day=today())),
        )
    return EmissionView(
        template=template,
        table=table,
        node_id=node_id,
        problems=problems,
        packets=len(packets),
        size_bytes=packets.nbytes,
        example=decode(packets[0].tobytes()) if len(packets) else None,
    )


def _signer(place: "Home") -> "tuple[Signer, str | None]":
    """Return what signs for this node; a passing key stands in where a dry run comes before the identity."""
    from fingerpost.node.identity import load_identity
    from fingerpost.packet import Signer

    try:
        identity = load_identity(place)
    except KeyFileError as error:
        if error.code != "key-missing":
            raise
        return Signer(SystemEntropy().read(32)), None
    return identity.signer, identity.node_id.hex()


def _emit(
    out: Output,
    template: "Template",
    table: "Table",
    place: "Home",
    *,
    source: Path | None,
    skip_bad_rows: bool,
    again: bool,
    subject_column: str | None,
    output: Path | None,
    joint: Joint | None,
) -> "EmissionView":
    from fingerpost.cli._emission_view import EmissionView
    from fingerpost.files import write_atomically
    from fingerpost.node.identity import load_identity
    from fingerpost.packet import decode

    identity = load_identity(place)
    digest = table_digest(template, Path(table.source))
    columns, problems, first = _rows_to_emit(
        out, template, table, place, digest, skip_bad_rows=skip_bad_rows, again=again
    )
    if joint is not None:
        emission, packets = emit_joint(template, place, columns, joint, subject_column=subject_column)
        keep_template(template, place, source=source)
    else:
        emission, packets = _emit_alone(
            out,
            template,
            columns,
            place,
            digest,
            first=first,
            source=source,
            subject_column=subject_column,
            output=output,
        )
    if output is not None:
        write_atomically(output, packets)
    return EmissionView(
        template=template,
        table=table,
        node_id=identity.node_id.hex(),
        problems=problems,
        packets=len(emission.packet_ids),
        size_bytes=emission.size_bytes,
        example=decode(packets[:PACKET_SIZE_BYTES]) if packets else None,
        packet_ids=emission.packet_ids,
        holders=emission.holders,
        release=emission.release,
        file=output,
    )


def _emit_alone(
    out: Output,
    template: "Template",
    columns: "dict[str, Any]",
    place: "Home",
    digest: str,
    *,
    first: int,
    source: Path | None,
    subject_column: str | None,
    output: Path | None,
) -> "tuple[Emission, bytes]":
    """Let the node of this home emit; return what it says, and the packets that are to be shown or written."""
    total = first + len(next(iter(columns.values())))
    with out.progress("Emitting", total=total) as advance, node_of(place, template) as node:
        advance(first)
        shown = first

        def note(done: int, _total: int) -> None:
            nonlocal shown
            write_progress(place, digest, Progress(rows=first + done, total=total, day=today()))
            advance(first + done - shown)
            shown = first + done

        keep_template(template, place, source=source)
        emission = node.emit_table(columns, subject_column=subject_column, progress=note)
        wanted = emission.packet_ids if output is not None else emission.packet_ids[:1]
        return emission, node.find_packets(wanted).tobytes()


def _rows_to_emit(
    out: Output,
    template: "Template",
    table: "Table",
    place: "Home",
    digest: str,
    *,
    skip_bad_rows: bool,
    again: bool,
) -> "tuple[dict[str, Any], list[RowProblem], int]":
    """Return the columns still to be emitted, what does not fit, and how many rows of the table were emitted before."""
    import numpy as np

    from fingerpost.node.emission import observations_of_table

    _, problems = observations_of_table(template, table.columns, rows=table.rows)
    bad = {problem.row for problem in problems}
    if problems and not skip_bad_rows:
        first = problems[0]
        raise RecordError(
            first.code,
            f"row {first.row}, {first.message} ({len(bad):,} of {count_text(table.rows, 'row')} do not fit; "
            "nothing was emitted)",
            hint=f"{first.hint}; --dry-run lists all such rows, --skip-bad-rows leaves them out",
            field=first.field,
            row=first.row,
        )
    done = None if again else read_progress(place, digest)
    if done is not None and done.is_whole:
        raise UsageError(
            "already-emitted",
            f"{table.source} was emitted under this template on {date_text(done.day)}",
            hint="its packets are in the store; --again makes new ones, and each of its rows then counts twice",
        )
    first_row = done.rows if done is not None else 0
    if first_row:
        out.note(f"an earlier emission was interrupted: going on behind the first {count_text(first_row, 'row')}")
    good = np.array([row for row in range(table.rows) if row + 1 not in bad], np.int64)[first_row:]
    return {name: column.take(good) for name, column in table.columns.items()}, problems, first_row
