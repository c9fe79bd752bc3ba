"""Central opponents."""

from __future__ import annotations

import numpy as np
import pytest

from fingerpost.lab.classifiers import ARMS, forecast
from fingerpost.lab.probabilities import accuracy, log_loss

ROWS, LEVELS = 150, 3


def blobs(seed: int = 0):
    generator = np.random.default_rng(seed)
    codes = generator.integers(0, LEVELS, ROWS)
    return np.array([[0, 0], [1, 0], [0, 1]])[codes] + 0.3 * generator.standard_normal((ROWS, 2)), codes


@pytest.fixture(scope="module", params=sorted(ARMS))
def said(request: pytest.FixtureRequest):
    table, codes = blobs()
    train, test = np.arange(100), np.arange(100, ROWS)
    hidden = codes.copy()
    hidden[test] = 0  # an arm that peeks at the outcomes of the test rows learns something wrong
    tables = {"encoded": table, "raw": table * [1e-6, 1e6]}
    return request.param, forecast(request.param, tables, hidden, train=train, test=test), codes[test]


def test_every_arm_learns_what_can_be_learnt(said) -> None:
    _, found, codes = said
    assert accuracy(found.named, codes) > 0.85
    assert log_loss(found.probabilities, codes) < 0.45


def test_every_arm_gives_probabilities_of_all_levels(said) -> None:
    _, found, codes = said
    assert found.probabilities.shape == (len(codes), LEVELS)
    assert found.probabilities.min() >= 0
    assert found.probabilities.sum(axis=1) == pytest.approx(1)


def test_every_arm_says_what_it_chose_and_says_the_same_again(said) -> None:
    arm, found, _ = said
    table, codes = blobs()
    tables = {"encoded": table, "raw": table * [1e-6, 1e6]}
    again = forecast(arm, tables, codes, train=np.arange(100), test=np.arange(100, ROWS))
    assert dict(again.chosen) == dict(found.chosen)
    assert (again.probabilities == found.probabilities).all()


def test_two_levels_are_calibrated_like_many() -> None:
    table, codes = blobs()
    binary = (codes == 1).astype(np.int64)
    found = forecast("svm", {"encoded": table}, binary, train=np.arange(100), test=np.arange(100, ROWS))
    assert accuracy(found.probabilities.argmax(axis=1), binary[100:]) > 0.85
    assert log_loss(found.probabilities, binary[100:]) < 0.4


def test_a_constant_column_does_no_harm() -> None:
    table, codes = blobs()
    found = forecast(
        "logistic", {"encoded": np.column_stack([table, np.ones(ROWS)])}, codes,
        train=np.arange(100), test=np.arange(100, ROWS),
    )  # fmt: skip
    assert np.isfinite(found.probabilities).all()
