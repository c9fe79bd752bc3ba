"""Signatures: who signed, what is bound, and which keys nobody can have."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fingerpost.errors import SignatureError, UsageError
from fingerpost.packet import (
    CategoryOutcome,
    Kind,
    Packet,
    Payload,
    Profile,
    RootCache,
    Signer,
    check_structure,
    decode,
    encode,
    packet_ids,
    packets_from_frame,
    sign_batch,
    sign_bodies,
    verify,
    verify_packets,
)

SIGNER = Signer(bytes(range(32)))
BATCH_SIZES = [1, 2, 3, 5, 17, 100, 128, 255, 256]


def observation(number: int, *, signer: Signer = SIGNER) -> Packet:
    payload = Payload(
        outcome=CategoryOutcome(1 + number % 3), fingerprint=bytes([number % 256]) * 32, conditions=(1, 0)
    )
    return Packet(
        kind=Kind.OBSERVATION,
        profile=Profile.OPEN,
        epoch=20_000,
        ttl_days=365,
        cell=number,
        template_id=bytes(16),
        nonce=number.to_bytes(16, "big"),
        emitter=signer.public_key,
        payload=payload,
    )


@pytest.mark.parametrize("size", BATCH_SIZES)
def test_every_packet_of_a_batch_verifies_alone_and_in_an_array(size: int) -> None:
    signed = sign_batch([observation(number) for number in range(size)], SIGNER)
    for one in signed:
        verify(one)
        assert decode(encode(one)) == one
    packets = packets_from_frame(b"".join(map(encode, signed)))
    assert not check_structure(packets).any()
    assert verify_packets(packets).all()
    assert verify_packets(packets[: -(-size // 2)]).all()
    assert [one.packet_id for one in signed] == [row.tobytes() for row in packet_ids(packets)]


@pytest.mark.parametrize("size", BATCH_SIZES)
def test_signing_bodies_gives_the_bytes_of_signing_packets(size: int) -> None:
    packets = [observation(number) for number in range(size)]
    bodies = np.frombuffer(b"".join(packet.body() for packet in packets), np.uint8).reshape(-1, 317)
    assert sign_bodies(bodies, SIGNER).tobytes() == b"".join(map(encode, sign_batch(packets, SIGNER)))


@pytest.mark.parametrize("size", BATCH_SIZES)
def test_a_changed_packet_spoils_only_itself(size: int) -> None:
    packets = packets_from_frame(
        b"".join(map(encode, sign_batch([observation(n) for n in range(size)], SIGNER)))
    ).copy()
    packets["payload"][0, 12] ^= 1
    assert verify_packets(packets, cache=RootCache()).tolist() == [False] + [True] * (size - 1)
    with pytest.raises(SignatureError) as caught:
        verify(decode(packets[0].tobytes()))
    assert caught.value.code == "packet-signature"


def test_a_signature_of_somebody_else_is_refused() -> None:
    stranger = Signer(bytes(32))
    [signed] = sign_batch([observation(1)], SIGNER)
    claimed = dataclasses.replace(signed, packet=observation(1, signer=stranger))
    with pytest.raises(SignatureError):
        verify(claimed)


def test_a_batch_of_another_emitter_is_not_signed() -> None:
    with pytest.raises(UsageError) as caught:
        sign_batch([observation(1, signer=Signer(bytes(32)))], SIGNER)
    assert caught.value.code == "batch-emitter"
