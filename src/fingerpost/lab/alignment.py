"""An attack on fingerprints under secret planes: records are named from packets, outcomes and public data alone.

Nodes that draw their hyperplanes from a shared secret keep an outsider from hashing a suspect. But sign bits keep
angles: the share of bits in which two fingerprints agree tells the angle between their records, whatever the planes.
So the outsider recovers the records up to one rotation, finds that rotation from the outcomes (which travel beside the
fingerprints) and public records of the same kind, and names each packet. Nobody may therefore count a secret projection
as encryption; ``fingerpost.privacy.seal`` is what this attack has to fail on.

The steps are spectral embedding, a start from class centroids, and alternating assignment and orthogonal Procrustes, as
in the alignment of point sets (Grave, Joulin and Berthet 2019); needs the ``lab`` extra.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

RANK = 32  # coordinates in which two clouds of records are compared
ROUNDS = 15
DECODER_PENALTY = 0.1


def aligned_records(
    bits: NDArray[np.float64],
    outcomes: NDArray[np.int64],
    *,
    public: NDArray[np.float64],
    public_outcomes: NDArray[np.int64],
    rank: int = RANK,
    rounds: int = ROUNDS,
) -> NDArray[np.float64]:
    """Guess the records (n, p) behind packets with ``bits`` (n, m) of -1 and 1 and ``outcomes`` (n,).

    ``public`` (k, p) are records of the same kind with ``public_outcomes`` (k,), which the attacker owns. Classes that
    either side lacks are left out of the alignment.
    """
    classes = np.intersect1d(outcomes, public_outcomes)
    packets = _embedded(np.sin(np.pi / 2 * (bits @ bits.T) / bits.shape[1]), rank)
    directions = public / np.maximum(np.linalg.norm(public, axis=1, keepdims=True), 1e-12)
    directions = directions - directions.mean(axis=0)
    known = directions @ np.linalg.svd(directions, full_matrices=False)[2][:rank].T
    packets = packets[:, : known.shape[1]]
    rotation = _rotation(
        np.stack([packets[outcomes == each].mean(axis=0) for each in classes]),
        np.stack([known[public_outcomes == each].mean(axis=0) for each in classes]),
    )
    for _ in range(rounds):
        pairs = [_assigned(packets[outcomes == each], known[public_outcomes == each], rotation) for each in classes]
        rotation = _rotation(np.vstack([one for one, _ in pairs]), np.vstack([other for _, other in pairs]))
    penalty = DECODER_PENALTY * np.eye(known.shape[1])
    centre = public.mean(axis=0)
    decoder = np.linalg.solve(known.T @ known + penalty, known.T @ (public - centre))
    guessed: NDArray[np.float64] = packets @ rotation @ decoder + centre
    return guessed


def share_named(guessed: NDArray[np.float64], candidates: NDArray[np.float64], names: NDArray[np.int64]) -> float:
    """Return for which share of ``guessed`` records (n, p) the candidate (k, p) most alike in direction is its own.

    ``names`` (n,) say which candidate each record is.
    """
    unit = candidates / np.maximum(np.linalg.norm(candidates, axis=1, keepdims=True), 1e-12)
    return float((np.argmax(guessed @ unit.T, axis=1) == names).mean())


def wire_view(packets: NDArray[np.void], *, bits: int, levels: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return what stands where fingerprints (n, bits) and outcomes (n,) would be in packets, for the same attack.

    In sealed packets that is ciphertext; every place is as good as any other, so the first is taken.
    """
    payload = packets["payload"][:, 16:]
    stood = np.unpackbits(np.ascontiguousarray(payload[:, : bits // 8]), axis=1).astype(np.float64) * 2 - 1
    return stood, payload[:, bits // 8].astype(np.int64) % levels


def _embedded(cosines: NDArray[np.float64], rank: int) -> NDArray[np.float64]:
    """Return coordinates (n, rank) whose inner products are these (n, n), less their mean: classical scaling."""
    centred = cosines - cosines.mean(axis=0) - cosines.mean(axis=1, keepdims=True) + cosines.mean()
    values, vectors = np.linalg.eigh(centred)
    embedded: NDArray[np.float64] = (vectors[:, -rank:] * np.sqrt(np.maximum(values[-rank:], 0)))[:, ::-1]
    return embedded


def _rotation(source: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the orthogonal matrix that takes ``source`` (n, r) nearest to ``target`` (n, r) (Schönemann 1966)."""
    left, _, right = np.linalg.svd(source.T @ target)
    rotation: NDArray[np.float64] = left @ right
    return rotation


def _assigned(
    packets: NDArray[np.float64], known: NDArray[np.float64], rotation: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pair packets of one class with public records of it, each at most once, as well as the rotation allows."""
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(-(packets @ rotation) @ known.T)
    return packets[rows], known[columns]
