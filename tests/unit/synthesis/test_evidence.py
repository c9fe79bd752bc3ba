"""Evidence as columns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fingerpost.errors import UsageError
from fingerpost.ids import node_id
from fingerpost.synthesis.evidence import Evidence, order_of_bytes
from tests.unit.synthesis.pools import emitters, random_pool


def test_rows_are_in_bytewise_order_of_their_ids_and_repeated_ids_count_once() -> None:
    ids = np.zeros((4, 32), np.uint8)
    ids[:, 31] = [9, 3, 9, 200]
    prints = np.arange(32, dtype=np.uint8).reshape(4, 8)
    prints[2] = prints[0]
    evidence = Evidence.from_arrays(fingerprints=prints, codes=[1, 0, 1, 2], levels=3, packet_ids=ids)
    assert evidence.packet_ids[:, 31].tolist() == [3, 9, 200]
    assert evidence.codes.tolist() == [0, 1, 2]
    assert evidence.fingerprints[1].tolist() == prints[0].tolist()


def test_node_ids_are_hashes_of_keys_in_bytewise_order() -> None:
    keys = emitters(np.array([2, 0, 1, 2]))
    evidence = Evidence.from_arrays(fingerprints=np.zeros((4, 8)), codes=[0, 0, 0, 0], levels=1, emitters=keys)
    expected = sorted({node_id(key.tobytes()) for key in keys})
    assert [one.tobytes() for one in evidence.node_ids] == expected
    assert len(evidence.node_ids) == 3
    assert sorted(np.bincount(evidence.node_index).tolist()) == [1, 1, 2]


def test_a_subset_keeps_the_outcomes_of_its_rows_and_only_its_nodes() -> None:
    evidence = random_pool(5, rows=20, levels=3, nodes=9, summaries=10)
    for rows in (np.arange(0, 30, 4), np.arange(30) % 2 == 0, np.flatnonzero(evidence.codes < 0)):
        part = evidence.subset(rows)
        assert np.array_equal(part.outcome_counts(), evidence.outcome_counts()[rows])
        assert np.array_equal(part.records, evidence.records[rows])
        assert set(part.node_index) == set(range(len(part.node_ids)))
        named = [part.node_ids[k].tobytes() for k in part.node_index]
        assert named == [evidence.node_ids[k].tobytes() for k in evidence.node_index[rows]]


def test_targets_are_shares_of_levels_or_values() -> None:
    prints = np.zeros((2, 8), np.uint8)
    shares = Evidence.from_arrays(fingerprints=prints, codes=[0, -1], counts=[[0, 0], [1, 3]]).targets()
    assert sorted(shares.tolist()) == [[0.25, 0.75], [1.0, 0.0]]
    numbers = Evidence.from_arrays(fingerprints=prints, values=[5.0, 7.0], squares=[0.0, 2.0], records=[1, 4])
    assert sorted(numbers.targets()[:, 0].tolist()) == [5.0, 7.0]
    assert sorted(numbers.records.tolist()) == [1, 4]


def test_liveness_counts_the_day_of_expiry_as_dead_and_allows_the_clock_skew() -> None:
    prints = np.zeros((1, 8), np.uint8)
    evidence = Evidence.from_arrays(fingerprints=prints, codes=[0], levels=1, epochs=[100], ttl_days=[10])
    lives = [bool(evidence.live_on(day, skew_days=1)[0]) for day in (98, 99, 100, 109, 110)]
    assert lives == [False, True, True, True, False]


@pytest.mark.parametrize(
    "columns",
    [
        {},
        {"codes": [0, 5], "levels": 2},
        {"codes": [0, -1], "levels": 2},
        {"counts": [[1, 0], [0, 0]]},
        {"counts": [[1, 0], [3, -1]]},
    ],
)
def test_outcomes_that_make_no_sense_are_refused(columns: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        Evidence.from_arrays(fingerprints=np.zeros((2, 8), np.uint8), **columns)  # type: ignore[arg-type]


def test_order_of_bytes_is_the_order_of_the_bytes() -> None:
    rows = np.random.default_rng(0).integers(0, 2, (200, 11), dtype=np.uint8)
    order = order_of_bytes(rows)
    assert [rows[k].tobytes() for k in order] == sorted(row.tobytes() for row in rows)
    assert order_of_bytes(np.zeros((0, 8), np.uint8)).tolist() == []


def test_columns_of_unequal_length_are_refused() -> None:
    evidence = random_pool(8, rows=4, levels=2, nodes=2)
    with pytest.raises(UsageError, match="one entry per packet"):
        replace(evidence, epochs=evidence.epochs[:2])
    with pytest.raises(UsageError, match="every packet or for none"):
        replace(evidence, sketches=np.zeros((2, 32), np.uint8))
