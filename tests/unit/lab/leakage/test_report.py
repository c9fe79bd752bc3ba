"""The attacks on packets: they find what is there, and nothing where nothing is."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from fingerpost.errors import TableError
from fingerpost.lab.leakage import report, updates
from fingerpost.lab.leakage.attributes import infer_attributes
from fingerpost.lab.leakage.counts import counts_view
from fingerpost.lab.leakage.measures import auc_bound, membership, share
from fingerpost.lab.leakage.records import Cohort, cohort_of, reconstruction, share_right
from fingerpost.lab.leakage.views import consortium_view, open_view
from fingerpost.template import encode_table, parse_template

TEMPLATE = """\
format = 1
name = "made"
data_class = "personal"
[situation.first]
kind = "number"
range = [-4, 4]
outside = "clamp"
[situation.second]
kind = "number"
range = [-4, 4]
outside = "clamp"
[situation.third]
kind = "number"
range = [-4, 4]
outside = "clamp"
[situation.colour]
kind = "category"
levels = ["blue", "grey"]
[outcome]
kind = "category"
levels = ["no", "yes"]
[privacy]
profile = "consortium"
"""
ONE_CASE = (updates.Case(attack="analytic", batch=1, control=True),)
SMALL = report.Sizes(rows_max=240, records=2, draws=2, attributes=2, cases=ONE_CASE)


@pytest.fixture(scope="module")
def table() -> tuple:
    chance = np.random.default_rng(3)
    numbers = chance.standard_normal((240, 3)) @ np.array([[1, 0.5, 0], [0, 1, 0.5], [0, 0, 1]])
    outcomes = (numbers[:, 0] + 0.3 * chance.standard_normal(240) > 0).astype(np.int64)
    columns = dict(zip(("first", "second", "third"), numbers.T, strict=True))
    columns["colour"] = ["blue" if value > 0 else "grey" for value in chance.standard_normal(240)]
    template = parse_template(TEMPLATE, source="made")
    encoded, problems = encode_table(template, columns, rows=240)
    assert not problems
    return template, encoded, outcomes


@pytest.fixture(scope="module")
def cohort(table) -> Cohort:
    return cohort_of(*table, levels=2, seed=0, rows_max=240)


def names(cohort: Cohort, view) -> float:
    rows = cohort.candidates
    return share_right(view.likeness(cohort.encoded[rows], cohort.outcomes[rows]), np.arange(len(cohort.members)))


def test_whoever_is_public_is_neither_attacked_nor_a_stranger(cohort) -> None:
    parts = [set(part.tolist()) for part in (cohort.public, cohort.members, cohort.strangers)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 240


def test_open_packets_are_inverted_and_named_and_sealed_ones_are_not(cohort) -> None:
    opened, sealed = open_view(cohort, 0), consortium_view(cohort, 0)
    assert max(reconstruction(cohort, each, cohort.members).r2 for each in opened.guesses().values()) > 0.9
    assert names(cohort, opened) > 0.95
    assert max(reconstruction(cohort, each, cohort.members).r2 for each in sealed.guesses().values()) < 0.05
    assert names(cohort, sealed) < 0.1


def test_a_cell_in_clear_tells_on_a_sealed_packet(cohort) -> None:
    bare = names(cohort, consortium_view(cohort, 0))
    celled = replace(cohort, template=replace(cohort.template, cell_bits=32))
    assert names(celled, consortium_view(celled, 0)) > 0.2 > 0.05 > bare


def test_members_of_open_packets_are_told_from_strangers_and_of_counts_hardly(cohort) -> None:
    def auc(view) -> float:
        parts = [
            view.presence(cohort.encoded[rows], cohort.outcomes[rows], cohort.nodes[rows])[:, None]
            for rows in (cohort.members, cohort.strangers)
        ]
        return membership(*parts, seed=0).auc

    assert auc(open_view(cohort, 0)) > 0.99
    assert auc(counts_view(cohort, 0)) < 0.75


def test_one_who_knows_all_others_sees_through_counts_as_far_as_their_noise_allows(cohort) -> None:
    views = [counts_view(cohort, draw) for draw in range(12)]
    members, strangers = (
        np.stack([view.informed_presence(rows) for view in views], axis=1)
        for rows in (cohort.members, cohort.strangers)
    )
    found = membership(members, np.roll(strangers, 1, axis=1), seed=0)
    assert 0.65 < found.auc < 0.81  # expected: the bound itself, 0.731
    exact = np.zeros_like(views[0].counts)
    rows = cohort.members
    np.add.at(exact, (cohort.nodes[rows], views[0].cells(cohort.encoded[rows]), cohort.outcomes[rows]), 1)
    views[0].counts[:] = exact  # without noise the same attack is certain
    told = membership(
        views[0].informed_presence(cohort.members)[:, None],
        views[0].informed_presence(cohort.strangers)[:, None],
        seed=0,
    )
    assert told.auc == 1


def test_open_packets_give_a_field_away_that_imputation_does_not_know(cohort) -> None:
    opened = infer_attributes(cohort, open_view(cohort, 0), attributes=4)
    sealed = infer_attributes(cohort, consortium_view(cohort, 0), attributes=4)
    assert opened is not None
    assert sealed is not None
    assert opened.accuracy > opened.prior + 0.15
    assert sealed.accuracy == sealed.prior


def test_an_audit_has_every_profile_and_its_controls_and_can_be_written_down(table) -> None:
    found = report.audit(*table, levels=2, sizes=SMALL)
    assert {"open", "consortium", "dp-aggregate"} <= set(found.profiles)
    assert found.controls["inversion"].holds
    assert found.controls["inversion_wrong_planes"].holds
    assert found.controls["analytic"].holds
    assert set(found.missing).isdisjoint(found.profiles)
    assert found.profiles["dp-aggregate"].auc_bound == pytest.approx(auc_bound(1))
    json.dumps(found.as_json(), allow_nan=False)


def test_inversion_alone_is_the_same_for_the_same_seed_where_no_noise_is_drawn(table) -> None:
    one, other = (report.inversion(*table, levels=2, sizes=SMALL).as_json() for _ in range(2))
    assert one["updates"] == other["updates"]
    assert one["packets"]["open"] == other["packets"]["open"]


def test_too_few_rows_are_refused_in_words(table) -> None:
    template, encoded, outcomes = table
    with pytest.raises(TableError, match="too few to attack"):
        report.audit(template, encoded[:20], outcomes[:20], levels=2)


def test_scores_that_say_nothing_name_at_chance_and_recognise_nobody() -> None:
    assert share_right(np.zeros((5, 10)), np.arange(5)) == pytest.approx(0.1)
    found = membership(np.zeros((30, 2)), np.zeros((30, 2)), seed=0)
    assert (found.auc, found.low, found.high) == (0.5, 0.5, 0.5)
    assert found.true_positive_rate == pytest.approx(0.01)
    assert share(0, 100).high == pytest.approx(0.0362, abs=1e-3)
