"""Secure sums in one process: every message is made, passed on and counted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fingerpost.packet import Signer
from fingerpost.privacy.noise import CountNoise
from fingerpost.privacy.secure_sum import Sum, SumParty
from fingerpost.system import SystemEntropy


def summed(tables: Sequence[np.ndarray], noise: CountNoise, *, epsilon: float) -> tuple[np.ndarray, int]:
    """Return the noisy sum as every party gets it, and the bytes that one party sends."""
    signers = [Signer(SystemEntropy().read(32)) for _ in tables]
    agreed = Sum(
        parties=tuple(bytes(signer.public_key) for signer in signers),
        occasion=SystemEntropy().read(16),
        shape=tables[0].shape,
    )
    parties = [SumParty(agreed, signer=signer, secret=SystemEntropy().read(32)) for signer in signers]
    hellos = [party.hello() for party in parties]
    _pass_on(parties, signers, hellos)
    masked = [party.masked(table, noise, epsilon=epsilon) for party, table in zip(parties, tables, strict=True)]
    _pass_on(parties, signers, masked)
    totals = [party.total() for party in parties]
    if any((total != totals[0]).any() for total in totals):
        raise AssertionError("all parties get the same sum")
    return totals[0], (len(hellos[0]) + len(masked[0])) * (len(parties) - 1)


def _pass_on(parties: Sequence[SumParty], signers: Sequence[Signer], messages: Sequence[bytes]) -> None:
    for sender, message in zip(signers, messages, strict=True):
        for party, signer in zip(parties, signers, strict=True):
            if signer is not sender:
                party.take(message, sender=bytes(sender.public_key))
