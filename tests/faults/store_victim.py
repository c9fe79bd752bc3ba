"""Opens damaged copies of a store, each in a process of its own, and says how each of them ended.

``python -m tests.faults.store_victim DIRECTORY`` reads a list of damages from its input, as JSON, does each of
them to a copy of the store in DIRECTORY, and prints the list of outcomes: ``fine`` and a digest of all that the store
showed, or the code of the ``StoreError``, or what went wrong: ``signal 11``, or a traceback.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import traceback
from pathlib import Path

from fingerpost.errors import StoreError
from fingerpost.packet import packet_ids
from fingerpost.store._lmdb import LmdbStore
from fingerpost.store._lmdb_file import DATA_NAME
from fingerpost.testing.packet_samples import observation, signed, signer

DAY = 20_000


def damage(path: Path, how: str, at: int, value: int) -> None:
    """Cut the file at byte ``at``, overwrite the page there, or flip one of its bits."""
    with path.open("r+b") as file:
        if how == "cut":
            file.truncate(at)
        elif how == "fill":
            file.seek(at)
            file.write(bytes([value]) * 4_096 if value < 256 else hashlib.blake2s(b"%d" % at).digest() * 128)
        else:
            file.seek(at)
            byte = file.read(1)[0]
            file.seek(at)
            file.write(bytes([byte ^ 1 << value]))


def digest(store: LmdbStore) -> str:
    """Return a digest of all that the store shows."""
    shown = hashlib.blake2s()
    for blocks in (store.scan(), store.withdrawals()):
        for packet in sorted(packet.tobytes() for block in blocks for packet in block):
            shown.update(packet)
    for block in store.scan():
        if not store.contains(packet_ids(block)).all():
            return "a packet that is shown is not contained"
    shown.update(repr((list(store.records("table")), store.generation)).encode())
    return shown.hexdigest()


def use(directory: Path) -> str:
    """Open a store, read it, write to it, read it again."""
    try:
        store = LmdbStore(directory)
        before = digest(store)
        problems = store.check()
        if problems:
            return f"problem {problems[0].code}"
        emitter = signer(9)
        store.add(signed([observation(emitter, 10_000 + n) for n in range(300)], emitter), day=DAY)
        store.put_record("other", b"key", bytes(9_000))
        store.compact(DAY)
        if store.check():
            return "problem after writing"
        store.close()
    except StoreError as error:
        return error.code
    except Exception:
        return traceback.format_exc()
    return f"fine {before}"


def in_a_process(directory: Path) -> str:
    """Return what ``use`` returns, or the signal that ended it."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, use(directory).encode()[:4_000])
        os._exit(0)
    os.close(writing)
    _, status = os.waitpid(child, 0)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode()
    return f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else said


def main() -> None:
    """Do all damages."""
    original = Path(sys.argv[1])
    outcomes = []
    for how, at, value in json.load(sys.stdin):
        copy = original.with_name("copy")
        shutil.copytree(original, copy)
        damage(copy / DATA_NAME, how, at, value)
        outcomes.append(in_a_process(copy))
        shutil.rmtree(copy)
    json.dump(outcomes, sys.stdout)


if __name__ == "__main__":
    main()
