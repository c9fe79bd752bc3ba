"""Additive statistics and pair sums at their edges."""

from __future__ import annotations

import numpy as np
import pytest

from fingerpost.errors import UsageError
from fingerpost.ids import node_id
from fingerpost.synthesis import pairs, statistics
from fingerpost.synthesis.evidence import Evidence
from fingerpost.synthesis.statistics import Statistics
from tests.unit.synthesis.brute import PairSums
from tests.unit.synthesis.pools import emitters, random_fingerprints, random_pool


def test_sums_over_several_chunks_equal_sums_over_one(monkeypatch: pytest.MonkeyPatch) -> None:
    evidence = random_pool(1, rows=300, levels=3, nodes=4, summaries=30)
    at_once = Statistics.of(evidence)
    support = pairs.corroboration(evidence, at_once.memory)
    monkeypatch.setattr(statistics, "CHUNK_ROWS", 7)
    monkeypatch.setattr(pairs, "CHUNK_ROWS", 7)
    assert Statistics.of(evidence) == at_once
    assert np.array_equal(pairs.corroboration(evidence, at_once.memory), support)
    assert np.array_equal(pairs.memory_of(evidence), at_once.memory)


def test_pair_sums_beyond_63_bits_stay_exact() -> None:
    counts = np.full((2, 1), 65_535 * 60_000)
    same = np.zeros((2, 8), np.uint8)
    evidence = Evidence.from_arrays(fingerprints=same, counts=counts)
    total = Statistics.of(evidence)
    assert pairs.same_outcome_squares(total) == PairSums(evidence).same_squares() > 2**63
    assert pairs.sum_of_squares(np.array([2**40, -(2**40)])) == 2**81
    assert pairs.exact_gram(np.array([[2**40, 1]]))[0, 0] == 2**80 + 1


def test_a_summary_counts_as_its_records_at_one_fingerprint() -> None:
    prints = random_fingerprints(np.random.default_rng(0), 3, 64)
    spread = Evidence.from_arrays(fingerprints=prints[[0, 0, 0, 1, 2]], codes=[1, 1, 0, 0, 1], levels=2)
    packed = Evidence.from_arrays(fingerprints=prints, counts=[[1, 2], [1, 0], [0, 1]])
    assert Statistics.of(spread) == Statistics.of(packed)


def test_more_records_than_are_there_cannot_leave() -> None:
    evidence = random_pool(2, rows=5, levels=2, nodes=1)
    one = Statistics.of(evidence.subset(np.array([0])))
    with pytest.raises(UsageError, match="more records"):
        _ = one - Statistics.of(evidence)


def test_statistics_refuse_numbers_and_products_beyond_memory() -> None:
    prints = random_fingerprints(np.random.default_rng(0), 2, 1024)
    with pytest.raises(UsageError, match="number"):
        Statistics.of(Evidence.from_arrays(fingerprints=prints, values=[1.0, 2.0]))
    with pytest.raises(UsageError, match="do not fit"):
        Statistics.of(Evidence.from_arrays(fingerprints=prints, codes=[0, 1], levels=4_000))


def test_a_flipped_outcome_has_the_lowest_corroboration_margin() -> None:
    generator = np.random.default_rng(3)
    centres = random_fingerprints(generator, 3, 256)
    codes = np.repeat(np.arange(3), 20)
    prints = centres[codes] ^ np.packbits(generator.random((60, 256)) < 0.05, axis=1)
    claimed = codes.copy()
    claimed[7] = 2
    ids = np.zeros((60, 32), np.uint8)
    ids[:, 0] = np.arange(60)
    evidence = Evidence.from_arrays(fingerprints=prints, codes=claimed, levels=3, packet_ids=ids)
    total = Statistics.of(evidence)
    margin = pairs.corroboration_margin(evidence, total.memory, total.counts)
    assert margin.argmin() == 7
    assert margin[7] < 0 < np.delete(margin, 7).min()


def test_a_node_that_claims_other_outcomes_has_a_negative_contrast() -> None:
    generator = np.random.default_rng(4)
    centres = random_fingerprints(generator, 2, 256)
    truth = generator.integers(0, 2, 90)
    nodes = np.arange(90) % 3
    prints = centres[truth] ^ np.packbits(generator.random((90, 256)) < 0.1, axis=1)
    claimed = np.where(nodes == 2, 1 - truth, truth)
    evidence = Evidence.from_arrays(fingerprints=prints, codes=claimed, levels=2, emitters=emitters(nodes))
    found = pairs.node_agreement(pairs.node_memories(evidence), pairs.node_counts(evidence))
    ids = [node_id(emitters(np.array([node]))[0].tobytes()) for node in range(3)]
    row = {evidence.node_ids[k].tobytes(): k for k in range(3)}
    honest, other, liar = (row[one] for one in ids)
    assert found.contrast[honest, other] > 0
    assert found.contrast[honest, liar] < 0
    assert found.contrast[other, liar] < 0
    assert np.diag(found.contrast).min() > 0


def test_parts_of_other_shapes_or_beyond_bounds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    evidence = random_pool(6, rows=6, levels=2, nodes=2)
    total = Statistics.of(evidence)
    with pytest.raises(UsageError, match="disagree"):
        Statistics(counts=total.counts, memory=total.memory, products=total.products[:1])
    with pytest.raises(UsageError, match="above zero"):
        pairs.ridge(total, penalty=0.0)
    monkeypatch.setattr(statistics, "RECORDS_MAX", 5)
    with pytest.raises(UsageError, match="more than 5 records"):
        Statistics.of(evidence)


def test_statistics_are_compared_and_not_hashed() -> None:
    total = Statistics.of(random_pool(7, rows=6, levels=2, nodes=2))
    assert total != "statistics"
    with pytest.raises(TypeError):
        hash(total)
    assert pairs.pair_count(total) == 15


def test_a_margin_needs_something_to_compare_with() -> None:
    prints = random_fingerprints(np.random.default_rng(8), 3, 64)
    evidence = Evidence.from_arrays(fingerprints=prints, codes=[0, 0, 1], levels=3)
    total = Statistics.of(evidence)
    margin = pairs.corroboration_margin(evidence, total.memory, total.counts)
    assert np.isnan(margin).tolist() == (evidence.codes == 1).tolist()


def test_numbers_that_go_with_situations_agree_and_opposite_ones_do_not() -> None:
    generator = np.random.default_rng(9)
    centres = random_fingerprints(generator, 2, 256)
    kind = generator.integers(0, 2, 60)
    prints = centres[kind] ^ np.packbits(generator.random((60, 256)) < 0.1, axis=1)
    nodes = np.arange(60) % 3
    values = np.where(nodes == 2, 1 - kind, kind) * 8.0
    evidence = Evidence.from_arrays(fingerprints=prints, values=values, emitters=emitters(nodes))
    found = pairs.number_agreement(evidence, low=0, high=8)
    assert sorted((found.contrast < 0).sum(axis=1)) == [1, 1, 2]
    assert found.same_pairs.sum() == 3600
    constant = Evidence.from_arrays(fingerprints=prints, values=np.full(60, 5.0), emitters=emitters(nodes))
    assert np.isnan(pairs.number_agreement(constant, low=0, high=8).contrast).all()
