"""Hypothesis strategies for packets: every valid one, and bytes that are nearly one.

Needs hypothesis, which fingerpost itself does not.
"""

from __future__ import annotations

from hypothesis import strategies as st

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
    Signer,
    Withdrawn,
    encode,
    sign_batch,
)

SIGNERS = tuple(Signer(bytes([number]) * 32) for number in range(3))

LEVELS_MAX = 4_096
PROFILES_OF_PLAIN_KIND = {
    Kind.OBSERVATION: [Profile.OPEN],
    Kind.SUMMARY: [Profile.OPEN, Profile.K_ANONYMOUS],
    Kind.COUNTS: [Profile.OPEN, Profile.DP_AGGREGATE],
    Kind.REPORT: [Profile.LOCAL_DP],
    Kind.WITHDRAWAL: list(Profile),
}

finite_numbers = st.floats(allow_nan=False, allow_infinity=False)


def outcomes(kind: Kind) -> st.SearchStrategy[Outcome]:
    """Return outcomes in every form that ``kind`` allows."""
    first_levels = st.integers(0, LEVELS_MAX - 12)
    match kind:
        case Kind.OBSERVATION:
            return st.builds(CategoryOutcome, st.integers(1, LEVELS_MAX)) | st.builds(NumberOutcome, finite_numbers)
        case Kind.SUMMARY:
            counts = st.lists(st.integers(0, 65_535), min_size=1, max_size=12).filter(any).map(tuple)
            moments = st.tuples(st.integers(1, 2**32 - 1), finite_numbers, finite_numbers.map(abs))
            return st.builds(HistogramOutcome, first_levels, counts) | moments.map(lambda each: MomentsOutcome(*each))
        case Kind.COUNTS:
            noisy = st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1, max_size=12).map(tuple)
            return st.builds(CountsOutcome, first_levels, noisy)
        case Kind.REPORT:
            bits = st.binary(min_size=1, max_size=20)
            return st.builds(ReportBits, bits) | st.builds(ReportValue, st.integers(0, 2**32 - 1))
        case Kind.WITHDRAWAL:
            return st.builds(Withdrawn, st.binary(min_size=32, max_size=32))


@st.composite
def payloads_of(draw: st.DrawFn, kind: Kind, profile: Profile) -> Payload | SealedPayload:
    """Draw a payload that a packet of this kind has under this profile."""
    if profile == Profile.CONSORTIUM and kind != Kind.WITHDRAWAL:
        return SealedPayload(data=draw(st.binary(min_size=240, max_size=240)))
    outcome = draw(outcomes(kind))
    if kind == Kind.WITHDRAWAL:
        return Payload(outcome=outcome, confidence=0)
    least = 1 if kind in (Kind.OBSERVATION, Kind.SUMMARY) else 0
    words = draw(st.sampled_from([least, 4, 16]))
    with_sketch = profile == Profile.OPEN and draw(st.booleans())
    return Payload(
        outcome=outcome,
        fingerprint=draw(st.binary(min_size=8 * words, max_size=8 * words)),
        sketch=draw(st.binary(min_size=32, max_size=32)) if with_sketch else b"",
        conditions=tuple(draw(st.lists(st.integers(0, LEVELS_MAX), max_size=9))),
        action=draw(st.integers(0, LEVELS_MAX)),
        confidence=draw(st.integers(0, 255)),
    )


@st.composite
def packets(draw: st.DrawFn, *, signer: Signer | None = None) -> Packet:
    """Draw a valid packet of any kind and profile; its emitter is ``signer``, or one of ``SIGNERS``."""
    kind = draw(st.sampled_from(Kind))
    profiles = PROFILES_OF_PLAIN_KIND[kind]
    if kind != Kind.REPORT:
        profiles = [*profiles, Profile.CONSORTIUM]
    profile = draw(st.sampled_from(profiles))
    emitter = signer or draw(st.sampled_from(SIGNERS))
    return Packet(
        kind=kind,
        profile=profile,
        epoch=draw(st.integers(0, 65_535)),
        ttl_days=draw(st.integers(1, 3_650)),
        cell=draw(st.integers(0, 2**32 - 1)),
        template_id=draw(st.binary(min_size=16, max_size=16)),
        nonce=draw(st.binary(min_size=16, max_size=16)),
        emitter=emitter.public_key,
        payload=draw(payloads_of(kind, profile)),
    )


@st.composite
def encoded_packets(draw: st.DrawFn) -> bytes:
    """Draw the 512 bytes of a valid packet: one of a batch of up to five."""
    signer = draw(st.sampled_from(SIGNERS))
    size = draw(st.integers(1, 5))
    batch = [draw(packets(signer=signer)), *(_filler(signer, number) for number in range(size - 1))]
    return encode(sign_batch(batch, signer)[0])


@st.composite
def nearly_packets(draw: st.DrawFn) -> bytes:
    """Draw 512 bytes that are a packet but for a few bytes, most of them in its headers."""
    octets = bytearray(draw(encoded_packets()))
    places = st.integers(0, 511) | st.integers(0, 9) | st.integers(77, 100) | st.integers(317, 340)
    values = st.integers(0, 255) | st.sampled_from([0, 1, 2, 3, 4, 5, 6, 7, 8, 16, 32, 64, 128, 255])
    for at, value in draw(st.lists(st.tuples(places, values), max_size=4)):
        octets[at] = value
    return bytes(octets)


def any_bytes() -> st.SearchStrategy[bytes]:
    """Return bytes of any length: noise, noise behind a header, and nearly packets, also cut or with more behind."""
    noise = st.binary(max_size=600)
    headed = st.builds(
        lambda header, rest: (header + rest)[:512].ljust(512, b"\0"),
        st.sampled_from([b"FP\x01" + bytes([kind, profile]) for kind in range(7) for profile in range(6)]),
        st.binary(min_size=400, max_size=512),
    )
    cut = st.builds(lambda data, size: (data + data)[:size], nearly_packets(), st.integers(0, 600))
    return noise | headed | nearly_packets() | cut


def _filler(signer: Signer, number: int) -> Packet:
    return Packet(
        kind=Kind.REPORT,
        profile=Profile.LOCAL_DP,
        epoch=0,
        ttl_days=1,
        template_id=bytes(16),
        nonce=number.to_bytes(16, "little"),
        emitter=signer.public_key,
        payload=Payload(outcome=ReportValue(number)),
    )
