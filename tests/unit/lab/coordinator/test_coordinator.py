"""The coordinator experiment without its processes: checkpoints, what is reported, and that what is killed is gone."""

import json
import sys

import numpy as np
import pytest

from fingerpost.lab.coordinator.experiment import Coordinator
from fingerpost.lab.coordinator.fingerpost_side import TRUSTED, NodeCrash
from fingerpost.lab.coordinator.flower_app import hospital_rows, network_of, read_checkpoint, write_checkpoint
from fingerpost.lab.coordinator.flower_side import HOSPITALS, FlowerCrash
from fingerpost.lab.coordinator.processes import Program, wait_for_end, wait_until

CHILD = "import time; time.sleep(600)"
PARENT = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {CHILD!r}]).wait()"


def node_crash(role="holder", **changes):
    values = {
        "role": role,
        "hospital": "Hungary",
        "answer_seconds": 0.25,
        "same_evidence": True,
        "difference": 0.0,
        "acknowledged": 800,
        "lost": 0,
        "fewest_copies": 3,
        "emitted": 5,
        "emit_seconds": 0.1,
        "found": 5,
        "handled": "nothing to do",
        "handled_seconds": None,
        "restart_seconds": 4.0,
        "catch_up_seconds": 4.5,
        "trusted": TRUSTED[role],
    }
    return NodeCrash(**(values | changes))


def flower_crash(**changes):
    values = {
        "nodes": 3,
        "rounds": 4,
        "rounds_before": 2,
        "round_seconds": 6.0,
        "away_seconds": 10.0,
        "rounds_while_away": 0,
        "ready_seconds": 3.0,
        "watched_seconds": 20.0,
        "went_on_by_itself": False,
        "again_seconds": 21.0,
        "rounds_after": 4,
        "survivors": 3,
    }
    return FlowerCrash(**(values | changes))


def test_a_checkpoint_brings_back_the_rounds_and_the_model_to_the_bit(tmp_path):
    model: list[np.ndarray] = [np.arange(6, dtype=np.float32).reshape(2, 3) / 7, np.ones(3, np.float32)]
    assert read_checkpoint(tmp_path) == (0, None)
    write_checkpoint(tmp_path, 3, model)
    done, found = read_checkpoint(tmp_path)
    assert done == 3
    assert found is not None
    assert all(np.array_equal(one, other) for one, other in zip(found, model, strict=True))


@pytest.mark.parametrize("hospital", HOSPITALS)
def test_every_hospital_of_the_flower_app_has_rows_for_the_same_network(hospital):
    rows, codes = hospital_rows(hospital)
    assert len(rows) == len(codes) > 100
    assert network_of(rows) == network_of(hospital_rows(HOSPITALS[0])[0])


def test_our_watching_is_not_charged_to_federated_learning():
    assert flower_crash().next_round_seconds == pytest.approx(34.0)


def test_the_document_is_plain_and_its_verdict_says_what_was_measured():
    crashes = (node_crash("key distributor"), node_crash(), node_crash("bootstrap node", answer_seconds=1.5, lost=2))
    found = Coordinator(flower=flower_crash(), nodes=crashes, processes_started=43, processes_left=0)
    document = json.loads(json.dumps(found.to_document(), allow_nan=False))
    assert [one["role"] for one in document["outcome_routing"]] == ["key distributor", "holder", "bootstrap node"]
    assert "34 s after the kill, once an operator" in document["verdict"]
    assert "took 1.50 s, and 2 acknowledged packets were lost" in document["verdict"]
    by_itself = Coordinator(
        flower=flower_crash(went_on_by_itself=True), nodes=crashes, processes_started=1, processes_left=0
    )
    assert "by itself." in by_itself.to_document()["verdict"]


def test_a_program_that_is_killed_takes_what_it_started_with_it(tmp_path):
    program = Program("parent", [sys.executable, "-c", PARENT], folder=tmp_path, environment={})
    program.start()
    try:
        assert wait_until(lambda: program.look() and len(program.seen()) >= 2, seconds=20)
    finally:
        program.kill()
    assert wait_for_end(program.seen()) == 0
    assert not program.look()


def test_waiting_ends_in_time_when_nothing_happens():
    assert not wait_until(lambda: False, seconds=0.05)
