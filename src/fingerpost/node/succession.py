"""Signed statements about identities: one key follows another, or a key is no longer to be trusted.

Both are canonical bytes (one encoding a statement; integers little-endian), so that anyone can keep, send and check
them without this node:

================  =====  ==========================================================
succession        bytes
================  =====  ==========================================================
label             24     ``fingerpost succession v1``
old public key    32     Ed25519
new public key    32     Ed25519
day               2      days since 1970-01-01
old signature     64     of the 90 bytes above, by the old key: "it is my successor"
new signature     64     of the same 90 bytes, by the new key: "I am"
================  =====  ==========================================================

================  =====  ==========================================================
revocation        bytes
================  =====  ==========================================================
label             24     ``fingerpost revocation v1``
public key        32     Ed25519
day               2      days since 1970-01-01
reason            1      see ``RevocationReason``
signature         64     of the 59 bytes above, by that key
================  =====  ==========================================================
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from nacl.exceptions import CryptoError
from nacl.signing import SigningKey, VerifyKey

from fingerpost.errors import KeyFileError, SignatureError
from fingerpost.ids import NodeId, node_id

SUCCESSION_LABEL = b"fingerpost succession v1"
REVOCATION_LABEL = b"fingerpost revocation v1"
SIGNATURE_SIZE_BYTES = 64

_SUCCESSION = struct.Struct("<24s32s32sH")
_REVOCATION = struct.Struct("<24s32sHB")

SUCCESSION_SIZE_BYTES = _SUCCESSION.size + 2 * SIGNATURE_SIZE_BYTES
REVOCATION_SIZE_BYTES = _REVOCATION.size + SIGNATURE_SIZE_BYTES

_ASK_AGAIN = "ask whoever gave you this file for a fresh copy"

if (SUCCESSION_SIZE_BYTES, REVOCATION_SIZE_BYTES) != (218, 123):
    raise AssertionError("the sizes in the docstring are the protocol")


class RevocationReason(IntEnum):
    """Why a key is revoked: what others should make of the packets it signed."""

    UNSPECIFIED = 0
    COMPROMISED = 1  # Somebody else may have it: nothing it ever signed can be told from a forgery.
    RETIRED = 2  # No longer used: what it signed up to that day stands.


@dataclass(frozen=True, slots=True, kw_only=True)
class Succession:
    """A verified statement that ``new_key`` (32 bytes) speaks from ``day`` on for the node that had ``old_key``."""

    old_key: bytes
    new_key: bytes
    day: int
    encoded: bytes

    @property
    def old_node_id(self) -> NodeId:
        """The node id of the key that is left."""
        return node_id(self.old_key)

    @property
    def new_node_id(self) -> NodeId:
        """The node id of the key that follows."""
        return node_id(self.new_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """A verified statement that ``public_key`` (32 bytes) is not to be trusted from ``day`` on."""

    public_key: bytes
    day: int
    reason: RevocationReason
    encoded: bytes

    @property
    def node_id(self) -> NodeId:
        """The node id of the revoked key."""
        return node_id(self.public_key)


def sign_succession(old_seed: bytes, new_seed: bytes, *, day: int) -> Succession:
    """Return the statement, signed by both keys, given their 32-byte seeds; it is verified before it is returned."""
    old, new = SigningKey(old_seed), SigningKey(new_seed)
    statement = _SUCCESSION.pack(SUCCESSION_LABEL, bytes(old.verify_key), bytes(new.verify_key), day)
    return verify_succession(statement + old.sign(statement).signature + new.sign(statement).signature)


def sign_revocation(seed: bytes, *, day: int, reason: RevocationReason) -> Revocation:
    """Return the statement, signed by the key it revokes, given its 32-byte seed."""
    key = SigningKey(seed)
    statement = _REVOCATION.pack(REVOCATION_LABEL, bytes(key.verify_key), day, reason)
    return verify_revocation(statement + key.sign(statement).signature)


def verify_succession(record: bytes) -> Succession:
    """Check a succession record and return what it says.

    Raises ``KeyFileError`` (``record-malformed``) when the bytes are not such a record, and ``SignatureError``
    (``record-signature``) when one of the two signatures does not hold.
    """
    if len(record) != SUCCESSION_SIZE_BYTES or not record.startswith(SUCCESSION_LABEL):
        raise KeyFileError("record-malformed", "this is not a succession record", hint=_ASK_AGAIN)
    statement = record[: _SUCCESSION.size]
    signatures = record[_SUCCESSION.size :]
    _, old_key, new_key, day = _SUCCESSION.unpack(statement)
    if old_key == new_key:
        raise KeyFileError("record-malformed", "a succession record names one key twice", hint=_ASK_AGAIN)
    _verify(old_key, statement, signatures[:SIGNATURE_SIZE_BYTES], whose="the old key")
    _verify(new_key, statement, signatures[SIGNATURE_SIZE_BYTES:], whose="the new key")
    return Succession(old_key=old_key, new_key=new_key, day=day, encoded=bytes(record))


def verify_revocation(record: bytes) -> Revocation:
    """Check a revocation record and return what it says.

    Raises ``KeyFileError`` (``record-malformed``) when the bytes are not such a record, and ``SignatureError``
    (``record-signature``) when the signature does not hold.
    """
    if len(record) != REVOCATION_SIZE_BYTES or not record.startswith(REVOCATION_LABEL):
        raise KeyFileError("record-malformed", "this is not a revocation record", hint=_ASK_AGAIN)
    statement = record[: _REVOCATION.size]
    _, public_key, day, reason = _REVOCATION.unpack(statement)
    if reason not in iter(RevocationReason):
        raise KeyFileError(
            "record-malformed", f"a revocation record gives the unknown reason {reason}", hint=_ASK_AGAIN
        )
    _verify(public_key, statement, record[_REVOCATION.size :], whose="the revoked key")
    return Revocation(public_key=public_key, day=day, reason=RevocationReason(reason), encoded=bytes(record))


def _verify(public_key: bytes, statement: bytes, signature: bytes, *, whose: str) -> None:
    try:
        VerifyKey(public_key).verify(statement, signature)
    except CryptoError as error:
        raise SignatureError(
            "record-signature", f"the signature of {whose} does not hold", hint="the record was altered or forged"
        ) from error
