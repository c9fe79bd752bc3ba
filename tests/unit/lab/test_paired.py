"""Intervals of paired differences."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from fingerpost.lab.paired import paired_interval


def test_the_interval_is_that_of_the_paired_t_test() -> None:
    differences = np.random.default_rng(0).normal(0.01, 0.02, 20)
    found = paired_interval(differences)
    wanted = ttest_1samp(differences, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high))
    assert found.value == pytest.approx(differences.mean())


def test_repetitions_on_one_split_do_not_count_as_more_splits() -> None:
    splits = np.random.default_rng(1).normal(0, 1, 10)
    once, often = paired_interval(splits), paired_interval(np.repeat(splits[:, None], 5, axis=1))
    assert (often.value, often.low, often.high) == pytest.approx((once.value, once.low, once.high))


def test_the_corrected_interval_is_wider_by_what_the_splits_share() -> None:
    differences = np.random.default_rng(2).normal(0, 1, 20)
    narrow, wide = paired_interval(differences), paired_interval(differences, test_share=0.3)
    assert (wide.high - wide.low) / (narrow.high - narrow.low) == pytest.approx(np.sqrt((1 / 20 + 3 / 7) * 20))


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    generator = np.random.default_rng(3)
    hits = [
        found.low <= 0 <= found.high for found in (paired_interval(generator.normal(0, 1, 8)) for _ in range(2_000))
    ]
    assert 0.935 < np.mean(hits) < 0.965


def test_one_split_has_no_interval() -> None:
    with pytest.raises(ValueError, match="two splits"):
        paired_interval([0.1])
