"""The key pair of one node: made, kept, replaced and revoked on disk.

A crash at any point leaves either the old state or one that the same call completes when it is made again. Nothing
here is ever overwritten: a secret key that is replaced or revoked moves to ``keys/retired``, because only the key that
signed a packet can withdraw it.
"""

from __future__ import annotations

import datetime
import os
import stat
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nacl.signing import SigningKey

from fingerpost.errors import FingerpostError, KeyFileError
from fingerpost.ids import NodeId, node_id
from fingerpost.node.succession import (
    Revocation,
    RevocationReason,
    Succession,
    sign_revocation,
    sign_succession,
    verify_revocation,
    verify_succession,
)

if TYPE_CHECKING:
    from pathlib import Path

    from fingerpost.node.home import Home
    from fingerpost.packet import Signer
    from fingerpost.ports import Entropy

__all__ = [
    "Identity",
    "Revocation",
    "RevocationReason",
    "Rotation",
    "Succession",
    "create_identity",
    "identity_records",
    "load_identity",
    "read_key_file",
    "retired_identities",
    "revoke_identity",
    "rotate_identity",
    "verify_revocation",
    "verify_succession",
]

KEY_SIZE_BYTES = 32
KEY_FILE_FORMAT = 1
KEY_FILE_SIZE_BYTES_MAX = 4_096
KEY_FILE_MODE = 0o600
DIRECTORY_MODE = 0o700

_EPOCH = datetime.date(1970, 1, 1)
_KEY_FILE_KEYS = {"format", "created", "public", "secret"}
_RESTORE = "restore the file from your backup; without one, make a new identity in another --home"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """One node's Ed25519 key pair. ``repr`` never shows the seed."""

    seed: bytes = field(repr=False)
    created_day: int
    public_key: bytes = field(init=False)

    def __post_init__(self) -> None:
        if len(self.seed) != KEY_SIZE_BYTES:
            raise KeyFileError("key-malformed", f"a secret key has {KEY_SIZE_BYTES} bytes, not {len(self.seed)}")
        object.__setattr__(self, "public_key", bytes(SigningKey(self.seed).verify_key))

    @property
    def node_id(self) -> NodeId:
        """The id under which others know this node."""
        return node_id(self.public_key)

    @property
    def signer(self) -> Signer:
        """What signs packets as this node."""
        from fingerpost.packet import Signer  # Here, because showing a key should not load numpy.

        return Signer(self.seed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """The identity now in use and the statement that it follows the previous one."""

    identity: Identity
    succession: Succession
    record_file: Path


def create_identity(home: Home, *, entropy: Entropy, day: int) -> Identity:
    """Make a key pair and write it to the home, which is made if it is missing.

    Raises ``KeyFileError``: ``key-exists`` (nothing is changed), ``key-unwritable``.
    """
    _finish_revocation(home)
    identity = Identity(seed=entropy.read(KEY_SIZE_BYTES), created_day=day)
    write_private(home, home.key_file, _key_file_text(identity))
    return identity


def load_identity(home: Home) -> Identity:
    """Return the identity in use.

    Raises ``KeyFileError``: ``key-missing``, ``key-permissions``, ``key-malformed``, ``key-unreadable``,
    ``key-revoked``.
    """
    if not os.path.lexists(home.key_file) and _has_revocation(home):
        raise _revoked_error()
    identity = read_key_file(home.key_file)
    if _revocation_file(home, identity.node_id).exists():
        raise _revoked_error()
    return identity


def retired_identities(home: Home) -> list[Identity]:
    """Return the earlier identities of a home, which alone can withdraw what they signed. Raises ``KeyFileError``."""
    return [read_key_file(path) for path in sorted((home.keys / "retired").glob("*.key"))]


def read_key_file(path: Path) -> Identity:
    """Read one key file.

    Raises ``KeyFileError``: ``key-missing``, ``key-permissions`` (others could read it), ``key-malformed``,
    ``key-unreadable``.
    """
    try:
        text = read_private(path)
    except FileNotFoundError as error:
        raise KeyFileError(
            "key-missing", f"there is no identity in {path.parent}", hint="make one: fingerpost keys new"
        ) from error
    except OSError as error:
        raise KeyFileError(
            "key-unreadable", f"{path}: {error.strerror}", hint="check the path and who may read it"
        ) from error
    return _parse_key_file(text, path)


def rotate_identity(home: Home, *, entropy: Entropy, day: int) -> Rotation:
    """Replace the identity by a new one that the old one vouches for; both sign the succession record.

    The old secret key moves to ``keys/retired``. Raises what ``load_identity`` raises, ``key-unwritable``, and
    ``key-succession-conflict`` when the key of an interrupted rotation is gone.
    """
    old = load_identity(home)
    next_file = home.keys / "next.key"
    if os.path.lexists(next_file):  # An earlier rotation was cut short: its key may already be in a record.
        new = read_key_file(next_file)
    else:
        new = Identity(seed=entropy.read(KEY_SIZE_BYTES), created_day=day)
        write_private(home, next_file, _key_file_text(new))
    record_file = home.keys / "records" / f"succession-{old.node_id.hex()}.record"
    succession = sign_succession(old.seed, new.seed, day=day)
    if record_file.exists():
        succession = _read_succession(record_file)
        if succession.new_key != new.public_key:
            raise KeyFileError(
                "key-succession-conflict",
                f"{record_file} says that another key follows, and that key is not in this home",
                hint="restore keys/next.key from a backup, or remove the record if it was never given to anyone",
            )
    else:
        write_private(home, record_file, succession.encoded)
    _retire(home, old)
    _move(next_file, home.key_file)
    return Rotation(identity=new, succession=succession, record_file=record_file)


def revoke_identity(home: Home, *, day: int, reason: RevocationReason) -> tuple[Revocation, Path]:
    """Sign that the identity in use is not to be trusted any more; return the statement and the file that holds it.

    The secret key moves to ``keys/retired``, so that the home can get a new identity. Raises what ``load_identity``
    raises, and ``key-unwritable``.
    """
    identity = load_identity(home)
    revocation = sign_revocation(identity.seed, day=day, reason=reason)
    record_file = _revocation_file(home, identity.node_id)
    write_private(home, record_file, revocation.encoded)
    _finish_revocation(home)
    return revocation, record_file


def identity_records(home: Home) -> list[Succession | Revocation]:
    """Return every record in the home, verified, in the order in which they were made.

    Raises ``KeyFileError`` or ``SignatureError``, naming the file, when one of them does not hold.
    """
    found = [
        _read_succession(path) if path.name.startswith("succession-") else _read_revocation(path)
        for path in sorted((home.keys / "records").glob("*.record"))
    ]
    predecessor = {record.new_key: record.old_key for record in found if isinstance(record, Succession)}

    def position(record: Succession | Revocation) -> tuple[int, int]:
        """A revocation names the last key of its chain, so it comes behind the succession to that key."""
        key, steps = record.old_key if isinstance(record, Succession) else record.public_key, 0
        while key in predecessor and steps <= len(found):
            key, steps = predecessor[key], steps + 1
        return record.day, steps

    return sorted(found, key=position)


def _key_file_text(identity: Identity) -> bytes:
    created = _EPOCH + datetime.timedelta(days=identity.created_day)
    return (
        "# An identity of fingerpost. Whoever can read this file can sign as this node.\n"
        "# Keep a backup in a safe place, and never send it to anyone.\n"
        f"format = {KEY_FILE_FORMAT}\n"
        f"created = {created.isoformat()}\n"
        f'public = "{identity.public_key.hex()}"\n'
        f'secret = "{identity.seed.hex()}"\n'
    ).encode("ascii")


def _parse_key_file(text: bytes, path: Path) -> Identity:
    try:
        table = tomllib.loads(text.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        # The parser's message may quote the secret: it is not repeated.
        raise KeyFileError("key-malformed", f"{path} is not a key file of fingerpost", hint=_RESTORE) from error
    seed, public, created = (table.get(name) for name in ("secret", "public", "created"))
    if table.get("format") != KEY_FILE_FORMAT or set(table) != _KEY_FILE_KEYS or type(created) is not datetime.date:
        raise KeyFileError("key-malformed", f"{path} is not a key file of format {KEY_FILE_FORMAT}", hint=_RESTORE)
    identity = Identity(seed=_key_bytes(seed, path), created_day=(created - _EPOCH).days)
    if identity.public_key != _key_bytes(public, path):
        raise KeyFileError("key-malformed", f"{path} is damaged: its two keys do not belong together", hint=_RESTORE)
    return identity


def _key_bytes(value: object, path: Path) -> bytes:
    try:
        key = bytes.fromhex(value) if isinstance(value, str) else b""
    except ValueError:
        key = b""
    if len(key) != KEY_SIZE_BYTES:
        raise KeyFileError(
            "key-malformed", f"{path} is damaged: a key in it is not {2 * KEY_SIZE_BYTES} hex digits", hint=_RESTORE
        )
    return key


def read_private(path: Path, *, size_max: int = KEY_FILE_SIZE_BYTES_MAX) -> bytes:
    """Read a short file that only its owner may read. Raises ``OSError``, and ``KeyFileError`` for any other file."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)  # Non-blocking: it may be a pipe.
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise KeyFileError("key-malformed", f"{path} is not a regular file", hint=_RESTORE)
        if stat.S_IMODE(status.st_mode) & 0o077:
            raise KeyFileError(
                "key-permissions",
                f"other people on this machine could use {path} (mode {stat.S_IMODE(status.st_mode):04o})",
                hint=f"chmod 600 {path}  (and rotate the key if somebody may have read it)",
            )
        text = file.read(size_max + 1)
    if len(text) > size_max:
        raise KeyFileError("key-malformed", f"{path} is too long for a key file", hint=_RESTORE)
    return text


def write_private(home: Home, path: Path, data: bytes) -> None:
    """Write a file that only its owner may read: whole and durable, or not at all, and never over another."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    try:
        for directory in (home.root, home.keys, path.parent):
            directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, KEY_FILE_MODE)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(descriptor)
            _link(draft, path)
        finally:
            draft.unlink(missing_ok=True)
        _sync_directory(path.parent)
    except OSError as error:
        raise _unwritable(path, error) from error


def _link(draft: Path, path: Path) -> None:
    try:
        os.link(draft, path, follow_symlinks=False)  # Unlike a rename, a link fails when the name is taken.
    except FileExistsError as error:
        raise KeyFileError(
            "key-exists",
            f"{path} already exists, and a key is never overwritten",
            hint="replace it with 'fingerpost keys rotate', or choose another directory with --home DIR",
        ) from error


def _retire(home: Home, identity: Identity) -> None:
    """Keep a second name for the key in use before its first name goes."""
    retired = home.keys / "retired" / f"{identity.node_id.hex()}.key"
    if not retired.exists():
        write_private(home, retired, _key_file_text(identity))


def _finish_revocation(home: Home) -> None:
    """Move the key in use out of the way when it is revoked; a crash may have come between record and move."""
    if not os.path.lexists(home.key_file):
        return
    try:
        identity = read_key_file(home.key_file)
    except FingerpostError:
        return  # Not ours to judge: whoever wants to use the key reports it.
    if _revocation_file(home, identity.node_id).exists():
        _retire(home, identity)
        try:
            home.key_file.unlink()
            _sync_directory(home.keys)
        except OSError as error:
            raise _unwritable(home.key_file, error) from error


def _move(source: Path, target: Path) -> None:
    try:
        source.replace(target)
        _sync_directory(target.parent)
    except OSError as error:
        raise _unwritable(target, error) from error


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _revocation_file(home: Home, node: NodeId) -> Path:
    return home.keys / "records" / f"revocation-{node.hex()}.record"


def _has_revocation(home: Home) -> bool:
    return any((home.keys / "records").glob("revocation-*.record"))


def _read_succession(path: Path) -> Succession:
    try:
        return verify_succession(_record_bytes(path))
    except FingerpostError as error:
        raise type(error)(error.code, f"{path}: {error.message}", hint=error.hint) from error


def _read_revocation(path: Path) -> Revocation:
    try:
        return verify_revocation(_record_bytes(path))
    except FingerpostError as error:
        raise type(error)(error.code, f"{path}: {error.message}", hint=error.hint) from error


def _record_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(KEY_FILE_SIZE_BYTES_MAX)
    except OSError as error:
        raise KeyFileError("key-unreadable", f"{path}: {error.strerror}", hint="check who may read it") from error


def _revoked_error() -> KeyFileError:
    return KeyFileError(
        "key-revoked",
        "this identity is revoked: nobody accepts what it signs from now on",
        hint="make a new one: fingerpost keys new",
    )


def _unwritable(path: Path, error: OSError) -> KeyFileError:
    return KeyFileError(
        "key-unwritable", f"cannot write {path}: {error.strerror}", hint="choose a directory you own with --home DIR"
    )
