"""What is said about a hiring: packets for and against, and camps side by side."""

from __future__ import annotations

from pathlib import Path

from fingerpost.elections.explain import explain, graph
from fingerpost.lab.graph_picture import draw
from fingerpost.template import parse_template
from tests.unit.elections.networks import BITS, Town, name

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
    evidence = town.evidence(town.flipped(LIARS))
    liar = explain(evidence, TEMPLATE, asker=name(0), node=name(1))
    honest = explain(evidence, TEMPLATE, asker=name(0), node=name(5))
    assert (liar["finding"], honest["finding"]) == ("refused", "hired")
    assert len(liar["against"]) > len(liar["for"])
    assert len(honest["for"]) > len(honest["against"])
    assert all(packet["weight"] < 0 and packet["expected"] < 0.5 for packet in liar["against"])
    told = {one.tobytes().hex() for one in evidence.packet_ids}
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
