"""A consortium's keys on disk, and how they reach its members.

Each home keeps the key ring of a template in ``keys/consortium/<template id>.ring``. One member, the keeper, makes and
replaces keys; whoever joins gets, in one file, all keys that still open a packet. In that file the ring stands once for
each member, encrypted to its public key by HPKE (RFC 9180; X25519, HKDF-SHA256, AES-256-GCM), and the keeper has signed
the whole: it may travel by any means. The X25519 key of a member is that of its Ed25519 identity, converted; using one
key for Ed25519 signatures and for this is sound together (Thormarker, "On using the same key pair for Ed25519 and an
X25519 based KEM", 2021). A key that no packet needs any more is overwritten on the disk.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from nacl.exceptions import CryptoError
from nacl.signing import SigningKey, VerifyKey

from fingerpost.errors import FingerpostError, KeyFileError, SignatureError, UsageError
from fingerpost.files import write_atomically
from fingerpost.ids import PublicKey, TemplateId
from fingerpost.node.identity import read_private, write_private
from fingerpost.packet import signature_holds
from fingerpost.privacy.seal import KEY_SIZE_BYTES, EpochKey, KeyRing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fingerpost.node.home import Home
    from fingerpost.node.identity import Identity
    from fingerpost.ports import Entropy

RING_HEADER = b"fingerpost consortium 1\n"
OFFER_HEADER = b"fingerpost consortium keys 1\n"
OFFER_CONTEXT = b"fingerpost consortium keys v1"
OFFER_SIZE_BYTES_MAX = 1 << 24
MEMBERS_MAX = 4_096
RING_SIZE_BYTES_MAX = 1 << 20
SIGNATURE_SIZE_BYTES = 64

_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_HINT_DAMAGED = "ask the keeper for the file again"
_HINT_RESTORE = "restore the file from a backup, or join the consortium again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Consortium:
    """The keys of a template, who gives them out, and to whom: the public keys of all members, ascending."""

    ring: KeyRing
    keeper: PublicKey
    members: tuple[PublicKey, ...]

    def with_members(self, added: Iterable[PublicKey]) -> Consortium:
        """Return the consortium with more members. Raises ``UsageError`` (``consortium-members``)."""
        members = tuple(sorted({*self.members, *added}))
        if len(members) > MEMBERS_MAX:
            raise UsageError("consortium-members", f"a consortium has at most {MEMBERS_MAX} members")
        return replace(self, members=members)

    def without_members(self, removed: Iterable[PublicKey]) -> Consortium:
        """Return the consortium without some members. Raises ``UsageError`` (``consortium-members``)."""
        gone = set(removed)
        for each in gone:
            if each not in self.members or each == self.keeper:
                raise UsageError(
                    "consortium-members",
                    f"{each.hex()} is {'the keeper' if each == self.keeper else 'no member'}",
                    hint="'fingerpost consortium keys' lists the members",
                )
        return replace(self, members=tuple(each for each in self.members if each not in gone))

    def rotated(self, secret: bytes, *, day: int) -> Consortium:
        """Return the consortium with a new key from ``day`` on."""
        return replace(self, ring=self.ring.next(secret, day=day))


class _Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    number: int
    secret: str
    first_day: int
    last_day: int | None


class _Content(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    template_id: str
    ttl_days: int
    keeper: str
    members: list[str]
    keys: list[_Key]


class _Offer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    template_id: bytes
    keeper: bytes
    wrapped: dict[str, bytes]  # by member, in hex: the ring, encrypted


def create_consortium(
    home: Home, identity: Identity, *, template_id: TemplateId, ttl_days: int, entropy: Entropy, day: int
) -> Consortium:
    """Make a consortium of one, its keeper, and keep its keys in the home.

    Raises ``KeyFileError``: ``consortium-exists``, ``key-unwritable``.
    """
    path = home.ring_file(template_id)
    if path.exists():
        raise KeyFileError(
            "consortium-exists", f"{path} already exists", hint="see 'fingerpost consortium keys', or add and remove"
        )
    me = PublicKey(identity.public_key)
    empty = KeyRing(template_id=template_id, keys=(), ttl_days=ttl_days)
    consortium = Consortium(ring=empty, keeper=me, members=(me,)).rotated(entropy.read(KEY_SIZE_BYTES), day=day)
    write_private(home, path, RING_HEADER + _encode(consortium))
    return consortium


def load_consortium(home: Home, template_id: TemplateId, *, day: int) -> Consortium | None:
    """Return what this home has of a template's consortium, None for nothing. Keys that are dead by ``day`` are erased.

    Raises ``KeyFileError``: ``consortium-malformed``, ``key-permissions``, ``key-unreadable``, ``key-unwritable``.
    """
    path = home.ring_file(template_id)
    try:
        text = read_private(path, size_max=RING_SIZE_BYTES_MAX)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise KeyFileError("key-unreadable", f"{path}: {error.strerror}", hint="check who may read it") from error
    if not text.startswith(RING_HEADER):
        raise _malformed(str(path))
    consortium = _decode(text.removeprefix(RING_HEADER), source=str(path))
    alive = consortium.ring.alive(day)
    if alive != consortium.ring:
        consortium = replace(consortium, ring=alive)
        save_consortium(home, consortium)
    return consortium


def save_consortium(home: Home, consortium: Consortium) -> None:
    """Replace what this home has of a consortium: whole and durable, and what was there before is overwritten.

    Raises ``KeyFileError`` (``key-unwritable``).
    """
    path = home.ring_file(consortium.ring.template_id)
    data = RING_HEADER + _encode(consortium)
    try:
        if not path.exists():
            write_private(home, path, data)
            return
        with _erased_afterwards(path):
            write_atomically(path, data, mode=0o600)
    except OSError as error:
        raise KeyFileError("key-unwritable", f"cannot write {path}: {error.strerror}", hint="free some room") from error


def require_keeper(consortium: Consortium, identity: Identity) -> None:
    """Raise ``UsageError`` (``consortium-keeper``) unless this identity gives out the keys."""
    if consortium.keeper != identity.public_key:
        raise UsageError(
            "consortium-keeper",
            f"the keeper of this consortium is {consortium.keeper.hex()}, not this node",
            hint="ask the keeper; if it is gone for good, a member takes over with consortium rotate --take-over",
        )


def offer_keys(consortium: Consortium, identity: Identity, *, members: Iterable[PublicKey]) -> bytes:
    """Return the file that brings these members the keys. Raises ``UsageError`` for a key that is no public key."""
    content = _encode(consortium)
    template_id, me = consortium.ring.template_id, identity.public_key
    wrapped = {
        member.hex(): _SUITE.encrypt(content, _kem_key(member), info=_info(template_id, me, member))
        for member in sorted(members)
    }
    offer = msgspec.msgpack.encode(_Offer(template_id=template_id, keeper=me, wrapped=wrapped), order="deterministic")
    signature = SigningKey(identity.seed).sign(_statement(offer)).signature
    return OFFER_HEADER + signature + offer


def read_offer(data: bytes, identity: Identity) -> Consortium:
    """Return the consortium that a file brings to this identity.

    Raises ``KeyFileError`` (``consortium-offer``, ``consortium-not-for-us``) and ``SignatureError``
    (``consortium-signature``); whether its keeper is the right one is for the caller to judge.
    """
    if not data.startswith(OFFER_HEADER) or len(data) > OFFER_SIZE_BYTES_MAX:
        raise KeyFileError("consortium-offer", "this file brings no keys of a consortium", hint=_HINT_DAMAGED)
    signature = data[len(OFFER_HEADER) : len(OFFER_HEADER) + SIGNATURE_SIZE_BYTES]
    content = data[len(OFFER_HEADER) + SIGNATURE_SIZE_BYTES :]
    try:
        offer = msgspec.msgpack.decode(content, type=_Offer)
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError, ValueError):
        raise KeyFileError("consortium-offer", "the file with keys is damaged", hint=_HINT_DAMAGED) from None
    if len(offer.keeper) != KEY_SIZE_BYTES or not signature_holds(_statement(content), signature, offer.keeper):
        raise SignatureError(
            "consortium-signature", "the file with keys is not signed by its keeper", hint=_HINT_DAMAGED
        )
    mine = offer.wrapped.get(identity.public_key.hex())
    info = _info(offer.template_id, offer.keeper, identity.public_key)
    try:
        text = None if mine is None else _SUITE.decrypt(mine, _kem_secret(identity), info=info)
    except (InvalidTag, ValueError):
        text = None
    if text is None:
        raise KeyFileError(
            "consortium-not-for-us",
            f"the file brings no keys to {identity.public_key.hex()}",
            hint="give the keeper the public key that 'fingerpost keys show' prints",
        )
    consortium = _decode(text, source="the file with keys")
    if consortium.keeper != offer.keeper or consortium.ring.template_id != offer.template_id:
        raise KeyFileError("consortium-offer", "the file contradicts itself", hint=_HINT_DAMAGED)
    return consortium


def join_consortium(home: Home, offered: Consortium, *, trusted: PublicKey | None, day: int) -> Consortium:
    """Keep offered keys beside those that are here; return what the home now has.

    The keeper has to be ``trusted``, or the one that this home has its keys from. Raises ``UsageError``
    (``consortium-keeper-unknown``) and ``KeyFileError`` (``consortium-older``, ``consortium-conflict``).
    """
    known = load_consortium(home, offered.ring.template_id, day=day)
    expected = trusted if trusted is not None else None if known is None else known.keeper
    if expected is None or expected != offered.keeper:
        raise UsageError(
            "consortium-keeper-unknown",
            f"the keys come from {offered.keeper.hex()}, "
            + ("and nobody has said that this is the keeper" if expected is None else "who is not the keeper"),
            hint="compare that key with the keeper by another way, then say so with --from",
        )
    if known is not None:
        offered = replace(offered, ring=_merged(known.ring, offered.ring))
    offered = replace(offered, ring=offered.ring.alive(day))
    save_consortium(home, offered)
    return offered


def _merged(known: KeyRing, offered: KeyRing) -> KeyRing:
    newest = {key.number: key for key in offered.keys}
    if max(newest, default=0) < max((key.number for key in known.keys), default=0):
        raise KeyFileError(
            "consortium-older", "the keys offered are older than those that are here", hint=_HINT_DAMAGED
        )
    for key in known.keys:
        if key.number in newest and newest[key.number].secret != key.secret:
            raise KeyFileError(
                "consortium-conflict",
                f"two different keys claim the number {key.number}",
                hint="two members gave out keys at once: agree on one keeper",
            )
    keys = {key.number: key for key in known.keys} | newest
    return replace(offered, keys=tuple(keys[number] for number in sorted(keys)))


class RingFile:
    """The key ring of one template in a home, read again only after the file changed or a day went by."""

    def __init__(self, home: Home, template_id: TemplateId) -> None:
        self._home = home
        self._template_id = template_id
        self._seen: tuple[int, int, int] | None = None
        self._ring: KeyRing | None = None

    def ring(self, *, day: int) -> KeyRing | None:
        """Return the keys as they are now, None without any. Raises ``KeyFileError``."""
        try:
            status = self._home.ring_file(self._template_id).stat()
        except OSError:
            self._seen, self._ring = None, None
            return None
        seen = status.st_ino, status.st_mtime_ns, day
        if seen != self._seen:
            consortium = load_consortium(self._home, self._template_id, day=day)
            self._ring = None if consortium is None else consortium.ring
            self._seen = seen
        return self._ring


def public_key_of(text: str) -> PublicKey:
    """Return a member's public key from hex. Raises ``UsageError`` (``bad-id``, ``consortium-members``)."""
    from fingerpost.ids import from_hex

    key = PublicKey(from_hex(text, size=KEY_SIZE_BYTES, what="a public key"))
    _kem_key(key)
    return key


def _encode(consortium: Consortium) -> bytes:
    ring = consortium.ring
    keys = [_Key(key.number, key.secret.hex(), key.first_day, key.last_day) for key in ring.keys]
    return msgspec.json.encode(
        _Content(
            template_id=ring.template_id.hex(),
            ttl_days=ring.ttl_days,
            keeper=consortium.keeper.hex(),
            members=[member.hex() for member in consortium.members],
            keys=keys,
        )
    )


def _decode(text: bytes, *, source: str) -> Consortium:
    """Read a ring. An error never repeats what stands in it."""
    try:
        content = msgspec.json.decode(text, type=_Content)
        keys = tuple(
            EpochKey(
                number=key.number, secret=bytes.fromhex(key.secret), first_day=key.first_day, last_day=key.last_day
            )
            for key in content.keys
        )
        ring = KeyRing(template_id=TemplateId(bytes.fromhex(content.template_id)), keys=keys, ttl_days=content.ttl_days)
        members = tuple(PublicKey(bytes.fromhex(member)) for member in content.members)
        return Consortium(ring=ring, keeper=PublicKey(bytes.fromhex(content.keeper)), members=members)
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError, ValueError, FingerpostError):
        raise _malformed(source) from None


def _malformed(source: str) -> KeyFileError:
    return KeyFileError("consortium-malformed", f"{source} is not a key ring of a consortium", hint=_HINT_RESTORE)


def _statement(content: bytes) -> bytes:
    return OFFER_CONTEXT + hashlib.blake2s(content).digest()


def _info(template_id: bytes, keeper: bytes, member: bytes) -> bytes:
    return OFFER_CONTEXT + template_id + keeper + member


def _kem_key(member: bytes) -> X25519PublicKey:
    try:
        return X25519PublicKey.from_public_bytes(bytes(VerifyKey(member).to_curve25519_public_key()))
    except (CryptoError, ValueError):
        raise UsageError(
            "consortium-members",
            f"{member.hex()} is not a public key that keys can be encrypted to",
            hint="use the one that 'fingerpost keys show' prints",
        ) from None


def _kem_secret(identity: Identity) -> X25519PrivateKey:
    return X25519PrivateKey.from_private_bytes(bytes(SigningKey(identity.seed).to_curve25519_private_key()))


@contextmanager
def _erased_afterwards(path: Path) -> Iterator[None]:
    """Overwrite what ``path`` holds now once the block has put something else in its place."""
    with path.open("r+b") as old:
        yield
        old.write(bytes(os.fstat(old.fileno()).st_size))
        old.flush()
        os.fsync(old.fileno())
