"""The salt under which this node hashes subjects: made once, kept in ``keys/subjects.salt``, never sent.

The file is whole and durable, or absent, and never overwritten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fingerpost.errors import KeyFileError
from fingerpost.node.identity import read_private, write_private
from fingerpost.privacy.subjects import SALT_SIZE_BYTES

if TYPE_CHECKING:
    from fingerpost.node.home import Home
    from fingerpost.ports import Entropy


def open_salt(home: Home | None, *, entropy: Entropy) -> bytes:
    """Return the salt of ``home``, made there if it has none yet; without a home a passing one.

    Raises ``KeyFileError``: ``key-permissions``, ``key-malformed``, ``key-unreadable``, ``key-unwritable``.
    """
    if home is None:
        return entropy.read(SALT_SIZE_BYTES)
    path = home.salt_file
    try:
        return _checked(read_private(path), str(path))
    except FileNotFoundError:
        salt = entropy.read(SALT_SIZE_BYTES)
        write_private(home, path, salt.hex().encode() + b"\n")
        return salt
    except OSError as error:
        raise KeyFileError("key-unreadable", f"{path}: {error.strerror}", hint="check who may read it") from error


def _checked(text: bytes, path: str) -> bytes:
    try:
        salt = bytes.fromhex(text.decode("ascii").strip())
    except ValueError:
        salt = b""
    if len(salt) != SALT_SIZE_BYTES:
        raise KeyFileError(
            "key-malformed",
            f"{path} is not a salt of {2 * SALT_SIZE_BYTES} hex digits",
            hint="restore it from a backup",
        )
    return salt
