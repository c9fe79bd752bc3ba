"""Noise from OpenDP: exact discrete samplers on the system's randomness (needs the ``privacy`` extra)."""

from __future__ import annotations

from typing import Any

import numpy as np

from fingerpost.errors import PrivacyError
from fingerpost.privacy.noise import Counts


class OpenDpNoise:
    """Implements ``fingerpost.privacy.noise.CountNoise``; each draw is fresh and cannot be repeated.

    Raises ``PrivacyError`` (``noise-unavailable``) where OpenDP is not installed.
    """

    def __init__(self) -> None:
        self._opendp = _import_opendp()

    def discrete_laplace(self, counts: Counts, *, scale: float) -> Counts:
        """Return ``counts`` with independent discrete Laplace noise of this scale."""
        if not counts.size:
            return counts.copy()
        dp = self._opendp
        space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l1_distance(T="i64")
        mechanism = dp.m.make_laplace(*space, scale=float(scale))
        return np.array(mechanism(counts.reshape(-1).tolist()), np.int64).reshape(counts.shape)


def _import_opendp() -> Any:
    try:
        import opendp.prelude as dp
    except ImportError:
        raise PrivacyError(
            "noise-unavailable",
            "noise comes from OpenDP, which is not installed",
            hint="install it: pip install 'fingerpost[privacy]'",
        ) from None
    dp.enable_features("contrib")
    return dp
