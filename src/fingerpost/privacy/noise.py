"""The port of noise: where randomness that has to keep a privacy promise comes from.

A core never draws noise itself. The node hands in ``fingerpost.node.noise.OpenDpNoise``, tests hand in noise that they
can replay.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]


class CountNoise(Protocol):
    """Adds exact integer noise. Raises nothing but ``PrivacyError`` (``noise-unavailable``)."""

    def discrete_laplace(self, counts: Counts, *, scale: float) -> Counts:
        """Return ``counts`` with independent noise z on each, P(z) proportional to exp(-|z| / scale)."""
        ...
