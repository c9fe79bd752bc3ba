"""Write a file whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


def write_atomically(path: str | Path, data: bytes | str, *, mode: int = 0o644) -> None:
    """Write ``data`` (text as UTF-8) so that a crash at any moment leaves the old file or the new one, never a part.

    The bytes go to a temporary file in the same folder, reach the disk, and take the name of ``path``; a symbolic link
    is followed. Raises ``OSError`` as the system says it, and then ``path`` is unchanged.
    """
    with open_atomically(path, mode=mode) as stream:
        stream.write(data.encode() if isinstance(data, str) else data)


@contextmanager
def open_atomically(path: str | Path, *, mode: int = 0o644) -> Iterator[BinaryIO]:
    """Give a stream whose bytes become the file ``path`` when the block ends well, and are gone when it does not.

    See ``write_atomically``. Errors of the system name ``path``, not the temporary file.
    """
    target = Path(os.path.realpath(path))
    try:
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:100]}.")
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from None
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
            stream.flush()
            os.fchmod(stream.fileno(), mode)
            os.fsync(stream.fileno())
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
