"""Codebooks: prototypes that divide fingerprint space where situations are, so that cells are about equally full.

Everybody who has the same public fingerprints makes the same codebook. They become part of the template, for all to
see: take them from data that may be public, never from those that are to be protected.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from fingerpost.errors import UsageError
from fingerpost.limits import CODEBOOK_BITS_MAX
from fingerpost.template import Template

CENTRAL_ROUNDS = 20

Words = npt.NDArray[np.uint64]


def make_codebook(fingerprints: npt.NDArray[np.uint8], template: Template, *, bits: int) -> bytes:
    """Return 2^``bits`` prototypes, drawn from ``(n, bytes)`` public fingerprints of a template, as its ``codebook``.

    Of the different fingerprints those are drawn whose hash under the template's space is lowest, as good as at random.
    They are numbered by halving: two that lie far apart pull the others to either side, half each, and so on; so cells
    that share their first bits, the groups, are near to each other. Raises ``UsageError`` (``codebook-size``) where
    there are too few different fingerprints.
    """
    if not 1 <= bits <= CODEBOOK_BITS_MAX:
        raise UsageError("codebook-size", f"a codebook has 1 to {CODEBOOK_BITS_MAX} bits, not {bits}")
    different = {row.tobytes() for row in fingerprints}
    if len(different) < 1 << bits:
        raise UsageError(
            "codebook-size",
            f"{len(different)} different fingerprints are too few for {1 << bits} prototypes",
            hint="give a table with more rows, or ask for fewer bits",
        )
    drawn = sorted(different, key=lambda row: (hashlib.blake2s(row, key=template.space_id).digest(), row))[: 1 << bits]
    words = np.frombuffer(b"".join(drawn), np.uint64).reshape(1 << bits, -1)
    return b"".join(drawn[number] for number in _halved(words, np.arange(1 << bits)))


def make_central_codebook(fingerprints: npt.NDArray[np.uint8], template: Template, *, bits: int) -> bytes:
    """Return 2^``bits`` prototypes in the middle of where ``(n, bytes)`` public fingerprints lie close together.

    Cells around them are less equally full than those of ``make_codebook``, and situations in one cell are more alike:
    what counts by cell needs. Begins with what ``make_codebook`` draws; then each prototype becomes, bit by bit, the
    majority of the fingerprints that are nearest to it, again and again (k-medians). Raises as ``make_codebook`` does.
    """
    prototypes = np.frombuffer(make_codebook(fingerprints, template, bits=bits), np.uint8).reshape(1 << bits, -1)
    signs = 2.0 * np.unpackbits(fingerprints, axis=1) - 1
    for _ in range(CENTRAL_ROUNDS):
        nearest = (signs @ (2.0 * np.unpackbits(prototypes, axis=1) - 1).T).argmax(axis=1)
        sums = np.zeros((1 << bits, signs.shape[1]))
        np.add.at(sums, nearest, signs)
        moved = np.where(
            (np.bincount(nearest, minlength=1 << bits) > 0)[:, None], np.packbits(sums > 0, axis=1), prototypes
        )
        if len(np.unique(moved, axis=0)) < len(moved) or (moved == prototypes).all():
            break
        prototypes = moved
    return make_codebook(prototypes, template, bits=bits)


def _halved(words: Words, members: npt.NDArray[np.intp]) -> Iterator[int]:
    """Yield the members (in the order drawn) so that the first half is nearer to one pole, the second to the other."""
    if len(members) == 1:
        yield int(members[0])
        return
    from_first = _distances(words, members, members[0])
    one = members[int(from_first.argmax())]
    from_one = _distances(words, members, one)
    other = members[int(from_one.argmax())]
    sides = np.argsort(from_one - _distances(words, members, other), kind="stable")
    half = len(members) // 2
    yield from _halved(words, np.sort(members[sides[:half]]))
    yield from _halved(words, np.sort(members[sides[half:]]))


def _distances(words: Words, members: npt.NDArray[np.intp], pole: int | np.intp) -> npt.NDArray[np.int64]:
    distances: npt.NDArray[np.int64] = np.bitwise_count(words[members] ^ words[pole]).sum(axis=1, dtype=np.int64)
    return distances
