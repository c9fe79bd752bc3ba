"""The demo with real processes: they join, one is killed, nothing is lost, and none is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fingerpost.errors import DaemonError
from fingerpost.lab.arms import Arm, Result
from fingerpost.lab.crash import MEMORY, NetworkPart, largest_difference
from fingerpost.lab.demo import FIRST_TO_ASK, KILLED, Demo
from fingerpost.lab.demo_report import OWN_ROWS, Question
from fingerpost.lab.heart import HOSPITALS
from fingerpost.lab.scores import Scores
from fingerpost.lab.verdicts import Newcomer
from fingerpost.limits import PACKET_SIZE_BYTES
from fingerpost.packet import Profile
from fingerpost.processes import ProcessMark, family_of
from tests.integration.daemons import ENVIRONMENT, SECONDS_MAX

OTHERS = [hospital for hospital in HOSPITALS if hospital != FIRST_TO_ASK]


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Keep the temporary folders of the demo below one that can be looked into, and watch the home."""
    folder, home = tmp_path / "temporary", tmp_path / "home"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    monkeypatch.setenv("FINGERPOST_HOME", str(home))
    before = set(family_of(os.getpid()))
    yield folder
    assert not home.exists()
    assert set(family_of(os.getpid())) <= before


@pytest.fixture(scope="module")
def question_in_memory() -> Question:
    with Demo(quick=True, carrier=MEMORY) as demonstration:
        demonstration.join(lambda _done: None)
        demonstration.emit()
        return demonstration.ask_once()


def assert_the_same_answer(question: Question, expected: Question) -> None:
    assert largest_difference(question.answer, expected.answer) < 1e-9
    assert question.answer.pair_sums == expected.answer.pair_sums
    found, wanted = ([(p.distance, p.outcome) for p in q.answer.nearest] for q in (question, expected))
    assert found == wanted


def test_a_killed_hospital_costs_no_packet_and_no_answer_and_comes_back_with_everything(
    places: Path, question_in_memory: Question
) -> None:
    steps: list[int] = []
    with Demo(quick=True, carrier="zeromq") as demonstration:
        joined = demonstration.join(steps.append)
        assert sum(steps) == demonstration.join_steps()
        assert [one.hospital for one in joined] == list(HOSPITALS)
        assert len({one.process for one in joined} | {os.getpid()}) == 5
        assert all(set(one.found) == set(HOSPITALS) - {one.hospital} for one in joined)
        assert len(list(places.iterdir())) == 1
        running = set(family_of(os.getpid()))
        emissions = demonstration.emit()
        assert all(emission.acknowledged and emission.holders >= 2 for emission in emissions)
        question = demonstration.ask_once()
        assert_the_same_answer(question, question_in_memory)

        crash = demonstration.crash(question, emissions)
        assert crash is not None
        assert (crash.hospital, crash.acknowledged, crash.lost) == (KILLED, 720, 0)
        assert crash.fewest_copies >= 2
        assert crash.same_evidence
        assert crash.difference < 1e-9
        assert crash.process in {mark.process for mark in running if not mark.is_running}

        last = demonstration.emit_last()
        assert last.acknowledged
        back = demonstration.come_back(last)
        assert back is not None
        assert (back.missed, back.packets) == (200, 920)
        assert back.process != crash.process
        gone = [mark for mark in running if not mark.is_running]
        assert len(gone) == 2, "the node, and its OpenDHT, which nobody has stopped"
        assert demonstration.exchange.bytes_received(KILLED, [FIRST_TO_ASK]) > 200 * PACKET_SIZE_BYTES
        assert len(demonstration.exchange.packets(KILLED)) == 920
        running |= set(family_of(os.getpid()))
        ended = demonstration.end()
    assert ended is not None
    assert (ended.started, ended.left) == (10, 0)
    assert [mark for mark in running if mark.is_running] == [family_of(os.getpid())[0]]
    assert list(places.iterdir()) == []
    document = NetworkPart(carrier="zeromq", joined=joined, crash=crash, back=back, ended=ended).to_document()
    assert document["join_seconds"] == round(max(max(one.found.values()) for one in joined), 3)
    assert 0 < document["restart_seconds"] <= document["catch_up_seconds"]
    assert (document["killed"], document["lost"], document["missed"], document["processes_left"]) == (KILLED, 0, 200, 0)


@pytest.mark.parametrize("carrier", ["grpc", "flight", "nats"])
def test_hospitals_join_and_emit_and_ask_over_every_other_carrier_with_the_same_answer(
    places: Path, question_in_memory: Question, carrier: str
) -> None:
    with Demo(quick=True, carrier=carrier) as demonstration:
        demonstration.join(lambda _done: None)
        running = set(family_of(os.getpid()))
        assert all(emission.acknowledged for emission in demonstration.emit())
        assert_the_same_answer(demonstration.ask_once(), question_in_memory)
        received = demonstration.exchange.bytes_received(FIRST_TO_ASK, OTHERS)
        assert received > 720 * PACKET_SIZE_BYTES
        ended = demonstration.end()
    assert ended is not None
    assert (ended.started, ended.left) == (9 if carrier == "nats" else 8, 0)
    assert [mark for mark in running if mark.is_running] == [family_of(os.getpid())[0]]
    assert list(places.iterdir()) == []


@pytest.mark.parametrize("profile", [Profile.OPEN, Profile.K_ANONYMOUS, Profile.DP_AGGREGATE, Profile.LOCAL_DP])
def test_hospitals_emit_and_ask_and_come_back_under_every_other_profile(places: Path, profile: Profile) -> None:
    with Demo(quick=True, profile=profile) as demonstration:
        demonstration.join(lambda _done: None)
        running = set(family_of(os.getpid()))
        emissions = demonstration.emit()
        assert all(emission.acknowledged for emission in emissions)
        question = demonstration.ask_once()
        assert question.answer.node_count == 3
        crash = demonstration.crash(question, emissions)
        assert crash is not None
        assert (crash.acknowledged, crash.lost) == (sum(emission.packets for emission in emissions), 0)
        assert crash.same_evidence
        assert demonstration.emit_last().acknowledged, "the two hospitals that run can vouch for a ledger"
        ended = demonstration.end()
    assert ended is not None
    assert ended.left == 0
    assert [mark for mark in running if mark.is_running] == [family_of(os.getpid())[0]]
    assert list(places.iterdir()) == []


def test_a_hospital_that_lies_does_so_in_processes_of_its_own_and_none_of_either_network_is_left(places: Path) -> None:
    known = Scores(auc=0.7, log_loss=0.6, accuracy=0.7)
    asker = Newcomer(
        name=FIRST_TO_ASK,
        patients=200,
        share=0.74,
        others_share=0.5,
        warning="",
        results=tuple(
            Result(arm=arm, own_rows=own_rows, scores=known, bytes=0)
            for arm in (Arm.PACKETS, Arm.OWN_PACKETS)
            for own_rows in (0, OWN_ROWS)
        ),
    )
    steps: list[int] = []
    with Demo(quick=True) as demonstration:
        demonstration.join(lambda _done: None)
        flipped = demonstration.flip([asker], steps.append)
        running = set(family_of(os.getpid()))
        ended = demonstration.end()
    assert sum(steps) == demonstration.flip_steps()
    assert flipped is not None
    assert (flipped.explained["packets"], flipped.patients) == (294, 200)
    assert flipped.undefended.alone != flipped.defended.alone
    assert ended is not None
    assert (ended.started, ended.left) == (16, 0)
    assert [mark for mark in running if mark.is_running] == [family_of(os.getpid())[0]]
    assert list(places.iterdir()) == []


def test_a_node_that_does_not_start_is_an_error_with_its_own_words_and_ends_the_others(places: Path) -> None:
    with pytest.raises(DaemonError) as caught, Demo(quick=True, carrier="pigeon") as demonstration:
        demonstration.join(lambda _done: None)
    assert caught.value.code == "hospital-ended"
    assert "no backend 'pigeon'" in caught.value.message
    assert "--carrier memory" in caught.value.hint
    assert list(places.iterdir()) == []


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_demo_that_is_interrupted_or_killed_leaves_no_process(tmp_path: Path, end: signal.Signals) -> None:
    environment = ENVIRONMENT | {"TMPDIR": str(tmp_path), "FINGERPOST_HOME": str(tmp_path / "own")}
    with (tmp_path / "log").open("w") as log:
        demo = subprocess.Popen(
            [sys.executable, "-m", "fingerpost", "demo", "--quick"], stdout=log, stderr=log, env=environment
        )
    deadline = time.monotonic() + SECONDS_MAX
    while len(list(tmp_path.rglob("home/control.json"))) < len(HOSPITALS):
        assert demo.poll() is None, (tmp_path / "log").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    family = family_of(demo.pid)
    assert len(family) == 9
    demo.send_signal(end)
    assert demo.wait(SECONDS_MAX) == (-signal.SIGKILL if end == signal.SIGKILL else 130)
    wait_until_ended(family)
    if end != signal.SIGKILL:
        assert list(tmp_path.glob("fingerpost-*")) == []


def wait_until_ended(family: tuple[ProcessMark, ...]) -> None:
    deadline = time.monotonic() + SECONDS_MAX
    while running := [mark.process for mark in family if mark.is_running]:
        if time.monotonic() > deadline:
            for process in running:
                os.kill(process, signal.SIGKILL)
        assert time.monotonic() < deadline, f"{running} still ran"
        time.sleep(0.02)
