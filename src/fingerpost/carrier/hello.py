"""How both ends of a connection prove their Ed25519 identities, once the opener has made sure of a channel key if any.

::

    listener -> opener   challenge: 32 fresh bytes
    opener -> listener   hello: 32 fresh bytes of the opener, then a ChannelProof (96 bytes)
    listener -> opener   welcome: a ChannelProof of the listener, once the opener is admitted

Every proof is bound to its side, the carrier, the network, both random values and the listener's channel key. So a
listener that shows its own TLS key under the name of another node gets a hello, and not one frame.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass, field
from typing import TypeVar

from fingerpost.carrier.base import ChannelIdentity
from fingerpost.carrier.proof import PROOF_SIZE_BYTES, ChannelBinding, check_proof, make_proof
from fingerpost.ids import PublicKey

HELLO_SECONDS_MAX = 5.0
PENDING_HELLOS_MAX = 64
NONCE_SIZE_BYTES = 32
HELLO_SIZE_BYTES = NONCE_SIZE_BYTES + PROOF_SIZE_BYTES

Waiting = TypeVar("Waiting")


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeting:
    """What the proofs of one connection are bound to. ``challenge`` is fresh, of the listener; ``opener`` likewise.

    The listener starts one for each connection; the opener makes its own from the challenge it gets. ``listener_key``
    is the channel key that the opener has checked, or the listener's public key on a connection that has none: else
    whoever is dialled could pass the opener's proof on to a third node, and be taken for the opener there.
    """

    carrier: str
    network_id: str
    listener_key: bytes
    challenge: bytes = field(default_factory=lambda: secrets.token_bytes(NONCE_SIZE_BYTES))
    opener: bytes = field(default_factory=lambda: secrets.token_bytes(NONCE_SIZE_BYTES))

    def hello(self, identity: ChannelIdentity) -> bytes:
        """Return what the opener answers to the challenge."""
        return self.opener + make_proof(identity, self._binding("opener", self.opener))

    def check_hello(self, hello: bytes) -> PublicKey | None:
        """Return the identity that a hello proves, or None; the bytes may be hostile."""
        if len(hello) != HELLO_SIZE_BYTES:
            return None
        opener, proof = hello[:NONCE_SIZE_BYTES], hello[NONCE_SIZE_BYTES:]
        return check_proof(proof, self._binding("opener", opener))

    def welcome(self, identity: ChannelIdentity, hello: bytes) -> bytes:
        """Return what the listener answers to a hello that it has checked."""
        return make_proof(identity, self._binding("listener", hello[:NONCE_SIZE_BYTES]))

    def check_welcome(self, welcome: bytes) -> PublicKey | None:
        """Return the identity that a welcome proves, or None; the bytes may be hostile."""
        return check_proof(welcome, self._binding("listener", self.opener))

    def _binding(self, side: str, opener: bytes) -> ChannelBinding:
        return ChannelBinding(
            carrier=f"{self.carrier} {side}",
            network_id=self.network_id,
            opener=opener,
            listener=self.listener_key,
            challenge=self.challenge,
        )


def end_oldest(hellos: dict[Waiting, asyncio.Timeout]) -> None:
    """Let the hello that has waited longest time out now, and forget it; ``hellos`` are in the order they began."""
    oldest = hellos.pop(next(iter(hellos)))
    if not oldest.expired():  # It may be about to end by itself, and is not to be changed then.
        oldest.reschedule(asyncio.get_running_loop().time())
