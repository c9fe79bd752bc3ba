"""Cells: regions of fingerprint space, the unit of routing."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from fingerpost.template import Template


def cell_of(fingerprints: npt.NDArray[np.uint8], template: Template) -> npt.NDArray[np.uint32]:
    """Return the ``(n,)`` cells of ``(n, bytes)`` fingerprints: their first ``cell_bits`` bits as a number.

    Bit 0 of the fingerprint is the highest bit of the number; without cell bits all are in cell 0.
    """
    first = np.ascontiguousarray(fingerprints[:, :4]).view(">u4")[:, 0].astype(np.uint64)
    return (first >> np.uint64(32 - template.cell_bits)).astype(np.uint32)
