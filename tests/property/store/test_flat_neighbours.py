"""The search of the store finds what looking at everything finds, row by row."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.errors import UsageError
from fingerpost.store.index import COUNTED_MAX, FlatNeighbours
from fingerpost.synthesis.distances import Scan

SIZES = st.sampled_from([1, 2, 127, 1_000, 5_000])
COUNTS = st.sampled_from([1, 2, 16, 128, 1_024, COUNTED_MAX, COUNTED_MAX + 1, 4_000, 9_000])


@settings(max_examples=60, deadline=None)
@given(
    size=SIZES,
    count=COUNTS,
    used_bytes=st.sampled_from([1, 2, 8, 32]),
    width=st.sampled_from([32, 128]),
    seed=st.integers(0, 1_000),
)
def test_neighbours_and_the_order_of_ties_are_those_of_a_scan(
    size: int, count: int, used_bytes: int, width: int, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    prints = np.zeros((size, width), np.uint8)
    prints[:, :used_bytes] = generator.integers(0, 256, (size, used_bytes))
    queries = prints[generator.integers(0, size, 11)] ^ np.uint8(generator.integers(0, 3))
    expected = Scan(prints).nearest(queries, count)
    found = FlatNeighbours(prints).nearest(queries, count)
    assert found.shape == (11, min(count, size))
    assert (found == expected).all()


def test_no_fingerprints_have_no_neighbours() -> None:
    nothing = np.zeros((0, 32), np.uint8)
    assert FlatNeighbours(nothing).nearest(np.zeros((2, 32), np.uint8), 5).shape == (2, 0)


@pytest.mark.parametrize("wrong", [np.zeros((3, 7), np.uint8), np.zeros(32, np.uint8), np.zeros((3, 32), np.int8)])
def test_what_is_no_array_of_fingerprints_is_refused(wrong) -> None:
    with pytest.raises(UsageError) as refused:
        FlatNeighbours(wrong)
    assert refused.value.code == "index-argument"
