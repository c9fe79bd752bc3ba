"""Probes come in the order that trying every cell gives, and find near neighbours where these lie."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fingerpost.errors import UsageError
from fingerpost.fingerprint import Fingerprinter, cell_of, group_of, probe_groups, probes
from fingerpost.fingerprint._simhash import FLIP_COST_MAX
from fingerpost.fingerprint._weights import offsets, weights
from fingerpost.limits import CELL_BITS_MAX
from fingerpost.template import SCALE, Template, parse_template

WIDTH = 12


def template(cell_bits: int, group_bits: int = 0, *, width: int = WIDTH, salt: int = 0) -> Template:
    return parse_template(
        f"""
format = 1
name = "wide"
[situation.v]
kind = "vector"
size = {width}
range = [-1, 1]
missing = "refuse"
[outcome]
kind = "number"
range = [0, 1]
[fingerprint]
bits = 64
salt = {salt}
[cells]
bits = {cell_bits}
group_bits = {group_bits}
"""
    )


@st.composite
def layouts(draw: st.DrawFn, most: int = 9) -> tuple[Template, int]:
    """Draw a template and one of its cells."""
    cell_bits = draw(st.integers(0, most))
    return template(cell_bits, draw(st.integers(0, cell_bits))), draw(st.integers(0, (1 << cell_bits) - 1))


def costs_of(made: Template, draw: st.DataObject, largest: int) -> list[int]:
    return draw.draw(st.lists(st.integers(0, largest), min_size=made.cell_bits, max_size=made.cell_bits))


def in_order(cells: range | list[int], home: int, costs: list[int]) -> list[int]:
    """Sort cells by what the documentation says, without its algorithm: cost, then the dearest bits compared first."""
    bits = len(costs)
    cheapest_first = sorted(range(bits), key=lambda bit: (costs[bit], -bit))

    def key(cell: int) -> tuple[int, list[bool]]:
        flipped = [bool((cell ^ home) >> (bits - 1 - bit) & 1) for bit in range(bits)]
        cost = sum(cost for cost, is_flipped in zip(costs, flipped, strict=True) if is_flipped)
        return cost, [flipped[bit] for bit in reversed(cheapest_first)]

    return sorted(cells, key=key)


@given(layout=layouts(), draw=st.data(), largest=st.sampled_from([0, 2, 1_000, FLIP_COST_MAX]))
def test_probes_come_in_the_order_that_trying_every_cell_gives(
    layout: tuple[Template, int], draw: st.DataObject, largest: int
) -> None:
    made, home = layout
    costs = costs_of(made, draw, largest)
    every = in_order(range(1 << made.cell_bits), home, costs)
    count = draw.draw(st.integers(1, len(every) + 2))
    assert probes(home, made, count=count, flip_costs=costs).tolist() == every[:count]


@given(layout=layouts(), draw=st.data(), largest=st.sampled_from([1, 1_000]))
def test_probes_of_few_groups_are_those_of_the_cheapest_groups(
    layout: tuple[Template, int], draw: st.DataObject, largest: int
) -> None:
    made, home = layout
    costs = costs_of(made, draw, largest)
    groups_max = draw.draw(st.integers(1, 1 << made.group_bits))
    inside = made.cell_bits - made.group_bits
    groups = in_order(range(1 << made.group_bits), home >> inside, costs[: made.group_bits])[:groups_max]
    members = [cell for cell in range(1 << made.cell_bits) if cell >> inside in groups]
    found = probes(home, made, count=1 << made.cell_bits, flip_costs=costs, groups_max=groups_max)
    assert found.tolist() == in_order(members, home, costs)
    assert set(group_of(found, made).tolist()) == set(groups)
    assert group_of(found, made)[0] == group_of(np.array([home]), made)[0]


@given(layout=layouts())
def test_without_costs_probes_walk_hamming_balls_and_leave_the_group_last(layout: tuple[Template, int]) -> None:
    made, home = layout
    found = [int(cell) ^ home for cell in probes(home, made, count=1 << made.cell_bits)]
    assert found == sorted(range(1 << made.cell_bits), key=lambda flip: (flip.bit_count(), flip))


@given(layout=layouts(), count=st.integers(1, 600))
def test_probes_by_group_are_the_same_cells_with_nothing_lost_or_reordered(
    layout: tuple[Template, int], count: int
) -> None:
    made, home = layout
    cells = probes(home, made, count=count)
    groups = probe_groups(cells, made)
    assert sorted(cell for members in groups.values() for cell in members.tolist()) == sorted(cells.tolist())
    order = cells.tolist()
    assert [order.index(int(members[0])) for members in groups.values()] == sorted(
        order.index(int(members[0])) for members in groups.values()
    )
    for group, members in groups.items():
        assert {int(cell) >> (made.cell_bits - made.group_bits) for cell in members} == {group}
        assert members.tolist() == [cell for cell in order if cell in members]


@given(
    rows=st.lists(st.lists(st.integers(-SCALE, SCALE), min_size=WIDTH, max_size=WIDTH), min_size=1, max_size=4),
    cell_bits=st.integers(0, CELL_BITS_MAX),
)
def test_the_cost_of_a_flip_is_the_squared_distance_to_its_hyperplane(rows: list[list[int]], cell_bits: int) -> None:
    made = template(cell_bits)
    planes = weights(made.space_id, bits=cell_bits, width=WIDTH).tolist()
    shifts = offsets(made.space_id, bits=cell_bits, width=WIDTH).tolist()
    expected = [
        [
            int(Fraction((sum(w * x for w, x in zip(plane, row, strict=True)) + shift) ** 2, sum(w * w for w in plane)))
            for plane, shift in zip(planes, shifts, strict=True)
        ]
        for row in rows
    ]
    assert Fingerprinter(made).flip_costs(np.array(rows, np.int16)).tolist() == expected


def test_a_bit_that_no_coordinate_moves_is_the_last_to_be_flipped() -> None:
    for salt in range(200):
        made = template(8, width=1, salt=salt)
        still = weights(made.space_id, bits=8, width=1)[:, 0] == 0
        if still.any():
            costs = Fingerprinter(made).flip_costs(np.array([[7]], np.int16))[0]
            assert (costs[still] == FLIP_COST_MAX).all()
            assert (costs[~still] < FLIP_COST_MAX).all()
            return
    raise AssertionError("some of 200 templates has a weight of 0")


def test_the_costs_of_an_extreme_record_stay_below_their_bound() -> None:
    made = template(CELL_BITS_MAX, width=4_096)
    records = np.sign(weights(made.space_id, bits=CELL_BITS_MAX, width=4_096)).astype(np.int16) * SCALE
    assert Fingerprinter(made).flip_costs(records).max() < FLIP_COST_MAX


def test_directed_probes_find_more_neighbours_than_hamming_balls_do() -> None:
    made = template(12, 4)
    generator = np.random.default_rng(0)
    asked = generator.integers(-SCALE, SCALE, (200, WIDTH)).astype(np.int16)
    near = np.clip(asked + generator.normal(0, 500, asked.shape), -SCALE, SCALE).astype(np.int16)
    fingerprinter = Fingerprinter(made)
    homes, cells = (cell_of(fingerprinter.fingerprints(rows), made) for rows in (asked, near))
    costs = fingerprinter.flip_costs(asked)
    found = {
        name: sum(int(cell) in probes(int(home), made, count=16, flip_costs=cost) for home, cell, cost in rows)
        for name, rows in {
            "directed": list(zip(homes, cells, costs, strict=True)),
            "ball": [(home, cell, None) for home, cell in zip(homes, cells, strict=True)],
        }.items()
    }
    assert found["directed"] > found["ball"] + 20, found


@pytest.mark.parametrize(
    ("cell", "changes", "code"),
    [
        (16, {}, "cell-range"),
        (-1, {}, "cell-range"),
        (0, {"count": 0}, "probe-argument"),
        (0, {"groups_max": 0}, "probe-argument"),
        (0, {"flip_costs": [1, 2, 3]}, "probe-argument"),
        (0, {"flip_costs": [1, 2, 3, -1]}, "probe-argument"),
    ],
)
def test_probes_that_make_no_sense_are_refused(cell: int, changes: dict[str, Any], code: str) -> None:
    with pytest.raises(UsageError) as caught:
        probes(cell, template(4, 2), **({"count": 3} | changes))
    assert caught.value.code == code
    assert caught.value.hint


def test_a_group_of_what_is_no_cell_is_refused() -> None:
    assert group_of(np.array([0b1011, 0b0111], np.uint32), template(4, 3)).tolist() == [0b101, 0b011]
    assert group_of(np.zeros(0, np.uint32), template(4, 3)).tolist() == []
    assert group_of(np.array([2**32 - 1], np.uint32), template(32, 32)).tolist() == [2**32 - 1]
    with pytest.raises(UsageError) as caught:
        group_of(np.array([3, 16], np.uint32), template(4, 3))
    assert caught.value.code == "cell-range"
