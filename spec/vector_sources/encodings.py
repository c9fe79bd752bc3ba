"""Vectors of records, outcomes, actions and conditions as integers, and of the logarithm behind some of them."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from fingerpost.errors import RecordError
from fingerpost.template import (
    Template,
    action_code,
    condition_codes,
    encode_record,
    outcome_code,
    parse_template,
)
from fingerpost.template._logarithm import breakpoints, steps_of
from fingerpost.template._text import quantised
from spec.vector_sources.templates import FULL, WITHOUT_TEXT, changed, field
from spec.vector_sources.vector import Vector, octets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NUMBER: dict[str, Any] = {"kind": "number", "range": ["0", "10"]}
TIES: dict[str, Any] = {"kind": "number", "range": ["0", "16384"], "missing": "refuse"}
LOG: dict[str, Any] = {"kind": "number", "range": ["1", "1024"], "scale": "log"}
LETTERS: dict[str, Any] = {"kind": "category", "levels": ["a", "b", "c"]}
BITS: dict[str, Any] = {"kind": "category", "levels": ["0", "1"]}
STAGES: dict[str, Any] = {"kind": "ordinal", "levels": ["low", "medium", "high", "highest"]}
SET: dict[str, Any] = {"kind": "set", "levels": ["a", "b", "c"]}
VECTOR: dict[str, Any] = {"kind": "vector", "size": 2, "range": ["0", "1"]}

# One field x and one value of it; a code stands for a refusal.
VALUES: dict[str, tuple[dict[str, Any], Any, str]] = {
    "a number at the lower end": (NUMBER, "0", ""),
    "a number at the upper end": (NUMBER, "10.000", ""),
    "a number as a JSON number": (NUMBER, 2.5, ""),
    "a number with an exponent, a sign and blanks": (NUMBER, " +0.5e1\t", ""),
    "a number that begins with its point": (NUMBER, ".5", ""),
    "a number that ends with its point": (NUMBER, "5.", ""),
    "a number half way between two coordinates, which rounds up": (TIES, "1", ""),
    "a number just below half way": (TIES, "0." + "9" * 60, ""),
    "a negative number half way between two coordinates": (
        {"kind": "number", "range": ["-16384", "0"], "missing": "refuse"},
        "-16383",
        "",
    ),
    "a binary number that means its shortest decimal": (
        {"kind": "number", "range": ["0", "4915.2"], "missing": "refuse"},
        0.3,
        "",
    ),
    "a number too small to be told from zero": (NUMBER, "1e-9999999999999999999999", ""),
    "a zero with a huge exponent": (NUMBER, "0e9999999999999999999999", ""),
    "a number of 400 characters": (NUMBER, "0." + "3" * 398, ""),
    "a number of 401 characters": (NUMBER, "0." + "3" * 399, "value-number"),
    "a huge number that is clamped": (NUMBER | {"outside": "clamp"}, "-1e999999999", ""),
    "a number above its range": (NUMBER, "10.0000000000000000000000000001", "value-outside"),
    "a number below its range": (NUMBER, -0.001, "value-outside"),
    "a number above its range that is clamped": (NUMBER | {"outside": "clamp"}, 11, ""),
    "a number with a decimal comma": (NUMBER, "1,5", "value-number"),
    "a number with a group separator": (NUMBER, "1_000", "value-number"),
    "a number in hexadecimal": (NUMBER, "0x5", "value-number"),
    "a number with Arabic digits": (NUMBER, "\u0665", "value-number"),
    "a number with its unit": (NUMBER, "5 kg", "value-number"),
    "a lone point": (NUMBER, ".", "value-number"),
    "an exponent without digits": (NUMBER, "5e", "value-number"),
    "a truth value as a number": (NUMBER, True, "value-number"),
    "a list as a number": (NUMBER, [5], "value-number"),
    "an infinity": (NUMBER | {"outside": "clamp"}, "-Infinity", "value-not-finite"),
    "a NaN in capitals, which is no missing value": (NUMBER, "NAN", "value-not-finite"),
    "a missing number": (NUMBER, None, ""),
    "a missing number where that is refused": (NUMBER | {"missing": "refuse"}, None, "value-missing"),
    "a question mark where missing is refused": (NUMBER | {"missing": "refuse"}, "?", "value-missing"),
    "a number that may not be missing": (NUMBER | {"missing": "refuse"}, 5, ""),
    "a number with a weight of a half, rounded up": (NUMBER | {"weight": "0.5", "range": ["0", "8192"]}, 4095, ""),
    "a missing number with the largest weight": (NUMBER | {"weight": "7.999"}, "", ""),
    "a number on a logarithmic scale at a whole octave": (LOG, "32", ""),
    "a number on a logarithmic scale just below an octave": (LOG, "31." + "9" * 40, ""),
    "a number on a logarithmic scale within an octave": (LOG, 3, ""),
    "a number on a logarithmic scale of fractions": (LOG | {"range": ["0.001", "0.9"]}, "0.0123", ""),
    "a number not above zero that is clamped to a logarithmic scale": (LOG | {"outside": "clamp"}, "-5", ""),
    "the first of two levels": (BITS, "0", ""),
    "a level as the number 1": (BITS, 1, ""),
    "a level as the text 1.0": (BITS, "1.0", ""),
    "a level as true": (BITS, True, ""),
    "false as the level no": ({"kind": "category", "levels": ["no", "yes"]}, False, ""),
    "a level as a small number": ({"kind": "category", "levels": ["0.00001", "1"]}, 1e-05, ""),
    "one of three levels": (LETTERS, " b ", ""),
    "a level in another composition": ({"kind": "category", "levels": ["caf\u00e9", "tea"]}, "cafe\u0301", ""),
    "a level that reads as missing and is one": ({"kind": "category", "levels": ["NA", "EU"]}, "NA", ""),
    "a text that reads as missing": (LETTERS, "N/A", ""),
    "an unknown level": (LETTERS, "A", "value-unknown-level"),
    "an unknown level that counts as missing": (LETTERS | {"other": "missing"}, "A", ""),
    "a level with leading zeros, which is another": (BITS, "01", "value-unknown-level"),
    "true where no level says so": (LETTERS, True, "value-unknown-level"),
    "a list as a level": (LETTERS, ["a"], "value-type"),
    "an ordinal between its ends": (STAGES, "medium", ""),
    "an ordinal at its upper end": (STAGES, "highest", ""),
    "an unknown ordinal that counts as missing": (STAGES | {"other": "missing"}, "none", ""),
    "a set as a list": (SET, ["c", "a", "c"], ""),
    "a set as a text": (SET, " a ; c;", ""),
    "an empty set": (SET, [], ""),
    "an empty set as a text": (SET, ";", ""),
    "a missing set": (SET, "", ""),
    "a set with an unknown level": (SET, ["a", "d"], "value-unknown-level"),
    "a number as a set": (SET, 5, "value-type"),
    "a vector as a list": (VECTOR, [0.25, "1"], ""),
    "a vector as a text": (VECTOR, "0.25; 1", ""),
    "a vector that is too short": (VECTOR, [1], "value-vector"),
    "a vector with a gap": (VECTOR, [0, None], "value-number"),
    "a vector out of range": (VECTOR, [0, 2], "value-outside"),
    "a missing vector": (VECTOR, None, ""),
    "a number as a text to embed": ({"kind": "text"}, 5, "value-type"),
    "a missing text to embed": ({"kind": "text"}, None, ""),
}

WHOLE: dict[str, Any] = {
    "age": 55,
    "enzyme": "32",
    "pain": "none",
    "sex": "male",
    "stage": "II",
    "symptoms": ["fever"],
    "trace": [-1, 0, 0.5],
}

ENDS = parse_template(json.dumps(changed("conditions", to={"b": {"levels": ["x", "y"]}, "a": {"levels": ["u", "v"]}})))
NUMERIC = parse_template(json.dumps(FULL))


def records() -> Iterator[Vector]:
    """Yield records of one field, one of all kinds of fields, and one with an unknown field."""
    for name, (keys, value, code) in VALUES.items():
        yield _record(name, parse_template(json.dumps(field(**keys))), {"x": value}, code)
    template = parse_template(json.dumps(WITHOUT_TEXT))
    yield _record("a record of every kind of field but text", template, WHOLE, "")
    yield _record("a record of which only the age is known", template, {"age": "20"}, "")
    yield _record("a record with an unknown field", template, WHOLE | {"stay": 3}, "field-unknown")


def logarithms() -> Iterator[Vector]:
    """Yield breakpoints of the table, and steps of values."""
    for index in (0, 1, 2, 127, 128, 129, 200, 255):
        yield Vector(
            name=f"breakpoint {index} of the logarithm",
            purpose="The table is made by integer square roots and has this entry.",
            kind="encode-breakpoint",
            input={"index": index},
            expect={"breakpoint": str(breakpoints()[index])},
        )
    for value in ("1", "2", "0.5", "3", "1e30", "1e-30", "0." + "9" * 40, "1.41421356237309504880168872420969807857"):
        yield Vector(
            name=f"the logarithm of {value}",
            purpose="256 steps an octave.",
            kind="encode-steps",
            input={"value": value},
            expect={"steps": steps_of(Fraction(value))},
        )


def embeddings() -> Iterator[Vector]:
    """Yield unit vectors and their coordinates."""
    raw = np.frombuffer(octets("embedding", 256), np.uint8).astype(np.float64) - 127.5
    short = (raw / np.sqrt((raw * raw).sum())).tolist()
    for name, embedding in (
        ("an embedding as an encoder of texts gives it", short),
        ("an embedding along one axis, which is clipped", [1.0] + [0.0] * 254 + [-1e-05]),
    ):
        coordinates = quantised(np.array([embedding]))[0]
        yield Vector(
            name=name,
            purpose="Rounded half up to steps of 1/32768 and clipped.",
            kind="encode-embedding",
            input={"embedding": embedding},
            expect={"coordinates": [int(coordinate) for coordinate in coordinates]},
        )


def codes() -> Iterator[Vector]:
    """Yield outcomes, actions and conditions."""
    outcomes: dict[str, tuple[Template, Any]] = {
        "an outcome that is a level": (ENDS, "yes"),
        "an outcome that is false": (ENDS, False),
        "an outcome that is missing": (ENDS, "NA"),
        "an outcome that is no level": (ENDS, "perhaps"),
        "an outcome that is a number": (NUMERIC, "0.1"),
        "an outcome that is minus zero": (NUMERIC, "-0"),
        "an outcome out of range": (NUMERIC, 366),
        "an outcome that is no number": (NUMERIC, "ten"),
        "an outcome that is not finite": (NUMERIC, "inf"),
    }
    for name, (template, value) in outcomes.items():
        expect = _expected("code", outcome_code, template, value)
        yield _code(name, "encode-outcome", template, {"outcome": value}, expect)
    for name, template, value in (
        ("an action that is a level", NUMERIC, "statin"),
        ("an action that is missing", NUMERIC, None),
        ("an action that is no level", NUMERIC, "prayer"),
        ("an action where there is none", ENDS, "statin"),
        ("no action where there is none", ENDS, None),
    ):
        expect = _expected("code", action_code, template, value)
        yield _code(name, "encode-action", template, {"action": value}, expect)
    for name, conditions in (
        ("conditions in the order of their names", {"b": "x", "a": "v"}),
        ("conditions that are missing", {"b": "?"}),
        ("a condition that is no level", {"a": "x"}),
        ("a condition that is unknown", {"c": "x"}),
    ):
        expect = _expected("codes", condition_codes, ENDS, conditions)
        yield _code(name, "encode-conditions", ENDS, {"conditions": conditions}, expect)


def _record(name: str, template: Template, record: dict[str, Any], code: str) -> Vector:
    expect = _expected("coordinates", encode_record, template, record)
    if expect.get("error", "") != code:
        raise ValueError(f"{name}: {expect}, not {code!r}")
    purpose = f"Refused with {code}: {name}." if code else f"Is encoded: {name}."
    return Vector(
        name=name,
        purpose=purpose,
        kind="encode-record",
        input={"template": template.canonical.decode(), "record": record},
        expect=expect,
    )


def _code(name: str, kind: str, template: Template, given: dict[str, Any], expect: dict[str, Any]) -> Vector:
    purpose = f"Refused with {expect['error']}: {name}." if "error" in expect else f"Has a code: {name}."
    return Vector(
        name=name, purpose=purpose, kind=kind, input={"template": template.canonical.decode(), **given}, expect=expect
    )


def _expected(member: str, make: Callable[[Template, Any], Any], template: Template, value: Any) -> dict[str, Any]:
    try:
        made = make(template, value)
    except RecordError as error:
        return {"error": error.code}
    return {member: [int(item) for item in made] if hasattr(made, "__len__") else made}


FILES: dict[str, Callable[[], Iterator[Vector]]] = {
    "encode-records.json": records,
    "encode-logarithms.json": logarithms,
    "encode-embeddings.json": embeddings,
    "encode-codes.json": codes,
}
