"""Holders that answer, and answer soon, and leave nothing out, are asked; the others get their chance again."""

from __future__ import annotations

import random

from fingerpost.elections.holders import HALF_LIFE_SECONDS, HolderElection

A, B, C = b"a", b"b", b"c"


def measured(**delays: float) -> HolderElection:
    """Return an election in which each holder answered once, at the time 0, after so many seconds."""
    election = HolderElection()
    for name, seconds in delays.items():
        election.answered(name.encode(), seconds=seconds, now=0.0)
    return election


def test_whatever_happened_as_many_different_holders_are_chosen_as_there_are_up_to_the_count() -> None:
    chance = random.Random(4)
    for _ in range(200):
        election = HolderElection()
        for _ in range(chance.randrange(12)):
            holder = chance.choice([A, B, C])
            match chance.randrange(3):
                case 0:
                    election.answered(holder, seconds=chance.random(), now=chance.random())
                case 1:
                    election.failed(holder, seconds=10.0, now=chance.random())
                case _:
                    election.omits(holder)
        count = chance.randrange(1, 5)
        chosen = election.choose([A, B, C], count=count, now=chance.random() * 1_000)
        assert len(set(chosen)) == len(chosen) == min(count, 3)


def test_the_soonest_are_asked_and_one_that_fails_comes_after_any_that_answers() -> None:
    election = measured(a=0.5, b=0.05)
    election.failed(C, seconds=10.0, now=0.0)
    assert election.choose([A, B, C], count=3, now=0.0) == [B, A, C]


def test_delays_within_a_factor_of_two_leave_the_order_of_placement() -> None:
    assert measured(a=0.15, b=0.09).choose([A, B], count=2, now=0.0) == [A, B]
    assert measured(a=0.009, b=0.0001).choose([A, B], count=2, now=0.0) == [A, B]


def test_a_holder_never_asked_is_tried_first() -> None:
    assert measured(a=0.02, b=0.02).choose([A, B, C], count=2, now=0.0) == [C, A]


def test_one_that_was_slow_once_is_tried_again_later() -> None:
    election = measured(a=5.0)
    later = 10 * HALF_LIFE_SECONDS
    election.answered(B, seconds=0.05, now=later)
    assert election.choose([A, B], count=1, now=0.0) == [B]
    assert election.choose([A, B], count=1, now=later) == [A]


def test_one_good_answer_does_not_make_up_for_many_failures() -> None:
    election = measured(b=1.0)
    for _ in range(5):
        election.failed(A, seconds=10.0, now=0.0)
    election.answered(A, seconds=0.01, now=0.0)
    assert election.choose([A, B], count=1, now=0.0) == [B]


def test_one_that_was_caught_comes_last_however_soon_it_answers_and_however_long_ago() -> None:
    election = measured(a=0.01, b=5.0)
    election.omits(A)
    assert election.choose([A, B, C], count=2, now=1e6) == [B, C]
    assert election.choose([A, B, C], count=3, now=1e6)[-1] == A
