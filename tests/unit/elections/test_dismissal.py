"""What a model would expect of a node's packets without them, and when claims run up against it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fingerpost.elections import dismissal
from fingerpost.elections.claims import Coding
from fingerpost.elections.ridge import Sums, fit
from tests.unit.elections.networks import LEVELS, Town


@pytest.mark.parametrize("block", [2.0, 0.0])
def test_what_is_expected_without_a_nodes_packets_is_what_a_model_without_them_expects(
    block: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dismissal, "BLOCK_FEATURES", block)
    town = Town(1, nodes=5)
    evidence, coding = town.evidence(town.truth), Coding(levels=LEVELS, cuts=None, actions=0)
    node = evidence.node_index
    own, rows = np.flatnonzero(node == node[0]), np.flatnonzero(node == node[node != node[0]][0])
    others = np.flatnonzero(~np.isin(np.arange(len(node)), [*own, *rows]))
    rest = Sums.of(evidence, own, coding, weight=4.0) + Sums.of(evidence, others, coding)
    whole = fit(rest + Sums.of(evidence, rows, coding), evidence, own, coding, weight=4.0)
    found, _ = dismissal.without(evidence, rows, whole, coding)
    left = fit(rest, evidence, own, coding, weight=4.0)
    x = coding.features(evidence, rows).astype(np.float64)
    scores = whole.prior + x @ np.linalg.inv(rest.products + 0.1 * np.eye(len(rest.products))) @ (
        rest.memory - np.outer(rest.features, whole.prior)
    )
    raised = np.exp(whole.temperature * (scores - scores.max(axis=1, keepdims=True)))
    np.testing.assert_allclose(found, raised / raised.sum(axis=1, keepdims=True), atol=2e-3)
    assert left.prior.shape == whole.prior.shape


@given(st.lists(st.floats(-5, 5), max_size=30), st.floats(0, 5))
def test_a_sum_of_wrong_claims_is_the_worst_run_of_them_and_never_below_zero(logs: list[float], start: float) -> None:
    last, highest = dismissal.run_up(start, np.array(logs))
    runs = [sum(logs[first:end]) for first in range(len(logs)) for end in range(first, len(logs) + 1)]
    worst = max([start, *runs, *(start + sum(logs[:end]) for end in range(len(logs) + 1))])
    assert 0 <= last <= highest
    assert highest == pytest.approx(max(worst, 0.0), abs=1e-9)
