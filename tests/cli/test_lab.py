"""``fingerpost lab run``: a suite from the command line."""

import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from fingerpost.cli._app import app
from fingerpost.lab.suites import run as suites_run
from tests.unit.lab.suites.test_suites import TINY


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    brief = replace(TINY, arms=("majority", "consortium", "central_logistic"), federated=("fedavg",))
    monkeypatch.setattr(suites_run, "BRIEF", brief)


def test_a_suite_prints_its_arms_and_its_differences_and_writes_them(tmp_path):
    file = tmp_path / "lab.json"
    result = CliRunner().invoke(app, ["lab", "run", "heart", "--quick", "--json", str(file)])
    assert result.exit_code == 0, result.output
    assert "consortium minus" in result.output
    document = json.loads(file.read_text())
    assert document["schema"] == "fingerpost-lab/1"
    assert set(document["suites"]["heart"]["partitions"]) == {"natural", "one-class"}


def test_an_unknown_suite_is_refused_before_anything_runs():
    result = CliRunner().invoke(app, ["lab", "run", "heart", "mnist"])
    assert result.exit_code != 0
    assert getattr(result.exception, "code", "") == "lab-suite"
