"""Small valid packets of every kind, for the tests of the packet package."""

from __future__ import annotations

from typing import Any

from fingerpost.packet import (
    CategoryOutcome,
    CountsOutcome,
    HistogramOutcome,
    Kind,
    MomentsOutcome,
    NumberOutcome,
    Packet,
    Payload,
    Profile,
    ReportBits,
    ReportValue,
    SealedPayload,
    Signer,
    Withdrawn,
)

SIGNER = Signer(bytes(range(32)))
FINGERPRINT = bytes(range(32))


def packet(kind: Kind = Kind.OBSERVATION, profile: Profile = Profile.OPEN, **changes: Any) -> Packet:
    """Return a valid packet of that kind, with ``changes`` to its fields."""
    values: dict[str, Any] = {
        "kind": kind,
        "profile": profile,
        "epoch": 20_000,
        "ttl_days": 365,
        "cell": 7,
        "template_id": bytes(16),
        "nonce": bytes(range(16)),
        "emitter": SIGNER.public_key,
        "payload": Payload(outcome=CategoryOutcome(1), fingerprint=FINGERPRINT),
    }
    return Packet(**(values | changes))


def one_of_each_kind() -> list[Packet]:
    """Return packets of every kind, profile and outcome form, with different nonces."""
    plain: dict[str, Any] = {"fingerprint": FINGERPRINT, "conditions": (1, 0, 3), "action": 2}
    contents: list[tuple[Kind, Profile, Any]] = [
        (Kind.OBSERVATION, Profile.OPEN, Payload(outcome=CategoryOutcome(3), sketch=bytes(32), **plain)),
        (Kind.OBSERVATION, Profile.OPEN, Payload(outcome=NumberOutcome(-2.5), **plain)),
        (Kind.SUMMARY, Profile.K_ANONYMOUS, Payload(outcome=HistogramOutcome(2, (0, 3, 1)), **plain)),
        (Kind.SUMMARY, Profile.OPEN, Payload(outcome=MomentsOutcome(4, 1.5, 0.25), **plain)),
        (Kind.COUNTS, Profile.DP_AGGREGATE, Payload(outcome=CountsOutcome(1, (-3, 8)))),
        (Kind.REPORT, Profile.LOCAL_DP, Payload(outcome=ReportBits(b"\x05\xff"))),
        (Kind.REPORT, Profile.LOCAL_DP, Payload(outcome=ReportValue(9))),
        (Kind.WITHDRAWAL, Profile.CONSORTIUM, Payload(outcome=Withdrawn(bytes(32)), confidence=0)),
        (Kind.OBSERVATION, Profile.CONSORTIUM, SealedPayload(data=bytes(240))),
    ]
    return [
        packet(kind, profile, payload=payload, nonce=bytes([number]) * 16)
        for number, (kind, profile, payload) in enumerate(contents)
    ]
