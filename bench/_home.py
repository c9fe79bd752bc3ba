"""A home with a store of many packets, written as fast as it goes: for measurements of nodes that have them already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bench._packets import clustered_prints
from fingerpost.limits import BATCH_PACKETS_MAX
from fingerpost.node.home import Home
from fingerpost.node.opening import open_signer, open_store
from fingerpost.packet import PACKET_DTYPE, Kind, Profile, Signer, blank_bodies, payloads, sign_bodies
from fingerpost.ports import day_of
from fingerpost.system import SystemClock, SystemEntropy
from fingerpost.template import infer_template

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from fingerpost.template import Template

SEED = 0
PACKETS, NODES, OWN = 1_000_000, 100, 1_000
BLOCK_PACKETS = 65_536


def build_home(home: Path, *, packets: int) -> None:
    """Write a template, an identity and a store of ``packets`` into a new home."""
    generator = np.random.default_rng(SEED)
    columns: dict[str, Any] = {
        "x": generator.normal(size=200).round(3),
        "y": generator.normal(size=200).round(3),
        "outcome": ["yes", "no"] * 100,
    }
    template = infer_template(columns, outcome="outcome", name="restart", data_class="non_personal").template
    home.mkdir(parents=True)
    (home / "template.toml").write_bytes(template.canonical)
    now = SystemClock().now()
    own = open_signer(Home(home).root, entropy=SystemEntropy(), now=now)
    store = open_store(home, template=template)
    try:
        day = day_of(now)
        keep(store, template, own, OWN, seed=SEED, day=day)
        others = np.array_split(np.arange(packets - OWN), NODES)
        for number, rows in enumerate(others, 1):
            keep(store, template, Signer(generator.bytes(32)), len(rows), seed=SEED + number, day=day)
    finally:
        store.close()


def keep(store: Any, template: Template, signer: Signer, count: int, *, seed: int, day: int) -> None:
    """Put packets of one node into a store."""
    for start in range(0, count, BLOCK_PACKETS):
        store.add(packets_of(template, signer, min(BLOCK_PACKETS, count - start), seed=seed + start, day=day), day=day)


def packets_of(template: Template, signer: Signer, count: int, *, seed: int, day: int) -> NDArray[np.void]:
    """Return signed packets of one node; their outcome follows from the fingerprint, more often than not."""

    generator = np.random.default_rng([SEED, seed])
    prints = clustered_prints(count, bits=template.fingerprint_bits, seed=seed)
    layout = template.observation_layout()
    bodies = blank_bodies(
        count,
        kind=Kind.OBSERVATION,
        profile=Profile.OPEN,
        epoch=day,
        ttl_days=template.ttl_days,
        template_id=template.template_id,
        emitter=signer.public_key,
        layout=layout,
    )
    bodies["nonce"] = generator.integers(0, 256, (count, 16), dtype=np.uint8)
    content = payloads(bodies, layout)
    content["fingerprint"] = prints
    ones = np.bitwise_count(prints[:, :4]).sum(axis=1) + generator.integers(0, 8, count)
    content["outcome"] = 1 + (ones > 19)
    packets = np.zeros(count, PACKET_DTYPE)
    for start in range(0, count, BATCH_PACKETS_MAX):
        part = slice(start, start + BATCH_PACKETS_MAX)
        packets[part] = sign_bodies(bodies[part], signer)
    return packets
