"""Reading a template: what is accepted, and how precisely everything else is refused."""

from __future__ import annotations

import json
import re
from fractions import Fraction

import pytest

from fingerpost.errors import TemplateError
from fingerpost.limits import TEMPLATE_SIZE_BYTES_MAX
from fingerpost.packet import Profile
from fingerpost.template import (
    CategoryField,
    CategoryOutcomeField,
    DataClass,
    Missing,
    NumberField,
    NumberOutcomeField,
    OrdinalField,
    Other,
    Outside,
    Scale,
    SetField,
    TextField,
    VectorField,
    parse_template,
)
from tests.unit.template.texts import HOSPITAL, SMALL, small_with

RANGE = 'kind = "number"\nrange = '


def refusal(text: str | bytes) -> TemplateError:
    with pytest.raises(TemplateError) as caught:
        parse_template(text, source="t.toml")
    assert caught.value.hint
    assert caught.value.message.startswith("t.toml")
    return caught.value


def test_every_part_of_a_full_template_is_read() -> None:
    template = parse_template(HOSPITAL)
    fields = {part.name: part for part in template.situation}
    assert list(fields) == sorted(fields)
    assert fields["age"] == NumberField(
        name="age", low=Fraction(20), high=Fraction(90), unit="year", missing=Missing.REFUSE
    )
    assert fields["sex"] == CategoryField(name="sex", levels=("female", "male"))
    assert fields["pain"] == CategoryField(name="pain", levels=("typical", "atypical", "none"), other=Other.MISSING)
    assert fields["stage"] == OrdinalField(name="stage", levels=("I", "II", "III", "IV"))
    assert fields["symptoms"] == SetField(name="symptoms", levels=("cough", "fever"))
    assert fields["trace"] == VectorField(name="trace", size=3, low=Fraction(-1), high=Fraction(1))
    assert fields["enzyme"] == NumberField(
        name="enzyme",
        low=Fraction(1, 2),
        high=Fraction(2000),
        scale=Scale.LOG,
        outside=Outside.CLAMP,
        weight=Fraction(3, 2),
    )
    assert template.name == "heart-disease"
    assert template.data_class is DataClass.NON_PERSONAL
    assert template.action is not None
    assert (template.action.name, template.action.levels) == ("drug", ("aspirin", "statin"))
    assert template.outcome == CategoryOutcomeField(name="died", levels=("no", "yes"))
    assert [condition.name for condition in template.conditions] == ["region"]
    assert (template.fingerprint_bits, template.cell_bits, template.sketch) == (128, 4, False)
    assert (template.ttl_days, template.half_life_days, template.profile) == (90, 30, Profile.OPEN)


def test_defaults_are_the_documented_ones() -> None:
    template = parse_template(SMALL)
    assert template.situation == (NumberField(name="x", low=Fraction(0), high=Fraction(10)),)
    assert template.outcome == CategoryOutcomeField(name="outcome", levels=("no", "yes"))
    assert (template.description, template.data_class) == ("", DataClass.UNDECLARED)
    assert (template.fingerprint_bits, template.sketch, template.salt, template.cell_bits) == (256, False, 0, 0)
    assert (template.profile, template.ttl_days, template.half_life_days) == (Profile.OPEN, 365, 0)


def test_another_salt_is_another_space_for_the_same_fields() -> None:
    plain, salted = parse_template(SMALL), parse_template(SMALL + "[fingerprint]\nsalt = 4294967295")
    assert parse_template(SMALL + "[fingerprint]\nsalt = 0").template_id == plain.template_id
    assert salted.salt == 4294967295
    assert parse_template(salted.canonical) == salted
    assert salted.situation == plain.situation
    assert salted.space_id != plain.space_id


def test_an_action_is_named_action_unless_it_says_otherwise() -> None:
    template = parse_template(SMALL + '[action]\nlevels = ["a"]')
    assert template.action is not None
    assert template.action.name == "action"


def test_a_numeric_outcome_has_a_range_and_a_unit() -> None:
    text = SMALL.replace('kind = "category"\nlevels = ["no", "yes"]', 'kind = "number"\nrange = [0, 1.5]\nunit = "kg"')
    outcome = parse_template(text).outcome
    assert outcome == NumberOutcomeField(name="outcome", low=Fraction(0), high=Fraction(3, 2), unit="kg")


def test_a_text_field_names_its_embedder() -> None:
    assert parse_template(small_with('kind = "text"')).situation == (TextField(name="x"),)
    error = refusal(small_with('kind = "text"\nembedder = "bert"'))
    assert (error.code, error.field) == ("template-value", "situation.x.embedder")


def test_ends_of_ranges_are_exact_decimals() -> None:
    template = parse_template(small_with(f"{RANGE}[0.1, 1e3]"))
    assert template.situation[0] == NumberField(name="x", low=Fraction(1, 10), high=Fraction(1000))


def test_levels_are_normalised_like_the_values_they_are_compared_with() -> None:
    template = parse_template(small_with('kind = "category"\nlevels = ["1.0", " cafe\u0301 "]'))
    assert template.situation[0] == CategoryField(name="x", levels=("1", "caf\u00e9"))


def test_bytes_with_a_byte_order_mark_are_read() -> None:
    assert parse_template(b"\xef\xbb\xbf" + SMALL.encode()).name == "small"


@pytest.mark.parametrize(
    ("change", "code", "field", "line"),
    [
        (("name =", "nmae ="), "template-key-unknown", "nmae", 3),
        (("range =", "rage ="), "template-key-unknown", "situation.x.rage", 7),
        (("[outcome]", "[outcomes]"), "template-key-unknown", "outcomes", 9),
        (('name = "small"\n', ""), "template-key-missing", "name", None),
        (("range = [0, 10]\n", ""), "template-key-missing", "situation.x.range", 5),
        (('kind = "number"\n', ""), "template-key-missing", "situation.x.kind", 5),
        (("format = 1", "format = 2"), "template-format", "format", 2),
        (("format = 1", "format = true"), "template-type", "format", 2),
        (("format = 1", "format = 1979-05-27"), "template-type", "format", 2),
        (('"small"', "3"), "template-type", "name", 3),
        (('"small"', '"Small Data"'), "template-name", "name", 3),
        (("[0, 10]", "[10, 0]"), "template-range", "situation.x.range", 7),
        (("[0, 10]", "[10, 10.0]"), "template-range", "situation.x.range", 7),
        (("[0, 10]", "[0]"), "template-range", "situation.x.range", 7),
        (("[0, 10]", "10"), "template-type", "situation.x.range", 7),
        (("[0, 10]", "[0, nan]"), "template-type", "situation.x.range", 7),
        (("[0, 10]", "[0, inf]"), "template-type", "situation.x.range", 7),
        (("[0, 10]", "[0, true]"), "template-type", "situation.x.range", 7),
        (("[0, 10]", '["0", "10"]'), "template-type", "situation.x.range", 7),
        (("[0, 10]", "[0, 1e31]"), "template-range", "situation.x.range", 7),
        (("[0, 10]", "[1e-31, 10]"), "template-range", "situation.x.range", 7),
        (("[0, 10]", "[0, 1e999999999]"), "template-type", "situation.x.range", 7),
        (("[0, 10]", "[0, 1e99999999999999999999]"), "template-type", "situation.x.range", 7),
        (("[0, 10]", "[0, 1e-999999999]"), "template-range", "situation.x.range", 7),
        (("[0, 10]", '[0, 10]\nunit = "a\\nb"'), "template-value", "situation.x.unit", 8),
        (("[0, 10]", '[0, 10]\nscale = "lin"'), "template-value", "situation.x.scale", 8),
        (("[0, 10]", '[0, 10]\nscale = "log"'), "template-range", "situation.x.range", 7),
        (("[0, 10]", '[10, 10.001]\nscale = "log"'), "template-range", "situation.x.range", 7),
        (("[0, 10]", "[0, 10]\nweight = 0"), "template-weight", "situation.x.weight", 8),
        (("[0, 10]", "[0, 10]\nweight = 8"), "template-weight", "situation.x.weight", 8),
        (("[0, 10]", "[0, 10]\nweight = 1.0001"), "template-weight", "situation.x.weight", 8),
        (("[0, 10]", '[0, 10]\nweight = "1"'), "template-type", "situation.x.weight", 8),
        (('kind = "number"', 'kind = "numeric"'), "template-value", "situation.x.kind", 6),
        (("[situation.x]", '[situation."a\\u0007"]'), "template-name", "situation.a\N{REPLACEMENT CHARACTER}", None),
        (("[situation.x]", '[situation.""]'), "template-name", "situation", None),
        (("[situation.x]", "[situation.outcome]"), "template-outcome-in-situation", "situation.outcome", 5),
        (("[situation.x]", "[situation.action]"), "template-action-in-situation", "situation.action", 5),
        (('["no", "yes"]', '["no", "no"]'), "template-levels", "outcome.levels", 11),
        (('["no", "yes"]', '["0.0", "0"]'), "template-levels", "outcome.levels", 11),
        (('["no", "yes"]', '["no"]'), "template-levels", "outcome.levels", 11),
        (('["no", "yes"]', '["no", ""]'), "template-level", "outcome.levels", 11),
        (('["no", "yes"]', '["no", "a\\u001b[31m"]'), "template-level", "outcome.levels", 11),
        (('["no", "yes"]', "[0, 1]"), "template-type", "outcome.levels", 11),
        (('["no", "yes"]', '"no"'), "template-type", "outcome.levels", 11),
    ],
)
def test_what_is_wrong_is_refused_with_its_field_and_line(
    change: tuple[str, str], code: str, field: str, line: int | None
) -> None:
    assert change[0] in SMALL
    error = refusal(SMALL.replace(*change))
    assert (error.code, error.field, error.line) == (code, field, line)


@pytest.mark.parametrize(
    ("lines", "code", "field"),
    [
        ("[action]\nlevels = []", "template-levels", "action.levels"),
        ('[action]\nname = "x"\nlevels = ["a"]', "template-action-in-situation", "situation.x"),
        ('[action]\nname = "outcome"\nlevels = ["a"]', "template-name", "action.name"),
        ('[conditions.outcome]\nlevels = ["a"]', "template-name", "conditions.outcome"),
        ('[conditions."a.b"]\nlevels = ["a", "a"]', "template-levels", "conditions.a.b.levels"),
        ('[conditions.region]\nlevels = ["a"]\nbits = 3', "template-key-unknown", "conditions.region.bits"),
        ("[conditions]\nregion = 3", "template-type", "conditions.region"),
        ("[fingerprint]\nbits = 100", "template-value", "fingerprint.bits"),
        ("[fingerprint]\nbits = 0", "template-value", "fingerprint.bits"),
        ("[fingerprint]\nbits = 2048", "template-value", "fingerprint.bits"),
        ("[fingerprint]\nsalt = -1", "template-value", "fingerprint.salt"),
        ("[fingerprint]\nsalt = 4294967296", "template-value", "fingerprint.salt"),
        ("[fingerprint]\nencoder = 2", "template-format", "fingerprint.encoder"),
        ("[fingerprint]\nsketch = 1", "template-type", "fingerprint.sketch"),
        ("[cells]\nbits = 33", "template-value", "cells.bits"),
        ('[cells]\nkind = "voronoi"', "template-value", "cells.kind"),
        ('[cells]\nkind = "codebook"\nbits = 1', "template-key-missing", "cells.prototypes"),
        ('[cells]\nkind = "codebook"\nprototypes = []', "template-codebook", "cells.prototypes"),
        ('[cells]\nkind = "codebook"\nbits = 1\nprototypes = [1, 2]', "template-codebook", "cells.prototypes"),
        (
            f'[cells]\nkind = "codebook"\nbits = 1\nprototypes = ["{"0" * 64}", "{"0" * 48}"]',
            "template-codebook",
            "cells.prototypes",
        ),
        (
            f'[cells]\nkind = "codebook"\nbits = 2\nprototypes = ["{"0" * 64}", "{"1" * 64}"]',
            "template-codebook",
            "cells.prototypes",
        ),
        (
            f'[cells]\nkind = "codebook"\nbits = 13\nprototypes = ["{"0" * 64}", "{"1" * 64}"]',
            "template-value",
            "cells.bits",
        ),
        (f'[cells]\nbits = 1\nprototypes = ["{"0" * 64}"]', "template-key-unknown", "cells.prototypes"),
        ("[cells]\ngroup_bits = 1", "template-value", "cells.group_bits"),
        ("[cells]\nbits = 4\ngroup_bits = 5", "template-value", "cells.group_bits"),
        ("[cells]\nbits = 4\ngroup_bits = -1", "template-value", "cells.group_bits"),
        ("[cells]\nbits = 4\ngroup_bits = true", "template-type", "cells.group_bits"),
        ("[cells]\ndepth = 1", "template-key-unknown", "cells.depth"),
        ('[privacy]\nprofile = "closed"', "template-value", "privacy.profile"),
        ("[retention]\nttl_days = 0", "template-value", "retention.ttl_days"),
        ("[retention]\nhalf_life_days = -1", "template-value", "retention.half_life_days"),
        ("[retention]\nttl = 3", "template-key-unknown", "retention.ttl"),
        ('[situation.v]\nkind = "vector"\nsize = 0\nrange = [0, 1]', "template-value", "situation.v.size"),
        ('[situation.v]\nkind = "set"\nlevels = ["a;b"]', "template-level", "situation.v.levels"),
        (
            '[situation.v]\nkind = "ordinal"\nlevels = ["a", "b"]\nmissing = "refuse"\nother = "missing"',
            "template-missing",
            "situation.v.other",
        ),
        ('[situation.v]\nkind = "set"\nlevels = ["a"]\nother = "missing"', "template-key-unknown", "situation.v.other"),
        (
            '[privacy]\nprofile = "k-anonymous"\n[fingerprint]\nsketch = true',
            "template-profile",
            "fingerprint.sketch",
        ),
        (
            "".join(f'[conditions.c{i:02d}]\nlevels = ["a"]\n' for i in range(17)),
            "template-conditions",
            "conditions",
        ),
        (
            "".join(f'[situation.v{i}]\nkind = "vector"\nsize = 4000\nrange = [0, 1]\n' for i in range(3)),
            "template-width",
            "situation",
        ),
    ],
)
def test_tables_that_are_wrong_or_contradict_each_other_are_refused(lines: str, code: str, field: str) -> None:
    error = refusal(f"{SMALL}\n{lines}")
    assert (error.code, error.field) == (code, field)


def test_a_packet_that_would_overflow_is_refused() -> None:
    number = SMALL.replace('kind = "category"\nlevels = ["no", "yes"]', 'kind = "number"\nrange = [0, 1]')
    conditions = "".join(f'[conditions.c{i:02d}]\nlevels = ["a"]\n' for i in range(16))
    wide = f"{number}\n{conditions}\n[fingerprint]\nbits = 1024\nsketch = true\n"
    assert parse_template(wide).observation_layout().size_bytes == 210
    error = refusal(wide + '[privacy]\nprofile = "consortium"')
    assert (error.code, error.field) == ("template-budget", "fingerprint.bits")
    assert "210 bytes" in error.message


def test_personal_data_may_not_leave_openly() -> None:
    error = refusal('data_class = "personal"\n' + SMALL)
    assert (error.code, error.field) == ("template-profile", "privacy.profile")
    assert parse_template('data_class = "personal"\n' + SMALL + '[privacy]\nprofile = "dp-aggregate"')


def test_a_typo_gets_a_suggestion() -> None:
    assert "'range'" in refusal(SMALL.replace("range", "rnage")).hint
    assert "'number'" in refusal(SMALL.replace('"number"', '"numbr"')).hint
    assert "known here" in refusal(SMALL.replace("range", "zzz")).hint


def test_the_place_of_a_field_with_dots_and_blanks_in_its_name_is_found() -> None:
    error = refusal(SMALL.replace("[situation.x]", '[ situation . "a.b c" ]').replace("[0, 10]", "[1, 0]"))
    assert (error.field, error.line) == ("situation.a.b c.range", 7)


def test_the_place_of_a_dotted_key_is_found() -> None:
    text = SMALL.replace(
        '[situation.x]\nkind = "number"\nrange = [0, 10]', '[situation]\nx.kind = "number"\nx.range = [1, 0]'
    )
    assert refusal(text).line == 7


def test_a_situation_without_fields_is_refused() -> None:
    assert refusal('format = 1\nname = "a"\n[situation]\n[outcome]\nkind = "category"\nlevels = ["a", "b"]').code == (
        "template-situation"
    )


def test_names_that_differ_only_in_composition_are_the_same_name() -> None:
    twice = "".join(f'[situation."{name}"]\nkind = "set"\nlevels = ["a"]\n' for name in ("caf\u00e9", "cafe\u0301"))
    error = refusal(SMALL + twice)
    assert (error.code, error.field) == ("template-name", "situation.caf\u00e9")


@pytest.mark.parametrize(
    "text",
    [
        "format = ",
        "[situation\n",
        "a = " + "[" * 50_000,
        "a = " + "9" * 50_000,
        '{"a": ',
        '{"a": ' * 50_000,
        '{"a": ' + "9" * 50_000 + "}",
        '{"name": "a", "name": "b"}',
        "\x00",
    ],
)
def test_text_that_is_neither_toml_nor_json_is_refused(text: str) -> None:
    assert refusal(text).code == "template-syntax"


def test_a_syntax_error_names_its_line() -> None:
    assert refusal("format = 1\nname = small").line == 2
    assert refusal('{"a":\n?').line == 2


def test_a_file_that_is_not_utf8_is_refused_with_its_line() -> None:
    error = refusal(SMALL.encode() + b"\n# \xff")
    assert (error.code, error.line) == ("template-encoding", SMALL.count("\n") + 2)


def test_a_huge_template_is_refused_unread() -> None:
    assert refusal("#" * (TEMPLATE_SIZE_BYTES_MAX + 1)).code == "template-too-large"


def test_a_template_of_the_largest_size_is_read() -> None:
    assert parse_template(SMALL + "#" * (TEMPLATE_SIZE_BYTES_MAX - len(SMALL))).name == "small"


def test_canonical_json_may_not_write_numbers_that_no_decimal_is() -> None:
    tree = json.loads(parse_template(SMALL).canonical)
    for end in ("x", "NaN", "1" * 40, None):
        tree["situation"]["x"]["range"][1] = end
        assert refusal(json.dumps(tree)).code in {"template-type", "template-range"}
    tree["situation"]["x"]["range"][1] = float("nan")
    assert refusal(json.dumps(tree)).code == "template-type"
    assert refusal("{}").code == "template-key-missing"


def test_a_lone_surrogate_is_no_name() -> None:
    text = parse_template(SMALL).canonical.decode().replace('"x":', '"\\ud800":')
    assert refusal(text).code == "template-name"


def test_noisy_counts_of_too_many_cells_are_refused() -> None:
    noisy = (
        SMALL.replace("non_personal", "personal")
        + '\n[cells]\nkind = "prefix"\nbits = {}\n[privacy]\nprofile = "dp-aggregate"\n'
    )
    assert parse_template(noisy.format(10)).cell_bits == 10
    error = refusal(noisy.format(11))
    assert (error.code, error.field) == ("template-counts", "cells.bits")


def test_groups_of_subjects_need_room_for_every_level_of_the_outcome() -> None:
    groups = SMALL.replace("non_personal", "personal") + '\n[privacy]\nprofile = "k-anonymous"\n'
    many = ", ".join(f'"level {number}"' for number in range(200))
    assert parse_template(groups).profile.name == "K_ANONYMOUS"
    error = refusal(re.sub(r"levels = .*", f"levels = [{many}]", groups))
    assert (error.code, error.field) == ("template-groups", "outcome.levels")
