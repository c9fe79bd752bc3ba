"""How good answers from packets are, beside models that are trained on all rows in one place.

For digits, breast_cancer, wine and heart (70/30, 20 splits x 5 projections; ``QUICK=1``: 2 x 1, digits thinned):

``acc_gap_svm_SET_{256,1024,sketch}``  accuracy of packets minus that of a tuned central RBF-SVM, same split
``logloss_gap_central_SET_1024``       log-loss of packets minus that of the best of four tuned central models
``ece_excess_SET_1024``                calibration error beyond that of a perfectly calibrated model
``acc_gap_float_SET_{256,1024}``       integer-exact fingerprint minus floating-point SimHash, same kernel
``partition_penalty_digits``           largest difference in accuracy between ways to spread the rows over nodes

Every choice of every arm is made inside the training rows. Intervals are 95 %, paired and clustered by split;
``other_rows`` in the detail is the interval corrected for overlapping splits (see ``fingerpost.lab.paired``).
"""

from __future__ import annotations

import time
from collections import defaultdict
from typing import Any

import numpy as np

from bench._accuracy import (
    SALTS,
    SETS,
    SPLITS,
    VARIANTS,
    ask,
    central,
    encoded,
    figure,
    fit_evidence,
    load,
    mean,
    split,
)
from bench._accuracy_plots import plot_gaps, plot_reliability
from bench._figures import Figure, write_figures
from fingerpost.lab.classifiers import ARMS
from fingerpost.lab.probabilities import accuracy, area_under_curve, brier, calibration_excess, log_loss
from fingerpost.synthesis.evidence import Evidence
from fingerpost.template import NumberField, Scale

TARGET = "accuracy"
SCORES = ("accuracy", "log_loss", "ece_excess", "auc", "brier")
FLOAT_BITS = (256, 1_024)
FLOAT_OFFSET = 0.5  # times the root of the width: what the integer offsets imitate
PARTITION_NODES = 20
PARTITION_SPLITS = 3

Scores = dict[str, Any]
"""Arm to (splits, repetitions, scores); central arms have one repetition."""


def main() -> None:
    """Measure and write the figures and plots."""
    figures, tables, reliability = [], {}, {}
    for name in SETS:
        started = time.perf_counter()
        scores, said = measure(name)
        tables[name], reliability[name] = scores, said
        figures += figures_of(name, scores)
        print(f"{name}: {time.perf_counter() - started:.0f} s; accuracy / log-loss / excess of calibration error / AUC")
        for arm, found in scores.items():
            print(f"  {arm:<20}" + " / ".join(f"{mean(found[..., place]):.4f}" for place in range(4)))
    figures += partition_penalty()
    plot_gaps(figures)
    plot_reliability(reliability)
    write_figures(TARGET, figures, seeds=range(SPLITS))


def measure(name: str) -> tuple[Scores, tuple[np.ndarray, np.ndarray]]:
    """Return the scores of every arm on a set, and (probabilities, outcomes) of packets at 1,024 bits on all splits."""
    scores: dict[str, list[list[list[float]]]] = defaultdict(list)
    said, happened = [], []
    for seed in range(SPLITS):
        train, test = split(name, seed)
        codes = load(name).outcomes[test]
        for arm in ARMS:
            found = central(name, seed, arm)
            scores[arm].append([score(found.named, found.probabilities, codes)])
        for variant in VARIANTS:
            answers = [ask(name, variant, train=train, test=test, salt=salt, seed=seed) for salt in salts(seed)]
            forecasts = [answer.predict() for answer in answers]
            scores[f"packets {variant}"].append([score(each.argmax(axis=1), each, codes) for each in forecasts])
            if variant == "1024":
                said.append(forecasts[0])
                happened.append(codes)
        for bits in FLOAT_BITS:
            forecasts = [float_forecast(name, bits, train, test, seed=salt) for salt in salts(seed)]
            scores[f"float {bits}"].append([score(each.argmax(axis=1), each, codes) for each in forecasts])
    return {arm: np.array(found) for arm, found in scores.items()}, (np.vstack(said), np.concatenate(happened))


def salts(seed: int) -> range:
    """Return the projections of one split: others on every split, so that their luck averages out as well."""
    return range(SALTS * seed, SALTS * (seed + 1))


def score(named: np.ndarray, probabilities: np.ndarray, codes: np.ndarray) -> list[float]:
    """Return the ``SCORES`` of one forecast."""
    return [
        accuracy(named, codes),
        log_loss(probabilities, codes),
        calibration_excess(probabilities, codes, chance=np.random.default_rng(0)),
        area_under_curve(probabilities, codes),
        brier(probabilities, codes),
    ]


def figures_of(name: str, scores: Scores) -> list[Figure]:
    """Return the figures of one set."""
    right, loss, excess = (SCORES.index(what) for what in ("accuracy", "log_loss", "ece_excess"))
    made: list[Figure] = []
    detail: dict[str, Any]
    for variant in VARIANTS:
        ours, theirs = scores[f"packets {variant}"][..., right], scores["svm"][..., right]
        detail = {"ours": mean(ours), "theirs": mean(theirs), "projections": SALTS}
        made.append(figure(f"acc_gap_svm_{name}_{variant}", ours - theirs, detail=detail))
    best = min(ARMS, key=lambda arm: mean(scores[arm][..., loss]))
    ours, theirs = scores["packets 1024"][..., loss], scores[best][..., loss]
    arms = {arm: dict(zip(SCORES, found.mean(axis=(0, 1)).tolist(), strict=True)) for arm, found in scores.items()}
    detail = {"ours": mean(ours), "theirs": mean(theirs), "best": best, "arms": arms}
    made.append(figure(f"logloss_gap_central_{name}_1024", ours - theirs, unit="nats", detail=detail))
    made.append(figure(f"ece_excess_{name}_1024", scores["packets 1024"][..., excess]))
    for bits in FLOAT_BITS:
        ours, theirs = scores[f"packets {bits}"][..., right], scores[f"float {bits}"][..., right]
        detail = {"ours": mean(ours), "theirs": mean(theirs)}
        made.append(figure(f"acc_gap_float_{name}_{bits}", ours - theirs, detail=detail))
    return made


def float_forecast(name: str, bits: int, train: np.ndarray, test: np.ndarray, *, seed: int) -> np.ndarray:
    """Return what the same kernel says about SimHash in floating point: unrounded records and Gaussian weights."""
    records, chance = float_records(name), np.random.default_rng(seed)
    planes = chance.standard_normal((records.shape[1], bits))
    offsets = chance.standard_normal(bits) * FLOAT_OFFSET * np.sqrt(records.shape[1])
    prints = np.packbits(records @ planes + offsets >= 0, axis=1)
    found = load(name)
    evidence = Evidence.from_arrays(fingerprints=prints[train], codes=found.outcomes[train], levels=found.levels)
    return fit_evidence(evidence).predict(prints[test])


def float_records(name: str) -> np.ndarray:
    """Return the records of a set without rounding: numbers by the formulas of the template in floating point."""
    found = load(name)
    agreed = found.template()
    records = encoded(name) / 4_096
    for part, place in zip(agreed.situation, agreed.columns, strict=True):
        if isinstance(part, NumberField):
            values = np.array([np.nan if cell is None else float(cell) for cell in found.columns[part.name]])
            low, high = float(part.low), float(part.high)
            if part.scale is Scale.LOG:
                values, low, high = np.log(np.maximum(values, low)), np.log(low), np.log(high)
            spread = np.clip(2 * (values - low) / (high - low) - 1, -1, 1)
            records[:, place.start] = np.where(np.isnan(values), 0, spread)
    return records


def partition_penalty() -> list[Figure]:
    """Return by how much accuracy depends on which node owns which row, with nobody elected or rejected."""
    differences, detail = [], {}
    for seed in range(min(PARTITION_SPLITS, SPLITS)):
        train, test = split("digits", seed)
        codes = load("digits").outcomes
        chance = np.random.default_rng(seed)
        found = {}
        for way, nodes in partitions(codes[train], chance).items():
            said = ask("digits", "256", train=train, test=test, nodes=nodes, seed=seed).predict()
            found[way] = accuracy(said.argmax(axis=1), codes[test])
        differences.append(max(found.values()) - min(found.values()))
        detail[str(seed)] = found
    return [Figure(name="partition_penalty_digits", value=max(differences), unit="fraction", detail=detail)]


def partitions(codes: np.ndarray, chance: np.random.Generator) -> dict[str, np.ndarray]:
    """Return the owner of every row: one node, even shares, Dirichlet shares of each class, one class a node."""
    rows = len(codes)
    skewed = np.zeros(rows, np.int64)
    for level in np.unique(codes):
        shares = chance.dirichlet(np.full(PARTITION_NODES, 0.1))
        skewed[codes == level] = chance.choice(PARTITION_NODES, size=int((codes == level).sum()), p=shares)
    return {
        "one node": np.zeros(rows, np.int64),
        "even": chance.permutation(np.arange(rows) % PARTITION_NODES),
        "dirichlet 0.1": skewed,
        "one class a node": codes.astype(np.int64),
    }


if __name__ == "__main__":
    main()
