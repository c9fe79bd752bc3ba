"""Vectors of the plaintext inside a sealed payload: 208 bytes with the layout of a plain one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fingerpost.packet import PLAINTEXT_SIZE_BYTES, HistogramOutcome, NumberOutcome, Payload, ReportBits
from spec.vector_sources.forging import observation_payload, payload_fields
from spec.vector_sources.vector import Vector, octets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ACCEPTED: dict[str, Callable[[], Payload]] = {
    "the plaintext of a sealed observation": observation_payload,
    "a plaintext with a sketch": lambda: observation_payload(sketch=octets("sketch", 32)),
    "a plaintext that fills its 208 bytes": lambda: Payload(
        outcome=HistogramOutcome(0, tuple(range(31))), fingerprint=octets("long", 128), conditions=(1, 2, 3, 4)
    ),
    "a plaintext with a number": lambda: observation_payload(outcome=NumberOutcome(0.1)),
}


def plaintexts() -> Iterator[Vector]:
    """Yield plaintexts that decode, and some that do not."""
    for name, make in ACCEPTED.items():
        payload = make()
        data = payload.to_bytes(size=PLAINTEXT_SIZE_BYTES)
        yield _vector(name, f"Decodes: {name}.", data, {"payload": payload_fields(payload)})
    full = Payload(outcome=ReportBits(octets("full", 230))).to_bytes()
    good = observation_payload().to_bytes(size=PLAINTEXT_SIZE_BYTES)
    for name, code, data in (
        ("a plaintext whose content goes on after its end", "packet-payload", full[:PLAINTEXT_SIZE_BYTES]),
        ("a plaintext of 207 bytes", "packet-payload", good[:-1]),
        ("a plaintext with a last byte that is not zero", "packet-padding", good[:-1] + b"\1"),
    ):
        yield _vector(name, f"Refused with {code}: {name}.", data, {"error": code})


def _vector(name: str, purpose: str, data: bytes, expect: dict[str, object]) -> Vector:
    return Vector(name=name, purpose=purpose, kind="payload-decode", input={"payload": data.hex()}, expect=expect)


FILES: dict[str, Callable[[], Iterator[Vector]]] = {"packet-plaintexts.json": plaintexts}
