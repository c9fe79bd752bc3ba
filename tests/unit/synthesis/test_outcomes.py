"""What a node's outcomes may say about calculations when it has seen others than everybody."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fingerpost.synthesis import outcomes

COUNTS = st.lists(st.lists(st.integers(0, 200), min_size=3, max_size=3), min_size=2, max_size=6)


@given(COUNTS)
def test_records_that_stand_for_the_pool_are_never_more_than_there_are(counts):
    held = np.array(counts, float)
    left = outcomes.records_left(held, held.sum(axis=0))
    assert (left >= 0).all()
    assert (left <= held.sum(axis=1) + 1e-6).all()


def test_importance_gives_every_level_the_share_that_it_has_in_the_pool():
    held, pool = np.array([[9_000.0, 1_000.0]]), np.array([5_000.0, 5_000.0])
    weighted = (held * outcomes.importance(held, pool))[0]
    assert weighted / weighted.sum() == pytest.approx([0.5, 0.5], abs=0.01)


def test_records_that_weigh_alike_are_worth_their_number_and_others_fewer():
    assert outcomes.worth(np.full(8, 3.0)) == pytest.approx(np.ones(8))
    assert outcomes.worth(np.array([1.0, 1.0, 10.0])).sum() == pytest.approx(144 / 102)
    assert outcomes.worth(np.zeros(3)) == pytest.approx(np.zeros(3))


def test_a_node_like_the_pool_keeps_its_records_and_a_lopsided_one_few():
    pool = np.array([500.0, 500.0])
    even, lopsided = outcomes.records_left(np.array([[50.0, 50.0], [98.0, 2.0]]), pool)
    assert even == pytest.approx(100)
    assert 0 < lopsided < 25


def test_a_node_without_a_usual_level_stands_for_nobody():
    pool = np.array([500.0, 500.0, 5.0])
    left = outcomes.records_left(np.array([[40.0, 0.0, 1.0], [20.0, 20.0, 0.0]]), pool)
    assert left[0] == 0
    assert left[1] > 30  # that the rare level is not there is chance


def test_a_node_without_many_rare_levels_stands_for_nobody_though_none_of_them_is_missed_by_itself():
    pool = np.full(150, 10.0)
    few, drawn = np.zeros(150), np.zeros(150)
    few[:15] = 5
    np.add.at(drawn, np.random.default_rng(0).integers(150, size=75), 1)
    left = outcomes.records_left(np.stack([few, drawn]), pool)
    assert left[0] == 0
    assert left[1] > 20


def test_nodes_whose_outcomes_are_drawn_like_the_pool_are_seldom_taken_for_others():
    shares = np.array([0.4, 0.3, 0.15, 0.1, 0.05])
    held = np.random.default_rng(1).multinomial(30, shares, size=400).astype(float)
    assert (outcomes.records_left(held, held.sum(axis=0)) == 0).mean() < 0.1
