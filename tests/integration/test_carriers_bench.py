"""The measurement of the carriers moves real frames between real processes, and says what it compares."""

from __future__ import annotations

import pytest

from bench.carriers import CARRIERS, RATIOS, efficiency


@pytest.mark.parametrize("carrier", CARRIERS)
def test_each_figure_of_a_carrier_names_the_library_that_moved_the_same_frames(carrier: str) -> None:
    figures = efficiency(carrier, frames=10, rounds=2)
    assert [figure.name for figure in figures] == [
        f"carrier_efficiency_{carrier}{suffix}" for suffix, _ours, _theirs in RATIOS[carrier]
    ]
    for figure in figures:
        assert figure.value > 0
        assert figure.detail["library"]
        assert (figure.detail["frames_per_round"], figure.detail["rounds"]) == (10, 2)
        rate, other = (figure.detail[f"{who}_megabytes_per_second"] for who in ("carrier", "library"))
        assert 0 < rate < 1e6
        assert 0 < other < 1e6
