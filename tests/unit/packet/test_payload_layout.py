"""Payloads of one shape are read and written as columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fingerpost.errors import UsageError
from fingerpost.packet import (
    CategoryOutcome,
    Kind,
    MomentsOutcome,
    OutcomeForm,
    Payload,
    PayloadLayout,
    Profile,
    Withdrawn,
    blank_bodies,
    decode,
    has_layout,
    packets_from_frame,
    payloads,
    sign_bodies,
)
from tests.unit.packet.samples import FINGERPRINT, SIGNER, one_of_each_kind

OBSERVATION = PayloadLayout(fingerprint_bits=256, sketch=0, conditions=2, outcome_form=OutcomeForm.CATEGORY)


def layout(**changes: Any) -> PayloadLayout:
    values: dict[str, Any] = {"fingerprint_bits": 256, "sketch": 0, "conditions": 0, "outcome_form": OutcomeForm.NUMBER}
    return PayloadLayout(**(values | changes))


def bodies(kind: Kind = Kind.OBSERVATION, profile: Profile = Profile.OPEN, shape: PayloadLayout = OBSERVATION) -> Any:
    return blank_bodies(
        3,
        kind=kind,
        profile=profile,
        epoch=20_000,
        ttl_days=30,
        template_id=bytes(16),
        emitter=SIGNER.public_key,
        layout=shape,
    )


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"fingerprint_bits": 100}, "layout-fingerprint"),
        ({"fingerprint_bits": 1_088}, "layout-fingerprint"),
        ({"sketch": 16}, "layout-sketch"),
        ({"conditions": 17}, "layout-conditions"),
        ({"outcome_form": OutcomeForm.NONE}, "layout-outcome"),
        ({"outcome_items": 2}, "layout-outcome"),
        ({"outcome_form": OutcomeForm.HISTOGRAM, "outcome_items": 0}, "layout-outcome"),
    ],
)
def test_a_layout_that_no_payload_has_is_refused(changes: dict[str, Any], code: str) -> None:
    with pytest.raises(UsageError) as caught:
        layout(**changes)
    assert caught.value.code == code


def test_the_size_of_a_layout_decides_under_which_profiles_it_fits() -> None:
    wide = layout(fingerprint_bits=1_024, outcome_form=OutcomeForm.HISTOGRAM, outcome_items=50)
    assert wide.size_bytes == 10 + 128 + 100
    assert wide.fits(Profile.OPEN)
    assert not wide.fits(Profile.CONSORTIUM)
    too_wide = layout(fingerprint_bits=1_024, outcome_form=OutcomeForm.HISTOGRAM, outcome_items=60)
    assert not too_wide.fits(Profile.OPEN)
    with pytest.raises(UsageError) as caught:
        _ = too_wide.dtype
    assert caught.value.code == "layout-size"


def test_columns_written_through_a_layout_are_the_fields_of_each_packet() -> None:
    made = bodies()
    content = payloads(made, OBSERVATION)
    content["fingerprint"] = np.frombuffer(FINGERPRINT, np.uint8)
    content["conditions"] = [[1, 0], [2, 5], [0, 0]]
    content["outcome"] = [3, 1, 2]
    content["action"] = [0, 4, 1]
    decoded = [decode(one.tobytes()).packet.payload for one in sign_bodies(made, SIGNER)]
    assert decoded == [
        Payload(outcome=CategoryOutcome(outcome), fingerprint=FINGERPRINT, conditions=conditions, action=action)
        for outcome, conditions, action in [(3, (1, 0), 0), (1, (2, 5), 4), (2, (0, 0), 1)]
    ]


def test_moments_and_packet_ids_are_columns_too() -> None:
    moments = layout(outcome_form=OutcomeForm.MOMENTS)
    made = bodies(Kind.SUMMARY, Profile.OPEN, moments)
    payloads(made, moments)["outcome"] = (4, 2.5, 1.0)
    assert decode(sign_bodies(made, SIGNER)[0].tobytes()).packet.payload == Payload(
        outcome=MomentsOutcome(4, 2.5, 1.0), fingerprint=bytes(32)
    )
    withdrawn = layout(fingerprint_bits=0, outcome_form=OutcomeForm.PACKET_ID)
    made = bodies(Kind.WITHDRAWAL, Profile.CONSORTIUM, withdrawn)
    payloads(made, withdrawn)["outcome"] = 7
    assert decode(sign_bodies(made, SIGNER)[0].tobytes()).packet.payload == Payload(
        outcome=Withdrawn(b"\x07" * 32), confidence=0
    )


def test_several_items_are_a_row_of_the_outcome_column() -> None:
    histogram = layout(outcome_form=OutcomeForm.HISTOGRAM, outcome_items=3)
    assert payloads(bodies(Kind.SUMMARY, Profile.OPEN, histogram), histogram)["outcome"].shape == (3, 3)


def test_packets_of_another_layout_and_sealed_ones_are_told_apart() -> None:
    packets = packets_from_frame(b"".join(one.body() + bytes(195) for one in one_of_each_kind()))
    shape = layout(conditions=3)
    assert has_layout(packets, shape).tolist() == [row == 1 for row in range(len(packets))]
    packets = packets.copy()
    packets["payload"][-1] = packets["payload"][1]
    assert has_layout(packets, shape).tolist() == [row == 1 for row in range(len(packets))]


def test_a_sealed_payload_has_no_layout() -> None:
    with pytest.raises(UsageError) as caught:
        bodies(Kind.OBSERVATION, Profile.CONSORTIUM)
    assert caught.value.code == "layout-sealed"
