"""An answer comes back from its plain values as it was, to the last bit."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest

from fingerpost.errors import UsageError
from fingerpost.packet import PACKET_DTYPE
from fingerpost.synthesis import Answer, Evidence, synthesize
from fingerpost.synthesis.answer_reading import read_answer
from fingerpost.template import Template
from tests.unit.synthesis import worlds

TEMPLATES = [worlds.category_template, worlds.number_template, worlds.sketch_template]


def answer_of(template: Template, *, rows: int, **more: Any) -> Answer:
    packets = worlds.pool(template, rows=rows, **more)
    query = worlds.queries(template, worlds.situations(70, 1))[0]
    return synthesize(query, Evidence.from_packets(packets, template), template, day=worlds.DAY)


@pytest.mark.parametrize("make", TEMPLATES)
@pytest.mark.parametrize("rows", [1, 3, 40])
def test_an_answer_survives_the_way_through_json(make: Callable[[], Template], rows: int) -> None:
    answer = answer_of(make(), rows=rows, action=1)
    found = read_answer(json.loads(answer.to_json()))
    assert found == answer
    assert found.to_json() == answer.to_json()


def test_an_answer_without_evidence_survives_it_too() -> None:
    template = worlds.category_template()
    query = worlds.queries(template, worlds.situations(70, 1))[0]
    nothing = Evidence.from_packets(worlds.pool(template, rows=1)[:0].astype(PACKET_DTYPE), template)
    answer = synthesize(query, nothing, template, day=worlds.DAY)
    assert answer.abstained
    assert read_answer(json.loads(answer.to_json())) == answer


@pytest.mark.parametrize("name", [field.name for field in fields(Answer)])
@pytest.mark.parametrize("nonsense", [{"x": 1}, [["x"]], b"\xff", object()])
def test_values_that_no_answer_has_are_refused(name: str, nonsense: object) -> None:
    tree = answer_of(worlds.category_template(), rows=40, action=1).as_dict()
    with pytest.raises(UsageError) as caught:
        read_answer(tree | {name: nonsense})
    assert caught.value.code == "answer-unreadable"
    del tree[name]
    with pytest.raises(UsageError):
        read_answer(tree)
