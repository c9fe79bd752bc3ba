"""``fingerpost store``: the packets that this node keeps."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fingerpost.cli._notes import noted
from fingerpost.cli._options import HomeOption, JsonOption, TemplateOption, home_of
from fingerpost.cli._output import Column, Output
from fingerpost.cli._packet_file import open_packets
from fingerpost.cli._templates import chosen_template, keep_template, kept_templates, known_template
from fingerpost.cli._words import count_text, date_text, size_text, today
from fingerpost.errors import PacketError, StoreError, TemplateError, UsageError

if TYPE_CHECKING:
    from fingerpost.node.home import Home
    from fingerpost.store.base import Packets, PacketStore, Problem
    from fingerpost.template import Template

PROBLEMS_LISTED_MAX = 1_000
IMPORTED_TOGETHER_PACKETS = 4_096


class ExportFormat(StrEnum):
    """How packets are written."""

    PARQUET = "parquet"
    CSV = "csv"
    JSONL = "jsonl"
    PACKETS = "packets"


@noted(
    json_keys={
        "store": "path of the store",
        "packets": "live packets",
        "withdrawals": "withdrawals kept, so that what they name stays out",
        "emitters": "nodes that have packets here",
        "templates": "template_id, name (null when this home does not have it) and packets of each",
        "size_bytes": "size of the store on the disk",
        "dead_packets": "packets that are gone and whose bytes wait to be overwritten",
        "dead_since": "since which day the oldest of them waits (YYYY-MM-DD), or null",
        "generation": "grows whenever the set of live packets changes",
    },
    errors=(StoreError, UsageError),
    examples=("fingerpost store stats",),
)
def stats(*, home: HomeOption = None, json: JsonOption = False) -> None:
    """Show how many packets this node keeps, of which templates, and how much room they take."""
    out = Output(as_json=json)
    place = home_of(home)
    with open_store(place) as store:
        found = store.stats()
        templates = [_template_stats(store, bytes(row), place) for row in store.templates()]
    if json:
        document = {name: getattr(found, name) for name in ("packets", "withdrawals", "emitters", "size_bytes")}
        document |= {"dead_packets": found.dead_packets, "generation": found.generation, "templates": templates}
        document["dead_since"] = date_text(found.dead_since) if found.dead_since is not None else None
        out.document({"store": str(place.store), **document})
        return
    out.title(f"Store {place.store}")
    facts: list[tuple[str, object]] = [
        ("packets", f"{found.packets:,} of {count_text(found.emitters, 'node')}"),
        ("withdrawals", f"{found.withdrawals:,}"),
        ("on the disk", size_text(found.size_bytes)),
    ]
    if found.dead_packets:
        since = f", since {date_text(found.dead_since)}" if found.dead_since is not None else ""
        facts.append(("to be erased", f"{count_text(found.dead_packets, 'packet')}{since}"))
    out.facts(facts)
    if templates:
        out.line()
        columns = [Column(title="template"), Column(title="id"), Column(title="packets", align="right")]
        rows = [[entry["name"] or "(unknown)", entry["template_id"], f"{entry['packets']:,}"] for entry in templates]
        out.table(columns, rows)


@noted(
    json_keys={
        "store": "path of the store",
        "packets": "packets looked at",
        "problems": f"what is wrong, at most {PROBLEMS_LISTED_MAX:,}: code, message, packet_id (or null)",
    },
    errors=(StoreError, UsageError),
    examples=("fingerpost store check",),
)
def check(*, home: HomeOption = None, json: JsonOption = False) -> None:
    """Look at every byte of the store: ids, structure, signatures, indexes. Ends with status 8 when something is wrong.

    The findings are printed then too; the JSON document has the key "error" besides the usual ones.
    """
    out = Output(as_json=json)
    place = home_of(home)
    with open_store(place) as store:
        packets = store.stats().packets
        problems = store.check()
    document = {
        "store": str(place.store),
        "packets": packets,
        "problems": [_problem_document(problem) for problem in problems[:PROBLEMS_LISTED_MAX]],
    }
    if problems:
        if not json:
            counts = Counter(problem.code for problem in problems)
            first = {problem.code: problem.message for problem in reversed(problems)}
            columns = [Column(title="problem"), Column(title="times", align="right"), Column(title="the first")]
            out.table(columns, [[code, f"{count:,}", first[code]] for code, count in counts.most_common()])
        out.finding(
            document,
            StoreError(
                "store-damaged",
                f"{count_text(len(problems), 'problem')} in {place.store}",
                hint="restore a backup, or export what is sound into a new home: fingerpost store export",
            ),
        )
    if json:
        out.document(document)
    else:
        out.line(f"{count_text(packets, 'packet')} in {place.store}: all ids, signatures and indexes hold")


@noted(
    json_keys={
        "file": "the file that was read",
        "packets": "packets in it",
        "stored": "packets that are new here, withdrawals included",
        "known": "packets that were here already",
        "refused": "how many were not taken in, by reason",
    },
    errors=(PacketError, TemplateError, StoreError, UsageError),
    examples=("fingerpost store import packets.bin --template template.toml",),
)
def take_in(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Packets of 512 bytes, one after another; - reads standard input.")
    ],
    *,
    template: TemplateOption = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Take in packets of other nodes from a file. Each is verified; what does not fit its template is refused.

    Only packets of a template that this home keeps, or that --template names, are taken in.
    """
    from fingerpost.packet import packets_from_frame

    out = Output(as_json=json)
    place = home_of(home)
    templates = kept_templates(place)
    if template is not None or not templates:
        chosen = chosen_template(template, place)
        templates[bytes(chosen.template_id)] = chosen
        keep_template(chosen, place, source=template)
    totals: Counter[str] = Counter()
    with open_packets(file) as source, open_store(place, create=True) as store:
        with out.progress("Verifying", total=source.packets) as advance:
            for start in range(0, source.packets, IMPORTED_TOGETHER_PACKETS):
                packets = packets_from_frame(source.read(start, IMPORTED_TOGETHER_PACKETS))
                totals += _add(store, packets, templates)
                advance(len(packets))
        total = source.packets
    stored, known = totals.pop("stored", 0), totals.pop("known", 0)
    if json:
        out.document({"file": str(file), "packets": total, "stored": stored, "known": known, "refused": dict(totals)})
        return
    out.line(f"{count_text(total, 'packet')} in {file}: {stored:,} new, {known:,} known, {totals.total():,} refused")
    if totals:
        columns = [Column(title="refused because"), Column(title="packets", align="right")]
        out.table(columns, [[code, f"{count:,}"] for code, count in totals.most_common()])
    if "refused-template" in totals:
        out.next_step(f"fingerpost store import {file} --template FILE  (to take in packets of another template)")


@noted(
    json_keys={
        "file": "what was written",
        "format": "parquet, csv, jsonl or packets",
        "template_id": "32 hex digits: the template whose packets were written; null for the packets of all",
        "packets": "how many",
    },
    errors=(StoreError, TemplateError, UsageError),
    examples=(
        "fingerpost store export --format parquet --output packets.parquet",
        "fingerpost store export --format packets --output packets.bin",
    ),
)
def export(
    *,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The file to write.")],
    export_format: Annotated[
        ExportFormat,
        typer.Option("--format", help="A table in words, or the 512-byte packets themselves, for other nodes."),
    ] = ExportFormat.PARQUET,
    template: TemplateOption = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Write the packets of this node to a file: those of one template as a table, or the packets themselves.

    A table has one row a packet: packet_id, node_id, emitter, kind, profile, day, ttl_days, cell, confidence, action,
    outcome, records, summary, the conditions, fingerprint, sketch.
    """
    out = Output(as_json=json)
    place = home_of(home)
    require_store(place)
    raw = export_format is ExportFormat.PACKETS
    chosen = None if raw and template is None else chosen_template(template, place)
    packets = _export(out, place, chosen, output, export_format)
    if json:
        template_id = chosen.template_id.hex() if chosen else None
        document = {"file": str(output), "format": export_format.value, "template_id": template_id, "packets": packets}
        out.document(document)
        return
    out.line(f"{count_text(packets, 'packet')} in {output}")
    if raw:
        out.next_step(f"fingerpost store import {output}  (on another node)")


def _export(out: Output, place: "Home", template: "Template | None", output: Path, form: ExportFormat) -> int:
    from fingerpost.files import open_atomically

    packets = 0
    with (
        open_store(place) as store,
        open_atomically(output) as stream,
        out.progress("Exporting", total=None) as advance,
    ):
        blocks = store.scan(template.template_id if template else None)
        if form is not ExportFormat.PACKETS and template is not None:
            from fingerpost.store._export import TableForm, export_packets

            return export_packets(blocks, template, stream, form=TableForm(form.value), progress=advance)
        for block in blocks:
            stream.write(block.tobytes())
            packets += len(block)
            advance(len(block))
    return packets


@contextmanager
def open_store(place: "Home", *, create: bool = False) -> "Iterator[PacketStore]":
    """Open the store of a home and close it again. Raises ``StoreError``."""
    from fingerpost.store._lmdb import LmdbStore

    if create:
        place.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    else:
        require_store(place)
    store = LmdbStore(place.store, create=create)
    try:
        yield store
    finally:
        store.close()


def require_store(place: "Home") -> None:
    """Raise ``StoreError`` (``store-missing``) when the home has no packets, instead of making an empty store."""
    if not place.store.exists():
        raise StoreError(
            "store-missing",
            f"{place.root} holds no packets yet",
            hint="emit a table of your own, or take in packets of others: fingerpost store import FILE",
        )


def _add(store: "PacketStore", packets: "Packets", templates: "dict[bytes, Template]") -> "Counter[str]":
    """Add what is welcome; return how many packets are stored, known, and refused by reason."""
    import numpy as np

    from fingerpost.node.admission import Refusal, judge
    from fingerpost.packet import RootCache, packet_ids
    from fingerpost.store.base import Verdict

    day = today()
    refusals = judge(packets, packet_ids(packets), templates=templates, day=day, roots=RootCache())
    totals = Counter(Refusal(int(refusal)).code for refusal in refusals if refusal)
    verdicts = store.add(packets[np.flatnonzero(refusals == 0)], day=day)
    for verdict in verdicts:
        match Verdict(int(verdict)):
            case Verdict.STORED | Verdict.TOMBSTONE:
                totals["stored"] += 1
            case Verdict.DUPLICATE | Verdict.PROOF_IMPROVED:
                totals["known"] += 1
            case refused:
                totals[f"refused-{refused.name.lower().replace('_', '-')}"] += 1
    return totals


def _template_stats(store: "PacketStore", template_id: bytes, place: "Home") -> dict[str, Any]:
    template = known_template(template_id, None, place)
    return {
        "template_id": template_id.hex(),
        "name": template.name if template else None,
        "packets": sum(len(block) for block in store.scan(template_id)),
    }


def _problem_document(problem: "Problem") -> dict[str, Any]:
    packet_id = problem.packet_id.hex() if problem.packet_id is not None else None
    return {"code": problem.code, "message": problem.message, "packet_id": packet_id}
