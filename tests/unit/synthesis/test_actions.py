"""Comparing actions."""

from __future__ import annotations

import numpy as np

from fingerpost.synthesis import Answer, Evidence, synthesize_many
from tests.unit.synthesis import worlds


def ask(packets, template, points) -> list[Answer]:
    evidence = Evidence.from_packets(packets, template)
    return synthesize_many(worlds.queries(template, points), evidence, template, day=worlds.DAY)


def tried(template, *, split_by_situation: bool):
    """Two actions: waiting ends bad, acting ends good; given by chance, or by where the situation is."""
    parts = []
    for node in range(4):
        points = worlds.situations(200 + node, 60)
        acted = points[:, 0] > 0 if split_by_situation else np.arange(60) % 2 == 0
        parts.append(worlds.observe(template, points, np.where(acted, 2, 0), node=node, action=np.where(acted, 2, 1)))
    return np.concatenate(parts)


def test_each_action_is_answered_from_its_own_packets() -> None:
    template = worlds.category_template()
    answer = ask(tried(template, split_by_situation=False), template, np.array([[0.1, 0.2, 0.3]]))[0]
    wait, act = answer.actions
    assert (wait.action, act.action) == ("wait", "act")
    assert wait.packets == act.packets == 120
    assert wait.nodes == act.nodes == 4
    assert wait.levels[0].probability > 0.9
    assert act.levels[2].probability > 0.9
    assert wait.overlap
    assert act.overlap
    assert abs(wait.share + act.share - 1) < 0.05
    assert wait.effective_sample_size < answer.effective_sample_size + wait.packets
    assert "action-overlap" not in [warning.code for warning in answer.warnings]


def test_actions_tried_elsewhere_are_flagged_as_not_overlapping() -> None:
    template = worlds.category_template()
    answer = ask(tried(template, split_by_situation=True), template, np.array([[0.9, 0.0, 0.0]]))[0]
    wait, act = answer.actions
    assert not wait.overlap
    assert act.overlap
    assert wait.share < act.share
    assert "action-overlap" in [warning.code for warning in answer.warnings]
    assert any("hardly tried" in sentence for sentence in answer.explanation)
    assert any("not effects" in sentence for sentence in answer.explanation)


def test_numbers_are_compared_by_action_too() -> None:
    template = worlds.number_template()
    points = worlds.situations(300, 100)
    acted = np.arange(100) % 2 == 1
    packets = worlds.observe(template, points, np.where(acted, 5.0, -5.0), action=np.where(acted, 2, 1))
    wait, act = ask(packets, template, points[:1])[0].actions
    assert worlds.number(wait).mean < -4
    assert worlds.number(act).mean > 4


def test_packets_without_an_action_compare_none() -> None:
    template = worlds.category_template()
    assert ask(worlds.pool(template), template, worlds.situations(301, 1))[0].actions == ()
