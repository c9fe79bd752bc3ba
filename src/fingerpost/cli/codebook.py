"""``fingerpost template codebook``: divide situations into cells that are about equally full."""

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fingerpost.cli._notes import noted
from fingerpost.cli._options import JsonOption
from fingerpost.cli._output import Output
from fingerpost.cli._words import count_text
from fingerpost.errors import RecordError, TableError, TemplateError, UsageError
from fingerpost.limits import CODEBOOK_BITS_MAX

if TYPE_CHECKING:
    from fingerpost.template import Template

_CELLS_HEADER = re.compile(r"\s*\[\s*cells\s*\]")


@noted(
    json_keys={
        "file": "the template that was written",
        "template_id": "32 hex digits: its id, which is new",
        "rows": "how many rows the prototypes were drawn from",
        "rows_left_out": "rows that do not fit the template",
        "cell_bits": "2 to the power of this is the number of cells",
        "group_bits": "2 to the power of this is the number of groups",
    },
    errors=(TableError, TemplateError, RecordError, UsageError),
    examples=(
        "fingerpost template codebook ours.toml public.csv --bits 10 --group-bits 6 -o shared.toml",
        "fingerpost template codebook ours.toml public.csv --bits 5 --central --public -o shared.toml",
    ),
)
def codebook(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A template (TOML).")],
    table: Annotated[Path, typer.Argument(metavar="TABLE", help="Situations that everybody may see.")],
    *,
    bits: Annotated[
        int, typer.Option("--bits", min=1, max=CODEBOOK_BITS_MAX, help="How many cells: 2 to the power of this.")
    ],
    group_bits: Annotated[
        int, typer.Option("--group-bits", min=0, help="How many groups of holders: 2 to the power of this.")
    ] = 0,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Write the new template here.")],
    public: Annotated[
        bool, typer.Option("--public", help="Say that the rows may be public although the template is about people.")
    ] = False,
    central: Annotated[
        bool,
        typer.Option(
            "--central", help="Put prototypes where rows lie close together: best for dp-aggregate, local-dp."
        ),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the output file if it exists.")] = False,
    json: JsonOption = False,
) -> None:
    """Give a template a codebook: cells around prototypes, so that holders are about equally full.

    Prototypes are fingerprints of rows of TABLE and stand in the template for all to see: a fingerprint can be inverted
    for the most part. Use rows that are public. A template without a codebook has cells that depend on no data at all.
    """
    import numpy as np

    from fingerpost.files import load_template, read_table, write_atomically
    from fingerpost.fingerprint import Fingerprinter
    from fingerpost.fingerprint.codebook import make_central_codebook, make_codebook
    from fingerpost.template import encode_table

    out = Output(as_json=json)
    if output.exists() and not force:
        raise UsageError("file-exists", f"{output} already exists", hint="choose another file, or say --force")
    template = load_template(file)
    if not public:
        _require_non_personal(template)
    read = read_table(table)
    encoded, problems = encode_table(template, read.columns, rows=read.rows)
    bad = {problem.row - 1 for problem in problems}
    fingerprints = Fingerprinter(template).fingerprints(np.delete(encoded, sorted(bad), axis=0))
    make = make_central_codebook if central else make_codebook
    prototypes = make(fingerprints, template, bits=bits)
    made = replace(template, cell_bits=bits, group_bits=group_bits, codebook=prototypes)
    text = _with_cells(file, made)
    write_atomically(output, text)
    if json:
        counts = {"rows": len(fingerprints), "rows_left_out": len(bad), "cell_bits": bits, "group_bits": group_bits}
        out.document({"file": str(output), "template_id": made.template_id.hex(), **counts})
        return
    out.title(f"{output}: {count_text(1 << bits, 'cell')} in {count_text(1 << group_bits, 'group')} of holders")
    if bad:
        out.warning(f"{count_text(len(bad), 'row')} left out, since they do not fit the template")
    out.next_step(f"fingerpost template check {output}")


def _require_non_personal(template: "Template") -> None:
    from fingerpost.template import DataClass

    if template.data_class is not DataClass.NON_PERSONAL:
        raise UsageError(
            "codebook-personal",
            f"the template {template.name!r} is not declared non-personal, and prototypes are public",
            hint="use public rows, and say --public",
        )


def _with_cells(file: Path, made: "Template") -> str:
    """Return the text of a template file with its cells replaced, and all else as its owner wrote it."""
    from fingerpost.template import parse_template

    text = file.read_text(encoding="utf-8-sig")
    if text.lstrip().startswith("{"):
        return made.canonical.decode()
    kept = text.splitlines()
    start = next((number for number, line in enumerate(kept) if _CELLS_HEADER.match(line)), None)
    if start is not None:
        ends = (number for number, line in enumerate(kept) if number > start and line.lstrip().startswith("["))
        end = next(ends, len(kept))
        while end > start + 1 and (not kept[end - 1].strip() or kept[end - 1].lstrip().startswith("#")):
            end -= 1  # What is said above the next table is about that one.
        del kept[start:end]
    groups = [f"group_bits = {made.group_bits}"] if made.group_bits else []
    prototypes = [f'  "{prototype.hex()}",' for prototype in made.prototypes()]
    cells = ["[cells]", 'kind = "codebook"', f"bits = {made.cell_bits}", *groups, "prototypes = [", *prototypes, "]"]
    text = "\n".join([*kept, *([] if kept and not kept[-1].strip() else [""]), *cells]) + "\n"
    try:
        parse_template(text)
    except TemplateError:
        raise TemplateError(
            "template-syntax",
            f"{file}: what it says about cells cannot be replaced",
            hint="remove it from the file, or write it as a table [cells], and try again",
        ) from None
    return text
