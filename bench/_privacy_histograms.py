"""Counts that need no codebook: how often each outcome goes with the lower or upper half of one field's range.

Each record is counted once, in one coordinate of its encoding drawn at random, so noise of scale 1 / epsilon on every
count is enough (spread over all coordinates, each would get its share of epsilon: the same ratio of signal to noise).
Answers are naive Bayes over all coordinates.
"""

from __future__ import annotations

import numpy as np

from bench._privacy_sets import NODES, Thirds
from bench._privacy_sum import summed
from fingerpost.node.noise import OpenDpNoise
from fingerpost.privacy.counts import noisy_counts

SHRINKAGE = 10.0  # records' worth of the spread over all outcomes that each outcome's own is mixed with
SHARE_MIN = 0.01


def accuracies(split: Thirds, seed: int) -> dict[str, float]:
    """Return the accuracy with noise of each node, of their secure sum, and without noise."""
    tables, noise = tables_of(split, seed), OpenDpNoise()
    total, _ = summed(tables, noise, epsilon=1.0)
    return {
        "": accuracy(split, np.sum([noisy_counts(table, noise) for table in tables], axis=0)),
        "secure_sum": accuracy(split, total),
        "exact": accuracy(split, np.sum(tables, axis=0)),
    }


def tables_of(split: Thirds, seed: int) -> list[np.ndarray]:
    """Return each node's counts (coordinates, 2, outcomes)."""
    encoded, outcomes = split.members
    levels = len(split.template.outcome.levels)  # type: ignore[union-attr]
    drawn = np.random.default_rng(seed).integers(0, encoded.shape[1], len(encoded))
    halves = (encoded[np.arange(len(encoded)), drawn] > 0).astype(np.intp)
    tables = []
    for node in range(NODES):
        mine = split.nodes == node
        table = np.zeros((encoded.shape[1], 2, levels), np.int64)
        np.add.at(table, (drawn[mine], halves[mine], outcomes[mine]), 1)
        tables.append(table)
    return tables


def accuracy(split: Thirds, counts: np.ndarray) -> float:
    """Return how often the likeliest outcome under naive Bayes from noisy counts is right."""
    of_outcome = np.maximum(counts.sum(axis=(0, 1)), 1.0)
    of_half = np.maximum(counts.sum(axis=2), 0.0) + 0.5
    of_half /= of_half.sum(axis=1, keepdims=True)
    records = of_outcome / len(counts)
    shares = (counts + SHRINKAGE * of_half[:, :, None]) / (records + SHRINKAGE)
    questions = (split.others[0] > 0).astype(np.intp)
    logs = np.log(np.maximum(shares, SHARE_MIN))
    scores = np.log(of_outcome) + logs[np.arange(len(counts)), questions].sum(axis=1)
    return float(np.mean(scores.argmax(axis=1) == split.others[1]))
