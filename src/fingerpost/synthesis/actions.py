"""What happened after each action, side by side.

Each action is answered from the packets that tried it, with the settings of the whole pool. Nobody was assigned an
action by chance, so differences are associations. An action overlaps with a question when at least a tenth of the
weight behind the answer comes from packets that tried it (the rule of thumb of Crump, Hotz, Imbens and Mitnik 2009 for
propensities) and its nearest packet is not too far.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fingerpost.synthesis import _abstention
from fingerpost.synthesis._estimates import estimate_of
from fingerpost.synthesis.answer import ActionEstimate
from fingerpost.synthesis.kernel import restrict
from fingerpost.template import action_value

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fingerpost.synthesis.intervals import Uncertainty
    from fingerpost.synthesis.kernel import Smoothing
    from fingerpost.template import Template

SHARE_MIN = 0.10


class ActionPool(NamedTuple):
    """The packets of one action, ready to be asked."""

    code: int
    uncertainty: Uncertainty


def action_pools(whole: Uncertainty) -> list[ActionPool]:
    """Return a pool for every action that some packet tried, in the template's order."""
    actions = whole.fitted.evidence.actions
    codes = [int(code) for code in np.unique(actions) if code]
    rows = [np.flatnonzero(actions == code) for code in codes]
    return [
        ActionPool(code, replace(whole, fitted=restrict(whole.fitted, chosen)))
        for code, chosen in zip(codes, rows, strict=True)
    ]


def compare_actions(
    pools: list[ActionPool],
    whole: Uncertainty,
    smoothing: Smoothing,
    query: int,
    features: NDArray[np.uint8] | NDArray[np.float64],
    template: Template,
) -> tuple[ActionEstimate, ...]:
    """Return the estimates of all actions for one query: row ``query`` of ``smoothing``, whose features are (1, w)."""
    tried = whole.fitted.evidence.actions[smoothing.rows]
    found = []
    for pool in pools:
        fitted = pool.uncertainty.fitted
        near = next(iter(fitted.smooth(features)))
        levels, number = estimate_of(pool.uncertainty, near, template)[0]
        share = float(smoothing.weights[query, tried == pool.code].sum())
        familiar = _abstention.too_far(whole.fitted, float(near.distances[0].min())) is None
        found.append(
            ActionEstimate(
                action=str(action_value(template, pool.code)),
                packets=len(fitted.evidence),
                records=int(fitted.evidence.records.sum()),
                nodes=len(fitted.evidence.node_ids),
                effective_sample_size=float(pool.uncertainty.effective_sizes(near)[0]),
                levels=levels,
                number=number,
                share=min(max(share, 0.0), 1.0),
                overlap=share >= SHARE_MIN and familiar,
            )
        )
    return tuple(found)
