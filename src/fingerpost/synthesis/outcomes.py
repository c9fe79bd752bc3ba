"""What a node's outcomes may say about how to calculate, when they are not distributed like everybody's.

Which outcomes a node has told depends on where it stands, what it is shown and what it reports: they are not a sample
of what is asked. That one level is rarer among them than elsewhere must therefore not count for or against a
calculation. Importance weights (for shifts of this kind: Saerens, Latinne and Decaestecker 2002, Adjusting the outputs
of a classifier to new a priori probabilities; for testing under them: Sugiyama, Krauledat and Mueller 2007) make a
node's records stand for the pool's outcomes,

    w(y) = share of y in the pool / share of y at the node,

and records that weigh differently are worth fewer: (sum of w)^2 / sum of w^2 of them (Kish 1965, Survey sampling).
What a situation says about its outcome, and that is where nodes are special or not, is left as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

ABSENCE_CHANCE = 0.05  # of a level not being among a node's outcomes although it is as usual there as elsewhere
PRIOR_RECORDS = 4.0  # of the pool, that a node's shares of levels are counted with: few records show no shares


def importance(held: NDArray[np.float64], pool: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weight (V, L) of a record of each level at nodes that ``held`` (V, L) records; ``pool`` has (L,)."""
    usual = pool / max(float(pool.sum()), 1e-300)
    shares = (held + PRIOR_RECORDS * usual) / (held.sum(axis=1, keepdims=True) + PRIOR_RECORDS)
    return np.asarray(usual / np.maximum(shares, 1e-300), np.float64)


def worth(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``weights`` scaled so that they sum to the number of equal records that they are worth."""
    squares = float((weights**2).sum())
    return np.asarray(weights * (float(weights.sum()) / squares if squares else 0.0), np.float64)


def records_left(held: NDArray[np.float64], pool: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how many records nodes (V,) have left that stand for the pool; none where usual levels are lacking.

    That is a level that as many of the others' records would have shown with 95 %, or more levels than those would
    have lacked with 95 %: nothing at the node tells them from the rest.
    """
    weights = importance(held, pool)
    total, squares = (held * weights).sum(axis=1), (held * weights**2).sum(axis=1)
    return np.where(_lacking(held, pool), 0.0, total**2 / np.maximum(squares, 1e-300))


def _lacking(held: NDArray[np.float64], pool: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which nodes (V,) lack a level, or many: their share of the others' records is too large (Bernstein)."""
    others = np.maximum(pool - held, 0.0)
    shares = others / np.maximum(others.sum(axis=1, keepdims=True), 1e-300)
    missed = (1 - shares) ** held.sum(axis=1, keepdims=True)
    lost = held <= 0
    beyond = (shares * (lost - missed)).sum(axis=1)
    spread = (shares**2 * missed * (1 - missed)).sum(axis=1) + beyond * shares.max(axis=1) / 3
    many = (beyond > 0) & (beyond**2 > -2 * np.log(ABSENCE_CHANCE) * spread)
    return np.asarray((lost & (missed < ABSENCE_CHANCE)).any(axis=1) | many, bool)
