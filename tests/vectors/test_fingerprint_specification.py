"""spec/fingerprint.md says what the code does: its tables, its codes and its worked example."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from fingerpost.fingerprint import Fingerprinter
from fingerpost.fingerprint._weights import GAUSS
from fingerpost.template import encode_record, parse_template
from fingerpost.template._logarithm import breakpoints
from fingerpost.template._values import MISSING_TEXTS

SPEC = Path(__file__).resolve().parents[2] / "spec"
PAGE = (SPEC / "fingerprint.md").read_text("utf-8")
CODE = r"`((?:template|value|field|outcome|action)-[a-z-]+)`"


def section(number: int) -> str:
    found = re.search(rf"^## {number}\. .*?(?=^## |\Z)", PAGE, flags=re.DOTALL | re.MULTILINE)
    assert found
    return found[0]


def test_the_table_of_weights_is_that_of_the_code() -> None:
    rows = re.findall(r"^    ((?: *\d+){16})$", section(6), flags=re.MULTILINE)
    assert [int(weight) for row in rows for weight in row.split()] == list(GAUSS[128:])


def test_the_breakpoints_are_those_of_the_code() -> None:
    found = re.findall(r"T\[(\d+)\] = (\d{19})", section(5))
    assert len(found) == 4
    assert [(int(index), int(value)) for index, value in found] == [(j, breakpoints()[j]) for j in (0, 1, 128, 255)]


def test_the_texts_that_mean_missing_are_those_of_the_code() -> None:
    sentence = section(4).split("is empty or one of ")[1].split(", unless")[0]
    assert set(re.findall(r"`([^`]+)`", sentence)) == MISSING_TEXTS - {""}


def test_each_code_on_the_page_has_a_vector_and_each_code_of_a_vector_is_on_the_page() -> None:
    files = [*SPEC.glob("vectors/template-*.json"), *SPEC.glob("vectors/encode-*.json")]
    vectors = [vector for file in files for vector in json.loads(file.read_text("utf-8"))]
    refused = {vector["expect"]["error"] for vector in vectors if "error" in vector["expect"]}
    assert set(re.findall(CODE, PAGE)) == refused


def test_the_worked_example_comes_out_as_it_says() -> None:
    template = parse_template(PAGE.split("```toml\n")[1].split("```")[0])
    example = section(10)
    joined = re.sub(r"\n    ", "", example)
    assert template.canonical.decode() in joined
    assert f"template_id  {template.template_id.hex()}" in example
    assert f"space_id     {template.space_id.hex()}" in example
    encoded = encode_record(template, {"age": 61.5, "chest_pain": "none"})
    assert f"    {' '.join(map(str, encoded.tolist()))}\n" in example
    assert Fingerprinter(template).fingerprints(encoded[None]).tobytes().hex() in joined


@pytest.mark.parametrize("name", ["template", "encode", "fingerprint"])
def test_there_are_at_least_twenty_vectors_of_each_subject(name: str) -> None:
    assert sum(len(json.loads(file.read_text("utf-8"))) for file in SPEC.glob(f"vectors/{name}-*.json")) >= 20
