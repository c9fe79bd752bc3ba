"""The arm of packets: what nodes emit about the rows they own, read back as evidence. The real path, nothing short-cut.

Rows are encoded by the template, fingerprinted, written into bodies, signed in batches by the node that owns them, sent
as bytes, verified, and only then read.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from fingerpost.fingerprint import Fingerprinter, cell_of
from fingerpost.packet import (
    PACKET_DTYPE,
    Kind,
    OutcomeForm,
    Signer,
    blank_bodies,
    packets_from_frame,
    payloads,
    sign_bodies,
    verify_packets,
)
from fingerpost.synthesis.evidence import Evidence

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fingerpost.template import Template

DAY = 20_000  # any day: nothing here grows old


class Questions:
    """Records as an asker sends them: fingerprints (n, B), and sketches (n, 32) where the template has them."""

    def __init__(self, template: Template, encoded: NDArray[np.int16]) -> None:
        fingerprinter = Fingerprinter(template)
        self.fingerprints: NDArray[np.uint8] = fingerprinter.fingerprints(encoded)
        self.sketches: NDArray[np.uint8] | None = fingerprinter.sketches(encoded) if template.sketch else None


def emit(
    template: Template,
    encoded: NDArray[np.int16],
    outcomes: NDArray[Any],
    *,
    nodes: NDArray[np.int64] | None = None,
    seed: int = 0,
) -> NDArray[Any]:
    """Return the (n,) signed packets of ``encoded`` (n, width), in an order that says nothing about the rows.

    ``outcomes`` (n,) are level numbers or values; ``nodes`` (n,) tells which node owns a row (default: one owns all).
    Keys and nonces come from ``seed``, so that a measurement can be repeated.
    """
    owners = np.zeros(len(encoded), np.int64) if nodes is None else nodes
    chance = np.random.default_rng(seed)
    questions = Questions(template, encoded)
    frames = []
    for node in np.unique(owners):
        rows = chance.permutation(np.flatnonzero(owners == node))
        signer = Signer(hashlib.blake2s(f"node {node} of {seed}".encode()).digest())
        layout = template.observation_layout()
        bodies = blank_bodies(
            len(rows),
            kind=Kind.OBSERVATION,
            profile=template.profile,
            epoch=DAY,
            ttl_days=template.ttl_days,
            template_id=template.template_id,
            emitter=signer.public_key,
            layout=layout,
        )
        bodies["nonce"] = chance.integers(0, 256, bodies["nonce"].shape, dtype=np.uint8)
        bodies["cell"] = cell_of(questions.fingerprints[rows], template)
        content = payloads(bodies, layout)
        content["fingerprint"] = questions.fingerprints[rows]
        if questions.sketches is not None:
            content["sketch"] = questions.sketches[rows]
        is_category = layout.outcome_form == OutcomeForm.CATEGORY
        content["outcome"] = outcomes[rows] + 1 if is_category else outcomes[rows]
        frames.append(sign_bodies(bodies, signer).tobytes())
    return chance.permutation(packets_from_frame(b"".join(frames)))


def collect(template: Template, packets: NDArray[Any]) -> Evidence:
    """Return ``packets`` (``PACKET_DTYPE``) as evidence, as a holder that verifies each of them would read them."""
    if packets.dtype != PACKET_DTYPE or not verify_packets(packets).all():
        raise AssertionError("a packet of this measurement does not verify")
    return Evidence.from_packets(packets, template)
