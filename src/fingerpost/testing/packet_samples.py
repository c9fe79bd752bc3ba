"""Valid signed packets for tests: small, deterministic, told apart by a number."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fingerpost.packet import (
    PACKET_DTYPE,
    CategoryOutcome,
    Kind,
    Packet,
    Payload,
    Profile,
    Signer,
    Withdrawn,
    encode,
    packet_ids,
    sign_batch,
)

TEMPLATE_ID = bytes(range(16))


def signer(number: int) -> Signer:
    """Return the identity with this number."""
    return Signer(hashlib.blake2s(b"signer %d" % number).digest())


def observation(
    emitter: Signer, number: int, *, epoch: int = 20_000, ttl_days: int = 30, template_id: bytes = TEMPLATE_ID
) -> Packet:
    """Return the observation with this number: a fingerprint of 64 bits and an outcome of two levels."""
    seed = hashlib.blake2s(b"observation %d" % number).digest()
    return Packet(
        kind=Kind.OBSERVATION,
        profile=Profile.OPEN,
        epoch=epoch,
        ttl_days=ttl_days,
        template_id=template_id,
        nonce=seed[:16],
        emitter=emitter.public_key,
        payload=Payload(fingerprint=seed[16:24], outcome=CategoryOutcome(code=1 + seed[24] % 2)),
    )


def withdrawal(
    emitter: Signer,
    packet_id: bytes,
    *,
    number: int = 0,
    epoch: int = 20_000,
    template_id: bytes = TEMPLATE_ID,
    cell: int = 0,
) -> Packet:
    """Return the withdrawal, by this emitter, of the packet with this id, which lies in ``cell``."""
    return Packet(
        kind=Kind.WITHDRAWAL,
        profile=Profile.OPEN,
        epoch=epoch,
        ttl_days=1,
        template_id=template_id,
        cell=cell,
        nonce=hashlib.blake2s(b"withdrawal %d" % number, key=packet_id).digest()[:16],
        emitter=emitter.public_key,
        payload=Payload(outcome=Withdrawn(packet_id=packet_id), confidence=0),
    )


def signed(packets: Sequence[Packet], emitter: Signer) -> npt.NDArray[np.void]:
    """Return the packets, signed in batches, as an array of ``PACKET_DTYPE``, in the same order.

    The proof of a packet depends on the others of its batch: signing it alone, or among others, gives another one.
    """
    octets = b"".join(
        encode(packet)
        for start in range(0, len(packets), 256)
        for packet in sign_batch(packets[start : start + 256], emitter)
    )
    return np.frombuffer(octets, PACKET_DTYPE)


def id_of(packet: Packet) -> npt.NDArray[np.uint8]:
    """Return the id of one packet in the shape that stores ask for, (1, 32)."""
    return np.frombuffer(packet.packet_id, np.uint8).reshape(1, 32)


def ids_of(packets: npt.NDArray[np.void]) -> set[bytes]:
    """Return the ids of an array of packets."""
    return {row.tobytes() for row in packet_ids(packets)}
