"""``fingerpost packet``: packets in a file, field by field."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fingerpost.cli._notes import noted
from fingerpost.cli._options import HomeOption, JsonOption, TemplateOption, home_of
from fingerpost.cli._output import Column, Output
from fingerpost.cli._packet_file import open_packets
from fingerpost.cli._templates import known_template
from fingerpost.cli._words import count_text, short_id
from fingerpost.errors import PacketError, TemplateError, UsageError
from fingerpost.limits import PACKET_SIZE_BYTES

if TYPE_CHECKING:
    from fingerpost.packet import SignedPacket
    from fingerpost.template import Template

SHOWN_PACKETS_DEFAULT = 20
VERIFIED_TOGETHER_PACKETS = 4_096
REFUSALS_LISTED_MAX = 1_000

PacketFile = Annotated[
    Path,
    typer.Argument(metavar="FILE", help="Packets of 512 bytes, one after another; - reads standard input."),
]


@noted(
    json_keys={
        "packets_in_file": "how many packets the file holds",
        "packets": "the packets shown: packet_id, kind, profile, day, ttl_days, cell, template_id, template (its "
        "name, or null when this home does not have it), nonce, emitter, node_id, sealed, batch, signature, and "
        "unless sealed fingerprint, sketch, conditions, action, outcome, confidence; ids and bits are hex",
    },
    errors=(PacketError, TemplateError, UsageError),
    examples=("fingerpost packet show packets.bin --packet 3", "fingerpost packet show packets.bin --json"),
)
def show(
    file: PacketFile,
    *,
    packet: Annotated[
        int | None,
        typer.Option("--packet", metavar="N", min=1, help="Show this packet (from 1) in full.", show_default=False),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", metavar="N", min=1, help="List at most this many packets.")
    ] = SHOWN_PACKETS_DEFAULT,
    template: TemplateOption = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Show packets: one in full, or a list of many. Checks their structure, not their signatures."""
    from fingerpost.cli._packet_view import packet_document
    from fingerpost.packet import decode

    out = Output(as_json=json)
    with open_packets(file) as source:
        total = source.packets
        if packet is not None and packet > total:
            raise UsageError(
                "no-such-packet", f"{file} holds {count_text(total, 'packet')}", hint=f"choose --packet 1 to {total}"
            )
        numbers = [packet] if packet is not None else list(range(1, min(total, limit) + 1))
        shown = []
        for number in numbers:
            try:
                shown.append(decode(source.read(number - 1, 1)))
            except PacketError as error:
                raise type(error)(error.code, f"packet {number}: {error.message}", hint=error.hint) from error
    templates = _templates_of(shown, template, home)
    if json:
        documents = [packet_document(signed, templates.get(signed.packet.template_id)) for signed in shown]
        out.document({"packets_in_file": total, "packets": documents})
    elif len(shown) == 1:
        _print_packet(out, shown[0], templates.get(shown[0].packet.template_id))
    else:
        _print_list(out, shown, templates)
        if total > len(shown):
            out.line(f"… and {total - len(shown):,} more; see --limit")
        out.next_step(f"fingerpost packet show {file} --packet 1")


@noted(
    json_keys={
        "packets": "how many packets the file holds",
        "valid": "how many of them have the right structure and signature",
        "refused": f"the others, at most {REFUSALS_LISTED_MAX:,} of them: packet (from 1) and code",
    },
    errors=(PacketError, UsageError),
    examples=("fingerpost packet verify packets.bin",),
)
def verify(file: PacketFile, *, json: JsonOption = False) -> None:
    """Check structure, batch proof and signature of every packet. Ends with status 3 when one is refused.

    The findings are printed then too; the JSON document has the key "error" besides the usual ones.
    """
    out = Output(as_json=json)
    refused: list[dict[str, Any]] = []
    codes: Counter[str] = Counter()
    with open_packets(file) as source:
        total = source.packets
        with out.progress("Verifying", total=total) as advance:
            for start in range(0, total, VERIFIED_TOGETHER_PACKETS):
                piece = source.read(start, VERIFIED_TOGETHER_PACKETS)
                for row, code in _refusals(piece):
                    codes[code] += 1
                    if len(refused) < REFUSALS_LISTED_MAX:
                        refused.append({"packet": start + row + 1, "code": code})
                advance(len(piece) // PACKET_SIZE_BYTES)
    wrong = codes.total()
    document = {"packets": total, "valid": total - wrong, "refused": refused}
    if not json:
        out.line(f"{total - wrong:,} of {count_text(total, 'packet')} valid: structure, batch proof and signature")
    if wrong:
        if not json:
            rows = [[code, f"{count:,}", _numbers_text(refused, code)] for code, count in codes.most_common()]
            out.table(
                [Column(title="refused because"), Column(title="packets", align="right"), Column(title="which")], rows
            )
        out.finding(
            document,
            PacketError(
                "packets-refused",
                f"{wrong:,} of {count_text(total, 'packet')} refused",
                hint="drop them: they were altered, or are not from the emitter they name",
            ),
        )
    if json:
        out.document(document)


def _refusals(data: bytes) -> Iterator[tuple[int, str]]:
    """Give row and code of each packet that is not valid."""
    import numpy as np

    from fingerpost.packet import Reason, check_structure, packets_from_frame, verify_packets

    packets = packets_from_frame(data)
    reasons: np.ndarray = check_structure(packets)
    sound = np.flatnonzero(reasons == Reason.FINE)
    signed = verify_packets(packets[sound], cache=None)
    reasons[sound[~signed]] = Reason.SIGNATURE
    for row in np.flatnonzero(reasons != Reason.FINE):
        yield int(row), Reason(int(reasons[row])).code


def _templates_of(shown: "list[SignedPacket]", chosen: Path | None, home: Path | None) -> "dict[bytes, Template]":
    """Return the templates of the packets as far as they are known: the chosen one, else those in the home."""
    wanted = {signed.packet.template_id for signed in shown}
    found = {template_id: known_template(template_id, chosen, home_of(home)) for template_id in wanted}
    return {template_id: template for template_id, template in found.items() if template is not None}


def _print_packet(out: Output, signed: "SignedPacket", template: "Template | None") -> None:
    from fingerpost.cli._packet_view import packet_fields

    out.title(f"Packet {signed.packet_id.hex()}")
    columns = [Column(title="field"), Column(title="bytes", align="right"), Column(title="value")]
    out.table(columns, [[field.name, str(field.size), field.value] for field in packet_fields(signed, template)])
    if template is None:
        out.line()
        out.line("This home does not have the template, so codes are shown as numbers; name it with --template.")


def _print_list(out: Output, shown: "list[SignedPacket]", templates: "dict[bytes, Template]") -> None:
    from fingerpost.cli._packet_view import outcome_text
    from fingerpost.cli._words import date_text
    from fingerpost.packet import Payload

    rows = []
    for number, signed in enumerate(shown, start=1):
        packet = signed.packet
        template = templates.get(packet.template_id)
        rows.append(
            [
                str(number),
                short_id(packet.packet_id),
                packet.kind.name.lower(),
                date_text(packet.epoch),
                short_id(packet.node_id),
                template.name if template else short_id(packet.template_id),
                outcome_text(packet.payload.outcome, template) if isinstance(packet.payload, Payload) else "sealed",
            ]
        )
    titles = ["packet id", "kind", "day", "node", "template", "outcome"]
    out.table([Column(title="", align="right"), *(Column(title=title) for title in titles)], rows)


def _numbers_text(refused: list[dict[str, Any]], code: str) -> str:
    numbers = [str(entry["packet"]) for entry in refused if entry["code"] == code]
    return ", ".join(numbers[:8]) + (", …" if len(numbers) > 8 else "")
