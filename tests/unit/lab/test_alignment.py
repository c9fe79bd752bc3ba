"""The attack on secret planes works where it should, so that its failure on sealed packets means something."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fingerpost.lab.alignment import aligned_records, share_named, wire_view
from fingerpost.packet import PACKET_DTYPE

PUBLIC, EMITTED, CLASSES, WIDTH, BITS = 300, 200, 12, 12, 256


def drawn(seed: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return records of twelve classes, some more alike than others."""
    chance = np.random.default_rng(seed)
    outcomes = chance.integers(0, CLASSES, PUBLIC + EMITTED)
    centres = chance.normal(size=(CLASSES, WIDTH)) * 2
    return centres[outcomes] + chance.normal(size=(len(outcomes), WIDTH)), outcomes


def named(bits: NDArray[np.float64], outcomes: NDArray[np.int64], seed: int) -> float:
    records, known = drawn(seed)
    guessed = aligned_records(bits, outcomes, public=records[:PUBLIC], public_outcomes=known[:PUBLIC], rank=WIDTH)
    centre = records[:PUBLIC].mean(axis=0)
    return share_named(guessed - centre, records[PUBLIC:] - centre, np.arange(EMITTED))


def test_packets_under_unknown_planes_are_named_from_outcomes_and_public_records() -> None:
    records, outcomes = drawn(1)
    planes = np.random.default_rng(99).normal(size=(WIDTH, BITS))
    bits = np.where(records[PUBLIC:] @ planes >= 0, 1.0, -1.0)
    assert named(bits, outcomes[PUBLIC:], 1) > 0.7


def test_what_a_seal_leaves_to_see_names_nobody() -> None:
    sealed = np.zeros(EMITTED, PACKET_DTYPE)
    sealed["payload"] = np.random.default_rng(5).integers(0, 256, (EMITTED, 240))
    bits, outcomes = wire_view(sealed, bits=BITS, levels=CLASSES)
    assert set(np.unique(bits)) == {-1.0, 1.0}
    assert named(bits, outcomes, 1) < 0.05
