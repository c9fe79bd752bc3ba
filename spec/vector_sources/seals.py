"""Vectors of sealing: the keys that follow from an epoch key, and packets that open or stay closed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fingerpost.packet import (
    BODY_DTYPE,
    Kind,
    Packet,
    Payload,
    Profile,
    decode,
    open_sealed,
    packets_from_frame,
    seal_bodies,
    seal_commitment,
)
from fingerpost.privacy.seal import emitter_key, packet_secret
from spec.vector_sources.forging import observation_payload, packet, payload_fields, signed, spliced
from spec.vector_sources.packets import histogram, moments
from spec.vector_sources.vector import Vector, octets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EPOCH_KEY = octets("epoch key", 32)
COMMITMENT_OFFSET, CIPHERTEXT_OFFSET, TAG_OFFSET = 77, 93, 301

OPENED: dict[str, tuple[Kind, Callable[[], Payload]]] = {
    "a sealed observation opens with its secret": (Kind.OBSERVATION, observation_payload),
    "a sealed observation with a sketch opens": (
        Kind.OBSERVATION,
        lambda: observation_payload(sketch=octets("sketch", 32)),
    ),
    "a sealed summary opens": (Kind.SUMMARY, histogram),
    "a sealed summary of a number opens": (Kind.SUMMARY, moments),
}


def secret_of(sealed: Packet) -> bytes:
    """Return the secret of a packet under the epoch key of the vectors."""
    return packet_secret(emitter_key(EPOCH_KEY, sealed.template_id, sealed.emitter), sealed.nonce)


def sealed_packet(kind: Kind, payload: Payload) -> bytes:
    """Return a signed packet whose payload is sealed under the epoch key of the vectors."""
    plain = packet(kind=kind, profile=Profile.OPEN, payload=payload)
    bodies = np.frombuffer(plain.body(), BODY_DTYPE)
    return signed(seal_bodies(bodies, [secret_of(plain)]).tobytes())


def keys() -> Iterator[Vector]:
    """Yield what follows from an epoch key."""
    for name, template_id, emitter, nonce in (
        ("the keys of a sealed packet", octets("template", 16), octets("emitter", 32), octets("nonce", 16)),
        ("another emitter has other keys", octets("template", 16), octets("other emitter", 32), octets("nonce", 16)),
        ("another template has other keys", octets("other", 16), octets("emitter", 32), octets("nonce", 16)),
        ("another packet has another secret", octets("template", 16), octets("emitter", 32), bytes(16)),
    ):
        key = emitter_key(EPOCH_KEY, template_id, emitter)
        secret = packet_secret(key, nonce)
        yield Vector(
            name=name,
            purpose=f"Derives: {name}.",
            kind="seal-keys",
            input={
                "epoch_key": EPOCH_KEY.hex(),
                "template_id": template_id.hex(),
                "emitter": emitter.hex(),
                "nonce": nonce.hex(),
            },
            expect={
                "emitter_key": key.hex(),
                "secret": secret.hex(),
                "commitment": seal_commitment(secret).hex(),
            },
        )


def openings() -> Iterator[Vector]:
    """Yield packets that open with a secret, and some that do not."""
    for name, (kind, make) in OPENED.items():
        payload = make()
        data = sealed_packet(kind, payload)
        yield _vector(name, f"Opens: {name}.", data, secret_of(decode(data).packet), payload)
    good = sealed_packet(Kind.OBSERVATION, observation_payload())
    secret = secret_of(decode(good).packet)
    nonsense = bytearray(packet(kind=Kind.OBSERVATION, profile=Profile.OPEN, payload=observation_payload()).body())
    nonsense[77 + 3] = 9  # no form of outcome
    unsound = signed(seal_bodies(np.frombuffer(bytes(nonsense), BODY_DTYPE), [secret]).tobytes())
    for name, data, key in (
        ("another secret opens nothing", good, octets("other secret", 32)),
        ("another commitment, the rest untouched", _changed(good, COMMITMENT_OFFSET), secret),
        ("a bit of ciphertext changed", _changed(good, CIPHERTEXT_OFFSET), secret),
        ("a bit of the tag changed", _changed(good, TAG_OFFSET), secret),
        ("a ciphertext moved to another day", _changed(good, 5), secret),
        ("a ciphertext moved to another cell", _changed(good, 9), secret),
        ("what comes out is no payload", unsound, secret),
    ):
        assert_closed(data, key)
        yield _vector(name, f"Stays closed: {name}.", data, key, None)


def assert_closed(data: bytes, secret: bytes) -> None:
    """Raise ``AssertionError`` for a packet that opens although its vector says that it does not."""
    if open_sealed(packets_from_frame(data), [secret])[1].any():
        raise AssertionError("this packet opens")


def _changed(data: bytes, offset: int) -> bytes:
    body = spliced(data, offset, bytes([data[offset] ^ 1]))[:317]
    return signed(body)


def _vector(name: str, purpose: str, data: bytes, secret: bytes, payload: Payload | None) -> Vector:
    return Vector(
        name=name,
        purpose=purpose,
        kind="packet-open",
        input={"packet": data.hex(), "secret": secret.hex()},
        expect={"error": "seal-closed"} if payload is None else {"payload": payload_fields(payload)},
    )


FILES: dict[str, Callable[[], Iterator[Vector]]] = {"seal-keys.json": keys, "packet-seals.json": openings}
