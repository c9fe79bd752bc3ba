"""What is said about a hiring: packets for and against, and camps side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fingerpost.elections.explain import explain, graph
from fingerpost.lab.graph_picture import draw
from fingerpost.template import parse_template
from tests.unit.elections.networks import BITS, Town, name
from tests.unit.elections.test_counting import IDS, TEMPLATE_32, TRUTH, evidence, noisy

TEMPLATE = parse_template(
    f"""
format = 1
name = "town"
data_class = "non_personal"

[fingerprint]
bits = {BITS}

[situation.size]
kind = "number"
range = [0, 1]

[outcome]
name = "told"
kind = "category"
levels = ["a", "b", "c", "d"]
""",
    source="town.toml",
)
LIARS = [1, 2, 3]


def test_a_liar_is_explained_by_packets_against_it_and_an_honest_node_by_packets_for_it() -> None:
    town = Town(0)
    packets = town.evidence(town.flipped(LIARS))
    liar = explain(packets, TEMPLATE, asker=name(0), node=name(1))
    honest = explain(packets, TEMPLATE, asker=name(0), node=name(5))
    assert (liar["finding"], honest["finding"]) == ("refused", "hired")
    assert len(liar["against"]) > len(liar["for"])
    assert len(honest["for"]) > len(honest["against"])
    assert all(packet["weight"] < 0 and packet["expected"] < 0.5 for packet in liar["against"])
    told = {one.tobytes().hex() for one in packets.packet_ids}
    assert {packet["packet_id"] for packet in liar["against"] + honest["for"]} <= told


def test_a_node_that_told_nothing_is_unknown() -> None:
    town = Town(0)
    found = explain(town.evidence(town.truth), TEMPLATE, asker=name(0), node=name(99))
    assert (found["finding"], found["for"], found["against"]) == ("unknown", [], [])


def test_nodes_that_collude_stand_side_by_side_in_the_graph_and_contradict_the_others(tmp_path: Path) -> None:
    town = Town(1)
    document = graph(town.evidence(town.flipped(LIARS)), TEMPLATE, asker=name(0))
    liars = {name(node).hex() for node in LIARS}
    places = [place for place, node in enumerate(document["nodes"]) if node["node_id"] in liars]
    others = [place for place in range(12) if place not in places]
    assert places in ([0, 1, 2], [9, 10, 11])
    assert all(document["contrast"][a][b] > 0 for a in places for b in places if a != b)
    assert all(document["contrast"][a][b] < 0 for a in places for b in others)
    for ending in ("svg", "png"):
        draw(document, tmp_path / f"peers.{ending}")
        assert (tmp_path / f"peers.{ending}").stat().st_size > 1_000


def test_tables_are_explained_cell_by_cell_and_contradict_each_other_in_the_graph(tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    told = evidence([noisy(TRUTH, chance) for _ in range(3)] + [noisy(1 - TRUTH, chance) for _ in range(2)])
    asker, honest, liar = (IDS[node].tobytes() for node in (0, 1, 4))
    for node, finding, word, other in ((honest, "hired", "for", "against"), (liar, "refused", "against", "for")):
        document = explain(told, TEMPLATE_32, asker=asker, node=node, day=20_000)
        assert (document["rule"], document["finding"]) == ("counts", finding)
        assert len(document[word]) == 10 >= len(document[other])
        weights = [abs(cell["weight"]) for cell in document[word]]
        assert weights == sorted(weights, reverse=True)
        assert sum(weights) > sum(abs(cell["weight"]) for cell in document[other])
    document = graph(told, TEMPLATE_32, asker=asker, day=20_000)
    camps = [node["node_id"] in {IDS[place].tobytes().hex() for place in (3, 4)} for node in document["nodes"]]
    for row, one in enumerate(camps):
        for column, same in enumerate(camps):
            contrast = document["contrast"][row][column]
            assert (contrast is None) == (row == column)
            assert contrast is None or (contrast > 0) == (one == same)
    file = tmp_path / "graph.svg"
    draw(document, file)
    assert file.stat().st_size > 1_000


def test_the_counts_of_a_stranger_or_of_the_asker_are_not_weighed() -> None:
    chance = np.random.default_rng(0)
    told = evidence([noisy(TRUTH, chance) for _ in range(2)])
    own = explain(told, TEMPLATE_32, asker=IDS[0].tobytes(), node=IDS[0].tobytes(), day=20_000)
    stranger = explain(told, TEMPLATE_32, asker=IDS[0].tobytes(), node=IDS[5].tobytes(), day=20_000)
    assert (own["finding"], own["for"], own["against"]) == ("own", [], [])
    assert (stranger["finding"], stranger["for"], stranger["against"]) == ("unknown", [], [])
