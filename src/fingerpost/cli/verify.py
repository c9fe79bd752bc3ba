"""``fingerpost verify``: does an answer follow from its evidence? Did these keys sign that?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fingerpost.cli._notes import noted
from fingerpost.cli._options import JsonOption
from fingerpost.cli._output import Output
from fingerpost.cli.keys import record_document, record_line
from fingerpost.errors import KeyFileError, ReceiptError, SignatureError, UsageError
from fingerpost.limits import PACKET_SIZE_BYTES

if TYPE_CHECKING:
    from fingerpost.node.succession import Revocation, Succession

HEAD_SIZE_BYTES = 24  # the label of a record about an identity


@noted(
    json_keys={
        "file": "what was verified",
        "kind": "receipt, succession or revocation",
        "statements": "what may be said now, and what may not, one text each",
        "packets": "how many signed packets a receipt holds; null for a record",
        "nodes": "how many nodes signed them; null for a record",
        "whole": "whether all of the answer was derived again, or (large pools) the estimate and the nearest packets "
        "only; null for a record",
        "answer": "the answer as derived here, with the keys of 'fingerpost ask --json'; null for a record",
        "record": "what a record says: kind, day, node_id, successor or reason; null for a receipt",
    },
    errors=(ReceiptError, SignatureError, KeyFileError, UsageError),
    examples=("fingerpost verify answer.receipt",),
)
def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A receipt, or a record about an identity.")],
    *,
    json: JsonOption = False,
) -> None:
    """Derive the answer of a receipt again from its signed packets, offline and without this node's store.

    Also checks succession and revocation records of identities ('fingerpost keys'). Ends with status 9 when an answer
    does not follow, and with 3 when a record is not signed by the keys it names.
    """
    out = Output(as_json=json)
    with file.open("rb") as opened:
        head = opened.read(HEAD_SIZE_BYTES)
    if head.startswith((b"fingerpost succession", b"fingerpost revocation")):
        _verify_record(out, file)
    elif head.startswith(b"FP") and file.stat().st_size % PACKET_SIZE_BYTES == 0:
        raise UsageError(
            "not-a-receipt", f"{file} holds packets", hint=f"check them with: fingerpost packet verify {file}"
        )
    else:
        _verify_receipt(out, file)


def _verify_receipt(out: Output, file: Path) -> None:
    from fingerpost.cli._answer_view import headline
    from fingerpost.node.calculators import installed_calculators
    from fingerpost.synthesis.receipt import RECEIPT_SIZE_BYTES_MAX, verify_receipt

    with file.open("rb") as opened:
        data = opened.read(RECEIPT_SIZE_BYTES_MAX + 1)
    verification = verify_receipt(data, calculators=installed_calculators())
    if out.as_json:
        out.document(
            {
                "file": str(file),
                "kind": "receipt",
                "statements": list(verification.statements),
                "packets": verification.packets,
                "nodes": verification.nodes,
                "whole": verification.whole,
                "answer": verification.answer.as_dict(),
                "record": None,
            }
        )
        return
    out.title(f"{file}: verified")
    for statement in verification.statements:
        out.line(f"  {statement}")
    out.line()
    out.title(headline(verification.answer))
    for sentence in verification.answer.explanation:
        out.line(f"  {sentence}")


def _verify_record(out: Output, file: Path) -> None:
    from fingerpost.node.succession import (
        REVOCATION_LABEL,
        REVOCATION_SIZE_BYTES,
        SUCCESSION_SIZE_BYTES,
        verify_revocation,
        verify_succession,
    )

    with file.open("rb") as opened:
        data = opened.read(max(REVOCATION_SIZE_BYTES, SUCCESSION_SIZE_BYTES) + 1)
    record: Succession | Revocation
    record = verify_revocation(data) if data.startswith(REVOCATION_LABEL) else verify_succession(data)
    document = record_document(record)
    signed = "signed by the old and the new key" if document["kind"] == "succession" else "signed by the revoked key"
    if out.as_json:
        empty: dict[str, Any] = dict.fromkeys(("packets", "nodes", "whole", "answer"))
        out.document({"file": str(file), "kind": document["kind"], "statements": [signed], **empty, "record": document})
        return
    out.title(f"{file}: verified")
    out.line(f"  {signed}")
    out.line(f"  {record_line(record)}")
