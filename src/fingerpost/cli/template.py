"""``fingerpost template``: draft, check and read the schema that nodes agree on."""

from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fingerpost.cli._notes import noted
from fingerpost.cli._options import HomeOption, JsonOption, home_of
from fingerpost.cli._output import Column, Output, bar
from fingerpost.cli._templates import template_of_reference
from fingerpost.cli._words import count_text
from fingerpost.errors import TableError, TemplateError, UsageError
from fingerpost.limits import PACKET_SIZE_BYTES

if TYPE_CHECKING:
    from fingerpost.packet import PayloadLayout
    from fingerpost.template import Action, Condition, Field, InferredTemplate, OutcomeField, Template

LEVELS_SHOWN_MAX = 6

NodeColumnOption = Annotated[
    str | None,
    typer.Option(
        "--node-column",
        metavar="COLUMN",
        help="Where a row comes from, such as a hospital; never part of a situation.",
        show_default=False,
    ),
]
ActionOption = Annotated[
    str | None,
    typer.Option(
        "--action", metavar="COLUMN", help="What was tried, so that actions can be compared.", show_default=False
    ),
]


class DataClass(StrEnum):
    """Whether the records are about people."""

    NON_PERSONAL = "non_personal"
    PERSONAL = "personal"
    UNDECLARED = "undeclared"


@noted(
    json_keys={
        "template": "the draft (TOML), with comments that say why",
        "file": "where it was written; null when it was only printed",
        "rows": "how many rows of the table were looked at",
        "fields": "the fields of the situation: name, kind, values, missing, coordinates",
        "outcome": "name, kind, values",
        "notes": "what was left out, guessed or looks odd: column, text",
    },
    errors=(TableError, TemplateError, UsageError),
    examples=("fingerpost template infer ours.csv --outcome relapse --node-column clinic -o template.toml",),
)
def infer(
    file: Annotated[Path, typer.Argument(metavar="TABLE", help="A table: .csv, .tsv, .csv.gz, .csv.xz or .parquet.")],
    *,
    outcome: Annotated[str, typer.Option("--outcome", metavar="COLUMN", help="What happened: the column to learn.")],
    node_column: NodeColumnOption = None,
    action: ActionOption = None,
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="Its name. [default: that of the table]", show_default=False),
    ] = None,
    data_class: Annotated[
        DataClass,
        typer.Option("--data-class", help="Whether the rows are about people; nothing is emitted while undeclared."),
    ] = DataClass.UNDECLARED,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write the draft here.", show_default=False),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the output file if it exists.")] = False,
    json: JsonOption = False,
) -> None:
    """Draft a template from a table. Ranges are rounded outward, so no exact minimum or maximum of yours leaks.

    Read the draft before you use it: it becomes the agreement between nodes.
    """
    from fingerpost.files import read_table, write_atomically
    from fingerpost.template import infer_template

    out = Output(as_json=json)
    if output is not None and output.exists() and not force:
        raise UsageError("file-exists", f"{output} already exists", hint="choose another file, or say --force")
    table = read_table(file)
    draft = infer_template(
        table.columns,
        outcome=outcome,
        node_column=node_column,
        action=action,
        name=name or file.name.partition(".")[0],
        data_class=data_class.value,
    )
    if output is not None:
        write_atomically(output, draft.text)
    if json:
        out.document(
            {
                "template": draft.text,
                "file": str(output) if output is not None else None,
                "rows": table.rows,
                "fields": [field_document(field) for field in draft.template.situation],
                "outcome": outcome_document(draft.template.outcome),
                "notes": [{"column": note.column, "text": note.text} for note in draft.notes],
            }
        )
        return
    _print_draft(out, draft, output)


@noted(
    json_keys={
        "file": "the template that was checked",
        "name": "its name",
        "template_id": "32 hex digits: covers everything in it",
        "space_id": "32 hex digits: covers the situation, the encoder and the bits; fingerprints of one space compare",
        "data_class": "non_personal, personal or undeclared",
        "profile": "the privacy profile its packets leave under",
        "cell_bits": "2 to the power of this is the number of cells",
        "group_bits": "the first bits of a cell that make its group, which has its own holders; 0 is one group",
        "codebook": "whether cells lie around prototypes; otherwise they are the first bits of a fingerprint",
        "fields": "how many fields a situation has",
        "coordinates": "how many integers a situation is encoded as",
        "packet": "the byte budget of an observation: part, bytes; 512 in all",
        "payload_free": "bytes of the payload that nothing uses",
        "warnings": "what should be settled before packets leave, one text each",
    },
    errors=(TemplateError, UsageError),
    examples=("fingerpost template check template.toml",),
)
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A template (TOML).")], *, json: JsonOption = False
) -> None:
    """Check a template and show what the 512 bytes of its packets are spent on. Refuses one that overflows them."""
    from fingerpost.files import load_template

    out = Output(as_json=json)
    template = load_template(file)
    layout = template.observation_layout()
    parts = packet_budget(layout, template)
    warnings = _warnings(template)
    if json:
        out.document(
            {
                "file": str(file),
                **_id_document(template),
                "cell_bits": template.cell_bits,
                "group_bits": template.group_bits,
                "codebook": bool(template.codebook),
                "fields": len(template.situation),
                "coordinates": template.encoded_width,
                "packet": [{"part": part, "bytes": size} for part, size in parts],
                "payload_free": dict(parts)["unused"],
                "warnings": warnings,
            }
        )
        return
    out.title(f"{file}: a valid template")
    _print_ids(out, template)
    out.line()
    out.title(f"An observation, {PACKET_SIZE_BYTES} bytes")
    rows = [[part, str(size), bar(size / PACKET_SIZE_BYTES, width=48)] for part, size in parts]
    out.table([Column(title="part"), Column(title="bytes", align="right"), Column(title="")], rows)
    for warning in warnings:
        out.warning(warning)
    if not warnings:
        out.next_step(f"fingerpost emit TABLE.csv --template {file} --dry-run")


@noted(
    json_keys={
        "name": "the name of the template",
        "description": "what it is about",
        "template_id": "32 hex digits: covers everything in it",
        "space_id": "32 hex digits: covers the situation, the encoder and the bits",
        "data_class": "non_personal, personal or undeclared",
        "profile": "the privacy profile its packets leave under",
        "fields": "the fields of the situation: name, kind, values, missing, coordinates",
        "action": "name and levels, or null",
        "outcome": "name, kind, values",
        "conditions": "name and levels of each",
        "fingerprint_bits": "length of the fingerprint",
        "sketch": "whether packets carry a sketch",
        "cell_bits": "2 to the power of this is the number of cells",
        "group_bits": "the first bits of a cell that make its group, which has its own holders; 0 is one group",
        "codebook": "whether cells lie around prototypes; otherwise they are the first bits of a fingerprint",
        "ttl_days": "how many days holders keep a packet",
        "half_life_days": "after how many days a packet counts half; 0 is never",
        "canonical": "the canonical text that the ids are made from",
    },
    errors=(TemplateError, UsageError),
    examples=("fingerpost template show template.toml", "fingerpost template show 3f6c2a"),
)
def show(
    reference: Annotated[
        str, typer.Argument(metavar="FILE|ID", help="A template (TOML), or the start of the id of one in the home.")
    ],
    *,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Show what a template asks for, in words."""
    out = Output(as_json=json)
    template = template_of_reference(reference, home_of(home))
    if json:
        out.document(
            {
                **_id_document(template),
                "description": template.description,
                "fields": [field_document(field) for field in template.situation],
                "action": {"name": template.action.name, "levels": list(template.action.levels)}
                if template.action
                else None,
                "outcome": outcome_document(template.outcome),
                "conditions": [level_document(part) for part in template.conditions],
                "fingerprint_bits": template.fingerprint_bits,
                "sketch": template.sketch,
                "cell_bits": template.cell_bits,
                "group_bits": template.group_bits,
                "codebook": bool(template.codebook),
                "ttl_days": template.ttl_days,
                "half_life_days": template.half_life_days,
                "canonical": template.canonical.decode("utf-8"),
            }
        )
        return
    out.title(template.name)
    for line in template.description.splitlines():
        out.line(f"  {line}")
    _print_ids(out, template)
    out.line()
    print_fields(out, template)


def packet_budget(layout: "PayloadLayout", template: "Template") -> list[tuple[str, int]]:
    """Return what the bytes of a packet are spent on; they add up to 512."""
    from fingerpost.packet import BODY_SIZE_BYTES, PAYLOAD_SIZE_BYTES, Profile

    sealed = template.profile is Profile.CONSORTIUM
    parts = {
        "header: format, day, template, emitter": BODY_SIZE_BYTES - PAYLOAD_SIZE_BYTES,
        "payload: encryption": 32 if sealed else 0,
        "payload: lengths, confidence, action": 10,
        f"payload: fingerprint, {template.fingerprint_bits} bits": template.fingerprint_bits // 8,
        "payload: sketch": layout.sketch,
        f"payload: {count_text(len(template.conditions), 'condition')}": 2 * layout.conditions,
        "payload: outcome": 0,
        "unused": 0,
        "batch proof": 3 + 128,
        "signature": 64,
    }
    parts["unused"] = PAYLOAD_SIZE_BYTES - parts["payload: encryption"] - layout.size_bytes
    parts["payload: outcome"] = PACKET_SIZE_BYTES - sum(parts.values())
    return [(part, size) for part, size in parts.items() if size or part == "unused"]


def field_document(field: "Field") -> dict[str, Any]:
    """Return a field of the situation as JSON values."""
    return {
        "name": field.name,
        "kind": _kind(field),
        "values": _values(field),
        "missing": field.missing.value,
        "coordinates": field.width,
    }


def outcome_document(outcome: "OutcomeField") -> dict[str, Any]:
    """Return the outcome of a template as JSON values."""
    return {"name": outcome.name, "kind": _kind(outcome), "values": _values(outcome)}


def level_document(part: "Action | Condition") -> dict[str, Any]:
    """Return an action or a condition as JSON values."""
    return {"name": part.name, "levels": list(part.levels)}


def print_fields(out: Output, template: "Template") -> None:
    """Print what a situation holds, then the action, the outcome and the conditions."""
    rows = [["situation", field.name, _kind(field), _values_text(field)] for field in template.situation]
    if template.action:
        rows.append(["action", template.action.name, "category", _levels_text(template.action.levels)])
    rows.append(["outcome", template.outcome.name, _kind(template.outcome), _values_text(template.outcome)])
    rows += [["condition", part.name, "category", _levels_text(part.levels)] for part in template.conditions]
    for before, row in reversed(list(pairwise(rows))):
        row[0] = "" if row[0] == before[0] else row[0]
    out.table([Column(title="role"), Column(title="column"), Column(title="kind"), Column(title="values")], rows)


def _print_draft(out: Output, draft: "InferredTemplate", output: Path | None) -> None:
    """Print the draft itself, or when it went to a file, what it says; the notes are messages."""
    if output is None:
        typer.echo(draft.text, nl=False)
    else:
        out.title(f"{output}: a draft, to be reviewed")
        print_fields(out, draft.template)
    for note in draft.notes:
        out.note(f"{note.column}: {note.text}")
    if output is not None:
        undeclared = draft.template.data_class.value == "undeclared"
        decide = " and say whether its records are about people (data_class)" if undeclared else ""
        out.next_step(f"read {output}{decide}, then: fingerpost template check {output}")


def _kind(part: object) -> str:
    return type(part).__name__.removesuffix("Field").removesuffix("Outcome").lower()


def _values(part: Any) -> Any:
    """Return the levels, or the range as [low, high, unit], or null for a text."""
    if hasattr(part, "levels"):
        return list(part.levels)
    if hasattr(part, "low"):
        return {"low": float(part.low), "high": float(part.high), "unit": getattr(part, "unit", "")}
    return None


def _values_text(part: Any) -> str:
    if hasattr(part, "levels"):
        return _levels_text(part.levels)
    if not hasattr(part, "low"):
        return "any text"
    scale = ", log scale" if getattr(part, "scale", None) == "log" else ""
    unit = f" {part.unit}" if getattr(part, "unit", "") else ""
    size = f"{part.size} numbers, each " if hasattr(part, "size") else ""
    return f"{size}{float(part.low):g} to {float(part.high):g}{unit}{scale}"


def _levels_text(levels: tuple[str, ...]) -> str:
    shown = " | ".join(levels[:LEVELS_SHOWN_MAX])
    return shown if len(levels) <= LEVELS_SHOWN_MAX else f"{shown} | … ({len(levels)} levels)"


def _id_document(template: "Template") -> dict[str, Any]:
    from fingerpost.template import profile_name

    return {
        "name": template.name,
        "template_id": template.template_id.hex(),
        "space_id": template.space_id.hex(),
        "data_class": template.data_class.value,
        "profile": profile_name(template.profile),
    }


def _print_ids(out: Output, template: "Template") -> None:
    document = _id_document(template)
    situation = f"{count_text(len(template.situation), 'field')}, encoded as {template.encoded_width} integers"
    out.facts(
        [
            ("template id", document["template_id"]),
            ("space id", document["space_id"]),
            ("situation", situation),
            ("cells", _cells_text(template)),
            ("records", f"{document['data_class']}, profile {document['profile']}"),
            ("kept for", count_text(template.ttl_days, "day")),
        ]
    )


def _cells_text(template: "Template") -> str:
    """Say into how many parts packets are divided, and how many of these have holders of their own."""
    groups = 1 << template.group_bits
    kind = ", by a codebook" if template.codebook else ""
    return f"{count_text(1 << template.cell_bits, 'cell')} in {count_text(groups, 'group')} of holders{kind}"


def _warnings(template: "Template") -> list[str]:
    from fingerpost.template import DataClass as Declared
    from fingerpost.template import TextField

    warnings = []
    if template.data_class is Declared.UNDECLARED:
        warnings.append(
            'data_class is "undeclared", so nothing can be emitted: decide whether the records are about people'
        )
    if any(isinstance(field, TextField) for field in template.situation):
        warnings.append("a field holds text: emitting and asking need pip install 'fingerpost[text]'")
    return warnings
