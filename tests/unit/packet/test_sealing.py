"""A sealed payload opens with its own secret, in its own packet, and in no other way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fingerpost.errors import PacketError
from fingerpost.packet import (
    BODY_DTYPE,
    BODY_SIZE_BYTES,
    Kind,
    OutcomeForm,
    PayloadLayout,
    Profile,
    SealedPayload,
    Signer,
    blank_bodies,
    decode,
    open_sealed,
    payloads,
    seal_bodies,
    seal_commitment,
    sealed_rows,
    sign_bodies,
    verify_packets,
)

SIGNER = Signer(bytes(range(32)))
LAYOUT = PayloadLayout(fingerprint_bits=256, sketch=32, conditions=2, outcome_form=OutcomeForm.CATEGORY)
SECRETS = [bytes([n]) * 32 for n in range(1, 5)]


def bodies(count: int = 4, layout: PayloadLayout = LAYOUT) -> np.ndarray:
    made = blank_bodies(
        count,
        kind=Kind.OBSERVATION,
        profile=Profile.OPEN,
        epoch=20_000,
        ttl_days=30,
        template_id=bytes(16),
        emitter=SIGNER.public_key,
        layout=layout,
    )
    made["nonce"] = np.arange(16 * count, dtype=np.uint8).reshape(count, 16)
    content = payloads(made, layout)
    content["outcome"] = np.arange(1, count + 1)
    content["fingerprint"] = np.arange(count, dtype=np.uint8)[:, None]
    return made


def test_what_was_sealed_is_signed_as_it_lies_and_opens_to_what_it_was() -> None:
    plain = bodies()
    packets = sign_bodies(seal_bodies(plain, SECRETS), SIGNER)
    assert sealed_rows(packets).all()
    assert verify_packets(packets).all()
    assert isinstance(decode(packets[0].tobytes()).packet.payload, SealedPayload)
    opened, done = open_sealed(packets, list(SECRETS))
    assert done.all()
    assert (opened["payload"] == plain["payload"]).all()
    assert (opened["profile"] == Profile.OPEN).all()


def test_without_its_own_secret_a_packet_stays_as_it_came() -> None:
    packets = sign_bodies(seal_bodies(bodies(), SECRETS), SIGNER)
    opened, done = open_sealed(packets, [None, SECRETS[0], SECRETS[2], bytes(32)])
    assert done.tolist() == [False, False, True, False]
    assert (opened[~done] == packets[~done]).all()


def test_the_commitment_stands_before_the_ciphertext() -> None:
    sealed = seal_bodies(bodies(1), SECRETS[:1])
    assert sealed["payload"][0, :16].tobytes() == seal_commitment(SECRETS[0])


@given(bit=st.integers(0, 8 * BODY_SIZE_BYTES - 1))
def test_no_bit_of_a_sealed_body_can_change(bit: int) -> None:
    packets = sign_bodies(seal_bodies(bodies(1), SECRETS[:1]), SIGNER)
    packets.view(np.uint8)[bit // 8] ^= 1 << bit % 8
    _, done = open_sealed(packets, [SECRETS[0]])
    assert not done.any()


def test_a_payload_that_leaves_no_room_for_the_seal_is_refused() -> None:
    wide = PayloadLayout(fingerprint_bits=1_024, sketch=32, conditions=16, outcome_form=OutcomeForm.CATEGORY)
    made = bodies(1, wide)
    payloads(made, wide)["conditions"] = 1
    payloads(made, wide)["outcome"] = 1
    assert wide.size_bytes > 200
    made["payload"][0, 220] = 1
    with pytest.raises(PacketError) as caught:
        seal_bodies(made, SECRETS[:1])
    assert caught.value.code == "packet-payload"


def test_a_member_that_seals_nonsense_is_not_heard() -> None:
    nonsense = np.zeros(1, BODY_DTYPE)
    nonsense[:] = bodies(1)
    nonsense["payload"][0, 3] = 99  # no form of outcome
    packets = sign_bodies(seal_bodies(nonsense, SECRETS[:1]), SIGNER)
    opened, done = open_sealed(packets, [SECRETS[0]])
    assert not done.any()
    assert (opened == packets).all()
