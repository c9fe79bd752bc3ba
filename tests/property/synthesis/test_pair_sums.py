"""Sums over all pairs, against the pairs themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.synthesis import pairs
from fingerpost.synthesis.statistics import Statistics
from tests.unit.synthesis.brute import PairSums
from tests.unit.synthesis.pools import random_pool

if TYPE_CHECKING:
    from fingerpost.synthesis.evidence import Evidence

pools = st.builds(
    random_pool,
    seed=st.integers(0, 2**32),
    rows=st.integers(1, 60),
    levels=st.integers(1, 5),
    nodes=st.integers(1, 6),
    bits=st.sampled_from([64, 128]),
    summaries=st.integers(0, 8),
)


@settings(max_examples=40, deadline=None)
@given(pools)
def test_pair_sums_equal_brute_force_in_integers(evidence: Evidence) -> None:
    statistics, brute = Statistics.of(evidence), PairSums(evidence)
    assert statistics.records == brute.records
    assert pairs.same_outcome_similarity(statistics) == brute.same()
    assert pairs.all_pairs_similarity(statistics) == brute.every()
    assert pairs.same_outcome_squares(statistics) == brute.same_squares()


@settings(max_examples=40, deadline=None)
@given(pools)
def test_corroboration_equals_brute_force_in_integers(evidence: Evidence) -> None:
    memory = Statistics.of(evidence).memory
    assert np.array_equal(memory, pairs.memory_of(evidence))
    assert pairs.corroboration(evidence, memory).tolist() == PairSums(evidence).corroboration()


@settings(max_examples=30, deadline=None)
@given(pools)
def test_node_agreement_equals_brute_force_in_integers(evidence: Evidence) -> None:
    found = pairs.node_agreement(pairs.node_memories(evidence), pairs.node_counts(evidence))
    brute = PairSums(evidence)
    for a in range(len(evidence.node_ids)):
        for b in range(len(evidence.node_ids)):
            assert found.same[a, b] == brute.between(a, b, alike=True)
            assert found.every[a, b] == brute.between(a, b, alike=False)


@settings(max_examples=30, deadline=None)
@given(pools, st.randoms(use_true_random=False))
def test_statistics_merge_in_any_order_and_a_node_leaves_by_subtraction(evidence: Evidence, chance) -> None:
    nodes = list(range(len(evidence.node_ids)))
    parts = {node: Statistics.of(evidence.subset(evidence.node_index == node)) for node in nodes}
    chance.shuffle(nodes)
    merged = parts[nodes[0]]
    for node in nodes[1:]:
        merged = merged + parts[node]
    assert merged == Statistics.of(evidence)
    left = evidence.subset(evidence.node_index != nodes[0])
    assert merged - parts[nodes[0]] == Statistics.of(left)


@settings(max_examples=20, deadline=None)
@given(pools, st.floats(0.5, 500))
def test_ridge_from_sums_equals_ridge_on_the_matrix_of_all_pairs(evidence: Evidence, penalty: float) -> None:
    observations = evidence.subset(evidence.codes >= 0)
    f = 2.0 * np.unpackbits(observations.fingerprints, axis=1) - 1
    gram = f @ f.T + penalty * np.eye(len(f))
    dual = f.T @ np.linalg.solve(gram, observations.outcome_counts().astype(float))
    found = pairs.ridge(Statistics.of(observations), penalty=penalty)
    assert np.allclose(found, dual, rtol=0, atol=1e-9)
