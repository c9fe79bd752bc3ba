"""A release that had noise added twice, as the sum of several nodes has, is read as twice as noisy."""

from __future__ import annotations

import numpy as np
import pytest

from fingerpost.packet import Signer, payloads, sign_bodies
from fingerpost.privacy.counts import CONFIDENCE_OF_NOISES, counts_bodies, counts_layout, fits_grid, grid_of
from fingerpost.synthesis import CountsEvidence, CountsSynthesizer
from fingerpost.system import SystemEntropy
from fingerpost.template import parse_template

TEMPLATE = parse_template(
    """
format = 1
name = "sizes"
data_class = "personal"
[situation.size]
kind = "number"
range = [0, 100]
[outcome]
kind = "category"
levels = ["failed", "worked"]
[cells]
kind = "prefix"
bits = 3
[privacy]
profile = "dp-aggregate"
"""
)
SIGNER = Signer(bytes(32))


def released(noises: int):
    table = np.full(grid_of(TEMPLATE).shape, 7, np.int64)
    bodies = counts_bodies(
        TEMPLATE, table, emitter=SIGNER.public_key, day=20_000, entropy=SystemEntropy(), noises=noises
    )
    return sign_bodies(bodies, SIGNER)


@pytest.mark.parametrize("noises", CONFIDENCE_OF_NOISES)
def test_the_noise_of_a_table_grows_with_how_often_it_was_added(noises: int) -> None:
    packets = released(noises)
    assert fits_grid(packets, TEMPLATE).all()
    table = CountsSynthesizer(CountsEvidence.from_packets(packets, TEMPLATE), TEMPLATE, day=20_000)._table
    once = CountsSynthesizer(CountsEvidence.from_packets(released(1), TEMPLATE), TEMPLATE, day=20_000)._table
    assert table.noise == pytest.approx(noises * once.noise)


def test_no_other_confidence_is_taken() -> None:
    packets = released(1)
    payloads(packets, counts_layout(2))["confidence"] = 128
    assert not fits_grid(packets, TEMPLATE).any()
