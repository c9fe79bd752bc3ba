"""The port of noise: where randomness that has to keep a privacy promise comes from.

A core never draws noise itself. The node hands in ``fingerpost.node.noise.OpenDpNoise``, tests hand in noise that they
can replay.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]


class LaplaceNoise(Protocol):
    """Adds exact integer noise. Raises nothing but ``PrivacyError`` (``noise-unavailable``)."""

    def discrete_laplace(self, counts: Counts, *, scale: float) -> Counts:
        """Return ``counts`` with independent noise z on each, P(z) proportional to exp(-|z| / scale)."""
        ...


class CountNoise(LaplaceNoise, Protocol):
    """All the chance that the profiles with differential privacy need; raises as ``LaplaceNoise`` does."""

    def randomised(self, values: Counts, *, categories: int, keep: float) -> Counts:
        """Return each value of 0 to ``categories`` - 1 with probability ``keep``, else one of the others alike."""
        ...

    def flipped(self, bits: Counts, *, one_stays: float, zero_becomes_one: float) -> Counts:
        """Return bits, each drawn anew: 1 with probability ``one_stays`` or ``zero_becomes_one``, by what it was."""
        ...
