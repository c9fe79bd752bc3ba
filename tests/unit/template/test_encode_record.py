"""One situation becomes integers: every kind of field, every way of being missing, every refusal."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from fingerpost.errors import RecordError
from fingerpost.template import SCALE, encode_record, parse_template
from tests.unit.template.texts import HOSPITAL, SMALL, small_with

RECORD: dict[str, Any] = {
    "age": 55,
    "sex": "male",
    "pain": "none",
    "stage": "II",
    "symptoms": ["fever"],
    "enzyme": "32",
    "trace": [-1, 0, 0.5],
}
NUMBER = 'kind = "number"\nrange = '
PLAIN = '\nmissing = "refuse"'


def coordinates(field: str, value: object) -> list[int]:
    return [int(q) for q in encode_record(parse_template(small_with(field)), {"x": value})]


def refusal(field: str, value: object) -> RecordError:
    with pytest.raises(RecordError) as caught:
        coordinates(field, value)
    assert caught.value.hint
    assert caught.value.field == "x"
    assert caught.value.message.startswith("x: ")
    return caught.value


def test_fields_stand_in_order_of_their_names_each_with_its_indicator() -> None:
    encoded = encode_record(parse_template(HOSPITAL), RECORD)
    assert encoded.dtype == np.int16
    assert encoded.tolist() == [
        *[0],  # age: the middle of its range, and it may not be missing
        *[18, 0],  # enzyme: about half way in octaves, times 1.5
        *[0, 0, 4096, 0],  # pain
        *[4096, 0],  # sex
        *[-1365, 0],  # stage: a third of the way
        *[0, 4096, 0],  # symptoms
        *[-4096, 0, 2048, 0],  # trace
    ]


def test_what_is_absent_or_none_or_reads_as_missing_is_missing() -> None:
    template = parse_template(HOSPITAL)
    encoded = encode_record(template, {"age": 20, "sex": None, "pain": "", "stage": "NA", "symptoms": "?"})
    assert encoded.tolist() == [-4096, 0, 6144, 0, 0, 0, 4096, 0, 4096, 0, 4096, 0, 0, 4096, 0, 0, 0, 4096]


def test_a_level_that_reads_as_missing_is_a_level_where_the_template_says_so() -> None:
    assert coordinates('kind = "category"\nlevels = ["NA", "EU"]', "NA") == [-4096, 0]
    assert coordinates('kind = "category"\nlevels = ["NA", "EU"]', "") == [0, 4096]


@pytest.mark.parametrize(
    ("value", "coordinate"),
    [
        (0, -4096),
        (10, 4096),
        (5, 0),
        ("5", 0),
        (" 5.0 ", 0),
        ("+5", 0),
        ("0.5e1", 0),
        ("5.", 0),
        (".5", -3686),
        (Decimal("0.5"), -3686),
        (Fraction(1, 2), -3686),
        (np.float32(0.1), -4014),
        (np.int8(7), 1638),
        (0.1, -4014),
        ("1e-400000", -4096),
        ("0e999999999", -4096),
        ("0." + "0" * 380 + "1", -4096),
    ],
)
def test_numbers_are_read_exactly_in_every_form(value: object, coordinate: int) -> None:
    assert coordinates(f"{NUMBER}[0, 10]{PLAIN}", value) == [coordinate]


def test_a_half_rounds_up() -> None:
    field = f"{NUMBER}[0, 16384]{PLAIN}"
    assert [coordinates(field, value) for value in (1, "1.0000000000000000000000001", "0.9999999999999999999999")] == [
        [-4095],
        [-4095],
        [-4096],
    ]


def test_a_float_means_the_shortest_decimal_that_reads_back_as_it() -> None:
    # The binary value of 0.3 is below three tenths; on this range three tenths are exactly half way between steps.
    field = f"{NUMBER}[0, 4915.2]{PLAIN}"
    assert coordinates(field, 0.3) == coordinates(field, "0.3") == coordinates(field, np.float32(0.3)) == [-4095]
    assert coordinates(field, Fraction(0.3)) == [-4096]


@pytest.mark.parametrize(
    ("value", "coordinate"),
    [
        ("1", -4096),
        ("1024", 4096),
        ("32", 0),
        ("31.999999999999999999999", -3),
        ("2", -3277),
        (2.0027, -3277),
        (2.006, -3274),
    ],
)
def test_a_logarithmic_number_counts_256_steps_an_octave(value: object, coordinate: int) -> None:
    assert coordinates(f'{NUMBER}[1, 1024]\nscale = "log"{PLAIN}', value) == [coordinate]


def test_numbers_outside_are_refused_or_clamped() -> None:
    for value in (-0.001, "10.0000000000000000000001", 10**400, -(10**5000), "1e9999"):
        assert refusal(f"{NUMBER}[0, 10]", value).code == "value-outside"
    clamped = f'{NUMBER}[0, 10]\noutside = "clamp"'
    assert [coordinates(clamped, value)[0] for value in (-5, "1e9999", "-1e9999")] == [-4096, 4096, -4096]
    assert coordinates(f'{NUMBER}[1, 10]\nscale = "log"\noutside = "clamp"', -3)[0] == -4096


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), "inf", "-Infinity", "-nan", np.float32("nan"), Decimal("NaN"), Decimal("-Infinity")],
)
def test_what_is_not_finite_is_refused_even_where_numbers_are_clamped(value: object) -> None:
    for field in (f"{NUMBER}[0, 10]", f'{NUMBER}[0, 10]\noutside = "clamp"'):
        assert refusal(field, value).code == "value-not-finite"


@pytest.mark.parametrize(
    "value",
    [
        "five",
        "1_000",
        "1,5",
        "0x10",
        "1e",
        "e5",
        ".",
        "5 kg",
        "٥",
        "9" * 401,
        True,
        np.False_,
        [5],
        b"5",
        object(),
        "--5",
    ],
)
def test_what_is_no_number_is_refused(value: object) -> None:
    assert refusal(f"{NUMBER}[0, 10]", value).code == "value-number"


def test_a_missing_value_is_refused_where_the_template_says_so() -> None:
    assert refusal(f"{NUMBER}[0, 10]{PLAIN}", None).code == "value-missing"
    assert refusal(f"{NUMBER}[0, 10]{PLAIN}", "NA").code == "value-missing"


def test_two_levels_take_one_coordinate_and_more_take_one_each() -> None:
    assert coordinates('kind = "category"\nlevels = ["a", "b"]', "a") == [-4096, 0]
    assert coordinates('kind = "category"\nlevels = ["a", "b", "c"]', "b") == [0, 4096, 0, 0]


@pytest.mark.parametrize("value", [1, 1.0, "1", "1.0", " 1.000 ", np.int64(1), np.float64(1), True, Decimal("1.0")])
def test_a_level_is_recognised_as_text_number_or_truth_value(value: object) -> None:
    assert coordinates('kind = "category"\nlevels = ["0", "1"]', value) == [4096, 0]


def test_truth_values_name_levels_that_say_true_or_false() -> None:
    assert coordinates('kind = "category"\nlevels = ["no", "yes"]', False) == [-4096, 0]
    assert coordinates('kind = "category"\nlevels = ["False", "True"]', np.True_) == [4096, 0]
    assert refusal('kind = "category"\nlevels = ["a", "b"]', True).code == "value-unknown-level"


def test_leading_zeros_and_case_tell_levels_apart() -> None:
    field = 'kind = "category"\nlevels = ["7", "007", "a", "A"]'
    assert [coordinates(field, value).index(SCALE) for value in ("7", "007", 7, "a", "A")] == [0, 1, 0, 2, 3]


def test_levels_match_in_any_unicode_composition() -> None:
    assert coordinates('kind = "category"\nlevels = ["caf\u00e9", "tea"]', "cafe\u0301") == [-4096, 0]


def test_an_unknown_level_is_refused_with_a_suggestion_or_counts_as_missing() -> None:
    error = refusal('kind = "category"\nlevels = ["female", "male"]', "Female")
    assert (error.code, error.hint) == ("value-unknown-level", "did you mean 'female'?")
    levels = ", ".join(f'"{letter}"' for letter in "abcdefghijkl")
    assert refusal(f'kind = "ordinal"\nlevels = [{levels}]', "zzz").hint == "the levels are: a, b, c, d, e, f, g, h, …"
    assert coordinates('kind = "ordinal"\nlevels = ["a", "b"]\nother = "missing"', "c") == [0, 4096]
    assert refusal('kind = "category"\nlevels = ["0", "1"]', 10**5000).code == "value-unknown-level"


def test_a_level_of_another_type_is_refused() -> None:
    for value in (["a"], b"a", {"a": 1}):
        assert refusal('kind = "category"\nlevels = ["a", "b"]', value).code == "value-type"


def test_ordinal_levels_are_evenly_spaced() -> None:
    field = 'kind = "ordinal"\nlevels = ["a", "b", "c", "d", "e", "f", "g"]'
    assert [coordinates(field, value)[0] for value in "abcdefg"] == [-4096, -2731, -1365, 0, 1365, 2731, 4096]


def test_a_set_is_a_list_or_a_text_and_may_be_empty() -> None:
    field = 'kind = "set"\nlevels = ["a", "b", "c"]'
    both: list[object] = [["c", "a"], {"a", "c"}, "a;c", " a ; c;", ("a", "c", "a")]
    for value in both:
        assert coordinates(field, value) == [4096, 0, 4096, 0]
    neither: list[object] = [[], ";", frozenset()]
    for value in neither:
        assert coordinates(field, value) == [0, 0, 0, 0]
    assert coordinates(field, "") == [0, 0, 0, 4096]
    assert refusal(field, "a;d").code == "value-unknown-level"
    assert refusal(field, 3).code == "value-type"
    assert refusal(field, {"a": 1}).code == "value-type"
    assert refusal(field, [["a"]]).code == "value-type"


def test_a_vector_is_a_list_an_array_or_a_text_of_the_right_size() -> None:
    field = 'kind = "vector"\nsize = 2\nrange = [0, 1]\nmissing = "refuse"'
    right: list[object] = [[0.25, 1], (0.25, 1), np.array([0.25, 1]), "0.25; 1"]
    for value in right:
        assert coordinates(field, value) == [-2048, 4096]
    wrong: list[object] = [[1], "1", np.zeros((2, 2)), 3, {"a": 1}]
    for value in wrong:
        assert refusal(field, value).code == "value-vector"
    assert refusal(field, [0, 2]).code == "value-outside"
    assert refusal(field, [0, None]).code == "value-number"


def test_weights_multiply_every_coordinate_and_round_half_up() -> None:
    assert coordinates(f"{NUMBER}[0, 10]\nweight = 0.001", 0) == [-4, 0]
    assert coordinates(f"{NUMBER}[0, 10]\nweight = 7.999", None) == [0, 32764]
    assert coordinates(f"{NUMBER}[0, 8192]\nweight = 0.5", 4095) == [0, 0]


def test_an_unknown_field_is_refused_with_a_suggestion() -> None:
    template = parse_template(HOSPITAL)
    with pytest.raises(RecordError) as caught:
        encode_record(template, {"agee": 3})
    assert (caught.value.code, caught.value.field, caught.value.hint) == (
        "field-unknown",
        "agee",
        "did you mean 'age'?",
    )
    with pytest.raises(RecordError, match="no field 'died'") as caught:
        encode_record(template, {"died": "yes"})
    assert caught.value.hint.startswith("the situation has: age, enzyme")


def test_values_are_shown_shortened() -> None:
    assert len(refusal(f"{NUMBER}[0, 10]", "x" * 10_000).message) < 100


def test_a_small_record_needs_nothing_but_its_value() -> None:
    assert encode_record(parse_template(SMALL), {"x": 5}).tolist() == [0, 0]
