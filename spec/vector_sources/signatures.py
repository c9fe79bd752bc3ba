"""Vectors of identity, batch trees and signatures, among them those on which Ed25519 libraries disagree."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from fingerpost.ids import node_id
from fingerpost.packet._batch import batch_message, path_of, tree_levels
from spec.vector_sources import edwards
from spec.vector_sources.forging import SEED, SIGNER, body_of, observation, poked, signed, signed_bodies, spliced
from spec.vector_sources.vector import Vector, octets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECRET = edwards.secret_scalar(SEED)
NONCE = int.from_bytes(octets("signature nonce", 32), "little") % edwards.ORDER


def identities() -> Iterator[Vector]:
    """Yield ids of packets and nodes."""
    for name, key in (("the vectors' emitter", SIGNER.public_key), ("32 zero bytes", bytes(32))):
        yield Vector(
            name=f"the node id of {name}",
            purpose="A node id is BLAKE2s-256 of the whole public key.",
            kind="node-id",
            input={"public_key": key.hex()},
            expect={"node_id": node_id(key).hex()},
        )
    bodies = [observation().body(), *_bodies(2)]
    for name, data in (("alone", signed(bodies[0])), ("in a batch", signed_bodies(bodies)[0])):
        yield Vector(
            name=f"the packet id of a packet signed {name}",
            purpose="A packet id is BLAKE2s-256 of the body, so that it stays the same under another proof.",
            kind="packet-id",
            input={"packet": data.hex()},
            expect={"packet_id": hashlib.blake2s(bodies[0]).hexdigest()},
        )


def digests() -> Iterator[Vector]:
    """Yield digests of BLAKE2s in all the forms that the specification uses."""
    for name, data, key, size in (
        ("abc, the example of RFC 7693", b"abc", b"", 32),
        ("no bytes", b"", b"", 32),
        ("one whole block", octets("block", 64), b"", 32),
        ("a byte more than a block", octets("block", 65), b"", 32),
        ("a body's length", octets("block", 317), b"", 32),
        ("16 bytes of digest", octets("block", 35), b"", 16),
        ("a key of 16 bytes", octets("block", 9), octets("key", 16), 32),
        ("a key and no bytes", b"", octets("key", 32), 32),
        ("a key and two whole blocks", octets("block", 128), octets("key", 16), 32),
    ):
        yield Vector(
            name=f"the BLAKE2s digest of {name}",
            purpose="BLAKE2s with its digest size and its key.",
            kind="blake2s",
            input={"data": data.hex(), "key": key.hex(), "size": size},
            expect={"digest": hashlib.blake2s(data, key=key, digest_size=size).hexdigest()},
        )


def trees() -> Iterator[Vector]:
    """Yield batch trees, and whole batches signed from their seed."""
    leaves = [octets(f"leaf {index}", 16) for index in range(256)]
    for size, index in ((1, 0), (2, 1), (3, 0), (3, 2), (5, 4), (128, 77), (129, 128), (256, 0), (256, 255)):
        levels = tree_levels(b"".join(leaves[:size]))
        yield Vector(
            name=f"the tree of {size} leaves seen from leaf {index}",
            purpose="Leaves give the root, the path of one leaf and the message that is signed.",
            kind="batch-tree",
            input={"leaves": [leaf.hex() for leaf in leaves[:size]], "leaf_index": index},
            expect={
                "root": levels[-1].hex(),
                "path": [node.hex() for node in path_of(levels, index)],
                "message": batch_message(levels[-1], leaf_last=size - 1).hex(),
            },
        )
    for size in (1, 2, 3):
        bodies = _bodies(size)
        yield Vector(
            name=f"signing a batch of {size}",
            purpose="Ed25519 signatures are deterministic, so a seed and bodies give the packets byte by byte.",
            kind="packet-sign",
            input={"seed": SEED.hex(), "bodies": [body.hex() for body in bodies]},
            expect={"packets": [packet.hex() for packet in signed_bodies(bodies)]},
        )


def verifications() -> Iterator[Vector]:
    """Yield packets that are well formed and either signed or not."""
    good = signed(observation().body())
    bodies = _bodies(256)
    yield _verified("a packet signed alone", good)
    for size, index in ((2, 0), (2, 1), (3, 2), (5, 4), (129, 128), (256, 255)):
        yield _verified(f"packet {index} of a signed batch of {size}", signed_bodies(bodies[:size])[index])
    yield _refused("a changed bit of the fingerprint", spliced(good, 87, bytes([good[87] ^ 1])))
    yield _refused("a changed bit of the nonce", poked(good, nonce=octets("other nonce", 16)))
    yield _refused("a changed cell", poked(good, cell=1))
    yield _refused("a changed epoch", poked(good, epoch=20_455))
    yield _refused("a signature of zeros", poked(good, signature=bytes(64)))
    yield _refused("the key of another node", poked(good, emitter=edwards.encoded(edwards.multiply(5, edwards.BASE))))
    of_three = signed_bodies(bodies[:3])
    yield _refused("the place of another packet", poked(of_three[0], leaf_index=1))
    yield _refused("another leaf count of the same depth", poked(of_three[0], leaf_last=3))
    yield _refused("a changed sibling", spliced(of_three[0], 320, octets("sibling", 16)))
    path = of_three[0][320:352]
    yield _refused("two siblings in the other order", spliced(of_three[0], 320, path[16:] + path[:16]))
    yield _refused("the signature of another batch", poked(of_three[0], signature=good[448:]))
    bare = hashlib.blake2s(body_of(good)).digest()[:16]
    yield _refused("a root signed without its context", poked(good, signature=SIGNER.sign(bare)))
    yield _refused("a packet id signed instead of a root", poked(good, signature=SIGNER.sign(_packet_id(good))))
    yield from _scalars_and_points(good)
    yield from _keys(good)


def _scalars_and_points(good: bytes) -> Iterator[Vector]:
    message, key = _message_of(body_of(good)), SIGNER.public_key
    scalar = int.from_bytes(good[480:512], "little")
    larger = (scalar + edwards.ORDER).to_bytes(32, "little")
    yield _refused("an S that is not reduced", spliced(good, 480, larger))
    mixed = edwards.signature(message, secret=SECRET, key=key, nonce=NONCE, offset=edwards.TORSION)
    yield _refused("an R that holds only up to the cofactor", poked(good, signature=mixed))
    small = edwards.signature(message, secret=SECRET, key=key, nonce=0)
    yield _refused("an R that is the neutral point", poked(good, signature=small))
    own = edwards.signature(message, secret=SECRET, key=key, nonce=NONCE)
    yield _verified("a signature with a nonce of its own", poked(good, signature=own))


def _keys(good: bytes) -> Iterator[Vector]:
    for order, factor in ((8, 1), (4, 2), (2, 4), (1, 8)):
        key = edwards.encoded(edwards.multiply(factor, edwards.TORSION))
        yield _refused(f"a key of order {order}", _signed_under(good, key, secret=0)[0], code="packet-key")
    not_reduced = (edwards.PRIME + 3).to_bytes(32, "little")
    yield _refused("a key whose y is not reduced", poked(good, emitter=not_reduced), code="packet-key")
    off_curve = next(y for y in range(2, 100) if edwards.point_at(y, odd=0) is None).to_bytes(32, "little")
    yield _refused("a key that is no point of the curve", poked(good, emitter=off_curve), code="packet-key")
    key = edwards.encoded(edwards.add(edwards.multiply(SECRET, edwards.BASE), edwards.TORSION))
    found: dict[bool, bytes] = {}
    for attempt in range(64):
        candidate, k = _signed_under(poked(good, nonce=octets(f"attempt {attempt}", 16)), key, secret=SECRET)
        found.setdefault(k % 8 == 0, candidate)
    yield _verified("a key with a part of small order whose equation holds exactly", found[True])
    yield _refused("a key with a part of small order whose equation holds up to the cofactor", found[False])


def _signed_under(data: bytes, key: bytes, *, secret: int) -> tuple[bytes, int]:
    """Return the packet signed by ``secret`` as if that belonged to ``key``, and the challenge k."""
    body = poked(body_of(data), emitter=key)
    message = _message_of(body)
    signature = edwards.signature(message, secret=secret, key=key, nonce=NONCE)
    packet = spliced(body + data[317:], 448, signature)
    return packet, edwards.challenge(signature[:32], key, message)


def _message_of(body: bytes) -> bytes:
    return batch_message(hashlib.blake2s(body).digest()[:16], leaf_last=0)


def _packet_id(data: bytes) -> bytes:
    return hashlib.blake2s(body_of(data)).digest()


def _bodies(size: int) -> list[bytes]:
    return [poked(observation().body(), nonce=octets(f"nonce {index}", 16)) for index in range(size)]


def _verified(name: str, data: bytes) -> Vector:
    return Vector(
        name=name,
        purpose=f"The signature holds: {name}.",
        kind="packet-verify",
        input={"packet": data.hex()},
        expect={"valid": True},
    )


def _refused(name: str, data: bytes, *, code: str = "packet-signature") -> Vector:
    return Vector(
        name=name,
        purpose=f"Decodes, but is refused with {code}: {name}.",
        kind="packet-verify",
        input={"packet": data.hex()},
        expect={"error": code},
    )


FILES: dict[str, Callable[[], Iterator[Vector]]] = {
    "blake2s.json": digests,
    "packet-identity.json": identities,
    "packet-batches.json": trees,
    "packet-signatures.json": verifications,
}
