"""Signed packets for measurements, and what others would keep instead: plain messages with a signature each."""

from __future__ import annotations

import base64
import json
import os
import sqlite3
from typing import TYPE_CHECKING, Any

import numpy as np
from nacl import bindings

from fingerpost.limits import BATCH_PACKETS_MAX, FRAME_PACKETS_MAX
from fingerpost.packet import (
    PACKET_DTYPE,
    Kind,
    OutcomeForm,
    PayloadLayout,
    Profile,
    Signer,
    blank_bodies,
    payloads,
    sign_bodies,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

BITS = 256
DAY = 20_000
LAYOUT = PayloadLayout(fingerprint_bits=BITS, sketch=0, conditions=2, outcome_form=OutcomeForm.CATEGORY)
BODY = 448  # bytes of a plain message that are signed; the signature makes it 512
COMMIT_MESSAGES = 1_000
FRAME_PACKETS = FRAME_PACKETS_MAX // BATCH_PACKETS_MAX * BATCH_PACKETS_MAX  # whole batches: 896 KiB
DIMENSIONS, CLUSTERS, SPREAD = 24, 2_000, 0.5  # of fingerprints that have neighbours
PRINTS_AT_ONCE = 100_000
FINGERPRINT = slice(96, 96 + BITS // 8)


def signed_packets(count: int, *, batch: int, seed: int) -> NDArray[np.void]:
    """Return packets with random fingerprints, ``batch`` of them a signature."""
    generator = np.random.default_rng(seed)
    signer = Signer(generator.bytes(32))
    bodies = blank_bodies(
        count,
        kind=Kind.OBSERVATION,
        profile=Profile.OPEN,
        epoch=DAY,
        ttl_days=30,
        template_id=bytes(range(16)),
        emitter=signer.public_key,
        layout=LAYOUT,
    )
    bodies["nonce"] = generator.integers(0, 256, (count, 16), dtype=np.uint8)
    content = payloads(bodies, LAYOUT)
    content["fingerprint"] = generator.integers(0, 256, (count, BITS // 8), dtype=np.uint8)
    content["outcome"] = generator.integers(1, 3, count)
    packets = np.zeros(count, PACKET_DTYPE)
    for start in range(0, count, batch):
        packets[start : start + batch] = sign_bodies(bodies[start : start + batch], signer)
    return packets


def clustered_prints(count: int, *, bits: int, seed: int) -> NDArray[np.uint8]:
    """Return fingerprints (count, bits / 8) of one population, whatever the seed: signs of random projections.

    The population has ``CLUSTERS`` equally likely clusters of deviation ``SPREAD`` in ``DIMENSIONS`` dimensions.
    """
    shared, generator = np.random.default_rng(7), np.random.default_rng(seed)
    centres = shared.standard_normal((CLUSTERS, DIMENSIONS))
    planes = shared.standard_normal((DIMENSIONS, bits))
    out = np.empty((count, bits // 8), np.uint8)
    for start in range(0, count, PRINTS_AT_ONCE):
        size = min(PRINTS_AT_ONCE, count - start)
        points = centres[generator.integers(0, CLUSTERS, size)]
        points = points + SPREAD * generator.standard_normal((size, DIMENSIONS))
        out[start : start + size] = np.packbits(points @ planes >= 0, axis=1)
    return out


def frames_of(packets: NDArray[np.void]) -> list[bytes]:
    """Return the frames that carry ``packets``, whole batches of up to 256 each."""
    return [packets[at : at + FRAME_PACKETS].tobytes() for at in range(0, len(packets), FRAME_PACKETS)]


def plain_messages(count: int, *, seed: int) -> tuple[list[bytes], bytes]:
    """Return messages of 512 bytes with a signature each (signature first), and the key that signed them."""
    generator = np.random.default_rng(seed)
    public_key, secret_key = bindings.crypto_sign_seed_keypair(generator.bytes(32))
    return [bindings.crypto_sign(generator.bytes(BODY), secret_key) for _ in range(count)], public_key


def json_messages(messages: Sequence[bytes]) -> list[str]:
    """Return the same messages as JSON."""
    return [
        json.dumps({"signature": base64.b64encode(each[:64]).decode(), "body": base64.b64encode(each[64:]).decode()})
        for each in messages
    ]


def open_database(path: Path) -> sqlite3.Connection:
    """Open SQLite as durable as it gets: a write-ahead log that is synced at each commit."""
    database = sqlite3.connect(path, isolation_level=None)
    database.execute("pragma journal_mode=wal")
    database.execute("pragma synchronous=full")
    database.execute("create table packet (id blob primary key, message blob)")
    return database


def insert(database: sqlite3.Connection, messages: Sequence[bytes]) -> None:
    """Insert in one transaction what is not there yet."""
    database.execute("begin")
    database.executemany("insert or ignore into packet values (?, ?)", ((each[64:96], each) for each in messages))
    database.execute("commit")


def index_add(index: Any, messages: Sequence[bytes]) -> None:
    """Add the fingerprints of messages to a faiss index."""
    octets = np.frombuffer(b"".join(messages), np.uint8).reshape(-1, 512)
    index.add(np.ascontiguousarray(octets[:, FINGERPRINT]))
