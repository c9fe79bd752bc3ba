"""Identities that are made from a number, for whoever tests a carrier or a directory: the same in every process."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from nacl.signing import SigningKey

from fingerpost.ids import PublicKey


@dataclass(frozen=True, slots=True)
class NumberedIdentity:
    """A ``ChannelIdentity`` whose keys follow from ``number``. Anyone can compute them: for tests only."""

    number: int
    public_key: PublicKey = field(init=False)
    _key: SigningKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        seed = hashlib.blake2s(self.number.to_bytes(8, "big"), person=b"fptestid").digest()
        object.__setattr__(self, "_key", SigningKey(seed))
        object.__setattr__(self, "public_key", PublicKey(bytes(self._key.verify_key)))

    def sign(self, statement: bytes) -> bytes:
        """Return the Ed25519 signature of a statement, 64 bytes."""
        return bytes(self._key.sign(statement).signature)

    def channel_secret(self, label: bytes) -> bytes:
        """Return 32 bytes that follow from the number and the label."""
        return hashlib.blake2s(label, key=bytes(self._key)).digest()
