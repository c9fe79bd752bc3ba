"""Whether a node's numbers are what the asker's own make expected: which unproven nodes are tried where outcomes are
numbers.

Levels hide how far off a number is, and one extreme value moves a mean. So the values themselves are compared, by how
likely three models make all the numbers that a node claims in its situations x:

* *expected*: a Gaussian process that the asker's own outcomes were put into, of covariance s2 (I + a (x x' + MEAN)).
  ``a`` is the most likely of a grid for the own outcomes, and s2 has the posterior that they leave (a scaled inverse
  chi squared), so that the numbers together have a multivariate t density (Rasmussen and Williams 2006, 2.3 and 9.9;
  Gelman et al. 2013, 3.2). It is fixed before any other packet is read.
* *luck*: independent draws of one normal distribution, which have nothing to do with situations, whatever its mean and
  variance: the largest likelihood that any reaches, with a variance of at least ``VARIANCE_MIN`` of the own outcomes'.
* *elsewhere*: the same process without the asker's outcomes: numbers that follow situations, but not as they do here.

The ratio of the first to the larger of the others decides. Liars that mirror, shift or shuffle their numbers, or claim
the same everywhere, fit one of the others better. Under luck the ratio is an e-value (universal inference: Wasserman,
Ramdas and Balakrishnan 2020), but nobody is hired by it: it rests on normal distributions, ``evalues`` rests on none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fingerpost.elections.claims import Coding
    from fingerpost.synthesis.evidence import Evidence

SIGNALS = np.geomspace(0.05, 20.0, 13)  # a: variance that situations explain, in units of s2
MEAN = 2.0  # prior variance of the mean of all numbers, in units of a s2
VARIANCE_MIN = 0.0025  # the square of a twentieth of the standard deviation
PACKETS_MAX = 256  # of a node, and of the asker: those that stand first, so in order of their ids


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Numbers:
    """What the asker's own numbers (n,) in situations ``features`` (n, d) make expected."""

    features: NDArray[np.float64]
    inverse: NDArray[np.float64]  # of the covariance (n, n) over s2
    pulls: NDArray[np.float64]  # that inverse times the numbers less their mean
    mean: float
    variance: float  # of the numbers
    scale: float  # s2
    signal: float

    @classmethod
    def of(cls, evidence: Evidence, own: NDArray[np.int64], coding: Coding) -> Numbers | None:
        """Learn from the packets ``own``; None where they are all the same, which tells nothing."""
        x, y = _told(evidence, own, coding)
        mean, variance = float(y.mean()), float(y.var())
        if not variance > 0:
            return None
        values, vectors = np.linalg.eigh(_kernel(x, x))
        turned = (vectors.T @ (y - mean)) ** 2
        spread = 1 + SIGNALS[:, None] * np.maximum(values, 0.0)
        scales = (turned / spread).sum(axis=1) / len(y)
        best = int(np.argmin(len(y) * np.log(scales) + np.log(spread).sum(axis=1)))
        inverse = (vectors / spread[best]) @ vectors.T
        return cls(
            features=x,
            inverse=inverse,
            pulls=inverse @ (y - mean),
            mean=mean,
            variance=variance,
            scale=float(scales[best]) * len(y) / (len(y) - 1),
            signal=float(SIGNALS[best]),
        )

    def log_ratio(self, evidence: Evidence, rows: NDArray[np.int64], coding: Coding) -> float:
        """Return the logarithm of how much likelier than by luck, and than elsewhere, the numbers of ``rows`` are."""
        if not len(rows):
            return 0.0
        x, y = _told(evidence, rows, coding)
        alone = np.eye(len(y)) + self.signal * _kernel(x, x)
        shared = self.signal * _kernel(x, self.features)
        expected = self._density(y - shared @ self.pulls, alone - shared @ self.inverse @ shared.T)
        return expected - max(_luck(y, least=VARIANCE_MIN * self.variance), self._density(y, alone))

    def _density(self, y: NDArray[np.float64], spread: NDArray[np.float64]) -> float:
        """Return the logarithm of the multivariate t density of ``y`` about the mean, of covariance ``spread`` s2."""
        count, freedom = len(y), len(self.pulls) - 1
        root = np.linalg.cholesky(spread)
        off = np.linalg.solve(root, y - self.mean)
        beyond = float(off @ off) / (freedom * self.scale)
        return (
            math.lgamma((freedom + count) / 2)
            - math.lgamma(freedom / 2)
            - count / 2 * math.log(freedom * math.pi * self.scale)
            - float(np.log(root.diagonal()).sum())
            - (freedom + count) / 2 * math.log1p(beyond)
        )


def _luck(y: NDArray[np.float64], *, least: float) -> float:
    """Return the largest log likelihood of ``y`` as draws of one normal distribution."""
    found = float(y.var())
    variance = max(found, least)
    return -len(y) / 2 * (math.log(2 * math.pi * variance) + found / variance)


def _told(
    evidence: Evidence, rows: NDArray[np.int64], coding: Coding
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rows = rows[:PACKETS_MAX]
    return coding.features(evidence, rows).astype(np.float64), evidence.means[rows].astype(np.float64)


def _kernel(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    likeness: NDArray[np.float64] = one @ other.T + MEAN
    return likeness
