"""Durable verified ingest: from frames of signed bytes to packets on disk that a search finds.

Prints ``ingest_{256,16,1}_vs_strong``: packets per second, with so many packets a signature, ÷ those of binary messages
with a signature each, checked by PyNaCl's lowest level, kept by SQLite (WAL, synchronous FULL, a commit per 1,000) and
added to a flat faiss index. ``ingest_256_vs_json`` compares with JSON, ``cryptography`` and the same SQLite and faiss.

Ours are checked, dropped where they came twice, durable after each frame of seven full batches, and added to the exact
index. All are timed by processor time, in turn, in one process.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one core is what the figures say; read when numpy is loaded

import base64
import json
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import faiss
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from nacl import bindings

from bench._figures import Figure, bootstrap_interval, is_quick, write_figures
from bench._packets import (
    BITS,
    COMMIT_MESSAGES,
    DAY,
    LAYOUT,
    frames_of,
    index_add,
    insert,
    json_messages,
    open_database,
    plain_messages,
    signed_packets,
)
from fingerpost.packet import RootCache, packet_ids, packets_from_frame, payloads, verify_packets
from fingerpost.store._lmdb import LmdbStore
from fingerpost.store.index import FingerprintIndex

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TARGET = "bench"
SEED = 0
BATCHES = {256: 65_536, 16: 16_384, 1: 4_096}  # packets a signature: packets in all
MESSAGES = 4_000


def main() -> None:
    """Measure and write the figures."""
    rounds = 5 if is_quick() else 9
    scale = 4 if is_quick() else 1
    frames = {batch: frames_of(signed_packets(n // scale, batch=batch, seed=SEED)) for batch, n in BATCHES.items()}
    messages, key = plain_messages(MESSAGES // scale, seed=SEED)
    actions: dict[str, Callable[[Path], int]] = {
        f"ours_{batch}": partial(ours, frames=parts) for batch, parts in frames.items()
    }
    actions["strong"] = partial(strong, messages=messages, key=key)
    actions["json"] = partial(with_json, messages=json_messages(messages), key=key)
    rates = {name: [] for name in actions}  # type: dict[str, list[float]]
    for turn in range(rounds + 1):
        for name, action in actions.items():
            with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
                start = time.process_time()
                count = action(Path(folder))
                if turn:
                    rates[name].append(count / (time.process_time() - start))
    figures = [ratio(f"ingest_{batch}_vs_strong", rates[f"ours_{batch}"], rates["strong"]) for batch in BATCHES]
    figures.append(ratio("ingest_256_vs_json", rates["ours_256"], rates["json"]))
    write_figures(TARGET, figures, seeds=[SEED])


def ratio(name: str, ours: list[float], theirs: list[float]) -> Figure:
    """Return packets per second as a ratio, round by round."""
    ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    low, high = bootstrap_interval(ratios)
    detail = {"ours": float(np.median(ours)), "theirs": float(np.median(theirs)), "load": os.getloadavg()[0]}
    return Figure(name=name, value=float(np.median(ratios)), unit="ratio", low=low, high=high, detail=detail)


def ours(folder: Path, *, frames: Sequence[bytes]) -> int:
    """Check frames, keep their packets and make them searchable; return how many were new."""
    store = LmdbStore(folder / "store")
    index, roots, kept = FingerprintIndex(BITS), RootCache(), 0
    for frame in frames:
        packets = packets_from_frame(frame)
        ids = packet_ids(packets)
        valid = verify_packets(packets, cache=roots, ids=ids)
        if not valid.all():
            packets, ids = packets[valid], ids[valid]
        new = store.add(packets, day=DAY, packet_ids=ids) == 0
        if not new.all():
            packets, ids = packets[new], ids[new]
        index.add(payloads(packets, LAYOUT)["fingerprint"], ids)
        kept += len(packets)
    store.close()
    if kept != sum(map(len, frames)) // 512 or len(index) != kept:
        raise AssertionError("a packet was lost")
    return kept


def strong(folder: Path, *, messages: Sequence[bytes], key: bytes) -> int:
    """Do the same with a signature a message."""
    database, index = open_database(folder / "database"), faiss.IndexBinaryFlat(BITS)
    for start in range(0, len(messages), COMMIT_MESSAGES):
        part = messages[start : start + COMMIT_MESSAGES]
        for message in part:
            bindings.crypto_sign_open(message, key)
        insert(database, part)
        index_add(index, part)
    database.close()
    return len(messages)


def with_json(folder: Path, *, messages: Sequence[str], key: bytes) -> int:
    """Do the same with text."""
    database, index = open_database(folder / "database"), faiss.IndexBinaryFlat(BITS)
    for start in range(0, len(messages), COMMIT_MESSAGES):
        part = [checked_json(message, key) for message in messages[start : start + COMMIT_MESSAGES]]
        insert(database, part)
        index_add(index, part)
    database.close()
    return len(messages)


def checked_json(message: str, key: bytes) -> bytes:
    """Return the bytes of one message, or raise."""
    fields: dict[str, Any] = json.loads(message)
    signature, body = base64.b64decode(fields["signature"]), base64.b64decode(fields["body"])
    Ed25519PublicKey.from_public_bytes(key).verify(signature, body)
    return signature + body


if __name__ == "__main__":
    main()
