"""``fingerpost confirm``: how a situation that was asked about turned out."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fingerpost.cli._emitted import Progress, read_progress, write_progress
from fingerpost.cli._node import node_of
from fingerpost.cli._notes import noted
from fingerpost.cli._options import HomeOption, JsonOption, SetOption, home_of, named_values
from fingerpost.cli._output import Output
from fingerpost.cli._templates import keep_template
from fingerpost.cli._words import date_text, today
from fingerpost.errors import (
    DaemonError,
    KeyFileError,
    ReceiptError,
    RecordError,
    StoreError,
    TemplateError,
    UsageError,
)

if TYPE_CHECKING:
    from fingerpost.synthesis import Answer
    from fingerpost.template import Template


@noted(
    json_keys={
        "template": "name of the template",
        "outcome": "what happened, as a level or a number",
        "probability": "the probability that the answer gave it; null for a number",
        "log_loss": "-ln of that probability: 0 is perfect, 0.69 a coin toss; null for a number",
        "inside": "whether a number lies where the answer expected nine in ten outcomes; null for a level",
        "packet_id": "64 hex digits: the packet that tells it to others",
        "learnt": "whether the calculators behind the answer are trusted more or less now: when this node asked",
    },
    errors=(ReceiptError, RecordError, TemplateError, KeyFileError, StoreError, DaemonError, UsageError),
    examples=("fingerpost confirm answer.receipt --set age=61 --set sex=male --outcome yes",),
)
def confirm(
    receipt: Annotated[Path, typer.Argument(metavar="RECEIPT", help="The answer, as 'ask --receipt' saved it.")],
    *,
    settings: SetOption = None,
    outcome: Annotated[str, typer.Option("--outcome", metavar="VALUE", help="What happened.")],
    action: Annotated[
        str | None, typer.Option("--action", metavar="VALUE", help="What was done.", show_default=False)
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Confirm an answer that was confirmed before; it then counts twice.")
    ] = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Tell how a situation turned out: it becomes a packet like any other, and a score for the answer.

    If this node asked, the calculators that expected the outcome count for more in its answers from now on.

    Give the same fields as in the question: a receipt holds its fingerprint only, and they are checked against that.
    """
    from fingerpost.node.identity import load_identity
    from fingerpost.synthesis.receipt import RECEIPT_SIZE_BYTES_MAX, Receipt, verify_receipt
    from fingerpost.template import outcome_code, outcome_value, parse_template

    out = Output(as_json=json)
    place = home_of(home)
    with receipt.open("rb") as opened:
        data = opened.read(RECEIPT_SIZE_BYTES_MAX + 1)
    answer = verify_receipt(data).answer
    template = parse_template(Receipt.from_bytes(data).template, source=str(receipt))
    situation = named_values(settings or [], "--set")
    _check_situation(template, answer, situation)
    digest = hashlib.blake2s(data).hexdigest()
    if not again and (done := read_progress(place, digest)) is not None:
        raise UsageError(
            "already-confirmed",
            f"{receipt} was confirmed on {date_text(done.day)}",
            hint="--again tells it once more, and it then counts twice",
        )
    load_identity(place)
    value = outcome_value(template, outcome_code(template, outcome))
    with node_of(place, template) as node:
        confirmation = node.confirm(answer, situation=situation, outcome=value, action=action)
    keep_template(template, place)
    write_progress(place, digest, Progress(rows=1, total=1, day=today()))
    document = {
        "template": template.name,
        "outcome": value,
        "probability": answer.probabilities.get(str(value)),
        "log_loss": confirmation.log_loss,
        "inside": answer.number.low <= float(value) <= answer.number.high if answer.number else None,
        "packet_id": confirmation.packet_id,
        "learnt": confirmation.learnt,
    }
    if json:
        out.document(document)
    else:
        _print_confirmation(out, answer, document)


def _check_situation(template: "Template", answer: "Answer", situation: dict[str, str]) -> None:
    """Refuse another situation than the one that was asked about, which is known by its fingerprint."""
    from fingerpost.fingerprint import Fingerprinter
    from fingerpost.template import encode_record

    encoded = encode_record(template, situation)[None, :]
    if Fingerprinter(template).fingerprints(encoded)[0].tobytes() != answer.query.fingerprint:
        raise UsageError(
            "other-situation",
            "this is not the situation that the receipt answers",
            hint="give the same fields and values as in the question, with --set FIELD=VALUE for each",
        )


def _print_confirmation(out: Output, answer: "Answer", document: dict[str, Any]) -> None:
    out.title(f"Confirmed: {answer.outcome_name} was {document['outcome']}")
    facts: list[tuple[str, object]] = []
    if document["probability"] is not None:
        facts.append(("the answer gave it", f"{document['probability']:.0%} (log-loss {document['log_loss']:.2f})"))
    if document["inside"] is not None:
        facts.append(("the answer", "expected it" if document["inside"] else "did not expect it"))
    if document["learnt"]:
        facts.append(("calculators", "those that expected it count for more from now on"))
    out.facts([*facts, ("packet", document["packet_id"])])
