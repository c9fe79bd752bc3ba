"""How sure an answer calls itself."""

from __future__ import annotations

import numpy as np

from fingerpost.synthesis.evidence import Evidence
from fingerpost.synthesis.intervals import uncertainty
from fingerpost.synthesis.kernel import fit
from tests.unit.synthesis.pools import sign_fingerprints


def moderated_and_said(points, questions, codes):
    prints = sign_fingerprints(np.vstack([points, questions]), 256)
    known = uncertainty(fit(Evidence.from_arrays(fingerprints=prints[: len(points)], codes=codes, levels=2)))
    smoothing = next(known.fitted.smooth(prints[len(points) :]))
    scores = smoothing.weights @ known.fitted.targets[smoothing.rows]
    return known.moderated(smoothing, scores), known.fitted.estimate(scores).max(axis=1)


def test_what_is_usual_is_claimed_as_it_was_calibrated_and_what_is_strange_is_claimed_less() -> None:
    generator = np.random.default_rng(3)
    codes = generator.integers(0, 2, 120)
    points = np.array([[1.0, 0, 0, 0], [-1.0, 0, 0, 0]])[codes] + 0.3 * generator.standard_normal((120, 4))
    strange = np.array([[1.5, 5, -5, 5], [1.5, -4, 4, 6]])
    moderated, said = moderated_and_said(points, np.vstack([points[:60], strange]), codes)
    assert np.isclose(moderated[:60], said[:60], rtol=1e-9).mean() > 0.8
    assert (moderated[60:] < said[60:] - 0.01).all()
    assert (moderated >= 0.5).all()


def test_an_answer_that_every_packet_agrees_on_has_a_narrow_interval() -> None:
    generator = np.random.default_rng(5)
    codes = generator.integers(0, 3, 120)
    points = np.array([[3.0, 0, 0], [0, 3.0, 0], [0, 0, 3.0]])[codes] + 0.3 * generator.standard_normal((120, 3))
    prints = sign_fingerprints(points, 512)
    nodes = np.repeat((np.arange(120) % 40).astype(np.uint8)[:, None], 32, axis=1)
    evidence = Evidence.from_arrays(fingerprints=prints, codes=codes, levels=3, emitters=nodes)
    known = uncertainty(fit(evidence))
    smoothing = next(known.fitted.smooth(prints))
    scores = smoothing.weights @ known.fitted.targets[smoothing.rows]
    low, high = known.probability_intervals(smoothing, scores)
    estimate = known.fitted.estimate(scores)
    assert (low <= estimate).all()
    assert (estimate <= high).all()
    named = np.arange(120), codes
    assert estimate[named].min() > 0.95
    assert low[named].min() > 0.7
