"""``fingerpost ask``: what happened elsewhere in situations like this one."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fingerpost.cli._audit_view import audit_documents, print_audit
from fingerpost.cli._node import node_of, running_node
from fingerpost.cli._notes import noted
from fingerpost.cli._options import HomeOption, JsonOption, SetOption, TemplateOption, home_of, named_values
from fingerpost.cli._output import Output
from fingerpost.cli._templates import chosen_template
from fingerpost.cli._words import count_text
from fingerpost.cli.store import require_store
from fingerpost.errors import DaemonError, RecordError, StoreError, TableError, TemplateError, UsageError
from fingerpost.limits import PROBES_DEFAULT

if TYPE_CHECKING:
    from fingerpost.cli._node import AnyNode
    from fingerpost.node.asking import Mode
    from fingerpost.synthesis import Answer
    from fingerpost.template import Template

ROWS_AT_ONCE = 4_096  # Each call fits the evidence anew.


ReceiptOption = Annotated[
    Path | None,
    typer.Option(
        "--receipt",
        metavar="FILE",
        help="Save the answer with its evidence, for 'fingerpost verify'.",
        show_default=False,
    ),
]


class AskMode(StrEnum):
    """What leaves a node that asks: nothing about the situation, its cells, or its fingerprint."""

    SYNC = "sync"
    CELLS = "cells"
    DIRECT = "direct"

    @property
    def literal(self) -> "Mode":
        """The mode as the node takes it."""
        return self.value


ModeOption = Annotated[
    AskMode | None,
    typer.Option("--mode", help="What leaves this node; only where one runs in this home.", show_default=False),
]
CellsOption = Annotated[int, typer.Option("--cells", min=1, help="How many cells --mode cells looks into.")]
TellsOption = Annotated[
    bool, typer.Option("--tells-situation", help="Let --mode direct tell a holder a personal situation.")
]
SubjectOption = Annotated[
    str | None,
    typer.Option(
        "--subject",
        metavar="ID",
        help="Whom the situation is about: on one day --mode cells then asks for the same cells again. Never sent.",
        show_default=False,
    ),
]


AuditOption = Annotated[
    bool, typer.Option("--audit", help="List the situations whose confirmation would help most: of --csv, or known.")
]


class RowFormat(StrEnum):
    """How many answers are written."""

    TABLE = "table"
    CSV = "csv"
    JSONL = "jsonl"


RowFormatOption = Annotated[RowFormat, typer.Option("--format", help="How the answers to --csv are written.")]
OutputOption = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Write the answers to --csv here.", show_default=False),
]


@noted(
    json_keys={
        "template": "name of the template",
        "template_id": "32 hex digits",
        "questions": "how many situations were asked about",
        "answers": "one each, in order: template_id, template_name, outcome_name, kind (category or number), levels "
        "(level, probability, low, high) or number (mean, mean_low, mean_high, low, high, unit), confidence, "
        "effective_sample_size, packets, records, node_count, nodes, agreement, nearest, carriers, actions, pair_sums, "
        "abstained, reason and warnings (code, text), query, conditions, day, settings, calculation (asker, "
        "confirmations, regret_nats, calculators: name, standing, weight, awake, probabilities, mean, deviation; null "
        "without packets), gathering (mode, holders_asked, holders_answered, attested, complete), election (rule, "
        "anchored, alpha, own_packets, hired, tried, refused, unknown, unvetted, nodes: node_id, finding, "
        "log_evidence, needed, familiar, packets, round), explanation, calculator, version; every low and high "
        "bounds a 90 % interval",
        "rows": "the row of the table (from 1) behind each answer; null without --csv",
        "skipped": "rows left out because they do not fit the template",
        "receipt": "where --receipt wrote the evidence; null without it",
        "audit": "with --audit, what to confirm first, the most helpful first: answer (its place in answers, from 0), "
        "packet_id (the nearest packet), score, apart, contested, unknown (0 to 1 each), reasons; else null",
    },
    errors=(TemplateError, RecordError, TableError, StoreError, DaemonError, UsageError),
    examples=(
        "fingerpost ask --set age=61 --set sex=male --receipt answer.receipt",
        "fingerpost ask --csv patients.csv --format csv --output answers.csv",
        "fingerpost ask --csv patients.csv --audit",
        "fingerpost ask --set age=61 --json | jq '.answers[0].levels'",
    ),
)
def ask(
    *,
    settings: SetOption = None,
    conditions: Annotated[
        list[str] | None,
        typer.Option("--condition", metavar="NAME=LEVEL", help="Use only packets with this condition."),
    ] = None,
    table: Annotated[
        Path | None,
        typer.Option("--csv", metavar="TABLE", help="Ask about every row of a table instead.", show_default=False),
    ] = None,
    row_format: RowFormatOption = RowFormat.TABLE,
    output: OutputOption = None,
    skip_bad_rows: Annotated[
        bool, typer.Option("--skip-bad-rows", help="Leave out rows of --csv that do not fit the template.")
    ] = False,
    mode: ModeOption = None,
    cells: CellsOption = PROBES_DEFAULT,
    tells_situation: TellsOption = False,
    subject: SubjectOption = None,
    audit: AuditOption = False,
    receipt: ReceiptOption = None,
    template: TemplateOption = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Ask what happened elsewhere in situations like this one: estimate, interval, who says so, or "not enough".

    Answers come from the packets in the store of this node, which answers itself when it runs. Unless --mode says so,
    a node that keeps the whole template tells nobody what is asked. With --audit, what to find out next: where nodes
    contradict each other, calculators disagree, or none of your own outcomes is near.
    """
    out = Output(as_json=json)
    place = home_of(home)
    chosen = chosen_template(template, place)
    situation = named_values(settings or [], "--set")
    where = named_values(conditions or [], "--condition")
    _check_use(chosen, situation, table=table, output=output, receipt=receipt, conditions=where, audit=audit)
    _check_mode(mode, table=table, runs=running_node(place) is not None)
    require_store(place)
    rows = _readable_rows(chosen, table, skip_bad_rows=skip_bad_rows) if table is not None else None
    with node_of(place, chosen) as node:
        if rows is not None:
            answers = _ask_rows(out, node, rows)
        elif audit:
            answers = node.audit()
        else:
            how: Any = {"mode": mode and mode.literal, "cells": cells, "tells_situation": tells_situation}
            answers = [node.ask(situation, conditions=where, subject=subject, **how)]
        if receipt is not None:
            _save_receipt(node, answers[0], receipt)
    if json:
        out.document(_document(chosen, answers, rows, receipt, audit=audit))
    elif audit:
        print_audit(out, answers, rows.numbers if rows is not None else None)
    elif rows is not None:
        _write_rows(out, answers, rows, row_format, output)
    else:
        _print_one(out, chosen, answers[0], situation, receipt)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rows:
    """Situations to ask about: the columns that the template knows, and the number (from 1) of each row kept."""

    columns: dict[str, Any]
    numbers: list[int]
    skipped: int


def _check_use(
    template: "Template",
    situation: dict[str, str],
    *,
    table: Path | None,
    output: Path | None,
    receipt: Path | None,
    conditions: dict[str, str],
    audit: bool,
) -> None:
    if audit and (situation or conditions or receipt is not None or output is not None):
        raise UsageError(
            "bad-usage",
            "--audit goes with --csv, or alone",
            hint="leave out --set, --condition, --receipt and --output",
        )
    if table is None and not situation and not audit:
        names = ", ".join(field.name for field in template.situation)
        raise UsageError(
            "nothing-asked",
            "say what is known about the situation: --set FIELD=VALUE, once for each field",
            hint=f"the fields of {template.name} are {names}; or ask about a whole table with --csv TABLE",
        )
    if table is not None and (situation or conditions or receipt is not None):
        raise UsageError(
            "bad-usage",
            "--csv asks about many rows and goes without --set, --condition and --receipt",
            hint="ask about one situation to get a receipt",
        )
    if table is None and output is not None:
        raise UsageError("bad-usage", "--output goes with --csv", hint="save one answer with --receipt or --json")


def _check_mode(mode: AskMode | None, *, table: Path | None, runs: bool) -> None:
    if mode is not None and (table is not None or not runs):
        raise UsageError(
            "bad-usage",
            "--mode is about one situation, asked by a node that runs in this home",
            hint="start one: fingerpost node run; without it answers come from the store of this home",
        )


def _readable_rows(template: "Template", file: Path, *, skip_bad_rows: bool) -> _Rows:
    """Look at all rows first, so that nobody waits for answers to find a typing error in the last one."""
    from fingerpost.files import read_table
    from fingerpost.template import encode_table

    table = read_table(file)
    names = [field.name for field in template.situation]
    known = {name: table.columns[name] for name in names if name in table.columns}
    if not known:
        raise TableError(
            "column-missing",
            f"no column of {file} is a field of {template.name}",
            hint=f"its fields are {', '.join(names)}",
        )
    _, problems = encode_table(template, known, rows=table.rows, absent="missing")
    bad = {problem.row for problem in problems}
    if bad and not skip_bad_rows:
        first = problems[0]
        count = f"{len(bad):,} of {count_text(table.rows, 'row')}"
        raise RecordError(
            "rows-refused",
            f"{count} do not fit, the first being row {first.row}: {first.message}",
            hint=f"{first.hint}; --skip-bad-rows leaves such rows out",
            field=first.field,
            row=first.row,
        )
    numbers = [number for number in range(1, table.rows + 1) if number not in bad]
    kept = {name: column.take([number - 1 for number in numbers]) for name, column in known.items()}
    return _Rows(columns=kept, numbers=numbers, skipped=len(bad))


def _ask_rows(out: Output, node: "AnyNode", rows: _Rows) -> "list[Answer]":
    answers: list[Answer] = []
    total = len(rows.numbers)
    with out.progress("Asking", total=total) as advance:
        for start in range(0, total, ROWS_AT_ONCE):
            part = {name: column[start : start + ROWS_AT_ONCE] for name, column in rows.columns.items()}
            answers += node.ask_table(part)
            advance(min(ROWS_AT_ONCE, total - start))
    return answers


def _save_receipt(node: "AnyNode", answer: "Answer", file: Path) -> None:
    from fingerpost.files import write_atomically

    write_atomically(file, node.receipt(answer).to_bytes())


def _document(
    template: "Template", answers: "Sequence[Answer]", rows: _Rows | None, receipt: Path | None, *, audit: bool
) -> dict[str, Any]:
    return {
        "template": template.name,
        "template_id": template.template_id.hex(),
        "questions": len(answers),
        "answers": [answer.as_dict() for answer in answers],
        "rows": rows.numbers if rows is not None else None,
        "skipped": rows.skipped if rows is not None else 0,
        "receipt": str(receipt) if receipt is not None else None,
        "audit": audit_documents(answers) if audit else None,
    }


def _print_one(
    out: Output, template: "Template", answer: "Answer", situation: dict[str, str], receipt: Path | None
) -> None:
    from fingerpost.cli._answer_view import print_answer

    out.line(f"{template.name}: {', '.join(f'{name} {value}' for name, value in situation.items())}")
    missing = [field.name for field in template.situation if field.name not in situation]
    if missing:
        out.line(f"({count_text(len(missing), 'field')} not given)")
    out.line()
    print_answer(out, answer)
    if receipt is not None:
        out.line()
        out.line(f"Receipt: {receipt}")
        out.next_step(f"fingerpost verify {receipt}")
    elif answer.abstained and missing:
        out.next_step(f"say more about the situation, such as --set {missing[0]}=VALUE")


def _write_rows(
    out: Output, answers: "Sequence[Answer]", rows: _Rows, row_format: RowFormat, output: Path | None
) -> None:
    from fingerpost.cli._answer_view import answer_row, print_rows

    if row_format is RowFormat.TABLE and output is None:
        print_rows(out, answers, rows.numbers)
    else:
        cells = [answer_row(answer, number) for answer, number in zip(answers, rows.numbers, strict=True)]
        text = _jsonl(cells) if row_format is RowFormat.JSONL else _csv(cells)
        if output is None:
            typer.echo(text, nl=False)
        else:
            from fingerpost.files import write_atomically

            write_atomically(output, text)
            out.line(f"{count_text(len(cells), 'answer')} in {output}")
    if rows.skipped:
        out.note(f"{count_text(rows.skipped, 'row')} left out: they do not fit the template")


def _jsonl(rows: Sequence[dict[str, Any]]) -> str:
    import json

    return "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)


def _csv(rows: Sequence[dict[str, Any]]) -> str:
    text = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.6g}" if isinstance(value, float) else value
