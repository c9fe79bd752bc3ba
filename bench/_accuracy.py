"""What the measurements of accuracy share: data, splits, central opponents with a cache, and packets end to end."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
from sklearn.model_selection import ShuffleSplit, StratifiedShuffleSplit

from bench._figures import RESULTS, Figure, is_quick
from fingerpost import lab
from fingerpost.fingerprint import sketch_values
from fingerpost.lab import data, pool
from fingerpost.lab.classifiers import Forecast, forecast
from fingerpost.lab.paired import paired_interval
from fingerpost.synthesis import Answer, Query, Synthesizer
from fingerpost.synthesis.evidence import Evidence
from fingerpost.synthesis.kernel import FittedKernel, KernelOptions, fit
from fingerpost.template import Template

SETS = ("digits", "breast_cancer", "wine", "heart")
VARIANTS: dict[str, dict[str, Any]] = {
    "256": {"bits": 256},
    "1024": {"bits": 1_024},
    "sketch": {"bits": 256, "sketch": True},
}
TEST_SHARE = 0.3
QUICK_ROWS = 500
CACHE = RESULTS / "central"

SPLITS = 2 if is_quick() else 20
SALTS = 1 if is_quick() else 5

Rows = np.ndarray


@cache
def load(name: str) -> data.DataSet:
    """Return a data set; in the short form only some rows of a large one."""
    found = data.load(name)
    if not is_quick() or len(found) <= QUICK_ROWS:
        return found
    rows = np.random.default_rng(0).permutation(len(found))[:QUICK_ROWS]
    return found.part(rows)


@cache
def encoded(name: str) -> np.ndarray:
    """Return the encoded records of a set."""
    return load(name).encoded()


def split(name: str, seed: int) -> tuple[Rows, Rows]:
    """Return (train, test) rows: 70/30, stratified where the outcome is a category."""
    outcomes = load(name).outcomes
    kind = StratifiedShuffleSplit if load(name).levels else ShuffleSplit
    train, test = next(kind(1, test_size=TEST_SHARE, random_state=seed).split(outcomes[:, None], outcomes))
    return train, test


def central(name: str, seed: int, arm: str) -> Forecast:
    """Return the forecast of a central arm on one split, from the cache when nothing behind it has changed."""
    path = CACHE / f"{name}-{len(load(name))}-{seed}-{arm}-{_fingerprint_of_sources(name)}.npz"
    if path.exists():
        with np.load(path) as found:
            return Forecast(named=found["named"], probabilities=found["probabilities"], chosen={})
    train, test = split(name, seed)
    found = load(name)
    made = forecast(arm, found.tables(), found.outcomes, train=train, test=test, seed=seed)
    CACHE.mkdir(parents=True, exist_ok=True)
    np.savez(path, named=made.named, probabilities=made.probabilities)
    return made


@cache
def _fingerprint_of_sources(name: str) -> str:
    folder = Path(lab.__file__).parent
    files = ("classifiers.py", "data.py", "probabilities.py", f"{name}.toml")
    state = b"".join((folder / file).read_bytes() for file in files) + sklearn.__version__.encode()
    return hashlib.blake2s(state, digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A fitted pool of packets and the questions put to it."""

    fitted: FittedKernel
    questions: pool.Questions

    @property
    def features(self) -> np.ndarray:
        """What the kernel compares of the questions."""
        sketches = None if self.questions.sketches is None else sketch_values(self.questions.sketches)
        return self.fitted.query_features(self.questions.fingerprints, sketches)

    def predict(self) -> np.ndarray:
        """Return the estimates: probabilities (q, L), or means (q, 1)."""
        sketches = None if self.questions.sketches is None else sketch_values(self.questions.sketches)
        return self.fitted.predict(self.questions.fingerprints, sketches)


@cache
def template(name: str, variant: str, salt: int) -> Template:
    """Return the template of a set under one variant of fingerprint and one projection."""
    return load(name).template(**VARIANTS[variant], salt=salt)


def ask(
    name: str,
    variant: str,
    *,
    train: Rows,
    test: Rows,
    salt: int = 0,
    nodes: np.ndarray | None = None,
    seed: int = 0,
    options: KernelOptions | None = None,
) -> Asked:
    """Let nodes emit the rows ``train`` as packets, collect and fit them, and put the rows ``test`` as questions."""
    found, agreed = load(name), template(name, variant, salt)
    records = encoded(name)
    packets = pool.emit(agreed, records[train], found.outcomes[train], nodes=nodes, seed=seed)
    return Asked(
        fitted=fit_evidence(pool.collect(agreed, packets), options), questions=pool.Questions(agreed, records[test])
    )


def answers(
    name: str,
    *,
    train: Rows,
    test: Rows,
    salt: int,
    outcomes: np.ndarray | None = None,
    nodes: np.ndarray | None = None,
    seed: int = 0,
) -> list[Answer]:
    """Return whole answers at 1,024 bits about the rows ``test``; ``outcomes`` (rows,) may replace those of the set."""
    agreed, records = template(name, "1024", salt), encoded(name)
    happened = load(name).outcomes if outcomes is None else outcomes
    packets = pool.emit(agreed, records[train], happened[train], nodes=nodes, seed=seed)
    prints = pool.Questions(agreed, records[test]).fingerprints
    synthesizer = Synthesizer(pool.collect(agreed, packets), agreed, day=pool.DAY)
    return synthesizer.ask_many([Query(fingerprint=one.tobytes()) for one in prints])


def levels_of(found: list[Answer]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (probabilities, lower ends, upper ends), each (q, L), of answers about categories."""
    table = np.array([[(level.probability, level.low, level.high) for level in one.levels] for one in found])
    return table[..., 0], table[..., 1], table[..., 2]


def fit_evidence(evidence: Evidence, options: KernelOptions | None = None) -> FittedKernel:
    """Fit the kernel as an answer would: on sketches where packets carry one."""
    sketches = None if evidence.sketches is None else sketch_values(evidence.sketches)
    return fit(evidence, options=options, sketches=sketches)


def figure(name: str, differences: Any, *, unit: str = "fraction", detail: dict[str, Any] | None = None) -> Figure:
    """Return the mean of ``differences`` (splits,) or (splits, salts) with its interval clustered by split."""
    found = paired_interval(differences)
    wide = paired_interval(differences, test_share=TEST_SHARE)
    return Figure(
        name=name,
        value=found.value,
        unit=unit,
        low=found.low,
        high=found.high,
        detail={**(detail or {}), "other_rows": [wide.low, wide.high], "splits": len(np.asarray(differences))},
    )


def mean(values: Any) -> float:
    """Return a mean as a plain number."""
    return float(np.mean(values))
