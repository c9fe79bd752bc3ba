"""A template says how packets are laid out, and what may not leave."""

from __future__ import annotations

import pytest

from fingerpost.errors import TemplateError
from fingerpost.packet import OutcomeForm, Profile
from fingerpost.template import parse_template, profile_name
from fingerpost.template._source import Source
from tests.unit.template.texts import HOSPITAL, SMALL

HEART = parse_template(HOSPITAL)
NUMBER = SMALL.replace('kind = "category"\nlevels = ["no", "yes"]', 'kind = "number"\nrange = [0, 400]')


def levels(count: int) -> str:
    return SMALL.replace('["no", "yes"]', str([f"level {number}" for number in range(count)]).replace("'", '"'))


def test_an_observation_holds_one_level_or_one_number() -> None:
    assert HEART.observation_layout().outcome_form == OutcomeForm.CATEGORY
    assert HEART.observation_layout().conditions == 1
    assert parse_template(NUMBER).observation_layout().outcome_form == OutcomeForm.NUMBER


def test_a_summary_holds_moments_or_as_many_levels_as_fit() -> None:
    assert parse_template(NUMBER).summary_layout().outcome_form == OutcomeForm.MOMENTS
    assert HEART.summary_layout().outcome_items == 2
    wide = parse_template(levels(200))
    assert wide.summary_layout().outcome_items == (240 - 10 - 32) // 2
    assert wide.summary_layout().fits(Profile.OPEN)
    wider = parse_template(levels(20) + "[fingerprint]\nbits = 1024\nsketch = true\n")
    assert wider.summary_layout().outcome_items == 20
    assert wider.observation_layout().sketch == 32


def test_nothing_leaves_before_the_owner_says_whose_data_it_is() -> None:
    HEART.check_may_emit()
    with pytest.raises(TemplateError) as caught:
        parse_template(SMALL).check_may_emit()
    assert caught.value.code == "template-undeclared"


@pytest.mark.parametrize(("column", "field"), [("age", "situation.age"), ("died", "outcome"), ("drug", "action")])
def test_the_node_column_is_no_part_of_the_template(column: str, field: str) -> None:
    HEART.check_node_column("hospital")
    parse_template(SMALL).check_node_column("hospital")
    with pytest.raises(TemplateError) as caught:
        HEART.check_node_column(column)
    assert (caught.value.code, caught.value.field) == ("template-node-column", field)


def test_a_description_that_is_too_long_or_not_plain_is_refused() -> None:
    for description in ("x" * 100_000, "\\u0007"):
        with pytest.raises(TemplateError) as caught:
            parse_template(HOSPITAL.replace("an example", description))
        assert (caught.value.code, caught.value.field) == ("template-value", "description")


def test_profiles_have_the_names_that_templates_write() -> None:
    assert [profile_name(profile) for profile in Profile] == [
        "open",
        "consortium",
        "k-anonymous",
        "dp-aggregate",
        "local-dp",
    ]


def test_a_place_in_the_source_is_found_again_and_again() -> None:
    source = Source('a = 1\n[b]\n"c d" = 2\n', name="x")
    assert [source.line_of(path) for path in (("a",), ("b", "c d"), ("b", "e"), ("f",))] == [1, 3, 2, None]


def test_group_bits_that_are_none_leave_the_canonical_form_and_the_id_as_they_were() -> None:
    plain, none, some = (
        parse_template(f"{SMALL}\n[cells]\nbits = 6\n{line}") for line in ("", "group_bits = 0", "group_bits = 2")
    )
    assert plain.template_id == none.template_id
    assert b"group_bits" not in none.canonical
    assert b'"cells":{"bits":6,"group_bits":2,"kind":"prefix"}' in some.canonical
    assert some.template_id != plain.template_id
    assert some.space_id == plain.space_id
    assert parse_template(some.canonical) == some
