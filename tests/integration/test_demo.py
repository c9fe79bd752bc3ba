"""The demo does what it tells: packets travel, the newcomer knows nothing of its own, and every figure is there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fingerpost.lab import central, demo
from fingerpost.lab.arms import Arm, draws
from fingerpost.lab.crash import MEMORY, NetworkPart
from fingerpost.lab.demo import FIRST_TO_ASK, Demo, rows_of
from fingerpost.lab.demo_report import OWN_ROWS, SCHEMA, DemoReport
from fingerpost.lab.exchange import Exchange, SeededEntropy
from fingerpost.lab.heart import HOSPITALS, Patient, load_heart_template, load_patients, row_bytes
from fingerpost.limits import PACKET_SIZE_BYTES
from fingerpost.packet import Profile, sealed_rows

PAGE = Path(__file__).parents[2] / "docs/reference/demo.md"


@pytest.fixture(scope="module")
def report() -> DemoReport:
    joining: list[int] = []
    steps: list[int] = []
    with Demo(quick=True, carrier=MEMORY) as demonstration:
        joined = demonstration.join(joining.append)
        assert sum(joining) == demonstration.join_steps()
        emissions = demonstration.emit()
        question = demonstration.ask_once()
        crash = demonstration.crash(question, emissions)
        emissions = (*emissions, demonstration.emit_last())
        back = demonstration.come_back(emissions[-1])
        newcomers = demonstration.compare(steps.append)
        assert sum(steps) == demonstration.steps()
        flipping: list[int] = []
        flipped = demonstration.flip(newcomers, flipping.append)
        assert sum(flipping) == demonstration.flip_steps()
        network = NetworkPart(carrier=MEMORY, joined=joined, crash=crash, back=back, ended=demonstration.end())
        profiles = demonstration.compare_profiles(newcomers, emissions, lambda _done: None)
        return demonstration.report(network, emissions, question, newcomers, flipped, profiles)


@pytest.fixture(scope="module")
def exchange() -> Iterator[Exchange]:
    connected = Exchange.in_memory(load_heart_template(), load_patients(), seed=0)
    for hospital in HOSPITALS:
        if hospital != FIRST_TO_ASK:
            connected.emit(hospital)
    yield connected
    connected.close()


def test_every_hospital_emits_one_packet_for_each_patient(report: DemoReport) -> None:
    found = {emission.hospital: (emission.packets, emission.bytes) for emission in report.emissions}
    assert found == {
        "Cleveland": (303, 303 * PACKET_SIZE_BYTES),
        "Hungary": (294, 294 * PACKET_SIZE_BYTES),
        "Switzerland": (123, 123 * PACKET_SIZE_BYTES),
        "Long Beach": (200, 200 * PACKET_SIZE_BYTES),
    }
    assert [emission.signatures for emission in report.emissions] == [2, 2, 1, 1]


def test_the_first_question_is_answered_from_the_packets_of_the_others_alone(report: DemoReport) -> None:
    answer = report.question.answer
    own = next(emission.node_id for emission in report.emissions if emission.hospital == FIRST_TO_ASK)
    assert (answer.packets, answer.node_count, answer.abstained) == (720, 3, False)
    assert own not in {node.node_id for node in answer.nodes}


def test_in_memory_everything_is_acknowledged_and_nobody_can_be_killed(report: DemoReport) -> None:
    assert all(emission.acknowledged and emission.holders >= 2 for emission in report.emissions)
    document = report.network.to_document()
    assert (document["carrier"], document["directory"], document["processes"]) == ("memory", "memory", [])
    assert [document[name] for name in ("killed", "lost", "copies", "catch_up_seconds")] == [None] * 4
    assert (document["processes_started"], document["processes_left"]) == (0, 0)


def test_packets_beat_guessing_at_every_hospital_without_own_outcomes(report: DemoReport) -> None:
    for newcomer in report.newcomers:
        scores = newcomer.scores(Arm.PACKETS, 0)
        assert scores is not None
        assert scores.auc > 0.7


def test_bytes_are_those_of_the_frames_that_arrived(report: DemoReport) -> None:
    for newcomer in report.newcomers:
        (received,) = (r.bytes for r in newcomer.results if r.arm is Arm.PACKETS and r.own_rows == 0)
        packets = (920 - newcomer.patients) * PACKET_SIZE_BYTES
        assert packets < received < packets * 1.15  # ids and digests, where a node fetches what it lacks


def test_only_hospitals_whose_share_differs_much_carry_a_warning(report: DemoReport) -> None:
    assert {newcomer.name for newcomer in report.newcomers if newcomer.warning} == {
        "Hungary",
        "Switzerland",
        "Long Beach",
    }


def test_a_forecast_of_the_demo_is_the_answer_that_a_node_gives(exchange: Exchange) -> None:
    patients = load_patients()
    rows = rows_of(patients, FIRST_TO_ASK)[:5]
    others = [hospital for hospital in HOSPITALS if hospital != FIRST_TO_ASK]
    forecast = exchange.forecast(FIRST_TO_ASK, others, own=rows[:0], asked=rows)
    answers = [exchange.ask(FIRST_TO_ASK, patients[row].situation).probabilities["yes"] for row in rows]
    assert forecast == pytest.approx(answers, abs=1e-9)


def test_a_forecast_does_not_see_the_outcomes_it_is_asked_for(report: DemoReport) -> None:
    patients = load_patients()
    mine = rows_of(patients, "Switzerland")
    outcomes = np.array([patient.outcome == "yes" for patient in patients])
    draw = draws(mine, outcomes, own_rows=OWN_ROWS, repetitions=1, seed=0)[0]
    turned = [
        patient if row not in draw.asked else _with_other_outcome(patient) for row, patient in enumerate(patients)
    ]
    forecasts = []
    for table in (patients, turned):
        connected = Exchange.in_memory(load_heart_template(), table, seed=0)
        for hospital in HOSPITALS:
            connected.emit(hospital)
        forecasts.append(connected.forecast("Switzerland", ["Hungary"], own=draw.own, asked=draw.asked))
        connected.close()
    assert forecasts[0] == pytest.approx(forecasts[1], abs=1e-6)


def test_the_document_is_json_and_every_key_is_described(report: DemoReport) -> None:
    document = json.loads(report.to_json())
    described = set(re.findall(r"`(\w+)`", PAGE.read_text(encoding="utf-8")))
    assert document["schema"] == SCHEMA
    for part in (
        document,
        document["network"],
        document["hospitals"][0],
        document["question"],
        document["newcomers"][0],
        document["flipped"],
        document["profiles"][0],
    ):
        assert set(part) <= described
    assert set(document["newcomers"][0]["results"][0]) <= described
    named = set(re.findall(r"`([\w-]+)` \|", PAGE.read_text(encoding="utf-8")))
    assert {arm.value for arm in Arm} <= named


def test_the_same_seed_gives_the_same_figures(report: DemoReport) -> None:
    with Demo(quick=True, carrier=MEMORY) as again:
        again.join(lambda _done: None)
        again.emit()
        assert again.ask_once() == report.question
    assert SeededEntropy(1, "x").read(100) == SeededEntropy(1, "x").read(40) + _rest(SeededEntropy(1, "x"), 40, 60)
    assert SeededEntropy(1, "x").read(16) != SeededEntropy(2, "x").read(16) != SeededEntropy(1, "y").read(16)


def test_a_quick_demo_says_what_it_left_out(report: DemoReport) -> None:
    assert report.notes == (demo.NOTE_QUICK,)
    assert not any(result.arm is Arm.CENTRAL_SVM for newcomer in report.newcomers for result in newcomer.results)


def test_without_scikit_learn_the_demo_names_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(central, "sklearn_is_installed", lambda: False)
    with Demo(carrier=MEMORY) as demonstration:
        assert not demonstration.has_central
        assert "fingerpost[lab]" in demonstration.notes[0]


def test_central_models_learn_from_the_rows_of_the_others() -> None:
    with Demo(carrier=MEMORY) as demonstration:
        bench = demo.Bench(demonstration, "Switzerland")
        drawn = draws(bench.mine, bench.outcomes, own_rows=OWN_ROWS, repetitions=1, seed=0)
        results = {result.arm: result for result in bench.central_arms(drawn)}
    assert set(results) == {Arm.CENTRAL_LOGISTIC, Arm.CENTRAL_SVM, Arm.OWN_LOGISTIC}
    for arm in (Arm.CENTRAL_LOGISTIC, Arm.CENTRAL_SVM):
        assert results[arm].scores.auc > 0.6
        assert results[arm].bytes == sum(row_bytes(demonstration.patients[row]) for row in bench.others)
    assert results[Arm.OWN_LOGISTIC].bytes == 0


def _with_other_outcome(patient: Patient) -> Patient:
    return Patient(
        hospital=patient.hospital,
        situation=patient.situation,
        outcome="no" if patient.outcome == "yes" else "yes",
    )


def _rest(entropy: SeededEntropy, skipped: int, size: int) -> bytes:
    return entropy.read(skipped + size)[skipped:]


def test_a_seal_changes_who_can_read_and_nothing_in_what_is_answered(exchange: Exchange) -> None:
    template = load_heart_template(Profile.CONSORTIUM)
    sealed = Exchange.in_memory(template, load_patients(), seed=0)
    for hospital in HOSPITALS:
        if hospital != FIRST_TO_ASK:
            sealed.emit(hospital)
    assert sealed_rows(sealed.packets(FIRST_TO_ASK)).all()
    assert not sealed_rows(exchange.packets(FIRST_TO_ASK)).any()
    rows = np.flatnonzero([patient.hospital == FIRST_TO_ASK for patient in sealed.patients])
    sources = [hospital for hospital in HOSPITALS if hospital != FIRST_TO_ASK]
    nobody = np.zeros(0, np.int64)
    found, wanted = (one.forecast(FIRST_TO_ASK, sources, own=nobody, asked=rows) for one in (sealed, exchange))
    assert np.abs(found - wanted).max() < 1e-9
    sealed.close()


def test_a_liar_is_felt_by_whoever_believes_everybody_and_said_to_be_so_in_figures_of_this_run(
    report: DemoReport,
) -> None:
    flipped = report.flipped
    assert flipped is not None
    newcomer = next(one for one in report.newcomers if one.name == flipped.asker)
    assert flipped.honest.alone == newcomer.scores(Arm.PACKETS, 0)
    assert flipped.own.with_own == newcomer.scores(Arm.OWN_PACKETS, OWN_ROWS)
    assert flipped.undefended.alone is not None
    assert flipped.honest.alone is not None
    assert flipped.undefended.alone.auc < flipped.honest.alone.auc
    liar = next(emission for emission in report.emissions if emission.hospital == flipped.liar)
    assert (flipped.explained["node_id"], flipped.explained["packets"]) == (liar.node_id, liar.packets)
    assert list(flipped.findings) == [0, OWN_ROWS, 200]
    assert flipped.findings[OWN_ROWS] == flipped.explained["finding"]
    assert any(flipped.verdict()[1:] in sentence for sentence in report.verdicts)


def test_every_profile_says_what_it_reaches_and_the_seal_costs_nothing(report: DemoReport) -> None:
    reached = {result.profile: result for result in report.profiles}
    assert set(reached) == set(Profile)
    assert [result.profile for result in report.profiles if result.is_measured_in_nodes] == [Profile.CONSORTIUM]
    sealed, clear = (reached[profile].mean for profile in (Profile.CONSORTIUM, Profile.OPEN))
    assert sealed.auc == pytest.approx(clear.auc, abs=1e-9)
    assert sealed.log_loss == pytest.approx(clear.log_loss, abs=1e-3)
    assert (reached[Profile.OPEN].packets, reached[Profile.LOCAL_DP].packets) == (920, 920)
    assert reached[Profile.K_ANONYMOUS].packets <= 920 / 10
    assert reached[Profile.DP_AGGREGATE].packets == 4 * 32


@pytest.mark.parametrize("profile", [Profile.K_ANONYMOUS, Profile.DP_AGGREGATE, Profile.LOCAL_DP])
def test_where_no_packet_tells_of_one_patient_a_newcomer_asks_and_nobody_is_said_to_be_found_out(
    profile: Profile,
) -> None:
    with Demo(quick=True, carrier=MEMORY, profile=profile) as demonstration:
        demonstration.join(lambda _done: None)
        emissions = demonstration.emit()
        question = demonstration.ask_once()
        assert question.answer.node_count == 3
        emissions = (*emissions, demonstration.emit_last())
        newcomers = demonstration.compare(lambda _done: None)
        assert demonstration.flip(newcomers, lambda _done: None) is None
    for newcomer in newcomers:
        assert newcomer.scores(Arm.PACKETS, 0) is not None
        assert newcomer.scores(Arm.PACKETS, OWN_ROWS) is None
    assert all(emission.acknowledged for emission in emissions)


def test_an_answer_of_counts_is_what_the_node_itself_says() -> None:
    connected = Exchange.in_memory(load_heart_template(Profile.LOCAL_DP), load_patients(), seed=0)
    for hospital in HOSPITALS:
        if hospital != FIRST_TO_ASK:
            connected.emit(hospital)
    rows = rows_of(connected.patients, FIRST_TO_ASK)[:5]
    sources = [hospital for hospital in HOSPITALS if hospital != FIRST_TO_ASK]
    forecast = connected.forecast(FIRST_TO_ASK, sources, own=rows[:0], asked=rows)
    assert forecast == pytest.approx(connected.ask_rows(FIRST_TO_ASK, rows), abs=1e-9)
    connected.close()
