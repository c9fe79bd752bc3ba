"""Ed25519 as libsodium does it, and the check of a single packet."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from nacl import bindings
from nacl.exceptions import CryptoError

from fingerpost.errors import UsageError
from fingerpost.limits import BATCH_PACKETS_MAX
from fingerpost.packet._batch import batch_message, path_of, root_from_path, tree_levels
from fingerpost.packet._layout import NODE_SIZE_BYTES
from fingerpost.packet._packet import BatchProof, Packet, SignedPacket
from fingerpost.packet._reasons import Reason, refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

SEED_SIZE_BYTES = 32
SIGNATURE_SIZE_BYTES = 64

_FIELD_PRIME = 2**255 - 19
_SMALL_ORDER_Y = frozenset(
    {
        0,
        1,
        _FIELD_PRIME - 1,
        2707385501144840649318225287225658788936804267575313519463743609750303402022,
        55188659117513257062467267217118295137698188065244968500265048394206261417927,
    }
)  # y of the eight points whose order divides 8


class Signer:
    """An Ed25519 key pair made from a secret 32-byte seed. Raises ``UsageError`` for a seed of another length."""

    __slots__ = ("_secret_key", "public_key")

    public_key: bytes

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED_SIZE_BYTES:
            raise UsageError("seed-length", f"a seed has {SEED_SIZE_BYTES} bytes, this one {len(seed)}")
        self.public_key, self._secret_key = bindings.crypto_sign_seed_keypair(bytes(seed))

    def __repr__(self) -> str:
        return f"Signer(public_key={self.public_key.hex()})"  # never the secret

    def derived_secret(self, label: bytes) -> bytes:
        """Return 32 secret bytes that follow from the seed and from ``label`` (1 to 64 bytes), and reveal neither."""
        seed = self._secret_key[:SEED_SIZE_BYTES]
        return hashlib.blake2b(label, key=seed, digest_size=32, person=b"fingerpost").digest()

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature of ``message``."""
        return bindings.crypto_sign(message, self._secret_key)[:SIGNATURE_SIZE_BYTES]


def sign_batch(packets: Sequence[Packet], signer: Signer) -> list[SignedPacket]:
    """Sign 1 to 256 packets of one emitter with one signature; the order given is the order in the batch.

    Raises ``UsageError`` for another number of packets, or if one names another emitter.
    """
    if not 1 <= len(packets) <= BATCH_PACKETS_MAX:
        raise UsageError("batch-size", f"a batch holds 1 to {BATCH_PACKETS_MAX} packets, not {len(packets)}")
    if any(packet.emitter != signer.public_key for packet in packets):
        raise UsageError("batch-emitter", "a packet of the batch names an emitter that is not the signer")
    levels = tree_levels(b"".join(packet.packet_id[:NODE_SIZE_BYTES] for packet in packets))
    last = len(packets) - 1
    signature = signer.sign(batch_message(levels[-1], leaf_last=last))
    return [
        SignedPacket(
            packet=packet,
            proof=BatchProof(leaf_index=index, leaf_last=last, path=path_of(levels, index)),
            signature=signature,
        )
        for index, packet in enumerate(packets)
    ]


def verify(signed: SignedPacket) -> None:
    """Check that the emitter signed the batch and that the packet is in it.

    Raises ``SignatureError``: ``packet-key`` if no honest node can have such a key, else ``packet-signature``.
    """
    proof, packet = signed.proof, signed.packet
    root = root_from_path(packet.packet_id[:NODE_SIZE_BYTES], proof.leaf_index, proof.path)
    if signature_holds(batch_message(root, leaf_last=proof.leaf_last), signed.signature, packet.emitter):
        return
    raise refusal(Reason.SIGNATURE if is_usable_key(packet.emitter) else Reason.KEY, packet.emitter.hex())


def signature_holds(message: bytes, signature: bytes, public_key: bytes) -> bool:
    """Say whether libsodium accepts it: canonical S, no key or R of small order, equality without cofactor."""
    try:
        bindings.crypto_sign_open(signature + message, public_key)
    except CryptoError:
        return False
    return True


def is_usable_key(public_key: bytes) -> bool:
    """Say whether 32 bytes are the canonical encoding of a curve point that is not of small order.

    The curve and its encoding are those of RFC 8032, section 5.1.
    """
    y = int.from_bytes(public_key, "little") & (2**255 - 1)
    if y >= _FIELD_PRIME or y in _SMALL_ORDER_Y:
        return False
    numerator, denominator = y * y - 1, -121665 * pow(121666, -1, _FIELD_PRIME) * y * y + 1
    ratio = numerator * pow(denominator, -1, _FIELD_PRIME) % _FIELD_PRIME
    return pow(ratio, (_FIELD_PRIME - 1) // 2, _FIELD_PRIME) == 1  # x exists exactly if x squared is a square
