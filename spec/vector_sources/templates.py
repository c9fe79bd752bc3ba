"""Vectors of templates: what is read, how it is written canonically, which ids it has, and what is refused."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from fingerpost.errors import TemplateError
from fingerpost.template import parse_template
from spec.vector_sources.vector import Vector, octets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NUMBER: dict[str, Any] = {"kind": "number", "range": ["0", "10"]}
CATEGORY: dict[str, Any] = {"kind": "category", "levels": ["no", "yes"]}
SMALL: dict[str, Any] = {"format": 1, "name": "small", "situation": {"x": NUMBER}, "outcome": CATEGORY}

FULL: dict[str, Any] = {
    "format": 1,
    "name": "every-kind-of-field",
    "description": 'Two lines,\nand a "quote".',
    "data_class": "non_personal",
    "situation": {
        "age": {"kind": "number", "range": ["20", "90"], "unit": "year", "missing": "refuse"},
        "enzyme": {"kind": "number", "range": ["0.5", "2000"], "scale": "log", "outside": "clamp", "weight": "1.5"},
        "pain": {"kind": "category", "levels": ["typical", "atypical", "none"], "other": "missing"},
        "sex": {"kind": "category", "levels": ["female", "male"]},
        "stage": {"kind": "ordinal", "levels": ["I", "II", "III", "IV"]},
        "symptoms": {"kind": "set", "levels": ["cough", "fever", "pain"]},
        "trace": {"kind": "vector", "size": 3, "range": ["-1", "1"]},
        "note": {"kind": "text"},
    },
    "action": {"name": "drug", "levels": ["aspirin", "statin"]},
    "outcome": {"name": "stay", "kind": "number", "range": ["0", "365"], "unit": "day"},
    "conditions": {"region": {"levels": ["north", "south"]}, "ward": {"levels": ["a"]}},
    "fingerprint": {"bits": 128, "salt": 7, "sketch": True},
    "cells": {"bits": 4},
    "privacy": {"profile": "consortium"},
    "retention": {"ttl_days": 90, "half_life_days": 30},
}
WITHOUT_TEXT: dict[str, Any] = FULL | {
    "situation": {name: part for name, part in FULL["situation"].items() if part["kind"] != "text"}
}


def changed(path: str, *, to: Any, base: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return a copy of a tree (the small template) with one value set; an absent table on the way is made."""
    tree = deepcopy(base or SMALL)
    *tables, key = path.split("/")
    inner = tree
    for table in tables:
        inner = inner.setdefault(table, {})
    inner[key] = to
    return tree


def without(path: str) -> dict[str, Any]:
    """Return the small template without one key."""
    tree = deepcopy(SMALL)
    *tables, key = path.split("/")
    inner = tree
    for table in tables:
        inner = inner[table]
    del inner[key]
    return tree


def field(**keys: Any) -> dict[str, Any]:
    """Return the small template with another field x."""
    return changed("situation/x", to=keys)


PROTOTYPES = [octets(f"prototype {number}", 32).hex() for number in range(4)]


def codebook(*, bits: int, prototypes: list[Any]) -> dict[str, Any]:
    """Return the small template with a codebook."""
    return changed("cells", to={"kind": "codebook", "bits": bits, "prototypes": prototypes})


READ: dict[str, dict[str, Any]] = {
    "a template with every default left out": SMALL,
    "a template with every kind of field and every table": FULL,
    "a template whose keys come in another order": dict(reversed(FULL.items())),
    "a template with a salt, which changes its space": changed("fingerprint/salt", to=1),
    "a template with another outcome, which keeps its space": changed("outcome/levels", to=["no", "yes", "maybe"]),
    "a range of decimals with needless digits": changed("situation/x/range", to=["-00.50", "+1.2e3"]),
    "a range of thirty digits on either side of the point": changed(
        "situation/x/range", to=["-" + "9" * 30 + "." + "0" * 29 + "1", "9" * 30]
    ),
    "levels that are trimmed, composed and freed of needless decimals": changed(
        "outcome/levels", to=[" no ", "1.0", "cafe\u0301", "007", "-0.00", "1.50"]
    ),
    "fields whose names differ in order by code point and by UTF-16": changed(
        "situation", to={"\U0001f600": NUMBER, "\uff21": NUMBER, "a": NUMBER, "Z": NUMBER}
    ),
    "a field whose name is not composed": changed("situation", to={"cafe\u0301": NUMBER}),
    "a field whose name needs escapes": changed("situation", to={'a "b" \\ c/d': NUMBER}),
    "the largest weight and the smallest": changed(
        "situation", to={"a": NUMBER | {"weight": "7.999"}, "b": NUMBER | {"weight": "0.001"}}
    ),
    "cells in groups": changed("cells", to={"bits": 12, "group_bits": 5}),
    "group bits that are none, which are left out": changed("cells", to={"bits": 12, "group_bits": 0}),
    "cells of a codebook": codebook(bits=1, prototypes=PROTOTYPES[:2]),
    "a level that reads as missing": changed("outcome/levels", to=["NA", "EU"]),
    "personal data under a profile that protects them": changed("privacy/profile", to="dp-aggregate")
    | {"data_class": "personal"},
    "a condition that is also a field of the situation": changed("conditions/x", to={"levels": ["low", "high"]}),
    "a payload that fills the room of the consortium profile": changed(
        "conditions", to={f"c{index:02d}": {"levels": ["a"]} for index in range(16)}
    )
    | {"fingerprint": {"bits": 1024, "sketch": True}, "privacy": {"profile": "consortium"}},
}

REFUSED: dict[str, tuple[str, dict[str, Any] | str]] = {
    "a template that is no JSON": ("template-syntax", '{"format": 1,}'),
    "a template of a later format": ("template-format", changed("format", to=2)),
    "a template for a later encoder": ("template-format", changed("fingerprint/encoder", to=2)),
    "a template with an unknown key": ("template-key-unknown", changed("nmae", to="x")),
    "a field with a key of another kind": ("template-key-unknown", changed("situation/x/levels", to=["a", "b"])),
    "a template without a name": ("template-key-missing", without("name")),
    "a number without a range": ("template-key-missing", without("situation/x/range")),
    "a category without levels": ("template-key-missing", without("outcome/levels")),
    "a name that is a number": ("template-type", changed("name", to=1)),
    "a format that is true": ("template-type", changed("format", to=True)),
    "a situation that is a list": ("template-type", changed("situation", to=[])),
    "an end of a range that is no decimal": ("template-type", changed("situation/x/range", to=["0", "ten"])),
    "a level that is a number": ("template-type", changed("outcome/levels", to=["no", 1])),
    "a sketch that is 1": ("template-type", changed("fingerprint/sketch", to=1)),
    "a name with a capital letter": ("template-name", changed("name", to="Small")),
    "a field name with a control character": ("template-name", changed("situation", to={"a\u0007": NUMBER})),
    "a field name with a blank at its end": ("template-name", changed("situation", to={"a ": NUMBER})),
    "a field name of 129 characters": ("template-name", changed("situation", to={"a" * 129: NUMBER})),
    "two names that are one when composed": (
        "template-name",
        changed("situation", to={"caf\u00e9": NUMBER, "cafe\u0301": NUMBER}),
    ),
    "an unknown kind of field": ("template-value", field(kind="numeric", range=["0", "1"])),
    "a codebook without prototypes": ("template-key-missing", changed("cells", to={"kind": "codebook", "bits": 1})),
    "prototypes without a codebook": ("template-key-unknown", changed("cells", to={"bits": 1, "prototypes": []})),
    "a codebook of one prototype": ("template-value", codebook(bits=0, prototypes=PROTOTYPES[:1])),
    "a codebook of three prototypes": ("template-codebook", codebook(bits=2, prototypes=PROTOTYPES[:3])),
    "a codebook with a prototype twice": ("template-codebook", codebook(bits=1, prototypes=PROTOTYPES[:1] * 2)),
    "a prototype with capital letters": (
        "template-codebook",
        codebook(bits=1, prototypes=[PROTOTYPES[0], PROTOTYPES[1].upper()]),
    ),
    "prototypes that are shorter than the fingerprint": (
        "template-codebook",
        codebook(bits=1, prototypes=[prototype[:32] for prototype in PROTOTYPES[:2]]),
    ),
    "a prototype that is a number": ("template-codebook", codebook(bits=1, prototypes=[PROTOTYPES[0], 1])),
    "more group bits than cell bits": ("template-value", changed("cells", to={"bits": 4, "group_bits": 5})),
    "a group bit without cell bits": ("template-value", changed("cells/group_bits", to=1)),
    "group bits that are a text": ("template-type", changed("cells", to={"bits": 4, "group_bits": "2"})),
    "a template with an unknown profile": ("template-value", changed("privacy/profile", to="closed")),
    "a fingerprint of 100 bits": ("template-value", changed("fingerprint/bits", to=100)),
    "a time to live of no day": ("template-value", changed("retention/ttl_days", to=0)),
    "a description with an escape character": ("template-value", changed("description", to="a\u001b[31m")),
    "a vector of no number": ("template-value", field(kind="vector", size=0, range=["0", "1"])),
    "an empty range": ("template-range", changed("situation/x/range", to=["1", "1.0"])),
    "a range upside down": ("template-range", changed("situation/x/range", to=["1", "0"])),
    "a range with three ends": ("template-range", changed("situation/x/range", to=["0", "1", "2"])),
    "a range with 31 digits after the point": ("template-range", changed("situation/x/range", to=["0", "1e-31"])),
    "a range that reaches a quintillion squared": ("template-range", changed("situation/x/range", to=["0", "1e30"])),
    "a logarithmic range from zero": ("template-range", field(kind="number", range=["0", "1"], scale="log")),
    "a logarithmic range within one step": ("template-range", field(kind="number", range=["1", "1.001"], scale="log")),
    "a weight of zero": ("template-weight", changed("situation/x/weight", to="0")),
    "a weight of eight": ("template-weight", changed("situation/x/weight", to="8")),
    "a weight with four decimals": ("template-weight", changed("situation/x/weight", to="1.0001")),
    "a level listed twice": ("template-levels", changed("outcome/levels", to=["no", "no"])),
    "a level listed twice in two ways": ("template-levels", changed("outcome/levels", to=["1", "1.0"])),
    "an outcome of one level": ("template-levels", changed("outcome/levels", to=["no"])),
    "an empty level": ("template-level", changed("outcome/levels", to=["no", " "])),
    "a level with a line feed": ("template-level", changed("outcome/levels", to=["no", "a\nb"])),
    "a level of a set with a semicolon": ("template-level", field(kind="set", levels=["a;b"])),
    "unknown levels that are missing where nothing may be missing": (
        "template-missing",
        field(kind="category", levels=["a", "b"], missing="refuse", other="missing"),
    ),
    "a situation without fields": ("template-situation", changed("situation", to={})),
    "the outcome as a field of the situation": (
        "template-outcome-in-situation",
        changed("outcome/name", to="x"),
    ),
    "a field named outcome": ("template-outcome-in-situation", changed("situation/outcome", to=NUMBER)),
    "the action as a field of the situation": (
        "template-action-in-situation",
        changed("action", to={"name": "x", "levels": ["a"]}),
    ),
    "a field named action": ("template-action-in-situation", changed("situation/action", to=NUMBER)),
    "an action with the name of the outcome": (
        "template-name",
        changed("action", to={"name": "outcome", "levels": ["a"]}),
    ),
    "the outcome as a condition": ("template-name", changed("conditions/outcome", to={"levels": ["a"]})),
    "a template of seventeen conditions": (
        "template-conditions",
        changed("conditions", to={f"c{index:02d}": {"levels": ["a"]} for index in range(17)}),
    ),
    "a situation of too many coordinates": (
        "template-width",
        changed("situation", to={name: {"kind": "vector", "size": 4096, "range": ["0", "1"]} for name in "ab"}),
    ),
    "personal data that would leave openly": ("template-profile", changed("data_class", to="personal")),
    "a sketch under a profile that hides records": (
        "template-profile",
        changed("fingerprint/sketch", to=True) | {"privacy": {"profile": "k-anonymous"}},
    ),
    "a payload that does not fit beside its tag": (
        "template-budget",
        changed("conditions", to={f"c{index:02d}": {"levels": ["a"]} for index in range(16)})
        | {
            "fingerprint": {"bits": 1024, "sketch": True},
            "privacy": {"profile": "consortium"},
            "outcome": {"kind": "number", "range": ["0", "1"]},
        },
    ),
}


def accepted() -> Iterator[Vector]:
    """Yield templates that are read, with their canonical form and ids."""
    for name, tree in READ.items():
        text = json.dumps(tree, ensure_ascii=False)
        template = parse_template(text)
        expect = {
            "canonical": template.canonical.decode(),
            "template_id": template.template_id.hex(),
            "space_id": template.space_id.hex(),
            "encoded_width": template.encoded_width,
        }
        yield _vector(name, f"Is read, and written in one way: {name}.", text, expect)


def refused() -> Iterator[Vector]:
    """Yield templates that break one rule each."""
    for name, (code, tree) in REFUSED.items():
        text = tree if isinstance(tree, str) else json.dumps(tree)
        try:
            parse_template(text)
        except TemplateError as error:
            if error.code != code:
                raise ValueError(f"{name}: refused with {error.code}, not {code}") from error
        else:
            raise ValueError(f"{name}: not refused")
        yield _vector(name, f"Refused with {code}: {name}.", text, {"error": code})


def _vector(name: str, purpose: str, text: str, expect: dict[str, Any]) -> Vector:
    return Vector(name=name, purpose=purpose, kind="template-read", input={"template": text}, expect=expect)


FILES: dict[str, Callable[[], Iterator[Vector]]] = {
    "template-accepted.json": accepted,
    "template-refused.json": refused,
}
