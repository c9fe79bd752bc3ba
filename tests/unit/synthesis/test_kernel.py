"""Kernel ridge on packets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fingerpost.errors import UsageError
from fingerpost.synthesis import _search
from fingerpost.synthesis._draw import drawn_rows
from fingerpost.synthesis._solution import Solution
from fingerpost.synthesis.distances import bit_distances, kernel, nearest_rows, sketch_distances
from fingerpost.synthesis.evidence import Evidence
from fingerpost.synthesis.kernel import FittedKernel, KernelOptions, fit, packet_weights
from tests.unit.synthesis.pools import emitters, random_fingerprints, sign_fingerprints


def blobs(seed: int, rows: int, levels: int = 3, bits: int = 128, spread: float = 0.7):
    generator = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((levels, 6))
    codes = generator.integers(0, levels, rows)
    points = centres[codes] + spread * generator.standard_normal((rows, 6))
    return sign_fingerprints(points, bits), codes


def small_solution(seed: int = 0, rows: int = 25):
    generator = np.random.default_rng(seed)
    prints, codes = blobs(seed, rows)
    gram = kernel(bit_distances(prints, prints) / 128, 0.3)
    noise = generator.uniform(0.05, 0.5, rows)
    return gram, noise, np.eye(3)[codes]


def predict_from(gram, noise, targets, kept, asked):
    """Predictions by generalised least squares, written out without any shortcut."""
    system = np.linalg.inv(gram[np.ix_(kept, kept)] + np.diag(noise[kept]))
    mean = (system.sum(axis=0) @ targets[kept]) / system.sum()
    return mean + gram[np.ix_(asked, kept)] @ system @ (targets[kept] - mean)


def test_left_out_residuals_equal_fitting_again_without_the_packet() -> None:
    gram, noise, targets = small_solution()
    found = Solution.of(gram, noise).left_out(targets)
    everyone = np.arange(len(targets))
    for row in everyone:
        predicted = predict_from(gram, noise, targets, np.delete(everyone, row), [row])
        assert np.allclose(found[row], targets[row] - predicted[0], atol=1e-10)
    path = _search._Path(gram, targets, 1 / noise)
    assert np.allclose(path.left_out(1.0), targets - found, atol=1e-10)


def test_residuals_without_a_node_equal_fitting_again_without_the_node() -> None:
    gram, noise, targets = small_solution(1)
    groups = np.arange(len(targets)) % 4
    found = Solution.of(gram, noise).left_out_by(groups, targets)
    for group in range(4):
        rows = np.flatnonzero(groups == group)
        predicted = predict_from(gram, noise, targets, np.flatnonzero(groups != group), rows)
        assert np.allclose(found[rows], targets[rows] - predicted, atol=1e-10)


def test_weights_of_packets_sum_to_one_and_give_the_prediction() -> None:
    gram, noise, targets = small_solution(2)
    kept, asked = np.arange(20), np.arange(20, 25)
    cross = gram[np.ix_(asked, kept)]
    solution = Solution.of(gram[np.ix_(kept, kept)], noise[kept])
    weights = solution.weights(cross)
    assert np.allclose(weights.sum(axis=1), 1)
    assert np.allclose(weights @ targets[kept], predict_from(gram, noise, targets, kept, asked))
    inner = gram[np.ix_(kept, kept)]
    spelt_out = (
        1 - 2 * (weights * cross).sum(axis=1) + np.einsum("qi,ij,qj->q", weights, inner + np.diag(noise[kept]), weights)
    )
    assert np.allclose(solution.variance(cross), spelt_out)


def test_estimates_do_not_depend_on_ids_nodes_or_arrival_at_all() -> None:
    prints, codes = blobs(3, 80)
    asked, _ = blobs(4, 10)
    first = fit(Evidence.from_arrays(fingerprints=prints, codes=codes, levels=3))
    for seed in range(3):
        generator = np.random.default_rng(seed)
        order = generator.permutation(80)
        again = Evidence.from_arrays(
            fingerprints=prints[order], codes=codes[order], levels=3, emitters=emitters(generator.integers(0, 7, 80))
        )
        found = fit(again)
        assert found.settings == first.settings
        assert np.array_equal(found.predict(asked), first.predict(asked))


def test_a_summary_of_equal_records_answers_like_its_records() -> None:
    prints, codes = blobs(5, 40)
    counts = np.zeros((40, 3), np.int64)
    counts[np.arange(40), codes] = 4
    spread = fit(Evidence.from_arrays(fingerprints=np.repeat(prints, 4, 0), codes=np.repeat(codes, 4), levels=3))
    packed = fit(Evidence.from_arrays(fingerprints=prints, counts=counts))
    asked, _ = blobs(6, 10)
    ordered = packed.evidence.fingerprints[packed.order]
    gram = kernel(bit_distances(ordered, ordered) / 128, spread.settings.length)
    solved = Solution.of(gram, np.full(40, spread.settings.ridge / 4))
    alike = replace(packed, settings=spread.settings, solution=solved)
    assert np.allclose(alike.predict(asked), spread.predict(asked), atol=1e-9)


def test_solving_on_all_packets_as_neighbours_equals_solving_whole() -> None:
    prints, codes = blobs(7, 60)
    evidence = Evidence.from_arrays(fingerprints=prints, codes=codes, levels=3)
    asked, _ = blobs(8, 12)
    whole = fit(evidence)
    local = fit(evidence, options=KernelOptions(whole_packets_max=59, neighbours=59))
    assert local.solution is None
    assert whole.solution is not None
    everyone = KernelOptions(whole_packets_max=60, neighbours=60)
    near = replace(local, options=everyone, settings=whole.settings)
    assert np.allclose(near.predict(asked), whole.predict(asked), atol=1e-9)
    assert local.residuals.nearest.tolist() == [whole.residuals.nearest[whole.order == k][0] for k in range(60)]


def test_a_large_pool_is_solved_on_neighbours_and_stays_calibrated() -> None:
    prints, codes = blobs(9, 3_000, spread=1.0)
    asked, truth = blobs(10, 300, spread=1.0)
    options = KernelOptions(search_packets_max=200, neighbours=64, calibration_packets_max=150)
    found = fit(Evidence.from_arrays(fingerprints=prints, codes=codes, levels=3), options=options)
    assert found.solution is None
    probabilities = found.predict(asked)
    assert (probabilities.argmax(axis=1) == truth).mean() > 0.8
    claimed = probabilities.max(axis=1).mean()
    assert abs(claimed - (probabilities.argmax(axis=1) == truth).mean()) < 0.06


def test_a_large_pool_with_sketches_is_solved_on_neighbours_by_sketch() -> None:
    generator = np.random.default_rng(17)
    codes = generator.integers(0, 2, 120)
    sketches = (generator.integers(-7, 8, (2, 64))[codes] + generator.integers(-2, 3, (120, 64))).astype(np.float64)
    ids = np.arange(120, dtype=np.uint8)[:, None].repeat(32, 1)
    pool = Evidence.from_arrays(fingerprints=np.zeros((120, 8)), codes=codes, levels=2, packet_ids=ids)
    found = fit(pool, sketches=sketches, options=KernelOptions(whole_packets_max=40, neighbours=20))
    assert found.solution is None
    assert (found.predict(np.zeros((120, 8), np.uint8), sketches).argmax(axis=1) == codes).all()


def test_neighbours_at_equal_distance_come_in_order_of_packet_id() -> None:
    distances = np.array([2.0, 1.0, 2.0, 2.0, 0.5])
    assert nearest_rows(distances, 3).tolist() == [4, 1, 0]
    assert nearest_rows(distances, 9).tolist() == [4, 1, 0, 2, 3]


def test_numbers_are_estimated_close_to_their_function() -> None:
    generator = np.random.default_rng(11)
    points = generator.uniform(-1, 1, (400, 4))
    values = 50 + 20 * points[:, 0] - 10 * points[:, 1] + generator.standard_normal(400)
    prints = sign_fingerprints(points, 512)
    found = fit(Evidence.from_arrays(fingerprints=prints[:300], values=values[:300]))
    error = found.predict(prints[300:])[:, 0] - values[300:]
    assert np.sqrt((error**2).mean()) < 5 < values.std()


def test_claims_of_confidence_age_and_size_only_lower_a_weight() -> None:
    evidence = Evidence.from_arrays(
        fingerprints=np.zeros((4, 8)),
        values=np.zeros(4),
        records=[1, 1, 1, 5_000],
        confidences=[255, 51, 255, 255],
        epochs=[100, 100, 90, 100],
        packet_ids=np.arange(4, dtype=np.uint8)[:, None].repeat(32, 1),
    )
    weights = packet_weights(evidence, day=100, options=KernelOptions(half_life_days=10, records_max=1_000))
    assert weights.tolist() == [1, 0.2, 0.5, 1_000]
    assert packet_weights(evidence, day=0, options=KernelOptions(half_life_days=10)).max() == 1_024


def test_fresh_packets_outweigh_old_contradicting_ones() -> None:
    prints = np.repeat(random_fingerprints(np.random.default_rng(1), 2, 64), 10, axis=0)
    epochs = np.tile([0, 1_000], 10)
    codes = np.where(epochs == 0, np.repeat([0, 1], 10), np.repeat([1, 0], 10))
    evidence = Evidence.from_arrays(fingerprints=prints, codes=codes, levels=2, epochs=epochs)
    forgetting = fit(evidence, day=1_000, options=KernelOptions(half_life_days=100))
    assert forgetting.predict(prints[:1])[0, 1] > 0.8
    assert abs(fit(evidence, day=1_000).predict(prints[:1])[0, 1] - 0.5) < 0.01


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_a_handful_of_packets_gives_a_cautious_estimate(rows: int) -> None:
    prints, _ = blobs(12, rows)
    evidence = Evidence.from_arrays(fingerprints=prints, codes=np.zeros(rows, int), levels=2)
    probabilities = fit(evidence).predict(prints)
    assert np.isfinite(probabilities).all()
    assert (probabilities[:, 0] > 0.5).all()
    assert (probabilities[:, 1] > 0.004).all()
    number = fit(Evidence.from_arrays(fingerprints=prints, values=np.full(rows, 7.0)))
    assert np.allclose(number.predict(prints), 7.0)


def test_packets_at_one_place_answer_with_their_shares() -> None:
    evidence = Evidence.from_arrays(fingerprints=np.zeros((40, 8)), codes=np.arange(40) % 4 // 3, levels=2)
    found = fit(evidence).predict(np.zeros((1, 8), np.uint8))[0]
    assert abs(found[1] - 0.25) < 0.05


def test_sketches_replace_bits_where_they_are_given() -> None:
    generator = np.random.default_rng(13)
    centres = generator.integers(-7, 8, (2, 64))
    codes = generator.integers(0, 2, 60)
    sketches = (centres[codes] + generator.integers(-2, 3, (60, 64))).astype(np.float64)
    evidence = Evidence.from_arrays(
        fingerprints=np.zeros((60, 8)), codes=codes, levels=2, packet_ids=np.arange(60)[:, None].repeat(32, 1)
    )
    found = fit(evidence, sketches=sketches)
    assert found.settings.family == "sketch"
    assert (found.predict(np.zeros((2, 8), np.uint8), centres.astype(float)).argmax(axis=1) == [0, 1]).all()
    with pytest.raises(UsageError, match="sketch"):
        found.predict(np.zeros((1, 8), np.uint8))
    apart = ((sketches[0] - sketches[1]) ** 2).sum()
    assert sketch_distances(sketches[:1], sketches[1:2])[0, 0] == apart


def test_validation_by_node_is_less_sure_when_nodes_disagree() -> None:
    prints, codes = blobs(14, 120, levels=2)
    nodes = np.arange(120) % 4
    shifted = np.where(nodes == 3, 1 - codes, codes)
    evidence = Evidence.from_arrays(fingerprints=prints, codes=shifted, levels=2, emitters=emitters(nodes))
    packet = fit(evidence)
    node = fit(evidence, options=KernelOptions(validation="node"))
    assert packet.residuals.by_node is not None
    assert node.settings.temperature < packet.settings.temperature


def test_temperature_minimises_the_penalised_log_loss() -> None:
    generator = np.random.default_rng(15)
    scores = generator.standard_normal((50, 3))
    targets = np.eye(3)[scores.argmax(axis=1)]
    targets[:20] = np.eye(3)[generator.integers(0, 3, 20)]
    found, loss = _search.fit_temperature(scores, targets, np.ones(50))

    def objective(temperature: float) -> float:
        shares = _search.softmax(scores, temperature)
        return float(-(targets * np.log(shares)).sum() + 0.5 * np.log(temperature / 5) ** 2)

    assert abs(objective(found) - loss) < 1e-9
    assert all(objective(found * factor) >= loss for factor in (0.97, 0.999, 1.001, 1.03))


def test_no_packets_or_weightless_packets_cannot_be_fitted() -> None:
    nothing = Evidence.from_arrays(fingerprints=np.zeros((0, 8)), codes=np.zeros(0, int), levels=2)
    doubtful = Evidence.from_arrays(fingerprints=np.zeros((1, 8)), codes=[0], levels=2, confidences=[0])
    for evidence in (nothing, doubtful):
        with pytest.raises(UsageError, match="weight above zero"):
            fit(evidence)


@pytest.mark.parametrize("wrong", [{"validation": "row"}, {"neighbours": 0}, {"whole_packets_max": 3}])
def test_options_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        KernelOptions(**wrong)  # type: ignore[arg-type]


def test_no_queries_have_no_answers() -> None:
    prints, codes = blobs(16, 10)
    found: FittedKernel = fit(Evidence.from_arrays(fingerprints=prints, codes=codes, levels=3))
    assert found.predict(prints[:0]).shape == (0, 3)


@pytest.mark.parametrize(("stripes", "relative"), [(1, 1.5), (2, 0.5), (3, 0.2)])
def test_walking_along_the_lengths_finds_what_trying_all_of_them_finds(stripes: int, relative: float) -> None:
    generator = np.random.default_rng(5)
    points = generator.uniform(-1, 1, (200, 2))
    codes = (np.sin(np.pi * stripes * points.sum(axis=1)) + 0.3 * generator.standard_normal(200) > 0).astype(int)
    distances = np.sqrt(sketch_distances(points, points).clip(0))
    targets, weights = np.eye(2)[codes], np.ones(200)
    alone = [
        _search.search(distances, targets, weights, kind="category", lengths=(length,)) for length in _search.LENGTHS
    ]
    best = min(alone, key=lambda candidate: candidate.loss)
    assert _search.search(distances, targets, weights, kind="category") == best
    assert best.length == pytest.approx(relative * _search.usual_length(distances))


def test_settings_do_not_depend_on_who_emitted_the_packets() -> None:
    chance = np.random.default_rng(5)
    fingerprints = chance.integers(0, 256, (700, 8), dtype=np.uint8)
    codes = (fingerprints[:, 0] > 127).astype(np.int32)
    options = KernelOptions(search_packets_max=128)
    found = set()
    for _ in range(6):
        ids = chance.integers(0, 256, (700, 32), dtype=np.uint8)  # other emitters sign, so all ids are others
        evidence = Evidence.from_arrays(fingerprints=fingerprints, codes=codes, levels=2, packet_ids=ids)
        fitted = fit(evidence, day=0, options=options)
        found.add((fitted.settings, fitted.predict(fingerprints[:20]).tobytes()))
    assert len(found) == 1


def test_summaries_that_differ_in_one_count_are_told_apart_when_a_sample_is_drawn() -> None:
    chance = np.random.default_rng(6)
    counts = np.tile([[3, 2]], (300, 1))
    counts[:150] = [2, 3]
    picked = set()
    for _ in range(4):
        ids = chance.integers(0, 256, (300, 32), dtype=np.uint8)
        evidence = Evidence.from_arrays(fingerprints=np.zeros((300, 8), np.uint8), counts=counts, packet_ids=ids)
        rows = drawn_rows(evidence, np.ones(300), 100)
        picked.add(int(evidence.outcome_counts()[rows, 0].sum()))
    assert len(picked) == 1
