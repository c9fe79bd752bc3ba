"""Packets for vectors: valid ones from values, and invalid ones that are wrong in one place and signed all the same."""

from __future__ import annotations

import hashlib
from typing import Any

from fingerpost.packet import (
    CategoryOutcome,
    CountsOutcome,
    HistogramOutcome,
    Kind,
    MomentsOutcome,
    NumberOutcome,
    Outcome,
    Packet,
    Payload,
    Profile,
    ReportBits,
    ReportValue,
    SealedPayload,
    SignedPacket,
    Signer,
    Withdrawn,
)
from fingerpost.packet._batch import batch_message, path_of, tree_levels
from fingerpost.packet._layout import BODY_SIZE_BYTES, PACKET_FIELDS, PAYLOAD_FIELDS
from spec.vector_sources.vector import octets

SEED = bytes(range(32))
SIGNER = Signer(SEED)
PAYLOAD_OFFSET = 77
EPOCH = 20_454

_FIELDS = {field.name: (field.offset, field.size) for field in PACKET_FIELDS} | {
    field.name: (PAYLOAD_OFFSET + field.offset, field.size) for field in PAYLOAD_FIELDS
}


def observation_payload(**changes: Any) -> Payload:
    """Return the payload of an observation with 256 bits, two conditions and a category, with changes."""
    values: dict[str, Any] = {
        "outcome": CategoryOutcome(2),
        "fingerprint": octets("fingerprint", 32),
        "conditions": (3, 0),
        "action": 1,
        "confidence": 255,
    }
    return Payload(**values | changes)


def packet(*, kind: Kind, profile: Profile, payload: Payload | SealedPayload, **changes: Any) -> Packet:
    """Return a packet of the vectors' emitter."""
    values: dict[str, Any] = {
        "epoch": EPOCH,
        "ttl_days": 365,
        "cell": 0,
        "template_id": octets("template", 16),
        "nonce": octets("nonce", 16),
        "emitter": SIGNER.public_key,
    }
    return Packet(kind=kind, profile=profile, payload=payload, **values | changes)


def observation(**changes: Any) -> Packet:
    """Return an open observation; ``changes`` go to its payload."""
    return packet(kind=Kind.OBSERVATION, profile=Profile.OPEN, payload=observation_payload(**changes))


def poked(data: bytes, **changes: int | bytes) -> bytes:
    """Return a packet or body with named fields, of the packet or its payload, set to a number or to bytes."""
    octet_array = bytearray(data)
    for name, value in changes.items():
        offset, size = _FIELDS[name]
        octet_array[offset : offset + size] = value if isinstance(value, bytes) else value.to_bytes(size, "little")
    return bytes(octet_array)


def spliced(data: bytes, offset: int, part: bytes) -> bytes:
    """Return ``data`` with ``part`` written over it at ``offset``."""
    return data[:offset] + part + data[offset + len(part) :]


def signed_bodies(bodies: list[bytes]) -> list[bytes]:
    """Sign bodies as one batch whatever is in them, and return the packets."""
    levels = tree_levels(b"".join(hashlib.blake2s(body).digest()[:16] for body in bodies))
    last = len(bodies) - 1
    signature = SIGNER.sign(batch_message(levels[-1], leaf_last=last))
    return [
        body + bytes((index, last.bit_length(), last)) + b"".join(path_of(levels, index)).ljust(128, b"\0") + signature
        for index, body in enumerate(bodies)
    ]


def signed(body: bytes) -> bytes:
    """Sign one body alone, whatever is in it."""
    return signed_bodies([body])[0]


def body_of(data: bytes) -> bytes:
    """Return the part of a packet that its id covers."""
    return data[:BODY_SIZE_BYTES]


def fields_of(signed_packet: SignedPacket) -> dict[str, Any]:
    """Return a packet as the vectors write it in JSON."""
    inner, proof = signed_packet.packet, signed_packet.proof
    return {
        "kind": int(inner.kind),
        "profile": int(inner.profile),
        "epoch": inner.epoch,
        "ttl_days": inner.ttl_days,
        "cell": inner.cell,
        "template_id": inner.template_id.hex(),
        "nonce": inner.nonce.hex(),
        "emitter": inner.emitter.hex(),
        "payload": payload_fields(inner.payload),
        "leaf_index": proof.leaf_index,
        "leaf_last": proof.leaf_last,
        "path": [node.hex() for node in proof.path],
        "signature": signed_packet.signature.hex(),
    }


def payload_fields(payload: Payload | SealedPayload) -> dict[str, Any]:
    """Return a payload as the vectors write it in JSON."""
    if isinstance(payload, SealedPayload):
        return {"sealed": payload.data.hex()}
    return {
        "fingerprint": payload.fingerprint.hex(),
        "sketch": payload.sketch.hex(),
        "conditions": list(payload.conditions),
        "action": payload.action,
        "confidence": payload.confidence,
        "outcome": {"form": int(payload.outcome.form), **_outcome_fields(payload.outcome)},
    }


def _outcome_fields(outcome: Outcome) -> dict[str, Any]:
    match outcome:
        case CategoryOutcome(code):
            return {"code": code}
        case NumberOutcome(value):
            return {"value": value}
        case HistogramOutcome(first_level, counts) | CountsOutcome(first_level, counts):
            return {"first_level": first_level, "counts": list(counts)}
        case MomentsOutcome(n, mean, m2):
            return {"n": n, "mean": mean, "m2": m2}
        case ReportBits(bits):
            return {"bits": bits.hex()}
        case ReportValue(value):
            return {"value": value}
        case Withdrawn(packet_id):
            return {"packet_id": packet_id.hex()}
