"""Who has which rows: as they are, dealt out evenly, or skewed by outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

NATURAL = "natural"
IID = "iid"
SKEWED = "skewed"  # by the alpha that was asked for
ONE_CLASS = "one-class"
OFFLINE = "offline"


def dirichlet_name(alpha: float) -> str:
    """Return the name of a partition skewed by ``alpha``."""
    return f"dirichlet-{alpha:g}"


def deal(codes: NDArray[np.int64], *, nodes: int, chance: np.random.Generator) -> NDArray[np.int64]:
    """Return the node (n,) of each row when rows are dealt out like cards."""
    return chance.permutation(np.arange(len(codes)) % nodes)


def skew(codes: NDArray[np.int64], *, nodes: int, alpha: float, chance: np.random.Generator) -> NDArray[np.int64]:
    """Return the node (n,) of each row; each outcome's rows are shared out by a Dirichlet draw (Hsu et al. 2019).

    A small ``alpha`` gives each outcome to few nodes. Nodes may stay without rows.
    """
    owners = np.zeros(len(codes), np.int64)
    for level in np.unique(codes):
        rows = chance.permutation(np.flatnonzero(codes == level))
        ends = np.rint(np.cumsum(chance.dirichlet(np.full(nodes, alpha))) * len(rows)).astype(np.int64)
        owners[rows] = np.searchsorted(ends, np.arange(len(rows)), side="right").clip(0, nodes - 1)
    return owners


def held_out(codes: NDArray[np.int64], *, share: float, most: int, chance: np.random.Generator) -> NDArray[np.bool_]:
    """Return which rows (n,) are for the test: ``share`` of each outcome, in all about ``most`` or fewer."""
    share = min(share, most / len(codes))
    test = np.zeros(len(codes), np.bool_)
    for level in np.unique(codes):
        rows = chance.permutation(np.flatnonzero(codes == level))
        test[rows[: max(1, round(share * len(rows)))]] = True
    return test


def one_class(codes: NDArray[np.int64], *, nodes: int, chance: np.random.Generator) -> NDArray[np.int64]:
    """Return the node (n,) of each row when every node sees one outcome; few of them where nodes are fewer."""
    levels = np.unique(codes)
    owners = np.zeros(len(codes), np.int64)
    for place, level in enumerate(levels):
        rows = chance.permutation(np.flatnonzero(codes == level))
        mine = np.arange(place % nodes, nodes, len(levels)) if len(levels) <= nodes else np.array([place % nodes])
        owners[rows] = mine[np.arange(len(rows)) % len(mine)]
    return owners
