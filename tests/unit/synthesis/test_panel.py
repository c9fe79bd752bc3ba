"""Several calculators on one pool: what they know, when they sleep, and the mixture of what they say."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fingerpost.elections.calculate import weigh
from fingerpost.errors import ReceiptError, UsageError
from fingerpost.ids import node_id
from fingerpost.synthesis import Answer, Evidence, KernelOptions, Synthesizer, Weighing, make_receipt, verify_receipt
from fingerpost.synthesis.answer_reading import read_answer
from fingerpost.synthesis.calculators import ALONE
from fingerpost.synthesis.shipped_calculators import shipped_calculators
from fingerpost.template import Template
from tests.unit.synthesis import worlds
from tests.unit.synthesis.test_receipt import changed, code_of

NAMES = tuple(calculator.name for calculator in shipped_calculators())
EQUAL = dict.fromkeys(NAMES, 1 / len(NAMES))
SMALL = KernelOptions(whole_packets_max=32, neighbours=32, search_packets_max=60, calibration_packets_max=32)
TEMPLATES = [worlds.category_template, worlds.number_template, worlds.sketch_template]


def asker(node: int = 0) -> bytes:
    return node_id(worlds.signer(node).public_key)


def weighing(standings: dict[str, float] | None = None, *, node: int = 0) -> Weighing:
    return Weighing(asker=asker(node), standings=standings or EQUAL)


def synthesizer(template: Template, packets: Any, options: KernelOptions | None = None) -> Synthesizer:
    return Synthesizer(Evidence.from_packets(packets, template), template, day=worlds.DAY, options=options)


def asked(template: Template, packets: Any, how: Weighing, *, rows: int = 6, **more: Any) -> list[Answer]:
    queries = worlds.queries(template, worlds.situations(70, rows))
    return synthesizer(template, packets, **more).ask_many(queries, weighing=how)


def said(answer: Answer) -> dict[str, Any]:
    assert answer.calculation is not None
    return {share.name: share for share in answer.calculation.calculators}


@pytest.mark.parametrize("make", TEMPLATES)
def test_an_estimate_is_the_weighted_mean_of_the_calculators_that_are_awake(make: Any) -> None:
    template = make()
    for answer in asked(template, worlds.pool(template), weighing()):
        shares = [share for share in said(answer).values() if share.awake]
        assert math.fsum(share.weight for share in shares) == pytest.approx(1)
        if answer.number is not None:
            assert answer.number.mean == pytest.approx(math.fsum(share.weight * share.mean for share in shares))
            number = answer.number
            assert number.low <= number.mean_low <= number.mean <= number.mean_high <= number.high
        else:
            for place, level in enumerate(answer.levels):
                mixed = math.fsum(share.weight * share.probabilities[place] for share in shares)
                assert level.probability == pytest.approx(mixed)
                assert 0 <= level.low <= level.probability <= level.high <= 1
        assert 0 <= answer.confidence <= 1


@pytest.mark.parametrize("make", TEMPLATES)
def test_all_weight_on_the_pooled_kernel_gives_the_answer_of_that_kernel(make: Any) -> None:
    template, packets = make(), worlds.pool(make())
    queries = worlds.queries(template, worlds.situations(70, 6))
    plain = synthesizer(template, packets).ask_many(queries)
    mixed = asked(template, packets, weighing({"pooled": 1.0}))
    for one, other in zip(plain, mixed, strict=True):
        assert [level.probability for level in other.levels] == pytest.approx([lv.probability for lv in one.levels])
        assert [level.low for level in other.levels] == pytest.approx([level.low for level in one.levels], abs=1e-6)
        assert (one.number is None) or (
            other.number is not None and other.number.mean == pytest.approx(one.number.mean)
        )


def test_alone_says_what_own_packets_say_and_sleeps_where_they_say_nothing() -> None:
    template = worlds.category_template()
    corner = worlds.situations(3, 400)
    corner = corner[corner[:, 0] > 0.5][:40]
    mine = worlds.observe(template, corner, worlds.level_of(corner), node=9)
    packets = np.concatenate([worlds.pool(template), mine])
    points = np.array([[0.8, 0.0, 0.0], [-0.9, -0.5, 0.0]])
    confirmed = replace(weighing(node=9), confirmations=1)  # before that, not by outcomes of one corner
    answers = synthesizer(template, packets).ask_many(worlds.queries(template, points), weighing=confirmed)
    home, away = (said(answer)[ALONE] for answer in answers)
    assert (home.awake, away.awake) == (True, False)
    assert (away.weight, away.probabilities, away.standing) == (0.0, (), pytest.approx(1 / len(NAMES)))
    own = synthesizer(template, mine).ask(worlds.queries(template, points)[0])
    assert home.probabilities == pytest.approx([level.probability for level in own.levels])


def test_an_asker_that_has_seen_one_outcome_does_not_deny_the_others_elsewhere() -> None:
    template = worlds.category_template()
    points = worlds.situations(4, 400)
    good = points[worlds.level_of(points) == 2][:40]
    mine = worlds.observe(template, good, worlds.level_of(good), node=9)
    packets = np.concatenate([worlds.pool(template), mine])
    bad = np.array([[-0.9, -0.8, 0.1]])
    (answer,) = synthesizer(template, packets).ask_many(worlds.queries(template, bad), weighing=weighing(node=9))
    assert not said(answer)["node-aware"].awake
    assert said(answer)["linear"].probabilities[0] > 0.5


def test_an_asker_whose_outcomes_lack_a_usual_level_counts_as_a_newcomer_until_answers_are_confirmed() -> None:
    template = worlds.category_template()
    points = worlds.situations(4, 400)
    others = worlds.pool(template)
    good, mixed = points[worlds.level_of(points) == 2][:40], points[:40]
    question = worlds.queries(template, worlds.situations(70, 1))
    usual = []
    for seen in (good, mixed):
        mine = worlds.observe(template, seen, worlds.level_of(seen), node=9)
        made = synthesizer(template, np.concatenate([others, mine]))
        usual.append(said(made.ask_many(question, weighing=weighing(node=9))[0])["usual"].probabilities[2])
        assert made.panel(asker(9)).judges_own == (seen is mixed)
        assert ALONE in made.panel(asker(9)).trial  # so that confirmed answers can bring it back
    assert usual[0] < 0.6  # 40 of 40 were good, which says nothing of the others' bad ones


def test_an_asker_that_has_seen_more_of_one_level_is_answered_as_everybody_is() -> None:
    template, points = worlds.category_template(), worlds.situations(4, 2_000)
    levels = worlds.level_of(points)
    mine = np.concatenate([points[levels == level][:count] for level, count in ((0, 6), (1, 6), (2, 120))])
    packets = np.concatenate([worlds.pool(template), worlds.observe(template, mine, worlds.level_of(mine), node=9)])
    made = synthesizer(template, packets)
    panel, queries = made.panel(asker(9)), worlds.queries(template, worlds.situations(70, 40))
    assert panel.judges_own
    assert not panel.alone_speaks  # until answers are confirmed
    answers = made.ask_many(queries, weighing=weigh(None, panel, asker=asker(9)))
    for answer, pooled in zip(answers, made.ask_many(queries), strict=True):
        for one, other in zip(answer.levels, pooled.levels, strict=True):
            assert one.probability == pytest.approx(other.probability, abs=0.1)
        shares = said(answer)
        assert shares["node-aware"].probabilities == pytest.approx(shares["pooled"].probabilities, abs=0.1)


def test_an_asker_without_some_levels_speaks_alone_where_everybody_expects_what_it_has_seen() -> None:
    template, points = worlds.category_template(), worlds.situations(4, 2_000)
    levels = worlds.level_of(points)
    mine = np.concatenate([points[levels == level][:60] for level in (1, 2)])
    packets = np.concatenate([worlds.pool(template), worlds.observe(template, mine, worlds.level_of(mine), node=9)])
    made, asked_about = synthesizer(template, packets), worlds.situations(71, 60)
    queries = worlds.queries(template, asked_about)
    confirmed = replace(weighing(node=9), confirmations=1)
    for answer, pooled in zip(made.ask_many(queries, weighing=confirmed), made.ask_many(queries), strict=True):
        seen = sum(level.probability for level in pooled.levels[1:])
        if said(answer)[ALONE].awake:
            assert seen > 0.5


def test_few_own_packets_never_vote_alone() -> None:
    template = worlds.category_template()
    points = worlds.situations(4, 400)
    for seen in (points[:8], points[worlds.level_of(points) == 2][:8]):
        mine = worlds.observe(template, seen, worlds.level_of(seen), node=9)
        panel = synthesizer(template, np.concatenate([worlds.pool(template), mine])).panel(asker(9))
        assert ALONE not in panel.trial  # eight records cannot say how sure they may be
        assert panel.trial["usual"] > 3  # though of eight alike nothing forecasts better


def test_somebody_without_packets_of_its_own_is_answered_by_what_others_know() -> None:
    template = worlds.category_template()
    (answer, *_) = asked(template, worlds.pool(template), weighing(node=9))
    awake = {name for name, share in said(answer).items() if share.awake}
    assert awake == {"pooled", "linear", "usual"}


def test_a_node_aware_kernel_learns_that_this_node_is_special() -> None:
    template = worlds.category_template()
    points = worlds.situations(5, 60)
    mine = worlds.observe(template, points, 2 - worlds.level_of(points), node=9)
    packets = np.concatenate([worlds.pool(template), mine])
    panel = synthesizer(template, packets).panel(asker(9))
    assert panel.judges_own
    assert panel.trial["node-aware"] < panel.trial["pooled"] - 3  # nats, beyond one standard error


@pytest.mark.parametrize("make", TEMPLATES)
@pytest.mark.parametrize("options", [None, SMALL])
def test_an_answer_of_several_calculators_is_derived_again_from_its_receipt(
    make: Any, options: KernelOptions | None
) -> None:
    template, packets = make(), worlds.pool(make(), rows=60)
    (answer,) = asked(template, packets, weighing(), rows=1, options=options)
    data = make_receipt(answer, packets, template, options=options).to_bytes()
    found = verify_receipt(data)
    assert found.whole == (options is None)
    assert found.answer.calculation is not None
    for share, known in zip(found.answer.calculation.calculators, said(answer).values(), strict=True):
        assert (share.name, share.awake) == (known.name, known.awake)
        assert share.weight == pytest.approx(known.weight)
        assert share.probabilities == pytest.approx(known.probabilities)
        assert share.mean == (None if known.mean is None else pytest.approx(known.mean))
    assert found.answer.probabilities == pytest.approx(answer.probabilities)
    assert answer.number is None or found.answer.number is not None
    assert read_answer(answer.as_dict()) == answer


@pytest.mark.parametrize("options", [None, SMALL])
def test_a_receipt_with_another_forecast_or_another_mixture_does_not_verify(options: KernelOptions | None) -> None:
    template = worlds.category_template()
    packets = worlds.pool(template, rows=60)
    answer = asked(template, packets, weighing(), options=options)[0]
    receipt = make_receipt(answer, packets, template, options=options)

    def pooled(claims: dict[str, Any]) -> None:
        claims["calculation"]["calculators"][1]["probabilities"] = [0.1, 0.1, 0.8]

    def weight(claims: dict[str, Any]) -> None:
        claims["calculation"]["calculators"][1]["weight"] += 0.1

    def mixture(claims: dict[str, Any]) -> None:
        claims["levels"][0]["probability"] += 0.01

    def stranger(claims: dict[str, Any]) -> None:
        claims["calculation"]["calculators"][1]["name"] = "oracle"

    for change in (pooled, weight, mixture):
        assert code_of(changed(receipt, change)) == "receipt-derivation"
    if options is None:
        assert code_of(changed(receipt, stranger)) == "receipt-claims"
    with pytest.raises(ReceiptError):
        verify_receipt(changed(receipt, lambda claims: claims.update(calculation={})))


def test_the_order_of_packets_and_questions_changes_nothing() -> None:
    template = worlds.category_template()
    packets = worlds.pool(template)
    answers = asked(template, packets, weighing())
    again = asked(template, packets[::-1], weighing())
    assert [answer.calculation for answer in answers] == [answer.calculation for answer in again]
    (first,) = asked(template, packets, weighing(), rows=1)
    assert first.probabilities == pytest.approx(answers[0].probabilities)


@pytest.mark.parametrize("standings", [{}, {"pooled": 0.5}, {"pooled": 0.0, "usual": 1.0}, {"pooled": float("nan")}])
def test_standings_that_are_no_shares_are_refused(standings: dict[str, float]) -> None:
    with pytest.raises(UsageError) as caught:
        Weighing(asker=asker(), standings=standings)
    assert caught.value.code == "weighing-standings"


def test_a_weighing_that_names_a_calculator_that_is_not_here_is_refused() -> None:
    template = worlds.category_template()
    with pytest.raises(UsageError) as caught:
        asked(template, worlds.pool(template), weighing({"pooled": 0.5, "oracle": 0.5}))
    assert caught.value.code == "calculator-missing"


def test_a_calculator_that_gives_no_probabilities_is_caught() -> None:
    template = worlds.category_template()

    class Broken:
        name = "broken"

        def fit(self, pool: Any) -> Any:
            return self

        def forecast(self, questions: Any) -> Any:
            from fingerpost.synthesis.calculators import Forecast

            values = np.full((len(questions), 3), 0.5)
            return Forecast(values=values, deviations=None, awake=np.ones(len(questions), bool))

        def left_out(self) -> Any:
            return None

    evidence = Evidence.from_packets(worlds.pool(template), template)
    panel = Synthesizer(evidence, template, day=worlds.DAY, calculators=[Broken()])
    with pytest.raises(UsageError) as caught:
        panel.ask_many(worlds.queries(template, worlds.situations(1, 2)), weighing=weighing({"broken": 1.0}))
    assert caught.value.code == "calculator-forecast"


def test_an_answer_without_packets_has_no_calculation() -> None:
    template = worlds.category_template()
    (answer, *_) = asked(template, worlds.pool(template, rows=4)[:0], weighing())
    assert (answer.calculation, answer.abstained) == (None, True)
    assert replace(answer, calculation=None) == answer
