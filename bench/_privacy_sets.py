"""Records for measurements of privacy: a public third, a third whose owners emit, a third that nobody emits.

Six nodes share the emitting third. Templates are the shipped ones, whose ranges were written before a row was read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bench._figures import Figure
from fingerpost.fingerprint import Fingerprinter
from fingerpost.lab import data
from fingerpost.node.emission import Observations
from fingerpost.packet import Profile
from fingerpost.template import DataClass, Template

SETS = ("digits", "breast_cancer")
NODES = 6
JITTER = 0.25  # of a coordinate's spread, for networks that are larger than the set


@dataclass(frozen=True, slots=True, kw_only=True)
class Thirds:
    """Encoded records and outcomes (level numbers from 0) of the three thirds."""

    template: Template
    public: tuple[np.ndarray, np.ndarray]
    members: tuple[np.ndarray, np.ndarray]
    others: tuple[np.ndarray, np.ndarray]

    @property
    def nodes(self) -> np.ndarray:
        """The node of each member."""
        return np.arange(len(self.members[1])) % NODES

    def enlarged(self, count: int, seed: int) -> Thirds:
        """Return the same with ``count`` members, drawn from these with some jitter: an imitated larger network."""
        chance = np.random.default_rng([seed, count])
        encoded, outcomes = self.members
        rows = chance.integers(0, len(encoded), count)
        spread = JITTER * encoded.std(axis=0)
        jittered = encoded[rows] + spread * chance.standard_normal((count, encoded.shape[1]))
        limits = np.iinfo(np.int16)
        made = np.clip(np.rint(jittered), limits.min, limits.max).astype(np.int16)
        return replace(self, members=(made, outcomes[rows]))


def thirds(name: str, seed: int, profile: Profile, *, cell_bits: int = 0) -> Thirds:
    """Split a set into thirds at random, under its template with this profile and 256 bits."""
    whole = data.load(name)
    template = replace(
        whole.template(bits=256, salt=seed), data_class=DataClass.PERSONAL, profile=profile, cell_bits=cell_bits
    )
    encoded = whole.encoded()
    parts = np.array_split(np.random.default_rng(seed).permutation(len(whole)), 3)
    public, members, others = ((encoded[rows], whole.outcomes[rows]) for rows in parts)
    return Thirds(template=template, public=public, members=members, others=others)


def observations(encoded: np.ndarray, outcomes: np.ndarray, rows: Any) -> Observations:
    """Return rows as what a node emits."""
    count = len(outcomes[rows])
    return Observations(
        encoded=encoded[rows],
        outcomes=(outcomes[rows] + 1).astype(np.uint16),
        actions=np.zeros(count, np.uint16),
        conditions=np.zeros((count, 0), np.uint16),
        confidences=np.full(count, 255, np.uint8),
    )


def fingerprints(template: Template, encoded: np.ndarray) -> np.ndarray:
    """Return the fingerprints of encoded records."""
    return Fingerprinter(template).fingerprints(encoded)


def over_seeds(name: str, values: Sequence[float], unit: str, **detail: Any) -> Figure:
    """Return a mean over seeds, with the interval of its standard error, which a share does not leave."""
    found = np.asarray(values, np.float64)
    error = 1.96 * found.std(ddof=1) / np.sqrt(len(found)) if len(found) > 1 else 0.0
    low, high = float(found.mean() - error), float(found.mean() + error)
    return Figure(
        name=name,
        value=float(found.mean()),
        unit=unit,
        low=max(low, 0.0),
        high=min(high, 1.0),
        detail={"seeds": len(found), **detail},
    )


def auc(positive: np.ndarray, negative: np.ndarray) -> float:
    """Return the chance that a positive scores above a negative; ties count half."""
    order = np.sort(negative)
    below = np.searchsorted(order, positive, side="left") + np.searchsorted(order, positive, side="right")
    return float(below.mean() / (2 * len(order)))
