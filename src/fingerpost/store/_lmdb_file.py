"""One LMDB file and its exclusive lock: opening, growing, refusing, replacing. It knows no packet.

::

    <store>/
    ├── packets.mdb       the data
    ├── packets.mdb-lock  LMDB's table of readers
    ├── packets.mdb.new   a rewritten copy in the making; removed at the next opening
    └── lock              held while the store is open; says which process has it
"""

from __future__ import annotations

import errno
import fcntl
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import lmdb

from fingerpost.errors import StoreError, StoreFullError
from fingerpost.store._arguments import closed
from fingerpost.store._lmdb_pages import find_damage

DATA_NAME: Final = "packets.mdb"
NEW_NAME: Final = "packets.mdb.new"
LOCK_NAME: Final = "lock"
READERS_SUFFIX: Final = "-lock"
FORMAT: Final = b"fingerpost store 1"
TABLES: Final = ("packets", "ids", "gone", "withdrawals", "records", "meta")

MAP_SIZE_BYTES_MIN: Final = 1 << 20
MAP_SIZE_BYTES_FIRST: Final = 1 << 26
PAGE_SIZE_BYTES: Final = 4_096
CHECKSUM_SIZE_BYTES: Final = 4
RESERVE_BYTES: Final = 1 << 20  # for the tree pages that a write touches besides its own bytes

_FORMAT_KEY: Final = b"format"
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FULL_HINT: Final = "free some room and try again; nothing of the write was kept"
CORRUPT_HINT: Final = "move the directory away and start a new one: other holders still have its packets"
_CORRUPT: Final = (
    lmdb.CorruptedError,
    lmdb.InvalidError,
    lmdb.PageNotFoundError,
    lmdb.VersionMismatchError,
    lmdb.IncompatibleError,
    lmdb.PageFullError,
    lmdb.CursorFullError,
    lmdb.BadValsizeError,  # every size is checked before a call, so only a damaged entry can have a wrong one
)

Transaction = Any  # lmdb has no types


class LmdbFile:
    """The open data file of a store. No transaction outlives the call that needs it."""

    def __init__(self, directory: Path, *, create: bool, size_bytes_max: int) -> None:
        """Open the store in ``directory``, or make it.

        Raises ``StoreError``: ``store-missing``, ``store-path``, ``store-locked``, ``store-corrupt``,
        ``store-foreign``, ``store-version``, and what ``write`` raises.
        """
        self.path = directory / DATA_NAME
        self._size_max = max(size_bytes_max // PAGE_SIZE_BYTES * PAGE_SIZE_BYTES, 2 * PAGE_SIZE_BYTES)
        self._environment: Any = None
        _check_directory(directory, create=create)
        self._lock = _take_lock(directory)
        try:
            _remove(directory / NEW_NAME)
            if not self.path.exists():
                make_file(self.path, fill=lambda _: None, size_bytes_max=size_bytes_max)
            self._open()
        except OSError as error:
            self.close()
            raise _unusable(directory, error) from error
        except BaseException:
            self.close()
            raise

    @property
    def tables(self) -> dict[str, Any]:
        """The handles of ``TABLES``."""
        if self._environment is None:
            raise closed()
        return self._tables

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """Give a transaction that sees one moment. Its buffers die with it: copy what has to last."""
        if self._environment is None:
            raise closed()
        try:
            with self._environment.begin(buffers=True) as transaction:
                yield transaction
        except lmdb.Error as error:
            raise _refused(error, self.path) from error

    def write(self, change: Callable[[Transaction], None], *, size_bytes: int) -> None:
        """Carry out ``change`` durably, or raise and keep nothing of it. It may be called more than once.

        ``size_bytes`` is about how much it writes. Raises ``StoreFullError`` (``store-full``) and ``StoreError``
        (``store-io``, after which the store is closed, since nobody knows what the disk made of it).
        """
        if self._environment is None:
            raise closed()
        is_reserved = False
        while True:
            try:
                with self._environment.begin(write=True, buffers=True) as transaction:
                    change(transaction)
            except lmdb.MapFullError:
                self._grow()
            except lmdb.Error as error:
                if is_reserved:
                    self.close()
                    raise _refused(error, self.path) from error
                self._reserve(size_bytes)
                is_reserved = True
            else:
                return

    def replace(self, fill: Callable[[LmdbWriter], None]) -> None:
        """Put a new file, written by ``fill``, in the place of this one, or raise and keep this one."""
        make_file(self.path, fill=fill, size_bytes_max=self._size_max)
        self._environment.close()
        self._open()

    def size_bytes(self) -> int:
        """Return how large the file is."""
        return self.path.stat().st_size

    def close(self) -> None:
        """Close the file and give up the lock; a second call does nothing."""
        if self._environment is not None:
            self._environment.close()
            self._environment = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _open(self) -> None:
        self._environment = None
        damage = find_damage(self.path)
        if damage is not None:
            raise StoreError("store-corrupt", f"{self.path} is damaged: {damage}", hint=CORRUPT_HINT)
        self._environment = _environment(self.path, size_bytes_max=self._size_max)
        self._environment.reader_check()  # forget readers that died
        self._tables = self._known_tables()

    def _known_tables(self) -> dict[str, Any]:
        tables: dict[str, Any] = {}
        missing: list[str] = []
        for name in TABLES:
            try:
                tables[name] = self._environment.open_db(name.encode(), create=False)
            except lmdb.NotFoundError:
                missing.append(name)
            except lmdb.Error as error:
                raise _refused(error, self.path) from error
        if not tables:
            raise _foreign(self.path)
        if missing:
            message = f"{self.path} is damaged: it has no {' and no '.join(missing)}"
            raise StoreError("store-corrupt", message, hint=CORRUPT_HINT)
        with self.read() as transaction:
            for name, table in tables.items():
                if any(table.flags(transaction).values()):
                    message = f"{self.path} is damaged: {name} is of another kind than it was made"
                    raise StoreError("store-corrupt", message, hint=CORRUPT_HINT)
            version = get_item(transaction, tables, "meta", _FORMAT_KEY)
        if version is None:
            raise _foreign(self.path)
        if version != FORMAT:
            raise StoreError(
                "store-version",
                f"{self.path} was written by another version ({version[:40].decode('ascii', 'replace')!r})",
                hint="use the version of fingerpost that wrote it",
            )
        return tables

    def _grow(self) -> None:
        size = self._environment.info()["map_size"]
        if size >= self._size_max:
            raise StoreFullError(
                "store-full", f"{self.path} may have at most {self._size_max} bytes", hint=_FULL_HINT
            ) from None
        self._environment.set_mapsize(min(2 * size, self._size_max))

    def _reserve(self, size_bytes: int) -> None:
        """Ask the disk for the room that a refused write needs; its answer says whether it was full."""
        file = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        try:
            size = os.fstat(file).st_size
            try:
                os.posix_fallocate(file, size, 2 * size_bytes + RESERVE_BYTES)
            except OSError as error:
                os.ftruncate(file, size)  # give back what there was of it
                if error.errno not in _FULL:
                    raise StoreError("store-io", f"{self.path} cannot be written: {error.strerror}") from error
                raise StoreFullError("store-full", f"no room is left for {self.path}", hint=_FULL_HINT) from error
        finally:
            os.close(file)


class LmdbWriter:
    """Fills a new file in steps, of which none is durable before the end."""

    def __init__(self, environment: Any, *, size_bytes_max: int) -> None:
        self._environment = environment
        self._size_max = size_bytes_max
        self.tables = {name: environment.open_db(name.encode()) for name in TABLES}

    def write(self, change: Callable[[Transaction], None]) -> None:
        """Carry out one step; it may be called more than once."""
        while True:
            try:
                with self._environment.begin(write=True) as transaction:
                    change(transaction)
            except lmdb.MapFullError:
                size = self._environment.info()["map_size"]
                if size >= self._size_max:
                    raise
                self._environment.set_mapsize(min(2 * size, self._size_max))
            else:
                return


def make_file(path: Path, *, fill: Callable[[LmdbWriter], None], size_bytes_max: int) -> None:
    """Write a new file beside ``path``, make it durable, and put it there in one step; or leave no trace."""
    new = path.with_name(NEW_NAME)
    try:
        environment = _environment(new, size_bytes_max=size_bytes_max, sync=False)
        try:
            writer = LmdbWriter(environment, size_bytes_max=size_bytes_max)
            writer.write(lambda transaction: put_item(transaction, writer.tables, "meta", _FORMAT_KEY, FORMAT))
            fill(writer)
            environment.sync(True)  # noqa: FBT003  lmdb takes it by position only
        finally:
            environment.close()
        with new.open("rb") as file:
            os.fsync(file.fileno())
        new.replace(path)
        _sync_directory(path.parent)
    except lmdb.MapFullError as error:
        raise StoreFullError(
            "store-full", f"{path} may have at most {size_bytes_max} bytes", hint=_FULL_HINT
        ) from error
    except lmdb.Error as error:
        if _has_no_room(new):
            raise StoreFullError("store-full", f"no room is left for {path}", hint=_FULL_HINT) from error
        raise _refused(error, path) from error
    except OSError as error:
        raise _unusable(path.parent, error) from error
    finally:
        _remove(new)


def put_item(transaction: Transaction, tables: dict[str, Any], table: str, key: bytes, value: bytes) -> None:
    """Write an item behind a checksum of its key and value: LMDB has none."""
    transaction.put(key, checksum(key, value) + value, db=tables[table])


def get_item(transaction: Transaction, tables: dict[str, Any], table: str, key: bytes) -> bytes | None:
    """Return a copy of an item's value, or None. Raises ``StoreError`` (``store-corrupt``)."""
    found = transaction.get(key, db=tables[table])
    return None if found is None else _checked_value(table, key, found)


def items(transaction: Transaction, tables: dict[str, Any], table: str) -> Iterator[tuple[bytes, bytes]]:
    """Yield copies of all items of a table, ascending by key. Raises ``StoreError`` (``store-corrupt``)."""
    count = 0
    with transaction.cursor(tables[table]) as cursor:
        for key, found in cursor:
            count += is_found(transaction, tables, table, bytes(key))
            yield bytes(key), _checked_value(table, bytes(key), found)
    require_count(transaction, tables, table, count)


def is_found(transaction: Transaction, tables: dict[str, Any], table: str, key: bytes) -> bool:
    """Say whether a look-up finds ``key``: damaged keys can hide it from look-ups, though a walk still passes it."""
    return transaction.get(key, db=tables[table]) is not None


def require_count(transaction: Transaction, tables: dict[str, Any], table: str, count: int) -> None:
    """Refuse a table in which ``count`` items were found, but where LMDB has noted another number of them.

    A checksum tells that an item has changed. It cannot tell that one is no longer found, which is all that a damaged
    page of keys does: without the count, a packet whose mark of withdrawal is not found would be back.
    Raises ``StoreError`` (``store-corrupt``).
    """
    noted = transaction.stat(tables[table])["entries"]
    if noted != count:
        message = f"the store is damaged: {table} has {noted} entries, of which {count} are found"
        raise StoreError("store-corrupt", message, hint=CORRUPT_HINT)


def checksum(*parts: bytes | memoryview) -> bytes:
    """Return the CRC-32 of the parts one after the other, 4 bytes, little-endian."""
    value = 0
    for part in parts:
        value = zlib.crc32(part, value)
    return value.to_bytes(CHECKSUM_SIZE_BYTES, "little")


def _checked_value(table: str, key: bytes, found: bytes | memoryview) -> bytes:
    value = bytes(found[CHECKSUM_SIZE_BYTES:])
    if found[:CHECKSUM_SIZE_BYTES] != checksum(key, value):
        raise StoreError("store-corrupt", f"the store is damaged: an entry of {table} has changed", hint=CORRUPT_HINT)
    return value


def _environment(path: Path, *, size_bytes_max: int, sync: bool = True) -> Any:
    """Open an LMDB file with room for what is in it."""
    wanted = MAP_SIZE_BYTES_FIRST
    with suppress(FileNotFoundError):
        while wanted < path.stat().st_size:
            wanted *= 2
    try:
        return lmdb.open(
            str(path), subdir=False, max_dbs=len(TABLES), map_size=min(wanted, size_bytes_max), sync=sync, mode=0o600
        )
    except lmdb.Error as error:
        raise _refused(error, path) from error


def _refused(error: lmdb.Error, path: Path) -> StoreError:
    if isinstance(error, _CORRUPT):
        return StoreError("store-corrupt", f"{path} is damaged: {error}", hint=CORRUPT_HINT)
    return StoreError("store-io", f"{path} cannot be used: {error}", hint="check the disk, then open the store again")


def _foreign(path: Path) -> StoreError:
    return StoreError(
        "store-foreign",
        f"{path} belongs to another program",
        hint="choose another directory; nothing was changed in this one",
    )


def _unusable(directory: Path, error: OSError) -> StoreError:
    if error.errno in _FULL:
        return StoreFullError("store-full", f"no room is left in {directory}", hint=_FULL_HINT)
    return StoreError(
        "store-path",
        f"{directory} cannot be used for a store: {error.strerror}",
        hint="name a directory that you may write to",
    )


def _check_directory(directory: Path, *, create: bool) -> None:
    """Refuse a directory that is no store, unless a store may be made there."""
    try:
        if (directory / DATA_NAME).is_file():
            return
        if not create:
            raise StoreError(
                "store-missing",
                f"there is no store in {directory}",
                hint="check the directory, or emit something first",
            )
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        others = sorted(
            {entry.name for entry in directory.iterdir()} - {LOCK_NAME, NEW_NAME, NEW_NAME + READERS_SUFFIX}
        )
    except OSError as error:
        raise _unusable(directory, error) from error
    if others:
        raise StoreError(
            "store-foreign",
            f"{directory} is no store and not empty: it holds {others[0]}",
            hint="choose another directory; nothing was changed in this one",
        )


def _take_lock(directory: Path) -> int | None:
    """Return the open lock file, or raise ``StoreError`` (``store-locked``) with the process that has it."""
    try:
        file = os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unusable(directory, error) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(file, 0)
        os.pwrite(file, b"%d\n" % os.getpid(), 0)
    except BlockingIOError as error:
        holder = os.pread(file, 20, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(file)
        raise StoreError(
            "store-locked",
            f"the store in {directory} is in use by process {holder}",
            hint="stop that process, or let it do the work; one process at a time may open a store",
        ) from error
    except OSError as error:
        os.close(file)
        raise _unusable(directory, error) from error
    return file


def _has_no_room(path: Path) -> bool:
    """Say whether the disk refuses to let this file grow."""
    try:
        with path.open("ab") as file:
            os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, RESERVE_BYTES)
    except OSError as error:
        return error.errno in _FULL
    return False


def _sync_directory(directory: Path) -> None:
    file = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _remove(path: Path) -> None:
    """Remove an unfinished file and its readers."""
    for leftover in (path, path.with_name(path.name + READERS_SUFFIX)):
        with suppress(FileNotFoundError):
            leftover.unlink()
