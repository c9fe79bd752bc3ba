"""Drawing few of many packets by their content picks those that come first when all are sorted."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fingerpost.synthesis._draw import content_ranks, least
from fingerpost.synthesis.evidence import Evidence


@given(ranks=st.lists(st.integers(0, 9) | st.integers(0, (1 << 64) - 1), min_size=2, max_size=60), data=st.data())
def test_the_least_are_the_first_of_a_stable_sort(ranks, data) -> None:
    values, count = np.array(ranks, np.uint64), data.draw(st.integers(1, len(ranks) - 1))
    np.testing.assert_array_equal(least(values, count), np.argsort(values, kind="stable")[:count])


@given(seed=st.integers(0, 1_000), share=st.floats(0, 1))
def test_a_packet_has_the_same_rank_in_whatever_company(seed, share) -> None:
    chance = np.random.default_rng(seed)
    codes = chance.integers(-1, 3, 40).astype(np.int32)
    evidence = Evidence.from_arrays(
        fingerprints=chance.integers(0, 256, (40, 16), dtype=np.uint8),
        codes=codes,
        counts=chance.integers(1, 5, (int((codes < 0).sum()), 3)),
    )
    weights, rows = chance.random(40), np.flatnonzero(chance.random(40) < share)
    apart = content_ranks(evidence.subset(rows), weights[rows])
    np.testing.assert_array_equal(apart, content_ranks(evidence, weights)[rows])
