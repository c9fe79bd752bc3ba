"""Which confirmations would help most."""

from __future__ import annotations

import numpy as np

from fingerpost.elections.audit import rank_doubts
from fingerpost.ids import node_id
from fingerpost.synthesis import Answer, Evidence, Synthesizer, Weighing
from tests.unit.synthesis import worlds

ASKER = 9
EQUAL = dict.fromkeys(("alone", "pooled", "node-aware", "linear", "usual"), 0.2)


def answers_at(points: list[list[float]]) -> list[Answer]:
    """Ask in a world in which node 1 lies where a > 0, and the asker knows the situations with b > 0 only."""
    template = worlds.category_template()
    honest = worlds.situations(1, 150)
    liar = worlds.situations(2, 150)
    mine = worlds.situations(3, 200)
    mine = mine[mine[:, 1] > 0.3]
    said = np.where(liar[:, 0] > 0, 2 - worlds.level_of(liar), worlds.level_of(liar))
    packets = np.concatenate(
        [
            worlds.observe(template, honest, worlds.level_of(honest), node=0),
            worlds.observe(template, liar, said, node=1),
            worlds.observe(template, mine, worlds.level_of(mine), node=ASKER),
        ]
    )
    weighing = Weighing(asker=node_id(worlds.signer(ASKER).public_key), standings=EQUAL, confirmations=1)
    synthesizer = Synthesizer(Evidence.from_packets(packets, template), template, day=worlds.DAY)
    return synthesizer.ask_many(worlds.queries(template, np.array(points)), weighing=weighing)


def test_where_nodes_contradict_each_other_and_nothing_is_known_comes_first() -> None:
    quiet, contested = [-0.9, 0.8, 0.0], [0.8, -0.8, 0.0]
    doubts = rank_doubts(answers_at([quiet, contested]), count=2)
    assert [doubt.place for doubt in doubts] == [1, 0]
    first, second = doubts
    assert first.contested > second.contested
    assert (first.unknown, second.unknown) == (1.0, 0.0)
    assert "none of your own outcomes is near" in first.reasons
    assert "nodes report different outcomes here" in first.reasons


def test_one_of_many_alike_situations_is_named() -> None:
    same = [[0.8, -0.8, 0.0]] * 5 + [[-0.9, 0.8, 0.0]]
    assert len(rank_doubts(answers_at(same), count=6)) == 2


def test_no_more_are_named_than_asked_for() -> None:
    points = worlds.situations(7, 30).tolist()
    assert len(rank_doubts(answers_at(points), count=3)) == 3
    assert rank_doubts([], count=3) == []
