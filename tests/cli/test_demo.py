"""``fingerpost demo``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fingerpost.lab.heart import HOSPITALS


def test_the_demo_tells_its_story_in_order_and_writes_the_same_figures_to_a_file(
    fingerpost: Any, home: Path, tmp_path: Path
) -> None:
    file = tmp_path / "demo.json"
    result = fingerpost("demo", "--quick", "--full", "--carrier=memory", f"--json={file}")
    assert result.status == 0
    parts = ["1  Three hospitals", "2  Long Beach, with no outcomes", "disease: ", "What turned out: disease"]
    parts += ["3  Every hospital", *(f"{hospital}: " for hospital in HOSPITALS), "4  Hungary tells the opposite"]
    parts += ["undefended", "defended", "peers explain", "5  What each privacy profile", "6  What the figures say"]
    parts.append(str(file))
    places = [result.out.index(part) for part in parts]
    assert places == sorted(places)
    document = json.loads(file.read_text(encoding="utf-8"))
    for newcomer in document["newcomers"]:
        scores = next(r for r in newcomer["results"] if r["arm"] == "packets" and r["own_rows"] == 0)
        table = result.out[result.out.index(f"{newcomer['name']}: {newcomer['patients']} patients") :]
        row = next(line.split() for line in table.splitlines() if line.startswith("  packets of the others"))
        assert row[4] == f"{scores['auc']:.2f}"
        assert row[6] == f"{scores['log_loss']:.2f}"
        assert row[8] == f"{scores['accuracy']:.0%}"
        assert row[10] == f"{scores['bytes'] / 1000:.0f}"
    lines = [line.split() for line in result.out.splitlines()]
    summary = next(line for line in lines if line[:4] == ["packets", "of", "the", "others"])
    alone = [next(r for r in one["results"] if r["arm"] == "packets")["auc"] for one in document["newcomers"]]
    assert summary[4:9] == [f"{auc:.2f}" for auc in (*alone, sum(alone) / 4)]
    for result_of in document["profiles"]:
        row = next(line for line in lines if line and line[0] == result_of["profile"] and line[-1].isdigit())
        assert (row[-4], row[-1]) == (f"{result_of['mean']['auc']:.2f}", str(result_of["packets"]))
    lying = next(line for line in lines if line[:2] == ["Hungary", "lies,"])
    undefended = document["flipped"]["undefended"]
    assert lying[-6:-4] == [f"{undefended[own_rows]['auc']:.2f}" for own_rows in ("0", "25")]
    assert all(sentence.split()[0] in result.out for sentence in document["verdicts"])
    assert not home.exists()
    assert "█" in result.out
    assert all(len(line) <= 120 for line in result.out.splitlines() if str(file) not in line)


def test_a_dash_prints_the_document_and_nothing_else(fingerpost: Any) -> None:
    arguments = ("--quick", "--carrier", "memory", "--seed", "7", "--profile", "local-dp", "--json", "-")
    document = fingerpost("demo", *arguments).document
    assert document["schema"] == "fingerpost-demo/2"
    assert document["seed"] == 7
    assert document["template"]["profile"] == "local-dp"
    assert document["flipped"] is None
    assert [one["profile"] for one in document["profiles"] if one["from_nodes"]] == ["local-dp"]
    assert [newcomer["name"] for newcomer in document["newcomers"]] == list(HOSPITALS)


@pytest.mark.parametrize("place", ["", "missing/demo.json"])
def test_a_file_that_cannot_be_written_is_an_error_before_any_work(fingerpost: Any, tmp_path: Path, place: str) -> None:
    result = fingerpost("demo", "--json", str(tmp_path / place))
    assert result.status == 2
    assert "fingerpost: error: " in result.err
    assert "1  Three hospitals" not in result.out


def test_a_negative_seed_is_refused(fingerpost: Any) -> None:
    assert fingerpost("demo", "--seed", "-1").status == 2


def test_a_carrier_that_the_demo_does_not_have_is_refused_with_the_names_of_those_it_has(fingerpost: Any) -> None:
    result = fingerpost("demo", "--carrier", "pigeon")
    assert result.status == 2
    assert all(name in result.err for name in ("zeromq", "grpc", "flight", "nats", "memory"))
