"""From packets to evidence."""

from __future__ import annotations

import numpy as np
import pytest

from fingerpost.errors import UsageError
from fingerpost.packet import MOMENTS_DTYPE, Kind, OutcomeForm, PayloadLayout, packet_ids
from fingerpost.synthesis import Evidence
from tests.unit.synthesis import worlds


def histogram_layout(items: int) -> PayloadLayout:
    return PayloadLayout(
        fingerprint_bits=256, sketch=0, conditions=1, outcome_form=OutcomeForm.HISTOGRAM, outcome_items=items
    )


def test_observations_are_read_with_everything_they_say() -> None:
    template = worlds.category_template()
    points = worlds.situations(1, 5)
    packets = worlds.observe(template, points, np.array([0, 1, 2, 2, 1]), action=2, region=1, day=77)
    evidence = Evidence.from_packets(packets, template)
    ids = packet_ids(packets)
    order = sorted(range(5), key=lambda row: ids[row].tobytes())
    assert evidence.packet_ids.tolist() == ids[order].tolist()
    assert evidence.codes.tolist() == [[0, 1, 2, 2, 1][row] for row in order]
    expected = [worlds.queries(template, points)[row].fingerprint for row in order]
    assert [row.tobytes() for row in evidence.fingerprints] == expected
    assert set(evidence.actions) == {2}
    assert set(evidence.conditions[:, 0]) == {1}
    assert set(evidence.epochs) == {77}
    assert set(evidence.ttl_days) == {template.ttl_days}
    assert evidence.rows_of(ids[[order[3]]]).tolist() == [3]
    assert evidence.rows_of(np.zeros((1, 32), np.uint8)).tolist() == [-1]


def test_histograms_of_any_width_are_read_beside_observations() -> None:
    template = worlds.category_template()
    points = worlds.situations(2, 2)
    wide = worlds.observe(
        template, points, np.array([[1, 0, 4], [0, 2, 0]]), kind=Kind.SUMMARY, layout=histogram_layout(3)
    )
    narrow = worlds.observe(
        template,
        points,
        np.array([[3, 1], [0, 7]]),
        kind=Kind.SUMMARY,
        layout=histogram_layout(2),
        first_level=1,
        node=1,
    )
    single = worlds.observe(template, points, np.array([2, 0]), node=2)
    evidence = Evidence.from_packets(np.concatenate([narrow, single, wide]), template)
    counts = sorted(evidence.outcome_counts().tolist())
    assert counts == sorted([[1, 0, 4], [0, 2, 0], [0, 3, 1], [0, 0, 7], [0, 0, 1], [1, 0, 0]])
    assert sorted(evidence.records.tolist()) == [1, 1, 2, 4, 5, 7]


def test_moments_are_read_beside_numbers() -> None:
    template = worlds.number_template()
    points = worlds.situations(3, 2)
    layout = PayloadLayout(fingerprint_bits=256, sketch=0, conditions=1, outcome_form=OutcomeForm.MOMENTS)
    moments = np.array([(4, 1.5, 2.0), (1, -3.0, 0.0)], MOMENTS_DTYPE)
    summary = worlds.observe(template, points, moments, kind=Kind.SUMMARY, layout=layout)
    evidence = Evidence.from_packets(
        np.concatenate([summary, worlds.observe(template, points, points[:, 0])]), template
    )
    assert sorted(evidence.records.tolist()) == [1, 1, 1, 4]
    assert sorted(evidence.means.tolist()) == sorted([1.5, -3.0, *points[:, 0]])
    assert sorted(evidence.squares.tolist()) == [0, 0, 0, 2.0]


def test_what_does_not_fit_the_template_is_no_evidence() -> None:
    template, number = worlds.category_template(), worlds.number_template()
    points = worlds.situations(4, 1)
    strange = [
        worlds.observe(template, points, np.array([3])),  # a fourth level
        worlds.observe(template, points, np.array([1]), action=4),
        worlds.observe(template, points, np.array([1]), region=3),
        worlds.observe(
            template, points, np.array([[1, 1]]), kind=Kind.SUMMARY, layout=histogram_layout(2), first_level=2
        ),
    ]
    assert len(Evidence.from_packets(np.concatenate(strange), template)) == 0
    beyond = worlds.observe(number, points, np.array([10.5]))
    assert len(Evidence.from_packets(beyond, number)) == 0
    wider = worlds.parse_template(worlds.CATEGORY.replace("bits = 256", "bits = 512"))
    other_shape = worlds.observe(wider, points, np.array([1]))
    other_shape["template_id"] = np.frombuffer(template.template_id, np.uint8)
    assert len(Evidence.from_packets(other_shape, template)) == 0


def test_a_packet_of_another_template_is_refused() -> None:
    packets = worlds.pool(worlds.category_template(), rows=4)
    with pytest.raises(UsageError, match="another template"):
        Evidence.from_packets(packets, worlds.number_template())


def test_no_packets_are_evidence_of_nothing_with_the_right_shape() -> None:
    for template in (worlds.category_template(), worlds.number_template(), worlds.sketch_template()):
        nothing = Evidence.from_packets(worlds.pool(template)[:0], template)
        assert len(nothing) == 0
        assert nothing.bits == 256
