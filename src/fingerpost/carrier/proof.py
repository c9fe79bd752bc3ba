"""The proof that the other end of a channel is the node it says it is, shared by all carriers that need one.

A carrier first gets a channel to whoever holds a channel key (CURVE, TLS, X25519). The end that opened it then shows a
``ChannelProof``: its Ed25519 key, and a signature over what makes this channel unlike any other. A proof that is
recorded and shown on another channel does not verify there.
"""

from __future__ import annotations

from dataclasses import dataclass

from nacl.exceptions import CryptoError
from nacl.signing import VerifyKey

from fingerpost.carrier.base import ChannelIdentity
from fingerpost.ids import PublicKey

PROOF_SIZE_BYTES = 96
_LABEL = b"fingerpost channel proof\0"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelBinding:
    """What makes a channel unlike any other: all of it is signed.

    ``opener`` is a key or a nonce of the end that opened the channel, ``listener`` the channel key of the other end,
    ``challenge`` fresh bytes of the listener where the opener has no key of its own.
    """

    carrier: str
    network_id: str
    opener: bytes
    listener: bytes
    challenge: bytes = b""

    def statement(self) -> bytes:
        """Return the bytes to sign; every part carries its length, so that no two bindings share them."""
        parts = (self.carrier.encode(), self.network_id.encode(), self.opener, self.listener, self.challenge)
        return _LABEL + b"".join(len(part).to_bytes(2, "big") + part for part in parts)


def make_proof(identity: ChannelIdentity, binding: ChannelBinding) -> bytes:
    """Return the 96 bytes that prove ``identity`` on the channel of ``binding``: public key and signature."""
    return identity.public_key + identity.sign(binding.statement())


def check_proof(proof: bytes, binding: ChannelBinding) -> PublicKey | None:
    """Return the identity that a proof proves on this channel, or None; the bytes may be hostile."""
    if len(proof) != PROOF_SIZE_BYTES:
        return None
    try:
        VerifyKey(proof[:32]).verify(binding.statement(), proof[32:])
    except CryptoError:
        return None
    return PublicKey(proof[:32])
