"""Outcomes, actions and conditions become codes and come back from them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fingerpost.errors import RecordError, UsageError
from fingerpost.template import (
    action_code,
    action_codes,
    action_value,
    condition_codes,
    condition_column_codes,
    condition_values,
    outcome_code,
    outcome_codes,
    outcome_value,
    parse_template,
)
from tests.unit.template.texts import HOSPITAL, SMALL

HEART = parse_template(HOSPITAL)
PLAIN = parse_template(SMALL)
NUMBER = parse_template(SMALL.replace('kind = "category"\nlevels = ["no", "yes"]', 'kind = "number"\nrange = [0, 400]'))


def refusal(call: Any, *arguments: Any) -> str:
    with pytest.raises(RecordError) as caught:
        call(*arguments)
    return caught.value.code


def test_a_level_has_its_index_and_one_more_as_its_code() -> None:
    assert [outcome_code(HEART, level) for level in ("no", "yes")] == [1, 2]
    assert [outcome_value(HEART, code) for code in (1, 2)] == ["no", "yes"]
    assert [action_code(HEART, level) for level in (None, "NA", "aspirin", "statin")] == [0, 0, 1, 2]
    assert [action_value(HEART, code) for code in (0, 1, 2)] == [None, "aspirin", "statin"]


def test_a_number_is_its_own_code() -> None:
    assert outcome_code(NUMBER, "12.5") == outcome_value(NUMBER, 12.5) == 12.5
    assert str(outcome_code(NUMBER, "-0.0")) == "0.0"


@pytest.mark.parametrize("value", [None, "", "NA", " ? "])
def test_an_outcome_may_not_be_missing(value: Any) -> None:
    assert refusal(outcome_code, HEART, value) == refusal(outcome_code, NUMBER, value) == "outcome-missing"


@pytest.mark.parametrize("value", ["maybe", "Yess", 7])
def test_an_unknown_level_is_refused_everywhere(value: Any) -> None:
    assert refusal(outcome_code, HEART, value) == "value-unknown-level"
    assert refusal(action_code, HEART, value) == "value-unknown-level"
    assert refusal(condition_codes, HEART, {"region": value}) == "value-unknown-level"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "inf", -1, 401, "many", True])
def test_an_outcome_that_is_no_number_in_range_is_refused(value: Any) -> None:
    assert refusal(outcome_code, NUMBER, value).startswith("value-")


def test_a_template_without_actions_takes_none() -> None:
    assert action_code(PLAIN, None) == 0
    assert refusal(action_code, PLAIN, "aspirin") == "action-unknown"
    with pytest.raises(UsageError):
        action_value(PLAIN, 1)


def test_conditions_come_in_the_order_of_the_template_and_may_be_missing() -> None:
    assert condition_codes(HEART, {}) == (0,)
    assert condition_codes(HEART, {"region": "south"}) == (2,)
    assert condition_values(HEART, (2,)) == {"region": "south"}
    assert condition_values(HEART, (0,)) == {"region": None}
    assert refusal(condition_codes, HEART, {"country": "x"}) == "field-unknown"
    assert refusal(condition_codes, PLAIN, {"region": "x"}) == "field-unknown"


@pytest.mark.parametrize("code", [0, 3, 1.5, -1])
def test_a_code_that_no_level_has_is_refused(code: float) -> None:
    with pytest.raises(UsageError) as caught:
        outcome_value(HEART, code)
    assert caught.value.code == "code-unknown"


def test_another_number_of_conditions_than_the_template_has_is_refused() -> None:
    with pytest.raises(UsageError) as caught:
        condition_values(HEART, (1, 2))
    assert caught.value.code == "code-unknown"


def test_columns_give_codes_and_the_rows_that_do_not_fit() -> None:
    codes, problems = outcome_codes(HEART, ["no", "yes", None, "perhaps"])
    assert codes.tolist() == [1, 2, 0, 0]
    assert codes.dtype == np.uint16
    assert [(problem.row, problem.code) for problem in problems] == [(3, "outcome-missing"), (4, "value-unknown-level")]
    numbers, problems = outcome_codes(NUMBER, np.array([1.5, 500.0]))
    assert numbers.tolist() == [1.5, 0.0]
    assert numbers.dtype == np.float64
    assert [problem.row for problem in problems] == [2]
    actions, problems = action_codes(HEART, ["statin", None, "x"])
    assert actions.tolist() == [2, 0, 0]
    assert [problem.row for problem in problems] == [3]


def test_condition_columns_that_are_absent_count_as_missing() -> None:
    codes, problems = condition_column_codes(HEART, {"region": ["north", "x", None]}, rows=3)
    assert codes.tolist() == [[1], [0], [0]]
    assert [(problem.row, problem.field) for problem in problems] == [(2, "region")]
    assert condition_column_codes(HEART, {}, rows=2)[0].tolist() == [[0], [0]]
