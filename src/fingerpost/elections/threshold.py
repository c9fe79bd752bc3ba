"""How much evidence is enough: an online rule that keeps the share of false discoveries at most alpha.

Every node gets a share of the error budget when it is first seen, before its claims are read: the b-th group of
newcomers (b = 0, 1, …) has 1 / ((b + 1)(b + 2)) in all, its members alike, so that shares never sum to more than one.
A node may be hired as soon as its e-value reaches 1 / (alpha share r), r being the number of nodes hired then, itself
included. Whatever depends on whatever, the false discovery rate is at most alpha at any time: the false hire of node j
adds at most 1 / r to the proportion, and happens only if its e-value is at least 1 / (alpha share r), so its
expectation is at most alpha share times that of the e-value. (e-LOND: Xu and Ramdas 2024, Online multiple testing with
e-values; e-BH: Wang and Ramdas 2022.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def group_share(group: int, members: int) -> float:
    """Return the share of the error budget of each of ``members`` nodes that came as the ``group``-th group, from 0."""
    return 1 / ((group + 1) * (group + 2) * members)


def passing(
    log_values: NDArray[np.float64], shares: NDArray[np.float64], *, hired: int, alpha: float
) -> NDArray[np.int64]:
    """Return which candidates may be hired now, best first, ``hired`` nodes having been hired before.

    Of those that pass together only the better half is taken where half of them would pass as well: the model that
    they improve then judges the others.
    """
    surplus = log_values + np.log(shares) + np.log(alpha)
    order = np.argsort(-surplus, kind="stable")
    enough = surplus[order] + np.log(hired + np.arange(1, len(order) + 1)) >= 0
    sizes = np.flatnonzero(enough) + 1
    if not len(sizes):
        return np.zeros(0, np.int64)
    most = int(sizes[-1])
    half = (most + 1) // 2
    return order[: half if enough[half - 1] else most]
