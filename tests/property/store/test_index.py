"""The index finds what looking at every pair finds, whatever the order of arrival."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fingerpost.errors import UsageError
from fingerpost.store.index import FingerprintIndex

BITS = 64


def brute_force(fingerprints, ids, queries, k):
    """Return the (distance, packet id) of the k nearest of each query."""
    found = []
    for query in queries:
        distances = np.bitwise_count(fingerprints ^ query).sum(axis=1)
        found.append(sorted((int(d), i.tobytes()) for d, i in zip(distances, ids, strict=True))[:k])
    return found


def searched(index, queries, k):
    distances, rows = index.search(queries, k)
    ids = index.packet_ids(rows)
    return [[(int(d), i.tobytes()) for d, i in zip(*pair, strict=True)] for pair in zip(distances, ids, strict=True)]


def tables(rng, n, *, different):
    """Return n fingerprints, of which only so many are different, so that most distances tie, and their ids."""
    centres = rng.integers(0, 256, (different, BITS // 8), dtype=np.uint8)
    ids = rng.integers(0, 256, (n, 32), dtype=np.uint8)
    if n:
        ids[: n // 2, :8] = ids[0, :8]  # ids that begin alike must still be told apart
    return centres[rng.integers(0, different, n)], ids


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(0, 300),
    different=st.integers(1, 40),
    k=st.integers(0, 70),
    pieces=st.integers(1, 5),
)
def test_the_nearest_are_those_of_a_full_sort_by_distance_and_id(seed, n, different, k, pieces) -> None:
    rng = np.random.default_rng(seed)
    fingerprints, ids = tables(rng, n, different=different)
    queries = np.concatenate([fingerprints[:3], rng.integers(0, 256, (2, BITS // 8), dtype=np.uint8)])
    index = FingerprintIndex(BITS)
    for part in np.array_split(rng.permutation(n), pieces):
        index.add(fingerprints[part], ids[part])
    assert searched(index, queries, k) == brute_force(fingerprints, ids, queries, k)


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 200), share=st.floats(0, 1))
def test_what_is_removed_is_never_found_and_rows_keep_their_numbers(seed, n, share) -> None:
    rng = np.random.default_rng(seed)
    fingerprints, ids = tables(rng, n, different=5)
    index = FingerprintIndex(BITS)
    numbers = index.add(fingerprints, ids)
    gone = rng.random(n) < share
    strangers = rng.integers(0, 256, (2, 32), dtype=np.uint8)
    assert index.remove(np.concatenate([ids[gone], strangers])) == gone.sum()
    assert len(index) == n - gone.sum()
    more = index.add(fingerprints[gone], ids[gone])
    assert set(more).isdisjoint(numbers)
    assert searched(index, fingerprints[:2], 20) == brute_force(fingerprints, ids, fingerprints[:2], 20)
    assert (index.packet_ids(numbers[~gone]) == ids[~gone]).all()


def test_many_queries_are_searched_in_parts_with_the_same_result() -> None:
    rng = np.random.default_rng(0)
    fingerprints, ids = tables(rng, 3_000, different=200)
    index = FingerprintIndex(BITS)
    index.add(fingerprints, ids)
    distances, rows = index.search(fingerprints, 5)
    assert distances.shape == rows.shape == (3_000, 5)
    alone = [index.search(fingerprints[at : at + 1], 5) for at in (0, 1_023, 1_024, 2_999)]
    assert [rows[at].tolist() for at in (0, 1_023, 1_024, 2_999)] == [each[1][0].tolist() for each in alone]


@pytest.mark.parametrize("bits", [0, -64, 63, 100, 1_088])
def test_only_whole_words_of_bits_are_indexed(bits) -> None:
    with pytest.raises(UsageError, match="multiple of 64") as caught:
        FingerprintIndex(bits)
    assert caught.value.code == "index-argument"


@pytest.mark.parametrize(
    "call",
    [
        lambda index: index.add(np.zeros((2, 8), np.uint8), np.zeros((1, 32), np.uint8)),
        lambda index: index.add(np.zeros((2, 16), np.uint8), np.zeros((2, 32), np.uint8)),
        lambda index: index.add(np.zeros((2, 8), np.int8), np.zeros((2, 32), np.uint8)),
        lambda index: index.search(np.zeros(8, np.uint8), 3),
        lambda index: index.search(np.zeros((1, 8), np.uint8), -1),
    ],
)
def test_arrays_of_the_wrong_shape_are_refused(call) -> None:
    with pytest.raises(UsageError) as caught:
        call(FingerprintIndex(BITS))
    assert caught.value.code == "index-argument"
