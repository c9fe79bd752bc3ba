"""What a table turned into, or would turn into: every field that leaves, and what stays."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from fingerpost.cli._output import Column, Output
from fingerpost.cli._packet_view import packet_document, packet_fields
from fingerpost.cli._words import count_text, size_text
from fingerpost.limits import BATCH_PACKETS_MAX, GROUP_SUBJECTS_MIN
from fingerpost.node.emission import is_release
from fingerpost.packet import Profile

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fingerpost.cli._packet_view import FieldView
    from fingerpost.files import Table
    from fingerpost.node.home import Home
    from fingerpost.node.reports import ReleaseReport
    from fingerpost.packet import SignedPacket
    from fingerpost.template import RowProblem, Template

AS_FINGERPRINT = "they leave as a fingerprint only"
HOW_THEY_LEAVE = {
    Profile.K_ANONYMOUS: "the mean of each group leaves, as a fingerprint only",
    Profile.DP_AGGREGATE: "they are counted by cell, with noise",
    Profile.LOCAL_DP: "each is one of the cells that a report was randomised over",
}
PROBLEMS_LISTED_MAX = 1_000
ROWS_SHOWN_MAX = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class EmissionView:
    """The packets of one table.

    ``packet_ids`` (hex, in the order of the rows) and ``holders`` (other nodes that keep them) are None in a dry run.
    """

    template: Template
    table: Table
    node_id: str | None
    problems: Sequence[RowProblem]
    packets: int
    size_bytes: int
    example: SignedPacket | None
    packet_ids: Sequence[str] | None = None
    holders: int | None = None
    release: ReleaseReport | None = None
    file: Path | None = None

    @property
    def skipped(self) -> int:
        """Rows that do not fit the template."""
        return len({problem.row for problem in self.problems})

    @property
    def signatures(self) -> int:
        """Batches, each with one signature."""
        return -(-self.packets // BATCH_PACKETS_MAX)

    def fields(self) -> list[FieldView]:
        """Return the fields of the example, which are those of every packet."""
        return packet_fields(self.example, self.template) if self.example else []

    def stays(self) -> list[str]:
        """Say in words what does not leave."""
        template = self.template
        named = {part.name for part in (*template.situation, *template.conditions, template.outcome)}
        named |= {template.action.name} if template.action else set()
        others = [name for name in self.table.columns if name not in named]
        situation = ", ".join(part.name for part in template.situation)
        texts = [f"the values of the situation ({situation}): {HOW_THEY_LEAVE.get(template.profile, AS_FINGERPRINT)}"]
        if others:
            names = ", ".join(others)
            texts.append(f"{count_text(len(others), 'column')} that the template does not name: {names}")
        texts.append("which row became which packet, the order of the rows, the time of day")
        if self.skipped:
            texts.append(f"{count_text(self.skipped, 'row')} that do not fit the template")
        return texts

    def document(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        return {
            "dry_run": self.packet_ids is None,
            "template": self.template.name,
            "template_id": self.template.template_id.hex(),
            "node_id": self.node_id,
            "rows": self.table.rows,
            "skipped": self.skipped,
            "packets": self.packets,
            "signatures": self.signatures,
            "bytes": self.size_bytes,
            "problems": [
                {"row": problem.row, "field": problem.field, "code": problem.code, "message": problem.message}
                for problem in self.problems[:PROBLEMS_LISTED_MAX]
            ],
            "leaves": [{"field": field.name, "bytes": field.size, "note": field.note} for field in self.fields()],
            "stays": self.stays(),
            "example": packet_document(self.example, self.template) if self.example else None,
            "packet_ids": list(self.packet_ids) if self.packet_ids is not None else None,
            "holders": self.holders,
            "release": asdict(self.release) if self.release is not None else None,
            "file": str(self.file) if self.file else None,
        }


def print_dry_run(out: Output, view: EmissionView) -> None:
    """Print exactly what would leave, with one packet as an example, and what would not."""
    out.title("Dry run: nothing was emitted")
    out.facts(
        [
            ("table", f"{view.table.source}, {count_text(view.table.rows, 'row')}"),
            ("template", f"{view.template.name} ({view.template.template_id.hex()})"),
            ("emitter", view.node_id or "no identity yet, a passing key stands in; make one: fingerpost keys new"),
            ("packets", _packets_text(view)),
            ("signatures", f"{view.signatures:,}, one a batch of up to {BATCH_PACKETS_MAX}"),
            ("in all", size_text(view.size_bytes)),
        ]
    )
    if view.example is not None:
        out.line()
        out.title("What would leave: these fields, once for each row; the first packet as an example")
        columns = [Column(title="field"), Column(title="bytes", align="right")]
        columns += [Column(title="example"), Column(title="what it tells")]
        fields = view.fields()
        rows = [[field.name, str(field.size), field.value, field.note] for field in fields]
        rows.append(["", str(sum(field.size for field in fields)), "", ""])
        out.table(columns, rows)
        out.line()
        out.title("What stays here")
        for text in view.stays():
            out.line(f"  {text}")
    print_problems(out, view.problems)


def _packets_text(view: EmissionView) -> str:
    if not is_release(view.template):
        return f"{view.packets:,}, one a row"
    if view.template.profile is Profile.K_ANONYMOUS:
        return (
            f"{view.packets:,}, one for each group of at least {GROUP_SUBJECTS_MIN} rows; of one subject one row counts"
        )
    if view.template.profile is Profile.LOCAL_DP:
        return f"{view.packets:,}, one a row, randomised anew each time; of one subject one row counts"
    return f"{view.packets:,}, one for each cell and action, whatever the rows; their noise is drawn anew each time"


def _release_facts(report: ReleaseReport) -> list[tuple[str, object]]:
    facts: list[tuple[str, object]] = []
    if report.groups:
        facts.append(("grouped", f"{count_text(report.rows, 'row')}, each of another subject"))
        if report.unanimous:
            facts.append(
                ("one outcome", f"in {report.unanimous:,} of {count_text(report.groups, 'group')}: whoever knows that")
            )
            facts.append(("", "somebody is in one of them knows how it went; dp-aggregate has no such gap"))
    else:
        facts.append(("counted", f"{count_text(report.rows, 'row')}, each of another subject, with noise"))
        facts.append(("each spent", f"epsilon {report.epsilon:g} of {report.lifetime_epsilon:g} in a lifetime"))
    if report.parties > 1:
        facts.append(("added up", f"with {report.parties - 1:,} other nodes: only the sum is known to anybody"))
    reasons = [
        (report.same_subject, "of a subject in a live group" if report.groups else "of a subject counted today"),
        (report.spent, "of one who spent all"),
        (report.ungrouped, "too few for a group"),
    ]
    left_out = ", ".join(f"{rows:,} {reason}" for rows, reason in reasons if rows)
    return [*facts, ("left at home", left_out)] if left_out else facts


def print_emission(out: Output, view: EmissionView, place: Home) -> None:
    """Print what was emitted, and where it is."""
    out.title(f"Emitted {count_text(view.packets, 'packet')}, {size_text(view.size_bytes)}")
    facts: list[tuple[str, object]] = [
        ("template", f"{view.template.name} ({view.template.template_id.hex()})"),
        ("emitter", view.node_id),
        ("signatures", f"{view.signatures:,}, one a batch of up to {BATCH_PACKETS_MAX}"),
        ("kept in", place.store),
    ]
    if view.holders:
        facts.append(("and by", count_text(view.holders, "other node")))
    if view.release is not None:
        facts += _release_facts(view.release)
    if view.skipped:
        facts.append(("left out", count_text(view.skipped, "row")))
    if view.file is not None:
        facts.append(("written to", view.file))
    out.facts(facts)
    print_problems(out, view.problems)


def print_problems(out: Output, problems: Sequence[RowProblem]) -> None:
    """Print what does not fit, grouped by field and reason."""
    if not problems:
        return
    groups = Counter((problem.field, problem.code) for problem in problems)
    rows = []
    for (field, code), count in groups.most_common():
        alike = [problem for problem in problems if (problem.field, problem.code) == (field, code)]
        numbers = ", ".join(str(problem.row) for problem in alike[:ROWS_SHOWN_MAX])
        more = ", …" if count > ROWS_SHOWN_MAX else ""
        rows.append([field, f"{count:,}", numbers + more, alike[0].message])
    out.line()
    out.title("Rows that do not fit the template (from 1, the header not counted)")
    columns = [Column(title="field"), Column(title="rows", align="right")]
    out.table([*columns, Column(title="which"), Column(title="the first")], rows)
