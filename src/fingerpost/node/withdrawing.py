"""Taking packets back: a withdrawal names a packet of its emitter, and says nothing about what was in it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from fingerpost.limits import BATCH_PACKETS_MAX
from fingerpost.packet import (
    PACKET_DTYPE,
    Kind,
    OutcomeForm,
    PayloadLayout,
    Signer,
    blank_bodies,
    payloads,
    sign_bodies,
)
from fingerpost.ports import Entropy
from fingerpost.privacy.subjects import Contribution
from fingerpost.template import Template

NONCE_SIZE_BYTES = 16
LAYOUT = PayloadLayout(fingerprint_bits=0, sketch=0, conditions=0, outcome_form=OutcomeForm.PACKET_ID)

Packets = npt.NDArray[np.void]


def build_withdrawals(
    template: Template, contributions: Sequence[Contribution], *, signer: Signer, day: int, entropy: Entropy
) -> Packets:
    """Return signed withdrawals of packets that this signer emitted, in the order of their random nonces.

    Beside the packet's id, its cell and its template they hold what says nothing: the day of the withdrawal, the
    template's profile and time to live, chance, and the emitter. The id is a hash over 128 bits of chance.
    """
    count = len(contributions)
    nonces = np.frombuffer(entropy.read(count * NONCE_SIZE_BYTES), np.uint8).reshape(count, NONCE_SIZE_BYTES)
    order = np.lexsort(nonces.T[::-1])
    bodies = blank_bodies(
        count,
        kind=Kind.WITHDRAWAL,
        profile=template.profile,
        epoch=day,
        ttl_days=template.ttl_days,
        template_id=template.template_id,
        emitter=signer.public_key,
        layout=LAYOUT,
    )
    bodies["nonce"] = nonces[order]
    chosen = [contributions[row] for row in order]
    bodies["cell"] = [each.cell for each in chosen]
    ids = b"".join(each.packet_id for each in chosen)
    payloads(bodies, LAYOUT)["outcome"] = np.frombuffer(ids, np.uint8).reshape(count, 32)
    packets: Packets = np.zeros(count, PACKET_DTYPE)
    for start in range(0, count, BATCH_PACKETS_MAX):
        batch = slice(start, start + BATCH_PACKETS_MAX)
        packets[batch] = sign_bodies(bodies[batch], signer)
    return packets
