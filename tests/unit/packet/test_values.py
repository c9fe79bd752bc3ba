"""A packet, a payload or an outcome that exists is valid."""

from __future__ import annotations

from typing import Any

import pytest

from fingerpost.errors import PacketError, UsageError
from fingerpost.packet import (
    BatchProof,
    CategoryOutcome,
    CountsOutcome,
    HistogramOutcome,
    MomentsOutcome,
    NumberOutcome,
    Payload,
    Profile,
    SealedPayload,
    Signer,
    decode,
    encode,
    sign_batch,
)
from tests.unit.packet.samples import FINGERPRINT, SIGNER, one_of_each_kind, packet


def refusal(make: Any) -> str:
    with pytest.raises(PacketError) as caught:
        make()
    assert caught.value.hint
    return caught.value.code


def test_every_kind_of_packet_survives_encoding() -> None:
    for signed in sign_batch(one_of_each_kind(), SIGNER):
        assert decode(encode(signed)) == signed


@pytest.mark.parametrize("value", ["x", None, [], 10**400, float("nan"), float("inf")])
def test_an_outcome_that_is_no_finite_number_is_refused(value: Any) -> None:
    assert refusal(lambda: NumberOutcome(value)) == "packet-outcome"


def test_minus_zero_becomes_zero_so_that_equal_values_have_equal_bytes() -> None:
    assert NumberOutcome(-0.0).to_bytes() == NumberOutcome(0).to_bytes() == bytes(8)


@pytest.mark.parametrize("counts", [(), (1,) * 500, 3, "", (4_294_967_296,), (1.5,)])
def test_counts_that_no_payload_holds_are_refused(counts: Any) -> None:
    assert refusal(lambda: CountsOutcome(0, counts)) == "packet-outcome"


def test_counts_beyond_the_last_level_are_refused() -> None:
    assert refusal(lambda: HistogramOutcome(4_095, (1, 1))) == "packet-outcome"


@pytest.mark.parametrize("moments", [(0, 1.0, 0.0), (1, 1.0, -0.5), (-1, 1.0, 0.0), (2**32, 0.0, 0.0)])
def test_moments_that_no_records_have_are_refused(moments: tuple[int, float, float]) -> None:
    assert refusal(lambda: MomentsOutcome(*moments)) == "packet-outcome"


def test_a_payload_takes_only_outcomes_and_level_codes() -> None:
    assert refusal(lambda: Payload(outcome=3)) == "packet-outcome"  # type: ignore[arg-type]
    assert refusal(lambda: Payload(outcome=CategoryOutcome(1), conditions=(1,) * 17)) == "packet-payload"
    assert refusal(lambda: Payload(outcome=CategoryOutcome(1), conditions=3)) == "packet-payload"  # type: ignore[arg-type]
    assert refusal(lambda: Payload(outcome=CategoryOutcome(1), fingerprint="text")) == "packet-payload"  # type: ignore[arg-type]
    assert refusal(lambda: Payload(outcome=CategoryOutcome(1), fingerprint=bytes(7))) == "packet-payload"
    assert refusal(lambda: Payload(outcome=CategoryOutcome(1), action=1.0)) == "packet-payload"  # type: ignore[arg-type]


def test_a_payload_that_is_larger_than_its_room_is_refused() -> None:
    wide = HistogramOutcome(0, (1,) * 100)
    assert refusal(lambda: Payload(outcome=wide, fingerprint=bytes(128))) == "packet-payload"
    full = Payload(outcome=HistogramOutcome(0, (1,) * 50), fingerprint=bytes(128))
    assert len(full.to_bytes()) == 240
    assert refusal(lambda: full.to_bytes(size=208)) == "packet-payload"


def test_only_the_consortium_profile_seals_a_payload_and_it_always_does() -> None:
    assert refusal(lambda: packet(payload=SealedPayload(data=bytes(240)))) == "packet-payload"
    plain = Payload(outcome=CategoryOutcome(1), fingerprint=FINGERPRINT)
    assert refusal(lambda: packet(profile=Profile.CONSORTIUM, payload=plain)) == "packet-payload"


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("epoch", 65_536, "packet-epoch"),
        ("ttl_days", 0, "packet-ttl"),
        ("cell", 2**32, "packet-field"),
        ("nonce", bytes(15), "packet-field"),
        ("emitter", "key", "packet-field"),
    ],
)
def test_a_field_that_its_bytes_cannot_hold_is_refused(field: str, value: Any, code: str) -> None:
    assert refusal(lambda: packet(**{field: value})) == code


def test_a_path_of_another_length_than_the_tree_is_refused() -> None:
    assert refusal(lambda: BatchProof(leaf_index=0, leaf_last=1, path=())) == "packet-proof"
    assert refusal(lambda: BatchProof(leaf_index=0, leaf_last=0, path=3)) == "packet-proof"  # type: ignore[arg-type]
    assert refusal(lambda: BatchProof(leaf_index=2, leaf_last=2, path=(b"x" * 16, bytes(16)))) == "packet-proof"


def test_a_signer_does_not_show_its_secret() -> None:
    assert repr(Signer(b"s" * 32)) == f"Signer(public_key={Signer(b's' * 32).public_key.hex()})"


def test_a_seed_of_another_length_makes_no_signer() -> None:
    with pytest.raises(UsageError) as caught:
        Signer(bytes(31))
    assert caught.value.code == "seed-length"
