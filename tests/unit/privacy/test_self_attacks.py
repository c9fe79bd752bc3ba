"""Attacks on what leaves, each beside a control in which it succeeds: noise audited by bytes, cells, and ids."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench import privacy_counts
from fingerpost.fingerprint import Fingerprinter
from fingerpost.fingerprint.cells import cell_of, likely_cells
from fingerpost.limits import LOCAL_RELEASE_EPSILON
from fingerpost.node.asking import _cells_near
from fingerpost.node.emission import Observations, build_packets
from fingerpost.packet import Signer, packet_ids
from fingerpost.privacy.local import plan_of, randomised
from fingerpost.template import Template, encode_record, parse_template

TEXT = """
format = 1
name = "stays"
data_class = "{data_class}"
[situation.age]
kind = "number"
range = [0, 100]
[situation.ward]
kind = "category"
levels = ["a", "b", "c"]
[outcome]
kind = "category"
levels = ["ill", "well"]
[cells]
kind = "prefix"
bits = 4
[privacy]
profile = "{profile}"
"""
SIGNER, DAY, PEOPLE = Signer(bytes(range(32))), 20_000, 600


class Drawn:
    """Entropy that a test can repeat."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def read(self, size: int) -> bytes:
        """Return bytes that depend on the seed."""
        return self._rng.bytes(size)


def template_of(profile: str, data_class: str = "personal") -> Template:
    return parse_template(TEXT.format(profile=profile, data_class=data_class))


def people(template: Template) -> np.ndarray:
    """Return the encoded situations of people, all different."""
    rng = np.random.default_rng(2)
    ages = np.linspace(0, 100, PEOPLE)
    wards = rng.choice(["a", "b", "c"], PEOPLE)
    return np.array(
        [encode_record(template, {"age": age, "ward": ward}) for age, ward in zip(ages.tolist(), wards, strict=True)]
    )


def test_an_audit_of_bytes_proves_no_more_than_epsilon_and_catches_half_the_noise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(privacy_counts, "RELEASES", 200)
    monkeypatch.setattr(privacy_counts, "CONFIDENCE", 0.99999)

    def proved(epsilon: float) -> float:
        before = privacy_counts.RECORDS_BEFORE
        pair = [privacy_counts.released(before + more, epsilon) for more in (0, 1)]
        return privacy_counts.epsilon_low(*pair)

    assert proved(1.0) <= 1.0
    assert proved(2.0) > 1.05, "half the noise is caught"


def test_the_cells_of_a_question_name_nobody_more_often_than_their_bits_allow() -> None:
    template = template_of("consortium")
    encoded = people(template)
    fingerprinter = Fingerprinter(template)
    fingerprints = fingerprinter.fingerprints(encoded)
    homes = cell_of(fingerprints, template).tolist()
    told = {tuple(_cells_near(home, template, 6).tolist()) for home in homes}
    bound = 2**template.cell_bits / PEOPLE
    # Whoever sees a question picks one person for it, and is right once for each different question at most.
    assert len(told) / PEOPLE <= bound
    assert len(told) > 2
    costs = fingerprinter.flip_costs(encoded)
    by_margin = {
        tuple(likely_cells(row.tobytes(), template, count=6, flip_costs=cost).tolist())
        for row, cost in zip(fingerprints, costs, strict=True)
    }
    assert len(by_margin) / PEOPLE > bound, "cells in the order of the situation's own margins tell more"


def test_a_report_names_the_right_one_of_many_as_rarely_as_its_epsilon_says() -> None:
    template = template_of("local-dp")
    plan = plan_of(template)
    rng, entries = np.random.default_rng(3), 32
    true = rng.integers(0, entries, 4_000)
    reports = np.unpackbits(randomised(true, plan, Drawn(5)), axis=1)[:, :entries]
    guesses = np.array([rng.choice(np.flatnonzero(row)) if row.any() else -1 for row in reports])
    epsilon = LOCAL_RELEASE_EPSILON
    bound = math.exp(epsilon) / (math.exp(epsilon) + entries - 1)
    right = float((guesses == true).mean())
    assert right <= bound + 3 * math.sqrt(bound * (1 - bound) / len(true))
    assert right > 2 / entries, "reports say something: the attack works as far as it may"


def ids_by_trying(template: Template, nonce: bytes) -> set[bytes]:
    """Return the ids of all that somebody can have said whose emitter, day and batch are known, under one nonce."""
    everything = np.array(
        [encode_record(template, {"age": age, "ward": ward}) for age in range(0, 101, 5) for ward in "abc"]
    )
    found: set[bytes] = set()
    for row in everything:
        for outcome in (1, 2):
            found.add(one_packet_id(template, row, outcome, nonce))
    return found


def one_packet_id(template: Template, encoded: np.ndarray, outcome: int, nonce: bytes) -> bytes:
    class Fixed:
        def read(self, size: int) -> bytes:
            return (nonce * (size // len(nonce) + 1))[:size]

    observations = Observations(
        encoded=encoded[None, :],
        outcomes=np.array([outcome], np.uint16),
        actions=np.zeros(1, np.uint16),
        conditions=np.zeros((1, 0), np.uint16),
        confidences=np.full(1, 255, np.uint8),
    )
    packets, _ = build_packets(template, Fingerprinter(template), observations, signer=SIGNER, day=DAY, entropy=Fixed())
    return bytes(packet_ids(packets)[0].tobytes())


def test_an_id_cannot_be_found_by_trying_all_records_unless_the_nonce_is_known() -> None:
    template = template_of("open", "non_personal")
    nonce, other = bytes(range(16)), bytes(16)
    record = encode_record(template, {"age": 65, "ward": "b"})
    seen = one_packet_id(template, record, 2, nonce)
    assert seen not in ids_by_trying(template, other)
    assert seen in ids_by_trying(template, nonce), "without a secret nonce an id gives its record away"
