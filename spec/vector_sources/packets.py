"""Vectors of decoding: packets that are accepted, with every field, and packets refused, each for one reason."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

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
    Withdrawn,
    decode,
)
from spec.vector_sources.forging import (
    PAYLOAD_OFFSET,
    fields_of,
    observation,
    observation_payload,
    packet,
    poked,
    signed,
    signed_bodies,
    spliced,
)
from spec.vector_sources.vector import Vector, octets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FINGERPRINT = octets("fingerprint", 32)
OUTCOME_OFFSET = PAYLOAD_OFFSET + 10 + 32 + 4  # of the observation in forging: 256 bits, no sketch, two conditions


def summary(payload: Payload, *, profile: Profile = Profile.OPEN) -> Packet:
    """Return a summary."""
    return packet(kind=Kind.SUMMARY, profile=profile, payload=payload)


def histogram(first_level: int = 0, counts: tuple[int, ...] = (7, 0, 3)) -> Payload:
    """Return the payload of a summary of a category."""
    return Payload(outcome=HistogramOutcome(first_level, counts), fingerprint=FINGERPRINT)


def moments(n: int = 12, mean: float = 131.25, m2: float = 840.5) -> Payload:
    """Return the payload of a summary of a number."""
    return Payload(outcome=MomentsOutcome(n, mean, m2), fingerprint=FINGERPRINT)


def counts(values: tuple[int, ...] = (41, -3, 12), *, first_level: int = 0, fingerprint: bytes = b"") -> Packet:
    """Return noisy counts."""
    payload = Payload(outcome=CountsOutcome(first_level, values), fingerprint=fingerprint)
    return packet(kind=Kind.COUNTS, profile=Profile.DP_AGGREGATE, payload=payload)


def report(outcome: ReportBits | ReportValue) -> Packet:
    """Return a randomised report."""
    return packet(kind=Kind.REPORT, profile=Profile.LOCAL_DP, payload=Payload(outcome=outcome))


def withdrawal(*, profile: Profile = Profile.OPEN) -> Packet:
    """Return the withdrawal of the worked example."""
    withdrawn = Payload(outcome=Withdrawn(observation().packet_id), confidence=0)
    return packet(kind=Kind.WITHDRAWAL, profile=profile, payload=withdrawn)


def sealed(kind: Kind, *, data: bytes = octets("ciphertext", 240)) -> Packet:
    """Return a packet whose payload only the members of a consortium can read."""
    return packet(kind=kind, profile=Profile.CONSORTIUM, payload=SealedPayload(data=data))


ACCEPTED: dict[str, Callable[[], Packet]] = {
    "the worked example of the specification: an open observation of a category": observation,
    "an observation of a number": lambda: observation(outcome=NumberOutcome(-12.5)),
    "a number outcome of the largest finite value": lambda: observation(outcome=NumberOutcome(1.7976931348623157e308)),
    "a number outcome of the smallest value below zero": lambda: observation(outcome=NumberOutcome(-5e-324)),
    "a number outcome of zero": lambda: observation(outcome=NumberOutcome(0.0)),
    "an observation without an action": lambda: observation(action=0),
    "an action of the last possible level": lambda: observation(action=4096),
    "a category outcome of the last possible level": lambda: observation(outcome=CategoryOutcome(4096)),
    "a condition of the last possible level": lambda: observation(conditions=(4096,)),
    "an observation without conditions": lambda: observation(conditions=()),
    "sixteen conditions": lambda: observation(conditions=tuple(range(16))),
    "a fingerprint of one word": lambda: observation(fingerprint=octets("short", 8)),
    "a fingerprint of sixteen words": lambda: observation(fingerprint=octets("long", 128)),
    "a fingerprint with a sketch": lambda: observation(sketch=octets("sketch", 32)),
    "a confidence of zero": lambda: observation(confidence=0),
    "a sealed observation": lambda: sealed(Kind.OBSERVATION),
    "a sealed summary": lambda: sealed(Kind.SUMMARY),
    "sealed counts": lambda: sealed(Kind.COUNTS),
    "a sealed payload is opaque whatever its bytes": lambda: sealed(Kind.OBSERVATION, data=b"\xff" * 240),
    "a summary of a category": lambda: summary(histogram()),
    "a summary of a category under k-anonymity": lambda: summary(histogram(), profile=Profile.K_ANONYMOUS),
    "a part of a histogram that starts at a later level": lambda: summary(histogram(40, (0, 65535))),
    "a histogram that ends at the last possible level": lambda: summary(histogram(4094, (1, 2))),
    "a summary of a number": lambda: summary(moments()),
    "moments of a single record": lambda: summary(moments(1, -0.5, 0.0)),
    "moments of as many records as the field can hold": lambda: summary(moments(2**32 - 1)),
    "noisy counts below zero": counts,
    "noisy counts at both ends of their range": lambda: counts((-(2**31), 2**31 - 1)),
    "noisy counts that are all zero": lambda: counts((0, 0)),
    "noisy counts with the fingerprint of their cell": lambda: counts(fingerprint=FINGERPRINT),
    "noisy counts that start at a later level": lambda: counts(first_level=4093),
    "counts under the open profile": lambda: packet(
        kind=Kind.COUNTS, profile=Profile.OPEN, payload=Payload(outcome=CountsOutcome(0, (5, 6)))
    ),
    "a report of randomised bits": lambda: report(ReportBits(octets("report", 32))),
    "a report of a randomised value": lambda: report(ReportValue(2**32 - 1)),
    "a withdrawal": withdrawal,
    "a withdrawal under the consortium profile is not sealed": lambda: withdrawal(profile=Profile.CONSORTIUM),
    "a withdrawal under local differential privacy": lambda: withdrawal(profile=Profile.LOCAL_DP),
    "a payload that fills its 240 bytes": lambda: report(ReportBits(octets("full", 230))),
    "the longest time to live": lambda: packet(
        kind=Kind.OBSERVATION, profile=Profile.OPEN, payload=observation_payload(), ttl_days=3650
    ),
    "the shortest time to live": lambda: packet(
        kind=Kind.OBSERVATION, profile=Profile.OPEN, payload=observation_payload(), ttl_days=1
    ),
    "the last epoch": lambda: packet(
        kind=Kind.OBSERVATION, profile=Profile.OPEN, payload=observation_payload(), epoch=65535
    ),
    "the last cell": lambda: packet(
        kind=Kind.OBSERVATION, profile=Profile.OPEN, payload=observation_payload(), cell=2**32 - 1
    ),
}


def accepted() -> Iterator[Vector]:
    """Yield packets that decode, alone and in batches."""
    for name, make in ACCEPTED.items():
        yield _accepted(name, f"Decodes: {name}.", signed(make().body()))
    bodies = _bodies(256)
    for size, index in ((2, 0), (2, 1), (3, 2), (5, 4), (256, 255)):
        yield _accepted(
            f"leaf {index} of a batch of {size}",
            "Decodes: index, depth, leaf count and path agree; siblings beyond the last leaf are zero.",
            signed_bodies(bodies[:size])[index],
        )


def refused_for_its_frame() -> Iterator[Vector]:
    """Yield bytes that are refused for their length, their header or their place in a batch."""
    good = signed(observation().body())
    for size in (0, 511, 513):
        yield _refused(f"a packet of {size} bytes", "packet-length", (good + b"\0")[:size])
    yield _refused("bytes that start otherwise", "packet-magic", signed(poked(good, magic=b"FQ")[:317]))
    yield _refused("version zero", "packet-version", _resigned(good, version=0))
    yield _refused("a later version", "packet-version", _resigned(good, version=2))
    yield _refused("kind zero", "packet-kind", _resigned(good, kind=0))
    yield _refused("an unknown kind", "packet-kind", _resigned(good, kind=6))
    yield _refused("an unknown profile", "packet-profile", _resigned(good, profile=5))
    yield from _forbidden_kinds()
    yield _refused("no time to live", "packet-ttl", _resigned(good, ttl_days=0))
    yield _refused("a time to live beyond ten years", "packet-ttl", _resigned(good, ttl_days=3651))
    yield _refused(
        "of several broken rules the first is named",
        "packet-version",
        _resigned(good, version=9, kind=9, profile=9, ttl_days=0, outcome_form=9),
    )
    third = signed_bodies(_bodies(3))[2]
    first_of_three = signed_bodies(_bodies(3))[0]
    yield _refused("a depth below that of the leaf count", "packet-proof", poked(first_of_three, depth=1))
    yield _refused("a depth above that of the leaf count", "packet-proof", poked(first_of_three, depth=3))
    yield _refused("a depth of nine", "packet-proof", poked(first_of_three, depth=9))
    yield _refused("a leaf beyond the last", "packet-proof", poked(third, leaf_index=3))
    yield _refused("a sibling beyond the last leaf that is not zero", "packet-proof", spliced(third, 320 + 15, b"\1"))
    yield _refused("a path that goes on above the root", "packet-proof", spliced(third, 320 + 32, b"\1"))
    yield _refused("a path in a batch of one", "packet-proof", spliced(good, 320 + 127, b"\1"))


def refused_for_its_payload() -> Iterator[Vector]:
    """Yield packets that are refused for their payload."""
    yield from _payload_headers()
    yield from _outcomes()
    yield from _numbers()
    yield from _contents_of_withdrawals()


def _forbidden_kinds() -> Iterator[Vector]:
    forbidden: list[tuple[Packet, tuple[int, ...]]] = [
        (observation(), (2, 3, 4)),
        (summary(histogram()), (3, 4)),
        (counts(), (2, 4)),
        (report(ReportValue(1)), (0, 1, 2, 3)),
    ]
    for good, profiles in forbidden:
        for profile in profiles:
            kind_name, profile_name = good.kind.name.lower(), Profile(profile).name.lower().replace("_", "-")
            yield _refused(
                f"{kind_name} under profile {profile_name}", "packet-profile", _resigned(good.body(), profile=profile)
            )


def _payload_headers() -> Iterator[Vector]:
    good = observation().body()
    long = observation(fingerprint=octets("long", 128)).body()
    first_condition = PAYLOAD_OFFSET + 10 + 32
    yield _refused("a fingerprint of seventeen words", "packet-payload", _resigned(good, fingerprint_words=17))
    yield _refused("a sketch of 31 bytes", "packet-payload", _resigned(good, sketch_bytes=31))
    yield _refused("seventeen conditions", "packet-payload", _resigned(good, condition_count=17))
    yield _refused(
        "a payload of more than 240 bytes",
        "packet-payload",
        signed(poked(summary(histogram()).body(), fingerprint_words=16, outcome_items=52)),
    )
    yield _refused("an action beyond the last possible level", "packet-payload", _resigned(good, action=4097))
    yield _refused(
        "a condition beyond the last possible level",
        "packet-payload",
        signed(spliced(good, first_condition, struct.pack("<H", 4097))),
    )
    yield _refused("an observation without a fingerprint", "packet-payload", signed(_without_fingerprint(good, 6)))
    yield _refused(
        "a summary without a fingerprint",
        "packet-payload",
        signed(_without_fingerprint(summary(histogram()).body(), 6)),
    )
    yield _refused(
        "a sketch in clear under k-anonymity",
        "packet-profile",
        _resigned(
            summary(
                Payload(outcome=HistogramOutcome(0, (9, 9)), fingerprint=FINGERPRINT, sketch=octets("sketch", 32))
            ).body(),
            profile=2,
        ),
    )
    yield _refused(
        "a byte after the outcome that is not zero", "packet-padding", signed(spliced(good, OUTCOME_OFFSET + 2, b"\1"))
    )
    yield _refused("a last byte of the payload that is not zero", "packet-padding", signed(spliced(long, 316, b"\x80")))


def _outcomes() -> Iterator[Vector]:
    good = observation().body()
    of_counts = summary(histogram()).body()
    yield _refused("no outcome", "packet-outcome", signed(_without_outcome(good)))
    yield _refused("an unknown form of outcome", "packet-outcome", _resigned(good, outcome_form=9))
    yield _refused("a category of no items", "packet-outcome", _resigned(good, outcome_items=0))
    yield _refused("two categories", "packet-outcome", _resigned(good, outcome_items=2))
    yield _refused("a histogram of no items", "packet-outcome", _resigned(of_counts, outcome_items=0))
    yield _refused("a first level for a category", "packet-outcome", _resigned(good, first_level=1))
    yield _refused(
        "a histogram beyond the last possible level", "packet-outcome", _resigned(of_counts, first_level=4094)
    )
    yield _refused("category zero", "packet-outcome", signed(spliced(good, OUTCOME_OFFSET, b"\0\0")))
    yield _refused(
        "a category beyond the last possible level",
        "packet-outcome",
        signed(spliced(good, OUTCOME_OFFSET, struct.pack("<H", 4097))),
    )
    yield _refused(
        "a histogram of no records", "packet-outcome", signed(spliced(of_counts, PAYLOAD_OFFSET + 42, bytes(6)))
    )
    for kind, body in (
        ("observation", of_counts),
        ("summary", good),
        ("counts", of_counts),
        ("withdrawal", good),
    ):
        number = Kind[kind.upper()]
        yield _refused(f"a form of outcome that is not for kind {kind}", "packet-outcome", _resigned(body, kind=number))
    yield _refused(
        "a form of outcome that is not for kind report",
        "packet-outcome",
        _resigned(counts().body(), kind=Kind.REPORT, profile=Profile.LOCAL_DP),
    )


def _numbers() -> Iterator[Vector]:
    number = observation(outcome=NumberOutcome(1.0)).body()
    of_moments = summary(moments()).body()
    start = PAYLOAD_OFFSET + 42
    special = {
        "not a number": "000000000000f87f",
        "a signalling not-a-number": "010000000000f07f",
        "plus infinity": "000000000000f07f",
        "minus infinity": "000000000000f0ff",
        "minus zero": "0000000000000080",
    }
    for name, octet_text in special.items():
        value = bytes.fromhex(octet_text)
        yield _refused(
            f"a number outcome that is {name}", "packet-outcome", signed(spliced(number, OUTCOME_OFFSET, value))
        )
        yield _refused(f"a mean that is {name}", "packet-outcome", signed(spliced(of_moments, start + 4, value)))
        yield _refused(f"an m2 that is {name}", "packet-outcome", signed(spliced(of_moments, start + 12, value)))
    yield _refused("moments of no records", "packet-outcome", signed(spliced(of_moments, start, bytes(4))))
    negative = struct.pack("<d", -1e-9)
    yield _refused("an m2 below zero", "packet-outcome", signed(spliced(of_moments, start + 12, negative)))


def _contents_of_withdrawals() -> Iterator[Vector]:
    good = withdrawal().body()
    withdrawn = good[PAYLOAD_OFFSET + 10 : PAYLOAD_OFFSET + 42]
    for name, header, before in (
        ("fingerprint", {"fingerprint_words": 1}, bytes(8)),
        ("sketch", {"sketch_bytes": 32}, bytes(32)),
        ("condition", {"condition_count": 1}, bytes(2)),
        ("confidence", {"confidence": 1}, b""),
        ("action", {"action": 1}, b""),
    ):
        body = spliced(poked(good, **header), PAYLOAD_OFFSET + 10, before + withdrawn)
        yield _refused(f"a withdrawal with a {name}", "packet-payload", signed(body))


def _bodies(size: int) -> list[bytes]:
    return [poked(observation().body(), nonce=octets(f"nonce {index}", 16)) for index in range(size)]


def _resigned(data: bytes, **changes: int | bytes) -> bytes:
    return signed(poked(data[:317], **changes))


def _without_fingerprint(body: bytes, outcome_size: int) -> bytes:
    """Return a body whose fingerprint and conditions are gone while its outcome is still there."""
    payload = body[PAYLOAD_OFFSET:]
    count = payload[2]
    start = 10 + 8 * payload[0] + 2 * count
    moved = poked(body, fingerprint_words=0, condition_count=0)[PAYLOAD_OFFSET : PAYLOAD_OFFSET + 10]
    moved += payload[start : start + outcome_size]
    return body[:PAYLOAD_OFFSET] + moved.ljust(240, b"\0")


def _without_outcome(body: bytes) -> bytes:
    return spliced(poked(body, outcome_form=0, outcome_items=0), OUTCOME_OFFSET, b"\0\0")


def _accepted(name: str, purpose: str, data: bytes) -> Vector:
    decoded = decode(data)
    return Vector(
        name=name,
        purpose=purpose,
        kind="packet-decode",
        input={"packet": data.hex()},
        expect={
            "fields": fields_of(decoded),
            "packet_id": decoded.packet_id.hex(),
            "node_id": decoded.packet.node_id.hex(),
        },
    )


def _refused(name: str, code: str, data: bytes) -> Vector:
    return Vector(
        name=name,
        purpose=f"Refused with {code}: {name}.",
        kind="packet-decode",
        input={"packet": data.hex()},
        expect={"error": code},
    )


FILES: dict[str, Callable[[], Iterator[Vector]]] = {
    "packet-accepted.json": accepted,
    "packet-refused-frame.json": refused_for_its_frame,
    "packet-refused-payload.json": refused_for_its_payload,
}
