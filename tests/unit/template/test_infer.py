"""A drafted template: what each kind of column becomes, what stays out, and that nothing of the data leaks."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fingerpost.errors import TableError
from fingerpost.packet import Profile
from fingerpost.template import (
    CategoryField,
    CategoryOutcomeField,
    DataClass,
    Field,
    InferredTemplate,
    NumberField,
    NumberOutcomeField,
    OrdinalField,
    Other,
    Outside,
    Scale,
    SetField,
    VectorField,
    encode_table,
    infer_template,
    parse_template,
)

ROWS = 200
GENERATOR = np.random.default_rng(7)
OUTCOME = ["no", "yes"] * (ROWS // 2)
NOISE = GENERATOR.uniform(3, 17, ROWS)


def draft(columns: Mapping[str, Any], **options: Any) -> InferredTemplate:
    rows = len(next(iter(columns.values())))
    table = {"noise": [*NOISE, *NOISE][:rows], "y": OUTCOME[:rows], **columns}
    return infer_template(table, outcome="y", **options)


def field_of(values: Any, name: str = "x") -> Field | None:
    return next((part for part in draft({name: values}).template.situation if part.name == name), None)


def notes_on(values: Any, name: str = "x", **options: Any) -> str:
    return " | ".join(note.text for note in draft({name: values}, **options).notes if note.column == name)


def spread(levels: list[Any], rows: int = ROWS) -> list[Any]:
    """Repeat levels in an order that has nothing to do with the outcome."""
    return [levels[row // 2 % len(levels)] for row in range(rows)]


def test_the_text_reads_back_as_the_template() -> None:
    inferred = draft({"x": spread(["a", "b"])}, name="Our Table.csv", action=None)
    assert parse_template(inferred.text) == inferred.template
    assert inferred.template.name == "our-table-csv"
    assert inferred.template.outcome == CategoryOutcomeField(name="y", levels=("no", "yes"))
    assert "# review: " in inferred.text


def test_the_data_class_is_undeclared_until_the_owner_decides() -> None:
    columns = {"x": spread(["a", "b"])}
    assert draft(columns).template.data_class is DataClass.UNDECLARED
    personal = draft(columns, data_class="personal").template
    assert (personal.data_class, personal.profile) == (DataClass.PERSONAL, Profile.DP_AGGREGATE)
    public = draft(columns, data_class="non_personal").template
    assert (public.data_class, public.profile) == (DataClass.NON_PERSONAL, Profile.OPEN)


def test_measurements_get_a_range_rounded_outward() -> None:
    part = field_of([row % 49 + 28 for row in range(ROWS)])
    assert part == NumberField(name="x", low=Fraction(24), high=Fraction(80))


def test_no_end_of_a_range_is_a_value_of_the_data() -> None:
    for low, high in ((10, 20), (-1, 1), (0.5, 2.5), (50, 150), (1000, 9000), (0.1, 90), (-100, -50)):
        part = field_of(np.linspace(low, high, ROWS))
        assert isinstance(part, NumberField)
        assert part.low < Fraction(low)
        assert part.high > Fraction(high)
    skewed = field_of(np.geomspace(1, 10_000, ROWS))
    assert isinstance(skewed, NumberField)
    assert (skewed.low, skewed.high, skewed.scale) == (Fraction(1, 2), Fraction(20_000), Scale.LOG)


def test_zero_one_and_a_hundred_are_natural_ends() -> None:
    shares = field_of(np.linspace(0, 1, ROWS))
    assert shares == NumberField(name="x", low=Fraction(0), high=Fraction(1))
    assert field_of(np.linspace(0, 100, ROWS)) == NumberField(name="x", low=Fraction(0), high=Fraction(100))
    positive = field_of(np.linspace(0.01, 9, ROWS))
    assert isinstance(positive, NumberField)
    assert positive.low == 0


def test_amounts_over_orders_of_magnitude_get_a_logarithmic_scale_and_zeros_its_low_end() -> None:
    amounts = np.geomspace(3, 40_000, ROWS)
    assert field_of(amounts) == NumberField(name="x", low=Fraction(2), high=Fraction(50_000), scale=Scale.LOG)
    amounts[::3] = 0
    part = field_of(amounts)
    assert isinstance(part, NumberField)
    assert (part.scale, part.outside) == (Scale.LOG, Outside.CLAMP)
    assert part.low > 0


def test_a_heavy_tail_is_cut_and_clamped() -> None:
    values = GENERATOR.normal(0, 10, 2_000)
    values[0] = 10_000
    table = {"x": values, "y": ["no", "yes"] * 1_000}
    (part,) = infer_template(table, outcome="y").template.situation
    assert isinstance(part, NumberField)
    assert part.outside is Outside.CLAMP
    assert part.high < 100


def test_zeros_and_codes_far_from_the_rest_are_noted_and_left_outside() -> None:
    for odd in (0, -999, 9999):
        values = [row % 49 + 128 for row in range(ROWS)]
        values[::5] = [odd] * len(values[::5])
        part = field_of(values)
        assert isinstance(part, NumberField)
        assert not part.low <= odd <= part.high
        assert f"{odd} (40 times) lies far from the rest (128 to 176)" in notes_on(values)
    values = [*[0] * 20, *[30] * 5, *[1_000] * 5, *(row % 25 + 90 for row in range(ROWS - 30))]
    part = field_of(values)
    assert isinstance(part, NumberField)
    assert part.low == 20


def test_a_minus_one_among_large_positive_amounts_is_noted() -> None:
    assert "-1 (" in notes_on([-1 if row % 9 == 0 else row for row in range(ROWS)])
    assert notes_on([-1 if row % 9 == 0 else row % 15 for row in range(ROWS)]) == ""


def test_honest_zeros_and_few_values_are_not_odd() -> None:
    assert notes_on([row % 49 for row in range(ROWS)]) == ""
    assert notes_on(spread([0, 40, 50, 60, 70, 80, 90])) == ""


def test_few_whole_numbers_are_codes_unless_they_spread_far() -> None:
    assert field_of(spread([1, 2, 3, 4])) == CategoryField(name="x", levels=("1", "2", "3", "4"))
    assert field_of(spread(["1.0", "0.0"])) == CategoryField(name="x", levels=("0", "1"))
    assert isinstance(field_of(spread([0, 500, 1_000])), NumberField)
    assert isinstance(field_of(spread([0.5, 1.5])), NumberField)
    assert isinstance(field_of(spread(list(range(7)))), NumberField)
    assert "codes?" in draft({"x": spread(list(range(7)))}).text


@pytest.mark.parametrize(
    "values", [spread([True, False]), pa.array(spread([True, False])), np.array(spread([True, False]))]
)
def test_truth_values_are_two_levels(values: Any) -> None:
    assert field_of(values) == CategoryField(name="x", levels=("false", "true"))


def test_texts_are_levels_in_alphabetical_order() -> None:
    assert field_of(spread(["pear", "Apple", "fig"])) == CategoryField(name="x", levels=("Apple", "fig", "pear"))


def test_a_well_known_scale_is_an_ordinal() -> None:
    assert field_of(spread(["high", "low", "medium"])) == OrdinalField(name="x", levels=("low", "medium", "high"))
    assert field_of(spread(["Severe", "never", "Mild"])) == CategoryField(name="x", levels=("Mild", "never", "Severe"))
    assert field_of(spread(["III", "I", "II", "IV"])) == OrdinalField(name="x", levels=("I", "II", "III", "IV"))


def test_rare_values_are_no_levels_and_count_as_missing() -> None:
    values = spread(["a", "b", "c"])
    values[:4] = ["rare"] * 4
    part = field_of(values)
    assert part == CategoryField(name="x", levels=("a", "b", "c"), other=Other.MISSING)
    assert "1 rare values (4 rows)" in notes_on(values)
    assert "rare" not in draft({"x": values}).text


def test_many_levels_are_capped() -> None:
    values = [f"level {row % 40:02d}" for row in range(2 * ROWS)]
    table = {"x": values, "y": OUTCOME * 2}
    (part,) = infer_template(table, outcome="y").template.situation
    assert isinstance(part, CategoryField)
    assert (len(part.levels), part.other) == (32, Other.MISSING)


def test_values_that_cannot_be_levels_are_left_to_missing() -> None:
    part = field_of(spread(["a", "b", "x" * 200, "bell\a"]))
    assert part == CategoryField(name="x", levels=("a", "b"), other=Other.MISSING)


def test_cells_with_several_levels_are_a_set() -> None:
    assert field_of(spread(["a;b", "b", "c; a"])) == SetField(name="x", levels=("a", "b", "c"))


def test_number_lists_of_one_length_are_a_vector() -> None:
    lists = [[float(row % 7), 0.5] for row in range(ROWS)]
    for values in (lists, pa.array(lists), np.array(lists)):
        part = field_of(values)
        assert isinstance(part, VectorField)
        assert (part.size, part.low) == (2, Fraction(0))


def test_missing_cells_are_no_values() -> None:
    values = [
        value if row % 3 else ("", "NA", "?", "NaN", None)[row % 5] for row, value in enumerate(spread(["1", "2"]))
    ]
    assert field_of(values) == CategoryField(name="x", levels=("1", "2"))
    numbers = [float("nan") if row % 3 == 0 else row / 7 for row in range(ROWS)]
    assert isinstance(field_of(np.array(numbers)), NumberField)


@pytest.mark.parametrize(
    ("name", "values", "reason"),
    [
        ("x", [None] * ROWS, "empty"),
        ("x", [[]] * ROWS, "lists"),
        ("x", [[1], [1, 2]] * (ROWS // 2), "lists"),
        ("x", [["a"], ["b"]] * (ROWS // 2), "lists"),
        ("x", ["same"] * ROWS, "one value"),
        ("x", [3, None] * (ROWS // 2), "one value"),
        ("x", [f"2024-01-{row % 28 + 1:02d}" for row in range(ROWS)], "dates"),
        ("x", [f"{row % 28 + 1}.3.2024 10:00" for row in range(ROWS)], "dates"),
        ("x", [f"{row % 12}:30" for row in range(ROWS)], "dates"),
        ("x", np.arange(ROWS).astype("datetime64[D]"), "dates"),
        ("x", pa.array(range(ROWS), pa.date32()), "dates"),
        ("x", [f"{row % 17},5" for row in range(ROWS)], "commas"),
        ("x", list(range(ROWS)), "numbers the rows"),
        ("patient_id", [row * 37 % 1009 for row in range(ROWS)], "numbers the rows"),
        ("x", [f"p{row:05d}" for row in range(ROWS)], "value of its own"),
        ("x", [f"name {row};b" for row in range(ROWS)], "value of its own"),
        ("zip code", [f"Z{row % 50}" for row in range(ROWS)], "value of its own"),
        ("x", [f"the patient came in on a day {row}" for row in range(ROWS)], 'kind = "text"'),
        ("x", [f"r{row % 50}" for row in range(ROWS)], "at least 5 rows"),
        ("outcome", spread(["a", "b"]), "rename"),
        ("a\x07", spread(["a", "b"]), "rename"),
        ("x", [[0.5] * 5_000] * 2, "more than 4096"),
    ],
)
def test_columns_that_are_no_situation_are_left_out_with_a_reason(name: str, values: Any, reason: str) -> None:
    assert field_of(values, name) is None
    assert "left out: " in notes_on(values, name)
    assert reason in notes_on(values, name)
    assert "# Left out of the situation: " in draft({name: values}).text


def test_mostly_numbers_are_numbers_and_the_dirt_is_noted() -> None:
    values = [str(row * 0.37) for row in range(ROWS)]
    values[3] = "<5"
    values[4] = "1e999"
    assert isinstance(field_of(values), NumberField)
    assert "2 cells are no numbers, such as '<5'" in notes_on(values)


def test_columns_whose_names_differ_in_digits_share_kind_and_range() -> None:
    columns = {f"pixel_{index}": [row % (17 - index) for row in range(ROWS)] for index in range(6)}
    columns["pixel_9"] = [row // 2 % 3 for row in range(ROWS)]
    parts = [part for part in draft(columns).template.situation if part.name != "noise"]
    assert {(type(part), getattr(part, "high", None)) for part in parts} == {(NumberField, Fraction(17))}


def test_columns_that_only_look_like_siblings_keep_their_own_range() -> None:
    columns = {f"v{index}": [row % 40 * 10**index for row in range(ROWS)] for index in range(4)}
    highs = {getattr(part, "high", None) for part in draft(columns).template.situation if part.name != "noise"}
    assert len(highs) == 4


def test_a_field_that_decides_the_outcome_is_noted() -> None:
    assert "it decides the outcome" in notes_on([value.upper() for value in OUTCOME])
    assert "decides" not in notes_on(spread(["a", "b"]))


def test_a_field_that_seems_to_name_the_node_or_a_person_is_noted() -> None:
    assert "node column" in notes_on(spread(["a", "b"]), "hospital")
    assert notes_on(spread(["a", "b"]), "hospital", node_column="noise") == ""
    assert "identify a person" in notes_on(spread(["a", "b"]), "birth_month")


def test_roles_stay_out_of_the_situation() -> None:
    columns = {"site": spread(["a", "b"]), "drug": spread(["x", "y", "z"])}
    template = draft(columns, node_column="site", action="drug").template
    assert [part.name for part in template.situation] == ["noise"]
    assert template.action is not None
    assert (template.action.name, template.action.levels) == ("drug", ("x", "y", "z"))


def test_a_numeric_outcome_gets_a_range_and_a_coded_one_levels() -> None:
    table = {"x": NOISE, "y": np.linspace(25, 346, ROWS)}
    outcome = infer_template(table, outcome="y").template.outcome
    assert outcome == NumberOutcomeField(name="y", low=Fraction(0), high=Fraction(380))
    coded = infer_template({"x": NOISE, "y": spread([4, 0, 1])}, outcome="y").template.outcome
    assert coded == CategoryOutcomeField(name="y", levels=("0", "1", "4"))


def test_missing_and_odd_outcomes_are_noted() -> None:
    values: list[float | None] = [row % 49 + 128.5 for row in range(ROWS)]
    values[:3] = [None, None, -999]
    notes = [note.text for note in infer_template({"x": NOISE, "y": values}, outcome="y").notes]
    assert notes[0] == "2 rows have no outcome and tell nothing"
    assert notes[1].startswith("-999 lies far from the rest")


def test_rare_outcomes_are_kept() -> None:
    values = [*OUTCOME[:-1], "maybe"]
    outcome = infer_template({"x": NOISE, "y": values}, outcome="y").template.outcome
    assert outcome == CategoryOutcomeField(name="y", levels=("maybe", "no", "yes"))


@pytest.mark.parametrize(
    ("columns", "options", "code"),
    [
        ({"x": [1.5]}, {"outcome": "z"}, "column-missing"),
        ({"x": [1.5], "y": ["a"]}, {"outcome": "y", "action": "yy"}, "column-missing"),
        ({"x": [1.5], "y": ["a"]}, {"outcome": "y", "node_column": "yy"}, "column-missing"),
        ({"x": [1.5], "y": ["a"]}, {"outcome": "y", "action": "y"}, "infer-role"),
        ({"x": NOISE, "y": ["a"] * ROWS}, {"outcome": "y"}, "infer-outcome"),
        ({"x": NOISE, "y": [None] * ROWS}, {"outcome": "y"}, "infer-outcome"),
        ({"x": NOISE, "y": [1.5] * ROWS}, {"outcome": "y"}, "infer-outcome"),
        ({"x": NOISE, "y": [f"p{row}" for row in range(ROWS)]}, {"outcome": "y"}, "infer-outcome"),
        ({"x": NOISE, "y": ["a" * 200, "b"] * (ROWS // 2)}, {"outcome": "y"}, "infer-outcome"),
        ({"x": NOISE, "y": OUTCOME, "a": [None] * ROWS}, {"outcome": "y", "action": "a"}, "infer-action"),
        ({"x": NOISE, "y": OUTCOME, "a": NOISE}, {"outcome": "y", "action": "a"}, "infer-action"),
        ({"y": OUTCOME}, {"outcome": "y"}, "infer-no-field"),
        ({"x": [None] * ROWS, "y": OUTCOME}, {"outcome": "y"}, "infer-no-field"),
    ],
)
def test_tables_without_a_template_in_them_are_refused(
    columns: dict[str, Any], options: dict[str, Any], code: str
) -> None:
    with pytest.raises(TableError) as caught:
        infer_template(columns, **options)
    assert caught.value.code == code
    assert caught.value.hint


def test_a_missing_column_gets_a_suggestion() -> None:
    with pytest.raises(TableError) as caught:
        infer_template({"disease": ["a"]}, outcome="desease")
    assert caught.value.hint == "did you mean 'disease'?"


def test_three_hundred_columns_are_drafted_and_their_rows_encode() -> None:
    generator = np.random.default_rng(3)
    columns: dict[str, Any] = {f"a{index:03d}": generator.normal(index, 1 + index, ROWS) for index in range(150)}
    columns |= {f"b{index:03d}x": generator.choice(["u", "v", "w"], ROWS) for index in range(150)}
    template = infer_template({**columns, "y": OUTCOME}, outcome="y").template
    assert len(template.situation) == 300
    _, problems = encode_table(template, columns, rows=ROWS)
    assert problems == []


def test_a_situation_that_is_full_takes_no_more_fields() -> None:
    lists = np.random.default_rng(1).uniform(0, 1, (ROWS, 4_000))
    inferred = draft({"a": lists, "b": lists, "c": lists})
    assert [part.name for part in inferred.template.situation] == ["a", "b", "noise"]
    assert [note.text for note in inferred.notes if note.column == "c"] == [
        "left out: the situation is full (8192 coordinates)"
    ]


def test_names_and_levels_that_toml_must_quote_are_quoted() -> None:
    inferred = draft({'a "b".c\\d é': spread(['x"y', "z\\", "ü"])})
    part = inferred.template.situation[0]
    assert isinstance(part, CategoryField)
    assert (part.name, set(part.levels)) == ('a "b".c\\d é', {'x"y', "z\\", "ü"})


def test_long_level_lists_are_wrapped() -> None:
    inferred = draft({"x": spread([f"a rather long level number {index}" for index in range(8)])})
    assert max(map(len, inferred.text.splitlines())) <= 110


def test_the_same_table_in_any_form_gives_the_same_draft() -> None:
    texts = {"a": [str(row % 40) for row in range(ROWS)], "b": spread(["u", "v", "w"]), "y": OUTCOME}
    arrow = {name: pa.array(values) for name, values in texts.items()}
    typed = {
        "a": np.array([row % 40 for row in range(ROWS)]),
        "b": np.array(texts["b"]),
        "y": pa.array(OUTCOME).dictionary_encode(),
    }
    drafts = {infer_template(table, outcome="y").text for table in (texts, arrow, typed)}
    assert len(drafts) == 1


@pytest.mark.parametrize("column", ["age", "patient_id", "DateOfBirth", "Home Address", "sex", "ZIPcode", "diagnosis2"])
def test_a_column_that_is_named_as_if_it_were_about_people_gets_a_note_and_a_protecting_profile(column: str) -> None:
    columns = {column: [1, 2, 3, 4] * 10, "load": list(range(40)), "outcome": ["bad", "good"] * 20}
    found = infer_template(columns, outcome="outcome")
    assert (column, "looks personal, by its name") in {(note.column, note.text) for note in found.notes}
    assert found.template.profile is not Profile.OPEN
    assert found.template.data_class is DataClass.UNDECLARED


@pytest.mark.parametrize("column", ["voltage", "page", "message", "unisex_size", "stage", "torque"])
def test_other_columns_do_not(column: str) -> None:
    columns = {column: [1, 2, 3, 4] * 10, "outcome": ["bad", "good"] * 20}
    found = infer_template(columns, outcome="outcome")
    assert not [note for note in found.notes if "personal" in note.text]
    assert found.template.profile is Profile.OPEN


def test_records_about_people_are_counted_in_as_many_cells_as_there_is_room_for() -> None:
    rows = 60_000
    columns = {"age": [30, 40, 50, 60] * (rows // 4), "y": spread(["no", "yes"], rows)}
    columns["drug"] = [f"drug {row % 200}" for row in range(rows)]
    assert infer_template(columns, outcome="y").template.cell_bits == 5
    columns["y"] = [f"course {row // 200 % 200}" for row in range(rows)]
    assert infer_template(columns, outcome="y", action="drug").template.cell_bits == 2
    numeric = {"age": columns["age"], "y": GENERATOR.normal(size=rows)}
    assert infer_template(numeric, outcome="y").template.cell_bits == 5


def test_the_owner_is_told_that_the_draft_itself_is_not_paid_for() -> None:
    (note,) = (note for note in draft({"age": [1.5, 2.5] * (ROWS // 2)}).notes if "budget" in note.text)
    assert note.text.startswith("ranges (2) and levels (1) were read from the rows")
    public = draft({"age": [1.5, 2.5] * (ROWS // 2)}, data_class="non_personal")
    assert not [note for note in public.notes if "budget" in note.text]


def test_the_owner_has_the_last_word_on_what_is_personal() -> None:
    columns = {"age": [30, 40, 50, 60] * 10, "outcome": ["bad", "good"] * 20}
    assert infer_template(columns, outcome="outcome", data_class="non_personal").template.profile is Profile.OPEN
