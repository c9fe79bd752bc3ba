"""Kernel ridge with a free mean: one positive definite system, solved once and read many ways.

Observations Y at packets with noise variance N (diagonal) around a Gaussian process with kernel K and an unknown
constant mean. With C = K + N, u = C^-1 1 and Q = C^-1 - u u' / (1' u):

* mean               mu = u' Y / (1' u)
* prediction         mu + k C^-1 (Y - mu) = h' Y with h = C^-1 k + u (1 - u' k) / (1' u); the weights h sum to one
* left-out residual  Y_i - prediction without i = (Q Y)_i / Q_ii, and (Q_bb)^-1 (Q Y)_b for a block b left out together
* variance           k(q, q) - k' C^-1 k + (1 - u' k)^2 / (1' u)

(Rasmussen and Williams 2006, sections 2.7 and 5.4.2; Dubrule 1983 for the residuals under an unknown mean.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEVERAGE_MIN = 1e-12  # a lone packet has nothing to be left out of: its residual is zero, not a division by zero


@dataclass(frozen=True, slots=True, kw_only=True)
class Solution:
    """The solved system of n packets."""

    inverse: NDArray[np.float64]  # C^-1 (n, n)
    ones: NDArray[np.float64]  # u (n,)
    mass: float  # 1' u

    @classmethod
    def of(cls, gram: NDArray[np.float64], noise: NDArray[np.float64]) -> Solution:
        """Solve for the kernel matrix ``gram`` (n, n) and the noise variances (n,), all above zero."""
        system = gram.copy()
        system[np.diag_indices_from(system)] += noise
        inverse = np.linalg.inv(system)
        inverse = (inverse + inverse.T) / 2
        ones = inverse.sum(axis=1)
        return cls(inverse=inverse, ones=ones, mass=float(ones.sum()))

    def mean(self, targets: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the estimated mean (c,) of targets (n, c)."""
        mean: NDArray[np.float64] = self.ones @ targets / self.mass
        return mean

    def dual(self, targets: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return Q Y (n, c): the coefficients of the kernel functions in the prediction."""
        coefficients: NDArray[np.float64] = self.inverse @ targets - np.outer(self.ones, self.mean(targets))
        return coefficients

    def leverage(self) -> NDArray[np.float64]:
        """Return the diagonal of Q (n,): the inverse predictive variances of the packets left out."""
        leverage: NDArray[np.float64] = self.inverse.diagonal() - self.ones**2 / self.mass
        return leverage

    def left_out(self, targets: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (n, c) targets minus their predictions from all other packets."""
        leverage = self.leverage()
        usable = leverage > LEVERAGE_MIN
        residuals = np.where(usable[:, None], self.dual(targets), 0.0)
        residuals /= np.where(usable, leverage, 1.0)[:, None]
        return residuals

    def left_out_by(self, groups: NDArray[np.int64], targets: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (n, c) targets minus their predictions from all packets of other groups; two groups at least."""
        dual = self.dual(targets)
        residuals = np.empty_like(dual)
        for group in range(int(groups.max()) + 1):
            rows = np.flatnonzero(groups == group)
            block = self.inverse[np.ix_(rows, rows)] - np.outer(self.ones[rows], self.ones[rows]) / self.mass
            residuals[rows] = np.linalg.solve(block, dual[rows])
        return residuals

    def weights(self, cross: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return h (q, n), the weight of every packet in every answer, for kernels ``cross`` (q, n) of the queries."""
        weights = cross @ self.inverse
        weights += ((1 - cross @ self.ones) / self.mass)[:, None] * self.ones
        return weights

    def variance(self, cross: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (q,) posterior variances of the noise-free outcome, in units of the kernel at distance zero."""
        explained = ((cross @ self.inverse) * cross).sum(axis=1)
        variance: NDArray[np.float64] = np.maximum(1 - explained, 0) + (1 - cross @ self.ones) ** 2 / self.mass
        return variance


def solve_one(
    gram: NDArray[np.float64], noise: NDArray[np.float64], cross: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """Return the weights (n,) and the variance of one query with kernels ``cross`` (n,): no inverse is formed."""
    system = gram.copy()
    system[np.diag_indices_from(system)] += noise
    solved = np.linalg.solve(system, np.column_stack([cross, np.ones(len(cross))]))
    near, ones = solved[:, 0], solved[:, 1]
    mass = float(ones.sum())
    weights: NDArray[np.float64] = near + ones * ((1 - float(near.sum())) / mass)
    return weights, max(1 - float(cross @ near), 0.0) + (1 - float(ones @ cross)) ** 2 / mass
