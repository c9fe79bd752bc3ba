"""What to confirm next, as text and as JSON values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fingerpost.cli._output import Column, Output
from fingerpost.cli._words import short_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fingerpost.synthesis import Answer

AUDITED_MAX = 10


def audit_documents(answers: Sequence[Answer]) -> list[dict[str, Any]]:
    """Return the doubts about answers as JSON values, those first whose confirmation would help most."""
    from fingerpost.elections.audit import rank_doubts

    return [
        {
            "answer": doubt.place,
            "packet_id": answers[doubt.place].nearest[0].packet_id if answers[doubt.place].nearest else None,
            "score": doubt.score,
            "apart": doubt.apart,
            "contested": doubt.contested,
            "unknown": doubt.unknown,
            "reasons": list(doubt.reasons),
        }
        for doubt in rank_doubts(answers, count=AUDITED_MAX)
    ]


def print_audit(out: Output, answers: Sequence[Answer], numbers: Sequence[int] | None) -> None:
    """Print what to confirm next: rows of a table by their ``numbers``, or situations by their nearest packet."""
    from fingerpost.cli._answer_view import headline

    out.title("Confirming these would help most")
    columns = [Column(title="packet" if numbers is None else "row", align="right" if numbers else "left")]
    columns += [Column(title="the answer now"), Column(title="doubt", align="right"), Column(title="because")]
    rows = []
    for found in audit_documents(answers):
        place = found["answer"]
        name = str(numbers[place]) if numbers is not None else short_id(found["packet_id"] or "")
        because = "; ".join(found["reasons"]) or "little is in doubt"
        rows.append([name, headline(answers[place]), f"{found['score']:.2f}", because])
    out.table(columns, rows)
    if not rows:
        out.line("  (nothing is known yet)")
