"""What the two ends of a ZeroMQ connection say before the first frame. No I/O here.

::

    opener                                    listener
    OPENING + nonce (32 bytes)            ->
                                          <-  challenge (32 bytes)
    proof of the opener (96 bytes)        ->                          signs the challenge
                                          <-  proof of the listener   signs the nonce
    frames                               <->  frames

Both proofs are bound to both ends (their CURVE keys; without CURVE the nonce and the listener's identity), so that
nobody can pass them on, and each to fresh bytes of the other end, so that none can be shown twice.
"""

from __future__ import annotations

from dataclasses import dataclass

from fingerpost.carrier.base import ChannelIdentity
from fingerpost.carrier.proof import ChannelBinding, check_proof, make_proof
from fingerpost.ids import PublicKey

OPENING = b"fingerpost-zeromq-1\0"
NONCE_SIZE_BYTES = 32
OPENING_SIZE_BYTES = len(OPENING) + NONCE_SIZE_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """The two ends of one connection, as both see them.

    ``opener_key`` and ``listener_key`` are CURVE keys that the connection has authenticated, empty without CURVE.
    """

    carrier: str
    network_id: str
    opener_key: bytes
    listener_key: bytes
    listener: PublicKey
    nonce: bytes

    def prove_opener(self, identity: ChannelIdentity, challenge: bytes) -> bytes:
        """Return what the opener answers to a challenge."""
        return make_proof(identity, self._binding("opener", challenge))

    def check_opener(self, proof: bytes, challenge: bytes) -> PublicKey | None:
        """Return the identity that the opener has proved, or None."""
        return check_proof(proof, self._binding("opener", challenge))

    def prove_listener(self, identity: ChannelIdentity) -> bytes:
        """Return what the listener shows to an opener that has proved itself."""
        return make_proof(identity, self._binding("listener", self.nonce))

    def check_listener(self, proof: bytes) -> PublicKey | None:
        """Return the identity that the listener has proved, or None."""
        return check_proof(proof, self._binding("listener", self.nonce))

    def _binding(self, end: str, challenge: bytes) -> ChannelBinding:
        return ChannelBinding(
            carrier=f"{self.carrier} {end}",
            network_id=self.network_id,
            opener=self.opener_key or self.nonce,
            listener=self.listener_key or self.listener,
            challenge=challenge,
        )


def opening(nonce: bytes) -> bytes:
    """Return the first message of a connection."""
    return OPENING + nonce


def read_opening(message: bytes) -> bytes | None:
    """Return the nonce of a first message, or None when it is none; the bytes may be hostile."""
    if len(message) != OPENING_SIZE_BYTES or not message.startswith(OPENING):
        return None
    return message[len(OPENING) :]
