"""Every field of a packet with its bytes, its value in words and what it tells those who hold it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from fingerpost.cli._words import count_text, date_text, short_id
from fingerpost.packet import (
    PAYLOAD_SIZE_BYTES,
    CategoryOutcome,
    CountsOutcome,
    HistogramOutcome,
    MomentsOutcome,
    NumberOutcome,
    Payload,
    ReportBits,
    ReportValue,
    SealedPayload,
    SignedPacket,
    Withdrawn,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fingerpost.packet import Outcome
    from fingerpost.template import Template

_LENGTHS_SIZE_BYTES = 5  # words of the fingerprint, bytes of the sketch, conditions, form and items of the outcome
_CONFIDENCE_MAX = 255
FINGERPRINT_NOTE = "the situation, blurred: like situations have like bits; a guess at it can be made"


class FieldView(NamedTuple):
    """One field: its ``size`` in bytes, its value for people, and what it gives away."""

    name: str
    size: int
    value: str
    note: str


def packet_fields(signed: SignedPacket, template: Template | None) -> list[FieldView]:
    """Return the fields of a packet in their order; the sizes add up to 512. A template turns codes into words."""
    packet, proof = signed.packet, signed.proof
    batch = f"{proof.leaf_index + 1} of {proof.leaf_last + 1} signed together"
    return [
        FieldView("format", 3, "FP, version 1", "the same for everyone"),
        FieldView("kind", 1, _words(packet.kind), "what sort of packet this is"),
        FieldView("profile", 1, _words(packet.profile), "how the records were protected"),
        FieldView("day", 2, date_text(packet.epoch), "the day it was emitted, never the time"),
        FieldView("lives for", 2, f"{packet.ttl_days} days", "holders drop it after that"),
        FieldView("cell", 4, str(packet.cell), "the leading bits of the fingerprint, for routing"),
        FieldView("template", 16, _template_text(packet.template_id, template), "which question it answers"),
        FieldView("nonce", 16, short_id(packet.nonce), "random: says nothing"),
        FieldView("emitter", 32, short_id(packet.emitter), "the public key of the node: says who emitted it"),
        *_payload_fields(packet.payload, template),
        FieldView("batch", 3, batch, "which packets were signed together; the order is random"),
        FieldView("batch path", 128, f"{proof.depth} of 8 levels", "hashes that tie it to its batch"),
        FieldView("signature", 64, short_id(signed.signature), "anyone can check it, nobody else can make it"),
    ]


def packet_document(signed: SignedPacket, template: Template | None) -> dict[str, Any]:
    """Return a packet as JSON values; ids and bits are hex, codes are words when the template is known."""
    packet, proof, payload = signed.packet, signed.proof, signed.packet.payload
    document: dict[str, Any] = {
        "packet_id": packet.packet_id.hex(),
        "kind": _words(packet.kind),
        "profile": _words(packet.profile),
        "day": date_text(packet.epoch),
        "ttl_days": packet.ttl_days,
        "cell": packet.cell,
        "template_id": packet.template_id.hex(),
        "template": template.name if template else None,
        "nonce": packet.nonce.hex(),
        "emitter": packet.emitter.hex(),
        "node_id": packet.node_id.hex(),
        "sealed": isinstance(payload, SealedPayload),
        "batch": {"index": proof.leaf_index, "packets": proof.leaf_last + 1, "depth": proof.depth},
        "signature": signed.signature.hex(),
    }
    if isinstance(payload, Payload):
        document |= {
            "fingerprint": payload.fingerprint.hex(),
            "sketch": payload.sketch.hex(),
            "conditions": _condition_values(payload, template),
            "action": _action_value(payload.action, template),
            "outcome": _outcome_value(payload.outcome, template),
            "confidence": round(payload.confidence / _CONFIDENCE_MAX, 4),
        }
    return document


def outcome_text(outcome: Outcome, template: Template | None) -> str:
    """Return an outcome in words."""
    value = _outcome_value(outcome, template)
    if isinstance(value, dict):
        return ", ".join(f"{name} {count}" for name, count in value.items())
    return str(value)


def _payload_fields(payload: Payload | SealedPayload, template: Template | None) -> list[FieldView]:
    if isinstance(payload, SealedPayload):
        note = "only members who hold the key of its day can read it"
        return [FieldView("sealed payload", PAYLOAD_SIZE_BYTES, "encrypted", note)]
    outcome = payload.outcome
    lengths = f"{8 * len(payload.fingerprint)} bits, {count_text(len(payload.conditions), 'condition')}"
    action = str(_action_value(payload.action, template) or "none")
    conditions = _pairs_text(_condition_values(payload, template))
    fields = [
        FieldView("lengths", _LENGTHS_SIZE_BYTES, lengths, "the same in every packet of a template"),
        FieldView("confidence", 1, f"{payload.confidence / _CONFIDENCE_MAX:.0%}", "what the emitter claims"),
        FieldView("action", 2, action, "in clear: what was tried"),
        FieldView("first level", 2, str(outcome.first_level), "where the counts of an outcome start"),
        FieldView("fingerprint", len(payload.fingerprint), short_id(payload.fingerprint), FINGERPRINT_NOTE),
        FieldView("sketch", len(payload.sketch), short_id(payload.sketch), "reveals most of the situation"),
        FieldView("conditions", 2 * len(payload.conditions), conditions, "in clear"),
        FieldView("outcome", len(outcome.to_bytes()), outcome_text(outcome, template), _outcome_note(outcome)),
    ]
    unused = PAYLOAD_SIZE_BYTES - sum(field.size for field in fields)
    fields.append(FieldView("unused", unused, "zeros", "says nothing"))
    return [field for field in fields if field.size]


def _outcome_note(outcome: Outcome) -> str:
    match outcome:
        case HistogramOutcome() | MomentsOutcome():
            return "in clear: what happened to a group"
        case CountsOutcome():
            return "how often it happened, with noise"
        case ReportBits() | ReportValue():
            return "drawn at random, and a little more likely where it is true"
        case _:
            return "in clear: what happened"


def _words(member: Any) -> str:
    return str(member.name).lower().replace("_", "-")


def _template_text(template_id: bytes, template: Template | None) -> str:
    return f"{template.name} ({short_id(template_id)})" if template else short_id(template_id)


def _level(levels: Sequence[str] | None, code: int) -> str | int | None:
    """Return the level of a code (its index + 1; 0 is none), or the code itself when the template is not known."""
    if code == 0:
        return None
    if levels is None or code > len(levels):
        return code
    return levels[code - 1]


def _action_value(code: int, template: Template | None) -> str | int | None:
    return _level(template.action.levels if template and template.action else None, code)


def _condition_values(payload: Payload, template: Template | None) -> dict[str, str | int | None]:
    known = template.conditions if template and len(template.conditions) == len(payload.conditions) else None
    return {
        (known[index].name if known else f"condition {index + 1}"): _level(known[index].levels if known else None, code)
        for index, code in enumerate(payload.conditions)
    }


def _pairs_text(pairs: dict[str, str | int | None]) -> str:
    return ", ".join(f"{name}: {'missing' if value is None else value}" for name, value in pairs.items())


def _outcome_value(outcome: Outcome, template: Template | None) -> Any:
    levels = getattr(template.outcome, "levels", None) if template else None
    match outcome:
        case CategoryOutcome():
            return _level(levels, outcome.code)
        case NumberOutcome():
            return outcome.value
        case HistogramOutcome() | CountsOutcome():
            return {
                str(_level(levels, outcome.first_level + index + 1)): count
                for index, count in enumerate(outcome.counts)
            }
        case MomentsOutcome():
            return {"records": outcome.n, "mean": outcome.mean, "m2": outcome.m2}
        case ReportBits():
            return outcome.bits.hex()
        case ReportValue():
            return outcome.value
        case Withdrawn():
            return outcome.packet_id.hex()
