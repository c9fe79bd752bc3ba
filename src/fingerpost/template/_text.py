"""Texts as integer vectors, through the optional extra ``text``.

Everything from the quantised embedding on is exact. The embedding itself is a floating-point mean of word vectors, so
two machines may differ in a coordinate by one step (a 4,096th of the unit) where it falls on a rounding edge.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fingerpost.errors import RecordError

# A unit vector of 256 numbers has coordinates of about 1/16. Eight times that spreads them like numbers over their
# range (root mean square 0.5 of the unit); the few per cent beyond the unit are clipped.
EMBEDDING_GAIN = 8
_UNIT = 4096  # SCALE of the fields, which this module lies below.


def embed(texts: Sequence[str]) -> npt.NDArray[np.int16]:
    """Return the ``(n, 256)`` int16 coordinates floor(4096 * 8 * e + 1/2), clipped to ±4096, of unit embeddings e.

    A text without any known word gives zeros. Raises ``RecordError`` where the extra ``text`` is not installed.
    """
    return quantised(np.asarray(_model().embed(list(texts), norm=True), dtype=np.float64))


def quantised(vectors: npt.NDArray[np.float64]) -> npt.NDArray[np.int16]:
    """Return ``(n, 256)`` int16 coordinates of unit embeddings; what is not finite becomes 0."""
    finite = np.nan_to_num(vectors, nan=0.0, posinf=0.0, neginf=0.0)
    return np.clip(np.floor(finite * (_UNIT * EMBEDDING_GAIN) + 0.5), -_UNIT, _UNIT).astype(np.int16)


@cache
def _model() -> Any:
    try:
        import wordllama  # here, not above: 19 MB that only templates with a text field need
    except ImportError:
        raise RecordError(
            "text-extra-missing",
            "the template has a text field, and the embedder is not installed",
            hint="pip install 'fingerpost[text]'",
        ) from None
    folder = Path(wordllama.__file__).parent  # its own files, so that nothing is ever downloaded
    return wordllama.WordLlama.load(cache_dir=folder, disable_download=True)
