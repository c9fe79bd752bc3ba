"""Identifiers: what is hashed, and how an id is written."""

from __future__ import annotations

import hashlib
from typing import NewType

from fingerpost.errors import UsageError

NodeId = NewType("NodeId", bytes)  # 32 bytes: BLAKE2s-256 of the whole public key
PublicKey = NewType("PublicKey", bytes)  # 32 bytes: Ed25519
PacketId = NewType("PacketId", bytes)  # 32 bytes: BLAKE2s-256 of the body of a packet
TemplateId = NewType("TemplateId", bytes)  # 16 bytes: BLAKE2s-128 of a canonical template
SpaceId = NewType("SpaceId", bytes)  # 16 bytes: BLAKE2s-128 of its situation, encoder and bits


def node_id(public_key: bytes) -> NodeId:
    """Return the node id of a raw 32-byte Ed25519 public key, never of a prefix or an encoding of it."""
    if len(public_key) != 32:
        raise UsageError("key-length", f"a public key has 32 bytes, this one {len(public_key)}")
    return NodeId(hashlib.blake2s(public_key).digest())


def from_hex(text: str, *, size: int, what: str) -> bytes:
    """Read exactly ``size`` bytes of lower- or upper-case hex; ``what`` names the id in the error."""
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    if len(value) != size or len(text) != 2 * size:
        raise UsageError("bad-id", f"{what} is {2 * size} hex digits, not {text[:80]!r}")
    return value
