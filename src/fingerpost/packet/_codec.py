"""Between a signed packet and its 512 bytes."""

from __future__ import annotations

from fingerpost.limits import PACKET_SIZE_BYTES, TTL_DAYS_MAX
from fingerpost.packet._layout import (
    BODY_SIZE_BYTES,
    BODY_STRUCT,
    MAGIC,
    NODE_SIZE_BYTES,
    PROOF_STRUCT,
    VERSION,
    is_sealed,
)
from fingerpost.packet._packet import BatchProof, Packet, SignedPacket, checked_kind_and_profile
from fingerpost.packet._payload import Payload, SealedPayload
from fingerpost.packet._reasons import Reason, checked_integer, checked_octets, refusal


def encode(signed: SignedPacket) -> bytes:
    """Return the 512 bytes of a signed packet."""
    proof = signed.proof
    return signed.packet.body() + PROOF_STRUCT.pack(
        proof.leaf_index, proof.depth, proof.leaf_last, b"".join(proof.path), signed.signature
    )


def decode(data: bytes) -> SignedPacket:
    """Return the signed packet that 512 bytes hold; ``encode`` gives the same bytes back.

    This checks the layout and every rule about values, not the signature: see ``verify``. Raises ``PacketError`` with
    the code of the first broken rule, in the order of the specification, whatever the bytes.
    """
    data = checked_octets("this", data, sizes=(PACKET_SIZE_BYTES,), reason=Reason.LENGTH)
    packet = packet_from_body(data[:BODY_SIZE_BYTES])
    leaf_index, depth, leaf_last, path, signature = PROOF_STRUCT.unpack_from(data, BODY_SIZE_BYTES)
    if depth != leaf_last.bit_length():
        raise refusal(Reason.PROOF, f"a batch of {leaf_last + 1} has depth {leaf_last.bit_length()}, not {depth}")
    used = depth * NODE_SIZE_BYTES
    if any(path[used:]):
        raise refusal(Reason.PROOF, f"the path goes on above depth {depth}")
    nodes = tuple(path[at : at + NODE_SIZE_BYTES] for at in range(0, used, NODE_SIZE_BYTES))
    proof = BatchProof(leaf_index=leaf_index, leaf_last=leaf_last, path=nodes)
    return SignedPacket(packet=packet, proof=proof, signature=signature)


def packet_from_body(body: bytes) -> Packet:
    """Return the packet whose body is these 317 bytes. Raises ``PacketError`` for the first broken rule."""
    magic, version, kind, profile, epoch, ttl_days, cell, template_id, nonce, emitter, payload = BODY_STRUCT.unpack(
        body
    )
    if magic != MAGIC:
        raise refusal(Reason.MAGIC, f"{magic!r}")
    if version != VERSION:
        raise refusal(Reason.VERSION, f"version {version}")
    kind, profile = checked_kind_and_profile(kind, profile)
    checked_integer("ttl_days", ttl_days, low=1, high=TTL_DAYS_MAX, reason=Reason.TTL)
    return Packet(
        kind=kind,
        profile=profile,
        epoch=epoch,
        ttl_days=ttl_days,
        cell=cell,
        template_id=template_id,
        nonce=nonce,
        emitter=emitter,
        payload=SealedPayload(data=payload) if is_sealed(kind, profile) else Payload.from_bytes(payload),
    )
