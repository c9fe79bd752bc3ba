"""Sealed payloads: what one packet's secret locks and opens. Where secrets come from is ``fingerpost.privacy.seal``.

Each packet has a secret of its own (32 bytes), so that showing one packet to somebody shows no other. From it follow,
by keyed BLAKE2s, the AES-256-GCM key, its nonce, and a commitment that stands in clear before the ciphertext: AES-GCM
alone lets a sender make a ciphertext that opens under two keys, the commitment ties it to one. The header of the body
(bytes 0 to 76) is authenticated too, so that no ciphertext can move to another packet.
"""

from __future__ import annotations

from hashlib import blake2s
from typing import TYPE_CHECKING, Final

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fingerpost.packet._layout import (
    BODY_SIZE_BYTES,
    PAYLOAD_SIZE_BYTES,
    PLAINTEXT_SIZE_BYTES,
    SEAL_COMMITMENT_SIZE_BYTES,
    Flags,
    Kind,
    Profile,
    Structured,
)
from fingerpost.packet._reasons import Reason, refusal
from fingerpost.packet._structure import check_bodies

if TYPE_CHECKING:
    from collections.abc import Sequence

SECRET_SIZE_BYTES: Final = 32
HEADER_SIZE_BYTES: Final = BODY_SIZE_BYTES - PAYLOAD_SIZE_BYTES  # what is in clear, and authenticated
_NONCE_SIZE_BYTES: Final = 12
_KEY_LABEL: Final = b"fingerpost seal v1 key"
_NONCE_LABEL: Final = b"fingerpost seal v1 nonce"


def seal_commitment(secret: bytes) -> bytes:
    """Return the 16 bytes in clear that tie a sealed payload to its secret."""
    return _nonce_and_commitment(secret)[_NONCE_SIZE_BYTES:]


def sealed_rows(packets: Structured) -> Flags:
    """Return for each packet or body whether its payload is sealed, shape (n,)."""
    rows: Flags = (packets["profile"] == Profile.CONSORTIUM) & (packets["kind"] != Kind.WITHDRAWAL)
    return rows


def seal_bodies(bodies: Structured, secrets: Sequence[bytes]) -> Structured:
    """Return bodies (``BODY_DTYPE``) under the profile consortium: sealed, each with its secret of 32 bytes.

    They come with plain payloads, under any profile. Raises ``PacketError`` (``packet-payload``) where one needs more
    than the 208 bytes that a seal leaves.
    """
    if bodies["payload"][:, PLAINTEXT_SIZE_BYTES:].any():
        raise refusal(Reason.PAYLOAD, f"a sealed payload has {PLAINTEXT_SIZE_BYTES} bytes at most")
    sealed: Structured = bodies.copy()
    sealed["profile"] = Profile.CONSORTIUM
    data = sealed.view(np.uint8).reshape(len(sealed), BODY_SIZE_BYTES)
    whole = data.tobytes()
    payloads = bytearray()
    for row, secret in enumerate(secrets):
        start = row * BODY_SIZE_BYTES
        text = start + HEADER_SIZE_BYTES
        rest = _nonce_and_commitment(secret)
        payloads += rest[_NONCE_SIZE_BYTES:]
        payloads += AESGCM(_key(secret)).encrypt(
            rest[:_NONCE_SIZE_BYTES], whole[text : text + PLAINTEXT_SIZE_BYTES], whole[start:text]
        )
    sealed["payload"] = np.frombuffer(bytes(payloads), np.uint8).reshape(len(sealed), PAYLOAD_SIZE_BYTES)
    return sealed


def open_sealed(packets: Structured, secrets: Sequence[bytes | None]) -> tuple[Structured, Flags]:
    """Return what sealed packets (``PACKET_DTYPE``) say, and which of them opened, shapes (n,).

    A packet opens when its secret is given, fits its commitment and its header, and what comes out obeys every rule
    about plain payloads. What it says is returned as a packet with a plain payload under the profile open: for reading
    only, since its id and signature are those of the sealed one. Rows that did not open are left as they came.
    """
    size = packets.dtype.itemsize
    whole = np.ascontiguousarray(packets).view(np.uint8).tobytes()
    plain: Structured = packets.copy()
    done = np.zeros(len(packets), np.bool_)
    texts = bytearray(len(packets) * PLAINTEXT_SIZE_BYTES)
    for row, secret in enumerate(secrets):
        if secret is None:
            continue
        start = row * size
        commitment = start + HEADER_SIZE_BYTES
        text = commitment + SEAL_COMMITMENT_SIZE_BYTES
        rest = _nonce_and_commitment(secret)
        if rest[_NONCE_SIZE_BYTES:] != whole[commitment:text]:
            continue
        try:
            opened = AESGCM(_key(secret)).decrypt(
                rest[:_NONCE_SIZE_BYTES], whole[text : start + BODY_SIZE_BYTES], whole[start:commitment]
            )
        except InvalidTag:
            continue
        texts[row * PLAINTEXT_SIZE_BYTES : (row + 1) * PLAINTEXT_SIZE_BYTES] = opened
        done[row] = True
    rows = np.flatnonzero(done)
    payloads = np.zeros((len(rows), PAYLOAD_SIZE_BYTES), np.uint8)
    payloads[:, :PLAINTEXT_SIZE_BYTES] = np.frombuffer(bytes(texts), np.uint8).reshape(-1, PLAINTEXT_SIZE_BYTES)[rows]
    plain["payload"][rows] = payloads
    plain["profile"][rows] = Profile.OPEN
    done[rows] = check_bodies(plain[rows]) == Reason.FINE
    broken = rows[~done[rows]]
    plain[broken] = packets[broken]
    return plain, done


def _key(secret: bytes) -> bytes:
    return blake2s(_KEY_LABEL, key=secret).digest()


def _nonce_and_commitment(secret: bytes) -> bytes:
    return blake2s(_NONCE_LABEL, key=secret, digest_size=_NONCE_SIZE_BYTES + SEAL_COMMITMENT_SIZE_BYTES).digest()
