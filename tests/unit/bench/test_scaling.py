"""The exponent of a scaling figure is that of the times it was fitted to."""

from __future__ import annotations

import pytest

from bench.scaling import exponent_figure, sizes_to, slope


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0, 2.0])
def test_the_slope_of_a_power_is_its_exponent(exponent: float) -> None:
    sizes = sizes_to(10**6)
    assert slope(sizes, [3e-6 * size**exponent for size in sizes]) == pytest.approx(exponent, abs=1e-9)


def test_what_fixed_costs_hide_below_the_smallest_size_is_drawn_and_not_fitted() -> None:
    times = {size: [1.0 if size < 10_000 else 1e-5 * size] * 3 for size in sizes_to(10**5)}
    figure = exponent_figure("scaling_ingest_exponent", times)
    assert figure.value == pytest.approx(1.0)
    assert figure.detail["sizes"] == [1_000, 10_000, 30_000, 100_000]
    assert figure.detail["fitted_from"] == 10_000


def test_a_round_that_was_slower_at_one_size_widens_the_interval() -> None:
    times = {10_000: [0.1, 0.1, 0.2], 100_000: [1.0, 1.3, 1.0]}
    figure = exponent_figure("scaling_ingest_exponent", times)
    assert figure.low is not None
    assert figure.high is not None
    assert figure.low < figure.value < figure.high
