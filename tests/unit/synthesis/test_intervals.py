"""Intervals and effective sample sizes: what they cover, and who narrows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_digits, load_wine

from fingerpost.synthesis import Evidence, KernelOptions, fit
from fingerpost.synthesis._abstention import familiarity
from fingerpost.synthesis.intervals import CORRELATION_USUAL, node_correlation, student_95, uncertainty
from fingerpost.synthesis.kernel import NODES_TO_LEAVE_OUT
from tests.unit.synthesis.pools import emitters, sign_fingerprints

if TYPE_CHECKING:
    from numpy.typing import NDArray


def logistic(generator: np.random.Generator, rows: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    points = generator.uniform(-1, 1, (rows, 5))
    p = 1 / (1 + np.exp(-(2.5 * points[:, 0] - 2 * points[:, 1] + 0.5)))
    return points, np.column_stack([1 - p, p])


def bumpy(generator: np.random.Generator, rows: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    points = generator.uniform(-1, 1, (rows, 3))
    p = 1 / (1 + np.exp(-(3 * np.sin(3 * points[:, 0]) + 2 * points[:, 1] * points[:, 2])))
    return points, np.column_stack([1 - p, p])


def three_levels(generator: np.random.Generator, rows: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    points = 0.5 * generator.standard_normal((rows, 6))
    slopes = np.array([[3.0, 0, 1.5, 0, 0, 0], [-1.5, 3, 0, 0, 1.5, 0], [0, -1.5, -1.5, 1.5, 0, 0]])
    powers = np.exp(points @ slopes.T)
    return points, powers / powers.sum(axis=1, keepdims=True)


def intervals_and_truth(world: Any, seed: int, rows: int) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Whether each interval of 150 questions holds the true probability, and the estimate that it is around."""
    generator = np.random.default_rng(seed)
    points, truth = world(generator, rows + 150)
    outcomes = (generator.random((len(points), 1)) > np.cumsum(truth, axis=1)).sum(axis=1)
    prints = sign_fingerprints(points, 256, seed)
    keys = emitters(generator.integers(0, 100, rows))
    pool = Evidence.from_arrays(fingerprints=prints[:rows], codes=outcomes[:rows], levels=truth.shape[1], emitters=keys)
    found = uncertainty(fit(pool, options=KernelOptions(search_packets_max=200)))
    smoothing = next(iter(found.fitted.smooth(prints[rows:])))
    scores = smoothing.weights @ found.fitted.targets[smoothing.rows]
    low, high = found.probability_intervals(smoothing, scores)
    inside = (low <= truth[rows:]) & (truth[rows:] <= high)
    return inside.ravel(), found.fitted.estimate(scores).ravel()


def test_probability_intervals_cover_nine_true_probabilities_in_ten_in_every_bin() -> None:
    parts = [
        intervals_and_truth(world, seed, rows)
        for world in (logistic, bumpy, three_levels)
        for rows in (300, 600)
        for seed in range(4)
    ]
    inside = np.concatenate([part[0] for part in parts])
    fifth = np.minimum((np.concatenate([part[1] for part in parts]) * 5).astype(int), 4)
    assert 0.87 <= inside.mean() <= 0.93
    bins = [float(inside[fifth == k].mean()) for k in range(5)]
    assert 0.85 <= min(bins) <= max(bins) <= 0.96


def test_number_intervals_cover_nine_outcomes_in_ten_on_random_splits() -> None:
    data, values = load_diabetes(return_X_y=True, scaled=False)
    low = np.array([18, 1, 15, 60, 90, 40, 20, 2, 3, 50.0])
    high = np.array([80, 2, 45, 140, 310, 250, 100, 10, 6.5, 130.0])
    points = 2 * (data - low) / (high - low) - 1
    covered, by_third = [], []
    for seed in range(12):
        order = np.random.default_rng(seed).permutation(442)
        train, test = order[:309], order[309:]
        prints = sign_fingerprints(points, 256, seed)
        found = uncertainty(fit(Evidence.from_arrays(fingerprints=prints[train], values=values[train])))
        smoothing = next(iter(found.fitted.smooth(prints[test])))
        means = (smoothing.weights @ found.fitted.targets[smoothing.rows])[:, 0]
        bottom, top = found.predictive_intervals(smoothing, means)
        inside = (bottom <= values[test]) & (values[test] <= top)
        covered.append(inside.mean())
        by_third.append([part.mean() for part in np.array_split(inside[np.argsort(means)], 3)])
    assert 0.87 <= np.mean(covered) <= 0.93
    assert np.mean(by_third, axis=0).min() >= 0.83


def answer_sizes(owners: NDArray[np.int64], seed: int = 0, *, shifts: float = 0.0) -> tuple[float, float, float]:
    """Return (effective sample size, interval width, rho) at the middle of a pool whose packets have these owners."""
    generator = np.random.default_rng(seed)
    points, truth = logistic(generator, len(owners))
    node_shift = shifts * generator.standard_normal(owners.max() + 1)[owners]
    odds = np.log(truth[:, 1] / truth[:, 0]) + node_shift
    outcomes = (generator.random(len(owners)) < 1 / (1 + np.exp(-odds))).astype(int)
    prints = sign_fingerprints(np.vstack([points, np.zeros((1, 5))]), 256)
    pool = Evidence.from_arrays(fingerprints=prints[:-1], codes=outcomes, levels=2, emitters=emitters(owners))
    found = uncertainty(fit(pool, options=KernelOptions(search_packets_max=200)))
    smoothing = next(iter(found.fitted.smooth(prints[-1:])))
    low, high = found.probability_intervals(smoothing, smoothing.weights @ found.fitted.targets[smoothing.rows])
    return float(found.effective_sizes(smoothing)[0]), float((high - low)[0, 1]), found.correlation


def test_a_hundred_packets_of_one_node_narrow_less_than_a_hundred_nodes() -> None:
    one = answer_sizes(np.zeros(100, np.int64))
    hundred = answer_sizes(np.arange(100))
    assert one[0] <= 1 / CORRELATION_USUAL
    assert hundred[0] > 2 * one[0]
    assert hundred[1] < 0.85 * one[1]


def test_more_packets_of_the_same_node_stop_counting() -> None:
    sizes = [answer_sizes(np.zeros(rows, np.int64))[0] for rows in (100, 300, 600)]
    assert max(sizes) <= 1 / CORRELATION_USUAL
    spread = [answer_sizes(np.arange(rows) % 40)[0] for rows in (100, 300, 600)]
    assert spread[2] > 2 * sizes[2]


def test_nodes_that_really_differ_are_found_to_be_correlated() -> None:
    alike = [answer_sizes(np.arange(400) % 20, seed)[2] for seed in range(4)]
    apart = [answer_sizes(np.arange(400) % 20, seed, shifts=2.0)[2] for seed in range(4)]
    assert np.mean(alike) < 0.05 < np.mean(apart)


def test_the_correlation_of_few_nodes_stays_near_its_prior() -> None:
    generator = np.random.default_rng(0)
    residuals = generator.standard_normal((300, 2))
    assert node_correlation(residuals, np.zeros(300, np.int64)) == CORRELATION_USUAL
    assert node_correlation(residuals[:5], np.arange(5)) == CORRELATION_USUAL
    assert 0.05 < node_correlation(residuals, np.arange(300) % 3) < CORRELATION_USUAL + 0.01
    assert node_correlation(residuals, np.arange(300) % 100) < 0.02
    together = np.repeat(generator.standard_normal((30, 1)), 10, axis=0) + 0.1 * generator.standard_normal((300, 1))
    assert node_correlation(together, np.repeat(np.arange(30), 10)) > 0.8


@pytest.mark.parametrize(("degrees", "exact"), [(1, 6.3138), (2, 2.9200), (3, 2.3534), (5, 2.0150), (30, 1.6973)])
def test_quantiles_of_students_t_are_within_one_percent(degrees: int, exact: float) -> None:
    assert abs(student_95(degrees) - exact) < 0.01 * exact


def test_few_numbers_have_wide_intervals() -> None:
    generator = np.random.default_rng(1)
    points = generator.uniform(-1, 1, (200, 3))
    values = generator.standard_normal(200)
    prints = sign_fingerprints(points, 256)
    widths = []
    for rows in (3, 10, 150):
        found = uncertainty(fit(Evidence.from_arrays(fingerprints=prints[:rows], values=values[:rows])))
        smoothing = next(iter(found.fitted.smooth(prints[150:])))
        low, high = found.predictive_intervals(smoothing, np.zeros(50))
        widths.append(float((high - low).mean()))
    assert widths[0] > widths[1] > 0.9 * widths[2]
    assert widths[2] > 2


def held_out_nodes(*, by_node: bool) -> float:
    """Return the coverage of a site that emitted nothing, when sites differ by a shift of their own."""
    inside = []
    for seed in range(10):
        generator = np.random.default_rng(seed)
        owners = np.arange(360) % 6
        points = generator.uniform(-1, 1, (360, 3))
        values = 3 * points[:, 0] + generator.standard_normal(360) + 2.0 * generator.standard_normal(6)[owners]
        prints = sign_fingerprints(points, 256)
        train = owners != 0
        keys = emitters(owners[train] if by_node else np.zeros(300, np.int64))
        found = uncertainty(fit(Evidence.from_arrays(fingerprints=prints[train], values=values[train], emitters=keys)))
        smoothing = next(iter(found.fitted.smooth(prints[~train])))
        means = (smoothing.weights @ found.fitted.targets[smoothing.rows])[:, 0]
        low, high = found.predictive_intervals(smoothing, means)
        inside.append(((low <= values[~train]) & (values[~train] <= high)).mean())
    return float(np.mean(inside))


def test_residuals_without_a_node_make_intervals_honest_for_a_new_site() -> None:
    assert NODES_TO_LEAVE_OUT == 3
    assert held_out_nodes(by_node=True) > held_out_nodes(by_node=False) + 0.01
    assert held_out_nodes(by_node=True) > 0.8


def risk_area(scores: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Return the area under the risk-coverage curve: the error of the most confident answers, over all coverages."""
    wrong = ~right[np.argsort(-scores, kind="stable")]
    return float((np.cumsum(wrong) / np.arange(1, len(wrong) + 1)).mean())


@pytest.mark.parametrize(("load", "scale", "hidden"), [(load_digits, 8.0, (2, 7, 9)), (load_wine, None, (1,))])
def test_confidence_beats_the_highest_probability_where_some_classes_were_never_seen(
    load: Any, scale: float | None, hidden: tuple[int, ...]
) -> None:
    data, classes = load(return_X_y=True)
    low, high = data.min(axis=0), data.max(axis=0)
    points = data / scale - 1 if scale else 2 * (data - low) / (high - low) - 1
    areas = []
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(len(data))[:900]
        half = len(order) // 2
        train, test = order[:half], order[half:]
        train = train[~np.isin(classes[train], hidden)]
        prints = sign_fingerprints(points, 256, seed)
        found = uncertainty(fit(Evidence.from_arrays(fingerprints=prints[train], codes=classes[train], levels=10)))
        smoothing = next(iter(found.fitted.smooth(prints[test])))
        scores = smoothing.weights @ found.fitted.targets[smoothing.rows]
        estimate = found.fitted.estimate(scores)
        familiar = np.array([familiarity(found.fitted, float(d)) for d in smoothing.distances.min(axis=1)])
        confidence = 0.1 + (found.moderated(smoothing, scores) - 0.1) * np.minimum(1, familiar / 0.02)
        right = estimate.argmax(axis=1) == classes[test]
        areas.append((risk_area(confidence, right), risk_area(estimate.max(axis=1), right)))
    ours, plain = np.mean(areas, axis=0)
    assert ours < plain
