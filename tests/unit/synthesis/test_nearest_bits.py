"""The exact search of faiss gives what a full scan and a stable sort give."""

from __future__ import annotations

import numpy as np
import pytest

from fingerpost.synthesis.distances import NearestBits
from fingerpost.synthesis.kernel import nearest_rows


@pytest.mark.parametrize("used_bits", [8, 64], ids=["nearly all tie", "few tie"])
@pytest.mark.parametrize("count", [1, 16, 128, 5_000])
def test_the_index_finds_the_rows_that_a_scan_finds_and_orders_ties_alike(used_bits: int, count: int) -> None:
    generator = np.random.default_rng(used_bits + count)
    prints = np.zeros((3_000, 32), np.uint8)
    prints[:, : used_bits // 8] = generator.integers(0, 256, (3_000, used_bits // 8))
    index = NearestBits(prints)
    for query in prints[generator.integers(0, len(prints), 10)]:
        expected = nearest_rows(index.scan(query), count)
        assert index.rows(query, count).tolist() == expected.tolist()
