"""Shares from noisy counts: right without noise, cautious with it."""

from __future__ import annotations

import numpy as np

from fingerpost.synthesis.counts import Table, estimate_shares, laplace_variance

NEAR_FIRST = np.array([[0.0, 0.5, 0.5, 0.5]])
TOTALS = np.array([[90.0, 10.0], [5.0, 95.0], [50.0, 50.0], [50.0, 50.0]])


def test_exact_counts_of_a_cell_are_its_shares() -> None:
    found = estimate_shares(Table(totals=TOTALS, noise=0.0), NEAR_FIRST, usual=0.5)
    assert abs(found.shares[0, 0] - 0.9) < 0.02
    assert 1 / found.spread[0] > 90


def test_noise_makes_an_estimate_worth_less_and_pulls_it_to_what_holds_elsewhere() -> None:
    exact = estimate_shares(Table(totals=TOTALS, noise=0.0), NEAR_FIRST, usual=0.5)
    noisy = estimate_shares(Table(totals=TOTALS, noise=3_000.0), NEAR_FIRST, usual=0.5)
    assert noisy.spread[0] > 2 * exact.spread[0]
    assert 0.5 < noisy.shares[0, 0] < exact.shares[0, 0]


def test_counts_below_zero_give_shares_that_still_sum_to_one() -> None:
    totals = np.array([[-3.0, 1.0], [-2.0, -4.0], [0.0, -1.0], [2.0, 0.0]])
    found = estimate_shares(Table(totals=totals, noise=2.0), NEAR_FIRST, usual=0.5)
    assert np.isclose(found.shares.sum(), 1)
    assert (found.shares > 0).all()


def test_nine_intervals_in_ten_hold_the_true_share() -> None:
    chance, held, tries = np.random.default_rng(7), 0, 400
    noise = laplace_variance(1.0)
    for _ in range(tries):
        truth = chance.beta(2, 2)
        drawn = chance.binomial(60, truth)
        ratio = np.exp(-1.0)
        z = chance.geometric(1 - ratio, (4, 2)) - chance.geometric(1 - ratio, (4, 2))
        totals = np.array([[drawn, 60 - drawn], [30, 30], [30, 30], [30, 30]]) + z
        found = estimate_shares(Table(totals=totals, noise=noise), NEAR_FIRST, usual=0.5)
        share, spread = found.shares[0, 0], found.spread[0]
        held += abs(share - truth) <= 1.645 * np.sqrt(share * (1 - share) * spread)
    assert held / tries > 0.85
