"""Repeats are found among packets that agree in a part of the fingerprint: the same as by comparing all with all."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fingerpost.elections import repeats
from fingerpost.elections._view import PacketIds
from fingerpost.elections.repeats import SAME_BITS_SHARE, repeated
from fingerpost.synthesis.evidence import Evidence


def all_with_all(evidence: Evidence, rows, nodes) -> np.ndarray:
    """Compare each packet with all before it."""
    signs = 2 * np.unpackbits(evidence.fingerprints[rows], axis=1).astype(np.float32) - 1
    near = signs @ signs.T >= evidence.bits * (1 - 2 * SAME_BITS_SHARE)
    actions = evidence.actions[rows]
    near &= (actions[:, None] == actions) & (nodes[:, None] == nodes)
    return np.asarray(np.tril(near, -1).any(axis=1))


def told(*, seed: int, rows: int, bits: int, nodes: int, actions: int, situations: int, flips: float):
    """Return evidence of situations that are told again with some bits flipped, and its rows by node."""
    chance = np.random.default_rng(seed)
    centres = chance.integers(0, 2, (situations, bits))
    prints = centres[chance.integers(0, situations, rows)] ^ (chance.random((rows, bits)) < flips * chance.random())
    evidence = Evidence.from_arrays(
        fingerprints=np.packbits(prints.astype(np.uint8), axis=1),
        codes=np.zeros(rows, np.int32),
        counts=np.zeros((0, 2), np.int64),
        emitters=chance.integers(0, nodes, (rows, 1)).repeat(32, axis=1),
        actions=chance.integers(0, actions, rows),
    )
    order = np.argsort(evidence.node_index, kind="stable").astype(np.int64)
    return evidence, order, evidence.node_index[order]


@given(
    seed=st.integers(0, 1 << 32),
    rows=st.integers(0, 200),
    bits=st.sampled_from([8, 24, 64, 72, 128, 200, 256, 512]),
    nodes=st.integers(1, 5),
    actions=st.integers(1, 3),
    situations=st.integers(1, 40),
    flips=st.sampled_from([0.0, 0.02, 0.06, 0.2, 1.0]),
    before_max=st.sampled_from([1, 2, 64]),
)
def test_the_same_packets_are_repeats_as_when_all_are_compared(
    seed, rows, bits, nodes, actions, situations, flips, before_max
) -> None:
    evidence, order, by_node = told(
        seed=seed, rows=rows, bits=bits, nodes=nodes, actions=actions, situations=situations, flips=flips
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(repeats, "BEFORE_MAX", before_max)
        patch.setattr(repeats, "BATCH_ROWS", 64)
        patch.setattr(repeats, "BLOCK_ROWS", 16)
        found = repeated(evidence, order, by_node)
    np.testing.assert_array_equal(found, all_with_all(evidence, order, by_node))


def test_fingerprints_made_to_agree_in_most_parts_are_compared_with_all_before_them() -> None:
    chance = np.random.default_rng(4)
    prints = np.zeros((500, 32), np.uint8)
    prints[:, 16:] = chance.integers(0, 256, (500, 16))  # agree in five parts of eleven
    prints[400:] = prints[:100]
    prints[400:, 16] ^= 0b11
    prints[450:, 20:22] ^= 0b11111
    evidence = Evidence.from_arrays(fingerprints=prints, codes=np.zeros(500, np.int32), counts=np.zeros((0, 2)))
    rows = np.arange(500)
    found = repeated(evidence, rows, np.zeros(500, np.int64))
    np.testing.assert_array_equal(found, all_with_all(evidence, rows, np.zeros(500, np.int64)))
    assert found.sum() >= 50


@given(known=st.lists(st.integers(0, 40)), more=st.lists(st.integers(0, 40)), asked=st.lists(st.integers(0, 40)))
def test_packet_ids_are_known_as_in_a_set_of_bytes(known, more, asked) -> None:
    def ids(numbers):  # zeros at their ends, and at their beginnings
        found = np.zeros((len(numbers), 32), np.uint8)
        found[:, 3], found[:, 20] = [number // 2 for number in numbers], [number % 2 for number in numbers]
        return found

    both = PacketIds(ids(known)).with_(ids(more))
    assert len(both) == len({*known, *more})
    np.testing.assert_array_equal(both.has(ids(asked)), [number in {*known, *more} for number in asked])
