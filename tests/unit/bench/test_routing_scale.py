"""What the routing measurement counts is what it says it counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bench import routing_scale
from bench._routing_places import Town
from bench._routing_sets import RealSet, read_sets
from fingerpost.directory.regions import group_leading
from fingerpost.fingerprint import Fingerprinter, cell_of, hamming, likely_cells
from fingerpost.ids import TemplateId
from fingerpost.limits import PACKET_SIZE_BYTES, REGION_RECORDS_SPLIT, REPLICAS
from fingerpost.node.wire import PADDED_SIZE_BYTES_MIN

TEMPLATE_ID = TemplateId(bytes(range(16)))


@pytest.fixture(scope="module")
def digits() -> RealSet:
    return read_sets(None, questions=20, seed=1)[0]


def test_sets_that_are_not_there_are_left_out_and_said(tmp_path, capsys) -> None:
    assert [one.name for one in read_sets(tmp_path, questions=5, seed=0)] == ["digits"]
    assert "left out: credit" in capsys.readouterr().out


def test_nobody_who_asks_is_among_those_asked(digits: RealSet) -> None:
    fingerprints = Fingerprinter(digits.template).fingerprints(digits.asking)
    assert len(digits.population) + len(digits.public) + len(digits.asking) == 1_797
    assert hamming(fingerprints, digits.population).min() > 0
    assert hamming(digits.public, digits.population).min() > 0


@pytest.mark.parametrize("scheme", ["8", "codebook8"])
@pytest.mark.parametrize("packets", [1_333, 8 * 1_333, 10**9])
def test_recall_is_the_share_of_the_nearest_rows_whose_cells_were_looked_into(
    digits: RealSet, packets: int, scheme: str
) -> None:
    template = routing_scale.template_of(digits, scheme)
    assert template
    seen = routing_scale.look(digits, routing_scale.by_brute_force(digits), template)
    fingerprinter = Fingerprinter(template)
    fingerprints = fingerprinter.fingerprints(digits.asking)
    cells = cell_of(digits.population, template)
    count = {1_333: 64, 8 * 1_333: 8, 10**9: 1}[packets]
    for looked_into in (1, 5, 40):
        expected = []
        for row, cost in zip(fingerprints, fingerprinter.flip_costs(digits.asking), strict=True):
            distances = hamming(row[None, :], digits.population)[0]
            found = np.isin(cells, likely_cells(row.tobytes(), template, count=looked_into, flip_costs=cost))
            last = np.sort(distances)[count - 1]
            nearer, equal = distances < last, distances == last
            expected.append((found[nearer].sum() + (count - nearer.sum()) * found[equal].mean()) / count)
        assert routing_scale.recall(seen, packets, looked_into) == pytest.approx(np.array(expected), abs=1e-12)


def test_costs_add_up_from_the_shares_of_cells_and_groups(digits: RealSet) -> None:
    template = replace(digits.template, cell_bits=8)
    seen = routing_scale.look(digits, routing_scale.by_brute_force(digits), template)
    costs = routing_scale.costs_of(seen, 10**6, 256)
    assert costs["holders_asked"] == 256
    assert costs["messages"] == 512
    assert costs["bytes_cells"] == pytest.approx(10**6 * (PACKET_SIZE_BYTES + 32), rel=1e-3)
    whole = routing_scale.costs_of(
        routing_scale.look(digits, seen.ranking, replace(digits.template, cell_bits=0)), 10**6, 1
    )
    assert whole["holders_asked"] == 1
    least = 1_024 * PACKET_SIZE_BYTES + PADDED_SIZE_BYTES_MIN  # the packets, and one question
    assert least <= whole["bytes"] < least + 200


def test_a_group_is_placed_in_the_first_region_on_its_way_that_needs_no_division() -> None:
    town = Town(3_000, seed=0)
    placed = {group: town.holders(TEMPLATE_ID, group) for group in range(200)}
    for group, holders in placed.items():
        home = town.home(TEMPLATE_ID, group)
        assert home.covers(group_leading(TEMPLATE_ID, group))
        assert (
            town.count(home)
            <= REGION_RECORDS_SPLIT
            < town.count(replace(home, depth=home.depth - 1, prefix=home.prefix >> 1))
        )
        assert len(set(holders)) == REPLICAS
    assert len({holder for holders in placed.values() for holder in holders}) > 400


def test_the_skew_of_a_load_is_that_of_its_fullest_holder(digits: RealSet) -> None:
    seen = routing_scale.look(digits, routing_scale.by_brute_force(digits), replace(digits.template, cell_bits=8))
    figure = routing_scale.load_skew("load_skew_1e3_8", {"digits": seen}, 10**6, Town(1_000, seed=0))
    by_group_bits = figure.detail["sets_by_group_bits"]["digits"]
    assert by_group_bits["0"]["skew"] == pytest.approx(1)
    assert by_group_bits["0"]["holders"] == REPLICAS
    largest = seen.all_shares.max()
    assert by_group_bits["8"]["share_fullest"] >= largest
    assert figure.value == by_group_bits["8"]["skew"] > 1
