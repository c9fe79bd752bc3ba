"""Inverting fingerprints: from the bits of a packet back to the record, with public records of the same kind as help.

* ``linear``: ridge regression of records on bits, from public records and others drawn from a Gaussian like them,
  which the attacker fingerprints itself. With infinitely many it is the linear estimate of least error (for sign bits
  known in closed form: Bussgang 1952).
* ``posterior``: the most probable record under the same Gaussian and a logistic likelihood of each sign (one-bit
  compressed sensing; Jacques et al. 2013), by accelerated descent from the linear estimate.
* ``neighbours``: kernel ridge regression on the share of equal bits: records need not be Gaussian.

The 64 coordinates of a sketch, where a packet has one, go in as further columns. These are lower bounds on the leak: a
decoder with more data or a better prior can only do better.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fingerpost.fingerprint import Fingerprinter, sketch_values
from fingerpost.fingerprint._weights import offsets, weights

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fingerpost.lab.leakage.records import Cohort
    from fingerpost.template import Template

DRAWN = 4_000  # records of the Gaussian
SHRINKAGE = 0.05
PENALTIES = (0.3, 3.0, 30.0, 300.0)
SHARPNESSES = (6.0, 12.0, 24.0)  # of the likelihood of a sign, in deviations of its sum
ROUNDS = 150
TRIED_MAX = 100
KERNEL_WIDTHS = (0.1, 0.2, 0.4)  # in shares of differing bits
KERNEL_PENALTY = 1e-2


def bits_of(fingerprints: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return fingerprints (n, bytes) as -1 and 1 (n, bits)."""
    return np.asarray(np.unpackbits(fingerprints, axis=1).astype(np.float64) * 2 - 1, np.float64)


class Decoder:
    """An attacker who knows the template and owns the public records of a cohort. It never sees another record."""

    def __init__(self, cohort: Cohort, template: Template) -> None:
        self._cohort = cohort
        self._template = template
        self._fingerprinter = Fingerprinter(template)
        encoded = cohort.encoded[cohort.public]
        self._public = cohort.features[cohort.public]
        self._low = cohort.encoded.min(axis=0).astype(np.float64)
        self._range = np.maximum(cohort.encoded.max(axis=0) - self._low, 1)
        self._seen = self.seen(encoded)
        chance = np.random.default_rng([cohort.seed, 12])
        self._centre = encoded.mean(axis=0)
        spread = np.cov(encoded.T).reshape(encoded.shape[1], encoded.shape[1])
        ridge = SHRINKAGE * np.trace(spread) / len(spread) + 1.0
        self._spread = (1 - SHRINKAGE) * spread + ridge * np.eye(len(spread))
        drawn = chance.multivariate_normal(self._centre, self._spread, DRAWN, method="cholesky")
        least, most = cohort.encoded.min(axis=0), cohort.encoded.max(axis=0)
        self._drawn = np.clip(np.round(drawn), least, most).astype(np.int16)

    def seen(self, encoded: NDArray[np.int16]) -> NDArray[np.float64]:
        """Return what packets of records (n, width) show: bits (n, m), then sketch coordinates where there are any."""
        bits = bits_of(self._fingerprinter.fingerprints(encoded))
        if not self._template.sketch:
            return bits
        return np.hstack([bits, sketch_columns(self._fingerprinter.sketches(encoded))])

    def guesses(self, seen: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
        """Return reconstructions (n, width) of what packets showed, by attack."""
        linear = self._linear(seen)
        found = {"linear": linear, "neighbours": self._neighbours(seen)}
        if not self._template.sketch:
            found["posterior"] = self._posterior(seen, linear)
        return {name: np.clip(guess, 0, 1) for name, guess in found.items()}

    def _scaled(self, encoded: NDArray[np.floating] | NDArray[np.int16]) -> NDArray[np.float64]:
        return np.asarray((encoded - self._low) / self._range, np.float64)

    def _linear(self, seen: NDArray[np.float64]) -> NDArray[np.float64]:
        """Choose the penalty on public records that the fit has not seen."""
        drawn, target = self.seen(self._drawn), self._scaled(self._drawn)
        half = len(self._public) // 2
        held = self._seen[half:], self._public[half:]

        def fitted(
            seen_public: NDArray[np.float64], public: NDArray[np.float64], penalties: tuple[float, ...]
        ) -> list[NDArray[np.float64]]:
            columns, records = np.vstack([seen_public, drawn]), np.vstack([public, target])
            weight = np.concatenate([np.full(len(public), DRAWN / len(public) / 2), np.ones(len(drawn))])[:, None]
            gram, cross = columns.T @ (weight * columns), columns.T @ (weight * (records - self._cohort.centre))
            return [np.linalg.solve(gram + penalty * np.eye(len(gram)), cross) for penalty in penalties]

        trials = fitted(self._seen[:half], self._public[:half], PENALTIES)
        errors = [float(((held[0] @ each + self._cohort.centre - held[1]) ** 2).mean()) for each in trials]
        best = PENALTIES[int(np.argmin(errors))]
        return seen @ fitted(self._seen, self._public, (best,))[0] + self._cohort.centre

    def _posterior(self, seen: NDArray[np.float64], start: NDArray[np.float64]) -> NDArray[np.float64]:
        """Choose the sharpness on public records: the prior comes from their mean and covariance alone."""
        tried = slice(0, TRIED_MAX)
        from_mean = np.tile(self._cohort.centre, (len(self._seen[tried]), 1))
        errors = [
            float(((self._descended(self._seen[tried], from_mean, each) - self._public[tried]) ** 2).mean())
            for each in SHARPNESSES
        ]
        return self._descended(seen, start, SHARPNESSES[int(np.argmin(errors))])

    def _descended(
        self, seen: NDArray[np.float64], start: NDArray[np.float64], sharpness: float
    ) -> NDArray[np.float64]:
        """Nesterov's steps on the negative logarithm of the posterior, in standardised records."""
        bits, width = self._template.fingerprint_bits, self._cohort.encoded.shape[1]
        planes = weights(self._template.space_id, bits=bits, width=width).astype(np.float64)
        shift = offsets(self._template.space_id, bits=bits, width=width) + planes @ self._centre
        scale = np.sqrt(np.einsum("ij,jk,ik->i", planes, self._spread, planes))
        root = np.linalg.cholesky(self._spread)
        unit, shift = planes @ root / scale[:, None], shift / scale
        here = np.linalg.solve(root, (start * self._range + self._low - self._centre).T).T
        step = 1 / (1 + sharpness**2 / 4 * np.linalg.norm(unit, 2) ** 2)
        ahead = here
        for turn in range(ROUNDS):
            margin = np.clip(sharpness * seen * (ahead @ unit.T + shift), -30, 30)
            new = ahead - step * (ahead - (sharpness * seen / (1 + np.exp(margin))) @ unit)
            ahead, here = new + turn / (turn + 3) * (new - here), new
        return self._scaled(here @ root.T + self._centre)

    def _neighbours(self, seen: NDArray[np.float64]) -> NDArray[np.float64]:
        """Choose the width of the kernel on public records that the fit has not seen."""
        half = len(self._public) // 2
        errors = []
        for width in KERNEL_WIDTHS:
            guess = self._smoothed(self._seen[half:], self._seen[:half], self._public[:half], width)
            errors.append(float(((guess - self._public[half:]) ** 2).mean()))
        return self._smoothed(seen, self._seen, self._public, KERNEL_WIDTHS[int(np.argmin(errors))])

    def _smoothed(
        self, asked: NDArray[np.float64], known: NDArray[np.float64], records: NDArray[np.float64], width: float
    ) -> NDArray[np.float64]:
        norm = float((known**2).sum(axis=1).mean())

        def kernel(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
            apart = (one**2).sum(axis=1)[:, None] - 2 * one @ other.T + (other**2).sum(axis=1)
            return np.asarray(np.exp(-apart / norm / 4 / width), np.float64)

        fit = np.linalg.solve(kernel(known, known) + KERNEL_PENALTY * np.eye(len(known)), records - self._cohort.centre)
        return np.asarray(kernel(asked, known) @ fit + self._cohort.centre, np.float64)


def sketch_columns(sketches: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the coordinates of sketches (n, 64), centred and as large as bits are."""
    return np.asarray((sketch_values(sketches) - 7.5) / 4, np.float64)
