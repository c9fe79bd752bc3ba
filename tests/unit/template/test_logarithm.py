"""The integer logarithm and its table."""

from __future__ import annotations

from fractions import Fraction

import pytest

from fingerpost.template._logarithm import breakpoints, octave_of, steps_of


def test_the_table_holds_the_powers_of_two_rounded_down() -> None:
    table = breakpoints()
    assert len(table) == 256
    for j, entry in enumerate(table):  # T^256 <= 2^(62 * 256 + j) < (T + 1)^256, in integers
        assert entry**256 <= 1 << (62 * 256 + j) < (entry + 1) ** 256


def test_half_an_octave_is_the_square_root_of_two() -> None:
    assert breakpoints()[128] == 6521908912666391106  # floor(2^62.5)


@pytest.mark.parametrize(
    ("value", "steps"),
    [
        (Fraction(1), 0),
        (Fraction(2), 256),
        (Fraction(1, 2), -256),
        (Fraction(3), 405),
        (Fraction(1, 3), -406),
        (Fraction(10) ** 30, 25512),
        (Fraction(1, 10**30), -25513),
        (Fraction(10**40 - 1, 10**40), -1),
    ],
)
def test_steps_are_256_times_the_binary_logarithm_rounded_down(value: Fraction, steps: int) -> None:
    assert steps_of(value) == steps


def test_the_octave_holds_its_value() -> None:
    for value in (Fraction(n, d) for n in range(1, 70) for d in range(1, 70)):
        assert Fraction(2) ** octave_of(value) <= value < Fraction(2) ** (octave_of(value) + 1)
