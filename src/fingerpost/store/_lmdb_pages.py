"""Is an LMDB file whole? Answered by reading its tree pages as a file, before LMDB maps them.

LMDB trusts its file: a page that is cut off or overwritten ends the process with a signal, not with an error. This
walk costs one read for each tree page and for each block of packets, a few milliseconds for a million packets. The
format is that of ``mdb.c`` in LMDB 0.9 (data version 1); a file of another version is left for LMDB to judge.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PAGE_HEADER: Final = struct.Struct("<QHHHH")  # number, pad, flags, lower, upper
_OVERFLOW_HEADER: Final = struct.Struct("<QHHI")  # number, pad, flags, pages
_META: Final = struct.Struct("<IIQQ48s48sQQ")  # magic, version, address, map size, free tree, main tree, last, txn
_TREE: Final = struct.Struct("<IHHQQQQQ")  # pad, flags, depth, branches, leaves, overflows, entries, root
_NODE: Final = struct.Struct("<HHHH")  # low, high, flags, key size
_MAGIC: Final = 0xBEEFC0DE
_VERSION: Final = 1
# On disk a page is exactly one of these: LMDB takes its working flags off as it writes, and no table has fixed-size
# duplicates, the one thing that would add a flag.
_BRANCH, _LEAF, _OVERFLOW, _META_FLAG = 1, 2, 4, 8
_BIG, _SUBTREE, _DUPLICATES = 1, 2, 4
_INTEGER_KEYS: Final = 0x08
_TREE_FLAGS: Final = 0x7E  # reverse keys, duplicates, integer keys, and how duplicates are sorted
_NO_PAGE: Final = 0xFFFF_FFFF_FFFF_FFFF
_DEPTH_MAX: Final = 32
_UNKNOWN: Final = -1
_SIZES: Final = frozenset(1 << bits for bits in range(8, 17))


class Damage(Exception):  # noqa: N818  not an error for callers: find_damage turns it into words
    """What is wrong with the file."""


@dataclass(frozen=True, slots=True)
class _Tree:
    depth: int
    entries: int
    root: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Meta:
    """One of the two starting points: the newest version of the file, and the one before it."""

    version: int
    free: bytes  # the tree of free pages
    main: bytes  # the tree of named tables
    last: int
    transaction: int

    @property
    def page_size(self) -> int:
        """LMDB keeps it in a spare field of the tree of free pages."""
        return int(_TREE.unpack(self.free)[0])

    @property
    def free_flags(self) -> int:
        """What kind of tree the one of free pages is; some options of LMDB are kept in its higher bits."""
        return int(_TREE.unpack(self.free)[1])

    @property
    def main_flags(self) -> int:
        """What kind of tree the one of named tables is."""
        return int(_TREE.unpack(self.main)[1])


def find_damage(path: Path) -> str | None:
    """Return what is wrong with the structure of the LMDB file at ``path``, or None. Raises ``OSError``."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _Walk(file).run()
    except Damage as damage:
        return str(damage)
    finally:
        os.close(file)
    return None


class _Walk:
    """One look at every page that the newest version of the file uses."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._file_size = os.fstat(file).st_size
        self._page_size = 0
        self._used = bytearray()
        self._free: list[int] = []

    def run(self) -> None:
        """Raise ``Damage`` for the first thing that is wrong."""
        metas = self._metas()
        if metas is None:
            return
        newest = max(metas, key=lambda meta: meta.transaction)
        self._used = bytearray(newest.last + 1)
        self._used[0] = self._used[1] = 1
        for value in self._values(_tree(newest.free), is_free_list=True):
            count = int.from_bytes(value[:8], "little")
            if len(value) < 8 * (count + 1):
                raise Damage("the list of free pages is cut off")
            self._free.extend(struct.unpack_from(f"<{count}Q", value, 8))
        for _ in self._values(_tree(newest.main), is_free_list=False):
            pass
        for page in self._free:
            self._claim(page, 1)

    def _metas(self) -> list[_Meta] | None:
        """Return both starting points of the file, or None if only LMDB can tell."""
        first = self._meta(0)
        self._page_size = first.page_size
        if self._page_size not in _SIZES:
            if first.version != _VERSION:
                return None
            raise Damage(f"pages of {self._page_size} bytes do not exist")
        second = self._meta(self._page_size)
        if first.version != second.version:
            raise Damage("its two starting points are of different versions")
        if first.version != _VERSION:
            return None
        for place, meta in enumerate((first, second)):
            if not 1 <= meta.last < 1 << 48:
                raise Damage("the number of pages makes no sense")
            if meta.transaction & 1 != place and meta.transaction:
                raise Damage("its versions are in the wrong places")
            if meta.free_flags & _TREE_FLAGS != _INTEGER_KEYS or meta.main_flags:
                raise Damage("its trees are of another kind than LMDB makes them")
        if abs(first.transaction - second.transaction) > 1:
            raise Damage("its two versions do not follow one another")
        if self._file_size // self._page_size < 2:
            raise Damage("the file is cut off")
        if max(first.last, second.last) > self._file_size:  # fewer than one byte a page: no need to look
            raise Damage("the file is cut off")
        return [first, second]

    def _meta(self, offset: int) -> _Meta:
        head = self._read(offset, _PAGE_HEADER.size + _META.size)
        flags = _PAGE_HEADER.unpack_from(head)[2]
        magic, version, _, _, free, main, last, transaction = _META.unpack_from(head, _PAGE_HEADER.size)
        if magic != _MAGIC or not flags & _META_FLAG:
            raise Damage("it does not start like an LMDB file")
        return _Meta(version=version, free=free, main=main, last=last, transaction=transaction)

    def _values(self, tree: _Tree, *, is_free_list: bool) -> Iterator[bytes]:
        """Visit a tree and the trees inside it; yield the values of the free list."""
        pending = [tree]
        while pending:
            tree = pending.pop()
            level = [] if tree.root == _NO_PAGE else [tree.root]
            entries = 0
            for depth in range(tree.depth, 0, -1):
                below: list[int] = []
                for number in level:
                    for flags, data in self._nodes(number, is_leaf=depth == 1):
                        entries += depth == 1
                        if depth > 1:
                            below.append(int.from_bytes(data, "little"))
                        elif flags & _BIG:
                            value = self._overflow(data, with_value=is_free_list)
                            if is_free_list:
                                yield value
                        elif is_free_list:
                            yield data
                        elif flags & _SUBTREE:
                            pending.append(_tree(data))
                level = below
            if entries != tree.entries and tree.entries != _UNKNOWN:
                raise Damage(f"a tree should have {tree.entries} entries and has {entries}")

    def _nodes(self, number: int, *, is_leaf: bool) -> Iterator[tuple[int, bytes]]:
        """Yield (flags, data) of each node of a tree page; the data of a branch is the page below."""
        self._claim(number, 1)
        page = self._read(number * self._page_size, self._page_size)
        own, _, flags, lower, upper = _PAGE_HEADER.unpack_from(page)
        if own != number or flags != (_LEAF if is_leaf else _BRANCH):
            raise Damage(f"page {number} is not the page of the tree that it should be")
        count = (lower - _PAGE_HEADER.size) // 2
        if not _PAGE_HEADER.size <= lower <= upper <= self._page_size or lower % 2 or (not is_leaf and count < 2):
            raise Damage(f"page {number} has an impossible size")
        for offset in struct.unpack_from(f"<{count}H", page, _PAGE_HEADER.size):
            if not upper <= offset <= self._page_size - _NODE.size:
                raise Damage(f"page {number} points outside itself")
            low, high, node_flags, key_size = _NODE.unpack_from(page, offset)
            start = offset + _NODE.size + key_size
            if not is_leaf:
                if start > self._page_size:
                    raise Damage(f"page {number} has a key that is cut off")
                yield 0, (low | high << 16 | node_flags << 32).to_bytes(8, "little")
                continue
            size = low | high << 16
            end = start + (8 if node_flags & _BIG else size)
            if end > self._page_size:
                raise Damage(f"page {number} has a value that is cut off")
            if node_flags & _SUBTREE and not node_flags & _DUPLICATES and size != _TREE.size:
                raise Damage(f"page {number} has a tree that is none")
            data = page[start:end]
            if node_flags & _BIG:
                data += size.to_bytes(8, "little")
            yield node_flags & ~_SUBTREE if node_flags & _DUPLICATES else node_flags, data

    def _overflow(self, data: bytes, *, with_value: bool) -> bytes:
        """Check the pages of one long value; return it if asked for."""
        number, size = struct.unpack("<QQ", data)
        own, _, flags, pages = _OVERFLOW_HEADER.unpack(
            self._read(number * self._page_size, _OVERFLOW_HEADER.size) if number < len(self._used) else bytes(16)
        )
        if own != number or flags != _OVERFLOW or pages * self._page_size < size + _OVERFLOW_HEADER.size:
            raise Damage(f"page {number} is not the start of a long value")
        self._claim(number, pages)
        last_byte = number * self._page_size + _OVERFLOW_HEADER.size + size - 1
        self._read(last_byte, 1)
        return self._read(number * self._page_size + _OVERFLOW_HEADER.size, size) if with_value else b""

    def _claim(self, number: int, pages: int) -> None:
        """Note that pages are in use, each once."""
        if not 2 <= number <= number + pages <= len(self._used):
            raise Damage(f"page {number} does not exist")
        if any(self._used[number : number + pages]):
            raise Damage(f"page {number} is used twice")
        self._used[number : number + pages] = b"\1" * pages

    def _read(self, offset: int, size: int) -> bytes:
        data = os.pread(self._file, size, offset)
        if len(data) < size:
            raise Damage("the file is cut off")
        return data


def _tree(data: bytes) -> _Tree:
    _, flags, depth, _, _, _, entries, root = _TREE.unpack(data)
    if root != _NO_PAGE and not 1 <= depth <= _DEPTH_MAX:
        raise Damage("a tree has an impossible depth")
    return _Tree(depth, _UNKNOWN if flags & _DUPLICATES else entries, root)
