"""Asking, from packets to an answer."""

from __future__ import annotations

import datetime
import json
from dataclasses import replace

import numpy as np
import pytest

from fingerpost.errors import RecordError, UsageError
from fingerpost.packet import Kind, OutcomeForm, PayloadLayout, packet_ids
from fingerpost.synthesis import (
    Answer,
    Evidence,
    KernelOptions,
    Query,
    Synthesizer,
    _sentences,
    synthesize,
    synthesize_many,
)
from tests.unit.synthesis import worlds

DAY = worlds.DAY


def ask(packets, template, points, **more) -> list[Answer]:
    evidence = Evidence.from_packets(packets, template)
    return synthesize_many(worlds.queries(template, points), evidence, template, day=DAY, **more)


def test_likely_levels_and_numbers_are_those_of_the_world() -> None:
    points = worlds.situations(50, 60)
    template = worlds.category_template()
    answers = ask(worlds.pool(template, rows=400), template, points)
    levels = [worlds.levels(template).index(worlds.top(answer).level) for answer in answers]
    assert (np.array(levels) == worlds.level_of(points)).mean() > 0.8
    number = worlds.number_template()
    answers = ask(worlds.pool(number, rows=400), number, points)
    errors = np.array([worlds.number(answer).mean for answer in answers]) - worlds.number_of(points)
    assert np.abs(errors).mean() < 0.7
    covered = [
        worlds.number(a).low <= truth <= worlds.number(a).high
        for a, truth in zip(answers, worlds.number_of(points), strict=True)
    ]
    assert np.mean(covered) > 0.8


def test_probabilities_sum_to_one_and_lie_within_their_intervals() -> None:
    template = worlds.category_template()
    for answer in ask(worlds.pool(template), template, worlds.situations(51, 20)):
        assert abs(sum(answer.probabilities.values()) - 1) < 1e-12
        assert list(answer.probabilities) == ["bad", "fair", "good"]
        for level in answer.levels:
            assert 0 <= level.low <= level.probability <= level.high <= 1
        assert 0 <= answer.confidence <= 1
        assert worlds.top(answer).probability == max(answer.probabilities.values())


def test_number_intervals_contain_each_other_and_stay_within_the_range() -> None:
    template = worlds.number_template()
    for answer in ask(worlds.pool(template), template, worlds.situations(52, 20)):
        number = worlds.number(answer)
        assert -10 <= number.low <= number.mean_low <= number.mean <= number.mean_high <= number.high <= 10
        assert number.unit == "mm"
        assert answer.likeliest is None
        assert 0 <= answer.confidence <= 1


def test_one_question_alone_is_answered_as_among_many() -> None:
    template = worlds.category_template()
    points = worlds.situations(53, 5)
    packets = worlds.pool(template)
    many = ask(packets, template, points)
    for point, among in zip(points, many, strict=True):
        alone = ask(packets, template, point[None])[0]
        assert alone.query == among.query
        assert [share.packet_id for share in alone.nearest] == [share.packet_id for share in among.nearest]
        assert np.allclose(list(alone.probabilities.values()), list(among.probabilities.values()), atol=1e-12)


def test_shares_of_packets_and_nodes_add_up() -> None:
    template = worlds.category_template()
    answer = ask(worlds.pool(template, rows=8), template, worlds.situations(54, 1))[0]
    assert answer.packets == answer.records == len(answer.nearest) == len(answer.carriers) == 8
    assert abs(sum(share.weight for share in answer.nearest) - 1) < 1e-9
    assert abs(sum(node.weight for node in answer.nodes) - 1) < 1e-9
    assert [share.distance for share in answer.nearest] == sorted(share.distance for share in answer.nearest)
    weights = [abs(share.weight) for share in answer.carriers]
    assert weights == sorted(weights, reverse=True)
    assert {share.node_id for share in answer.nearest} == {node.node_id for node in answer.nodes}


def test_the_nearest_packet_is_the_one_emitted_there() -> None:
    template = worlds.category_template()
    packets = worlds.pool(template)
    there = worlds.situations(0, 30)[3]
    answer = ask(packets, template, there[None])[0]
    assert answer.nearest[0].distance == 0
    assert answer.nearest[0].packet_id == packet_ids(packets[3:4])[0].tobytes().hex()
    assert answer.nearest[0].outcome == ("bad", "fair", "good")[int(worlds.level_of(there[None])[0])]


def test_no_live_packet_means_no_evidence() -> None:
    template = worlds.category_template()
    packets = worlds.pool(template)
    evidence, query = Evidence.from_packets(packets, template), worlds.queries(template, worlds.situations(55, 1))[0]
    nothing = Evidence.from_packets(packets[:0], template)
    answers = [
        synthesize(query, nothing, template, day=DAY),
        synthesize(query, evidence, template, day=DAY + template.ttl_days),
        synthesize(query, evidence, template, day=DAY - 2),
        synthesize(query, evidence, template, day=DAY, conditions={"region": "north"}),
    ]
    for answer in answers:
        assert answer.abstained
        assert worlds.reason(answer) == "no-evidence"
        assert answer.packets == 0
        assert answer.likeliest is None
        assert json.loads(answer.to_json())["reason"]["code"] == "no-evidence"
        assert answer.explanation[0].startswith("No answer is given")


def test_a_handful_of_packets_is_too_few() -> None:
    template = worlds.category_template()
    answer = ask(worlds.pool(template, rows=4), template, worlds.situations(56, 1))[0]
    assert answer.abstained
    assert worlds.reason(answer) == "too-few"
    assert answer.levels


def test_a_situation_unlike_all_packets_is_too_far() -> None:
    template = worlds.category_template()
    points = np.abs(worlds.situations(57, 120))
    packets = worlds.observe(template, points, worlds.level_of(points))
    near, far = ask(packets, template, np.array([[0.5, 0.5, 0.5], [-1.0, -1.0, -1.0]]))
    assert not near.abstained
    assert worlds.reason(far) == "too-far"
    assert far.confidence < near.confidence


def test_situations_of_the_same_population_are_rarely_too_far() -> None:
    template = worlds.category_template()
    answers = ask(worlds.pool(template, rows=200), template, worlds.situations(58, 300))
    assert np.mean([answer.abstained for answer in answers]) < 0.05


def test_warnings_name_a_lone_node_a_useless_situation_and_a_contradiction() -> None:
    template = worlds.category_template()
    points = worlds.situations(59, 90)
    lone = worlds.observe(template, points, worlds.level_of(points))
    useless = worlds.observe(template, points, np.random.default_rng(0).integers(0, 3, 90), node=1)
    liar = worlds.observe(template, points, 2 - worlds.level_of(points), node=2)
    asked = worlds.situations(60, 1)
    assert [w.code for w in ask(lone, template, asked)[0].warnings] == ["one-node"]
    assert "prior-only" in [w.code for w in ask(useless, template, asked)[0].warnings]
    assert "nodes-contradict" in [w.code for w in ask(np.concatenate([lone, liar]), template, asked)[0].warnings]
    assert ask(worlds.pool(template, rows=240), template, asked)[0].warnings == ()


def test_conditions_keep_only_packets_that_state_them() -> None:
    template = worlds.category_template()
    north = worlds.pool(template, rows=40, region=1)
    south = worlds.pool(template, rows=60, seed=1, region=2)
    asked = worlds.situations(61, 1)
    both = np.concatenate([north, south])
    answer = ask(both, template, asked, conditions={"region": "south"})[0]
    assert answer.packets == 60
    assert answer.conditions == (("region", "south"),)
    assert ask(both, template, asked)[0].packets == 100
    with pytest.raises(RecordError):
        ask(both, template, asked, conditions={"weather": "south"})


def test_old_packets_weigh_less_where_the_template_forgets() -> None:
    template = worlds.forgetful_template(30)
    points = worlds.situations(62, 40)
    old = worlds.observe(template, points, np.zeros(40, int), day=DAY - 300)
    new = worlds.observe(template, points, np.full(40, 2), node=1)
    answer = ask(np.concatenate([old, new]), template, points[:1])[0]
    assert worlds.top(answer).level == "good"
    assert worlds.top(answer).probability > 0.8


def test_sketches_are_used_where_the_template_has_them() -> None:
    template = worlds.sketch_template()
    points = worlds.situations(63, 40)
    answers = ask(worlds.pool(template, rows=400), template, points)
    levels = [worlds.levels(template).index(worlds.top(answer).level) for answer in answers]
    assert worlds.found_settings(answers[0]).family == "sketch"
    assert (np.array(levels) == worlds.level_of(points)).mean() > 0.8


def test_queries_that_do_not_fit_the_template_are_refused() -> None:
    template, sketched = worlds.category_template(), worlds.sketch_template()
    evidence = Evidence.from_packets(worlds.pool(template), template)
    with pytest.raises(UsageError, match="32 bytes"):
        synthesize(Query(fingerprint=bytes(31)), evidence, template, day=DAY)
    evidence = Evidence.from_packets(worlds.pool(sketched), sketched)
    with pytest.raises(UsageError, match="sketch"):
        synthesize(Query(fingerprint=bytes(32)), evidence, sketched, day=DAY)


def test_an_answer_is_json_and_sentences() -> None:
    for template in (worlds.category_template(), worlds.number_template()):
        answer = ask(worlds.pool(template, action=1), template, worlds.situations(64, 1))[0]
        tree = json.loads(answer.to_json())
        assert tree["version"] == 1
        assert tree["template_id"] == template.template_id.hex()
        assert tree["query"]["fingerprint"] == answer.query.fingerprint.hex()
        assert int(tree["pair_sums"]["pairs"]) == 120 * 119 // 2
        assert tree["explanation"] == list(answer.explanation)
        assert tree["nearest"][0]["packet_id"] == answer.nearest[0].packet_id
        assert len(tree["agreement"]) == len(tree["nodes"]) == 4
    strange = replace(answer, confidence=float("nan"))
    assert json.loads(strange.to_json())["confidence"] is None


def test_a_large_pool_is_answered_locally_with_the_same_fields() -> None:
    template = worlds.category_template()
    options = KernelOptions(whole_packets_max=64, neighbours=64, search_packets_max=100, calibration_packets_max=64)
    packets = worlds.pool(template, rows=400)
    points = worlds.situations(65, 20)
    local = ask(packets, template, points, options=options)
    whole = ask(packets, template, points)
    same = [worlds.top(a).level == worlds.top(b).level for a, b in zip(local, whole, strict=True)]
    assert sum(same) >= 18
    for a, b in zip(local, whole, strict=True):
        assert a.packets == 400
        assert [share.packet_id for share in a.nearest] == [share.packet_id for share in b.nearest]
        assert abs(worlds.top(a).probability - worlds.top(b).probability) < 0.25


def test_earlier_settings_spare_the_search_and_change_nothing() -> None:
    template = worlds.category_template()
    evidence = Evidence.from_packets(worlds.pool(template), template)
    query = worlds.queries(template, worlds.situations(66, 1))[0]
    first = Synthesizer(evidence, template, day=DAY).ask(query)
    again = Synthesizer(evidence, template, day=DAY, settings=first.settings).ask(query)
    assert again == first


def test_summaries_are_shown_with_their_records() -> None:
    template = worlds.category_template()
    points = worlds.situations(67, 12)
    layout = PayloadLayout(
        fingerprint_bits=256, sketch=0, conditions=1, outcome_form=OutcomeForm.HISTOGRAM, outcome_items=3
    )
    histograms = np.array([[2, 0, 5]] * 12)
    packets = worlds.observe(template, points, histograms, kind=Kind.SUMMARY, layout=layout)
    answer = ask(packets, template, points[:1])[0]
    assert answer.records == 12 * 7
    assert answer.nearest[0].outcome == {"bad": 2, "good": 5}
    assert answer.nearest[0].records == 7
    assert any("2 x bad, 5 x good" in sentence for sentence in answer.explanation)
    assert abs(answer.probabilities["good"] - 5 / 7) < 0.1


def test_conflicting_observations_nearby_are_both_told_with_node_and_day() -> None:
    template = worlds.category_template()
    points = worlds.situations(1, 60)
    honest = worlds.observe(template, points, worlds.level_of(points), node=0, day=worlds.DAY)
    liar = worlds.observe(template, points, 2 - worlds.level_of(points), node=1, day=worlds.DAY - 40)
    evidence = Evidence.from_packets(np.concatenate([honest, liar]), template)
    answer = synthesize(worlds.queries(template, np.array([[0.9, 0.3, 0.0]]))[0], evidence, template, day=worlds.DAY)
    (told,) = [sentence for sentence in answer.explanation if "conflict" in sentence]
    for node in evidence.node_ids:
        assert node.tobytes().hex()[:8] in told
    for day in (worlds.DAY, worlds.DAY - 40):
        assert (datetime.date(1970, 1, 1) + datetime.timedelta(days=day)).isoformat() in told


@pytest.mark.parametrize("day", [0, 59, 11_016, 11_017, 20_000, 47_540, 65_535])
def test_days_are_written_as_dates(day: int) -> None:
    assert _sentences._date(day) == (datetime.date(1970, 1, 1) + datetime.timedelta(days=day)).isoformat()
