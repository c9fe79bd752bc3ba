"""Noisy counts: one record changes one entry by one, and nothing in a packet but noisy counts depends on records."""

from __future__ import annotations

import numpy as np

from fingerpost.node.noise import OpenDpNoise
from fingerpost.packet import BODY_DTYPE, Signer, packet_ids, payloads, sign_bodies
from fingerpost.privacy.counts import (
    count_records,
    counts_bodies,
    counts_layout,
    fits_grid,
    grid_of,
    noisy_counts,
    outcome_levels,
)
from fingerpost.synthesis.counts import laplace_variance
from fingerpost.template import parse_template

SIGNER = Signer(bytes(range(32)))
TEMPLATE = parse_template("""
format = 1
name = "sizes"
data_class = "personal"
[situation.size]
kind = "number"
range = [0, 100]
[action]
levels = ["wait", "act"]
[outcome]
kind = "category"
levels = ["failed", "worked"]
[cells]
kind = "prefix"
bits = 2
[privacy]
profile = "dp-aggregate"
""")


class Replayed:
    """Entropy and noise that a test can repeat."""

    def __init__(self, seed: int = 0) -> None:
        self.chance = np.random.default_rng(seed)

    def read(self, size: int) -> bytes:
        return self.chance.bytes(size)

    def discrete_laplace(self, counts, *, scale: float):
        return counts + self.chance.integers(-2, 3, counts.shape)


def bodies_of(cells, actions, levels):
    replayed = Replayed()
    table = count_records(grid_of(TEMPLATE), cells=np.array(cells), actions=np.array(actions), levels=np.array(levels))
    noisy = noisy_counts(table, replayed)
    return counts_bodies(TEMPLATE, noisy, emitter=SIGNER.public_key, day=20_000, entropy=replayed)


def test_a_release_has_every_cell_and_action_whatever_the_records() -> None:
    for records in (([], [], []), ([3], [1], [0])):
        bodies = bodies_of(*(np.array(part, np.int64) for part in records))
        assert len(bodies) == grid_of(TEMPLATE).packets == 4 * 3
        assert fits_grid(bodies, TEMPLATE).all()


def test_one_record_more_changes_one_number_by_one_and_no_other_byte() -> None:
    before, after = bodies_of([1, 2], [1, 2], [0, 1]), bodies_of([1, 2, 2], [1, 2, 0], [0, 1, 1])
    changed = np.flatnonzero(before != after)
    assert len(changed) == 1
    layout = counts_layout(2)
    for name in BODY_DTYPE.names or ():
        if name != "payload":
            assert (before[name] == after[name]).all(), name
    difference = payloads(after, layout)["outcome"].astype(int) - payloads(before, layout)["outcome"]
    assert sorted(difference[changed[0]]) == [0, 1]


def test_noise_from_opendp_has_the_variance_that_answers_reckon_with() -> None:
    drawn = OpenDpNoise().discrete_laplace(np.zeros(40_000, np.int64), scale=1.0)
    assert abs(drawn.mean()) < 0.05
    assert abs(drawn.var() / laplace_variance(1.0) - 1) < 0.1


def test_a_number_is_counted_at_a_knot_beside_it_and_on_average_where_it_is() -> None:
    template = parse_template(
        TEMPLATE.canonical.decode().replace(
            '"outcome":{"kind":"category","levels":["failed","worked"],"name":"outcome"}',
            '"outcome":{"kind":"number","name":"outcome","range":["0","80"],"unit":""}',
        )
    )
    levels = outcome_levels(template, np.full(20_000, 33.0), Replayed())
    assert set(levels) == {3, 4}
    assert abs(levels.mean() * 10 - 33) < 0.2


def test_a_signed_release_is_packets_that_differ_in_their_ids() -> None:
    packets = sign_bodies(bodies_of([], [], []), SIGNER)
    assert len({one.tobytes() for one in packet_ids(packets)}) == len(packets)
