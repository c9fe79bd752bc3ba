"""Reports: their chances are those that were accounted for, and sums of them tell the truth."""

from __future__ import annotations

import math

import numpy as np
import opendp.prelude as dp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fingerpost.errors import TemplateError
from fingerpost.limits import LOCAL_RELEASE_EPSILON, PACKET_SIZE_BYTES, REPORT_ENTRIES_MAX
from fingerpost.packet import OutcomeForm, Payload, Profile, ReportValue, Signer, decode, payloads, sign_bodies
from fingerpost.privacy.local import entries_of, fits_reports, plan_of, randomised, report_bodies, report_layout
from fingerpost.synthesis._counts_reports import ReportsEvidence, ReportsSynthesizer
from fingerpost.synthesis.by_profile import read_evidence
from fingerpost.template import parse_template, plan_reports

TEXT = """
format = 1
name = "sizes"
data_class = "personal"
[situation.size]
kind = "number"
range = [0, 100]
[action]
levels = ["wait", "cut"]
[outcome]
kind = "category"
levels = ["failed", "worked"]
[cells]
kind = "prefix"
bits = {bits}
[privacy]
profile = "local-dp"
"""
FEW, MANY = parse_template(TEXT.format(bits=1)), parse_template(TEXT.format(bits=3))
SIGNER = Signer(bytes(32))


class Drawn:
    """Entropy that a test can repeat."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def read(self, size: int) -> bytes:
        """Return bytes that depend on the seed."""
        return self._rng.bytes(size)


def reports(template, entries, *, seed: int = 0):
    told = randomised(np.asarray(entries), plan_of(template), Drawn(seed))
    bodies = report_bodies(template, told, emitter=SIGNER.public_key, day=20_000, entropy=Drawn(seed + 1))
    return sign_bodies(bodies, SIGNER)


@given(st.integers(2, REPORT_ENTRIES_MAX), st.floats(0.1, 6))
def test_no_plan_costs_more_than_its_epsilon_and_hardly_less(entries: int, epsilon: float) -> None:
    plan = plan_reports(entries, epsilon=epsilon)
    assert plan.epsilon <= epsilon + 1e-12
    assert plan.epsilon > epsilon - 1e-5
    assert (plan.form is OutcomeForm.REPORT_VALUE) == (entries < 3 * math.exp(epsilon) + 2)
    assert plan.items <= 230


@given(st.integers(2, 60), st.floats(0.2, 5))
def test_chances_and_epsilon_are_those_of_opendp(entries: int, epsilon: float) -> None:
    dp.enable_features("contrib")
    plan = plan_reports(entries, epsilon=epsilon)
    if plan.form is OutcomeForm.REPORT_VALUE:
        mechanism = dp.m.make_randomized_response(categories=[str(n) for n in range(entries)], prob=plan.p)
        assert mechanism.map(1) == pytest.approx(plan.epsilon, rel=1e-9)
    else:  # Two records differ in two bits, one told with chance 1/2 and one with chance q, each either way.
        bit = dp.m.make_randomized_response_bool(prob=1 - plan.q).map(1)
        assert plan.epsilon == pytest.approx(bit, rel=1e-9)


def test_a_plan_for_a_single_entry_tells_nothing() -> None:
    assert plan_reports(1).epsilon == 0


@pytest.mark.parametrize("entries", [2, 7, 24])
def test_values_are_drawn_with_the_chances_of_the_plan(entries: int) -> None:
    plan, draws = plan_reports(entries), 200_000
    told = randomised(np.full(draws, entries - 1), plan, Drawn(3))
    shares = np.bincount(told, minlength=entries) / draws
    expected = np.full(entries, plan.q)
    expected[-1] = plan.p
    assert (np.abs(shares - expected) < 5 * np.sqrt(expected / draws)).all()


def test_bits_are_drawn_with_the_chances_of_the_plan_each_by_itself() -> None:
    plan, draws = plan_reports(48), 60_000
    bits = np.unpackbits(randomised(np.full(draws, 5), plan, Drawn(4)), axis=1, count=48).astype(float)
    expected = np.full(48, plan.q)
    expected[5] = 0.5
    assert (np.abs(bits.mean(axis=0) - expected) < 5 * np.sqrt(expected / draws)).all()
    correlation = np.corrcoef(bits.T) - np.eye(48)
    assert np.abs(correlation).max() < 6 / np.sqrt(draws)


def test_few_entries_are_reported_as_one_value_and_many_as_bits() -> None:
    assert plan_of(FEW).entries == 12
    assert plan_of(FEW).form is OutcomeForm.REPORT_VALUE
    assert plan_of(MANY).entries == 48
    assert plan_of(MANY).form is OutcomeForm.REPORT_BITS
    with pytest.raises(TemplateError) as raised:
        parse_template(TEXT.format(bits=9))
    assert raised.value.code == "template-reports"


@pytest.mark.parametrize("template", [FEW, MANY])
def test_nothing_of_a_packet_but_what_was_drawn_depends_on_the_record(template) -> None:
    last = plan_of(template).entries - 1
    first, second = (reports(template, [entry] * 3, seed=9) for entry in (0, last))
    for packets in (first, second):
        payloads(packets, report_layout(plan_of(template)))["outcome"] = 0
        packets["path"], packets["signature"] = 0, 0
    assert first.tobytes() == second.tobytes()
    assert first.nbytes == 3 * PACKET_SIZE_BYTES


@pytest.mark.parametrize("template", [FEW, MANY])
def test_reports_fit_and_what_tells_more_does_not(template) -> None:
    packets, layout = reports(template, [1] * 50), report_layout(plan_of(template))
    assert fits_reports(packets, template).all()
    for name, value in (("cell", 1), ("profile", Profile.DP_AGGREGATE)):
        changed = packets.copy()
        changed[name] = value
        assert not fits_reports(changed, template).any()
    for name, value in (("confidence", 254), ("action", 1)):
        changed = packets.copy()
        payloads(changed, layout)[name] = value
        assert not fits_reports(changed, template).any()


def test_a_value_beyond_the_entries_is_no_report() -> None:
    packets = reports(FEW, [1])
    payloads(packets, report_layout(plan_of(FEW)))["outcome"] = 12
    assert not fits_reports(packets, FEW).any()
    assert len(read_evidence(packets, FEW)) == 0


@pytest.mark.parametrize("template", [FEW, MANY])
def test_estimates_from_many_reports_are_unbiased_and_as_noisy_as_they_say(template) -> None:
    plan, rng = plan_of(template), np.random.default_rng(1)
    truth = rng.multinomial(4_000, rng.dirichlet(np.ones(plan.entries)))
    entries = np.repeat(np.arange(plan.entries), truth)
    missed = []
    for seed in range(40):
        evidence = ReportsEvidence.from_packets(reports(template, entries, seed=100 * seed), template)
        table = ReportsSynthesizer(evidence, template, day=20_000)._table_of(None)
        assert table.totals.sum() == pytest.approx(4_000)
        assert table.records_error == 0
        missed.append((table.totals.ravel() - truth.reshape(-1, 3, 2).sum(axis=1).ravel()) / np.sqrt(table.noise))
    found = np.array(missed)
    assert np.abs(found.mean(axis=0)).max() < 4.5 / np.sqrt(40)
    assert 0.8 < np.sqrt((found**2).mean()) < 1.2


def test_the_entry_of_a_record_names_its_cell_action_and_level() -> None:
    entries = entries_of(MANY, cells=np.array([7]), actions=np.array([2]), levels=np.array([1]))
    assert entries.tolist() == [47]


def test_encoded_reports_speak_for_a_record_as_often_as_was_accounted_for() -> None:
    plan, count = plan_of(FEW), 4_000
    for entry in (0, 1):
        said = []
        for packet in reports(FEW, [entry] * count, seed=entry + 5):
            payload = decode(packet.tobytes()).packet.payload
            assert isinstance(payload, Payload)
            assert isinstance(payload.outcome, ReportValue)
            said.append(payload.outcome.value)
        shares = np.bincount(said, minlength=plan.entries) / count
        expected = np.full(plan.entries, plan.q)
        expected[entry] = plan.p
        assert (np.abs(shares - expected) < 5 * np.sqrt(expected / count)).all()
    assert math.log(plan.p / plan.q) <= LOCAL_RELEASE_EPSILON
