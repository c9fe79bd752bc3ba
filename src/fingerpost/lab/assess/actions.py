"""What happened after each action, over the situations that were asked about, with intervals and a warning.

For every asked situation the shipped answer compares actions side by side. Their mean over situations is what would
have happened had everybody in them been treated so, if nothing that is not in the situation decided who got what. Where
actions were taken in different situations, answers say so, and so does the section.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fingerpost.lab.assess.routing import Askers, evidence_of, packets_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fingerpost.lab.assess.setting import Setting
    from fingerpost.lab.assess.tasks import Result

ASKED_MAX = 200
SHARE_WITHOUT_OVERLAP_MAX = 0.10  # of situations where an action was not tried: beyond, the comparison is warned of
PREDICTABLE_AUC = 0.8  # of who got which action from the situation: a trial has about 0.5
TRIMMED = (0.1, 0.9)  # propensities outside these have no counterpart (Crump, Hotz, Imbens and Mitnik 2009)
RESAMPLES = 500


def compared(setting: Setting) -> Result:
    """Return estimates by action, the raw shares beside them, and whether they can be compared."""
    packets = packets_of(setting)
    askers = Askers(evidence_of(packets, setting), setting)
    asked = setting.asked[:ASKED_MAX]
    every = np.ones(len(askers.evidence), np.bool_)
    answers = askers.synthesizer(every).ask_many(askers.queries(asked))
    lacking = float(np.mean([not all(one.overlap for one in answer.actions) for answer in answers]))
    propensity = _propensities(setting)
    predictable, outside = _auc(setting, propensity), _outside(propensity)
    actions = {}
    taken = setting.actions if setting.actions is not None else np.zeros(len(setting.codes), np.int64)
    for place, name in enumerate(one.action for one in answers[0].actions):
        estimates = [answer.actions[place] for answer in answers]
        rows = setting.train[taken[setting.train] == _code(setting, name)]
        levels = {}
        for number, level in enumerate(estimates[0].levels):
            found = np.array([[one.levels[number].probability for one in estimates]])
            half = _half_width(setting, rows, setting.names.index(level.level)) if level.level in setting.names else 0.0
            mean = float(found.mean())
            levels[level.level] = {"value": mean, "low": max(0.0, mean - half), "high": min(1.0, mean + half)}
        raw = setting.shares(rows)
        actions[name] = {
            "records": len(rows),
            "nodes": estimates[0].nodes,
            "levels": levels,
            "raw_shares": {level: float(raw[number]) for number, level in enumerate(setting.names)},
        }
    warns = lacking > SHARE_WITHOUT_OVERLAP_MAX or predictable > PREDICTABLE_AUC or outside > SHARE_WITHOUT_OVERLAP_MAX
    return {
        "actions": actions,
        "situations": len(asked),
        "share_without_overlap": lacking,
        "action_predicted_from_situation_auc": predictable,
        "share_with_extreme_propensity": outside,
        "overlap_warning": bool(warns),
    }


def _code(setting: Setting, name: str) -> int:
    action = setting.template.action
    return 0 if action is None else action.levels.index(name) + 1


def _half_width(setting: Setting, rows: NDArray[np.int64], level: int) -> float:
    """Return half of the 95 % interval of an action's share over resamples of the records that took it."""
    happened = (setting.codes[rows] == level).astype(np.float64)
    if len(rows) < 2:
        return 1.0
    chance = np.random.default_rng([setting.seed, 11, level])
    means = [happened[chance.integers(len(rows), size=len(rows))].mean() for _ in range(RESAMPLES)]
    low, high = np.quantile(means, (0.025, 0.975))
    return float(high - low) / 2


def _propensities(setting: Setting) -> NDArray[np.float64]:
    """Return (n, actions) probabilities of what was done, from the situation alone, each row's by other rows."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict

    rows, taken = _acted(setting)
    model: Any = LogisticRegression(C=0.3, max_iter=1_000)
    found = cross_val_predict(model, setting.features[rows], taken, cv=5, method="predict_proba")
    return np.asarray(found, np.float64)


def _acted(setting: Setting) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    taken = setting.actions if setting.actions is not None else np.zeros(len(setting.codes), np.int64)
    rows = setting.train[taken[setting.train] > 0]
    return rows, taken[rows]


def _auc(setting: Setting, propensity: NDArray[np.float64]) -> float:
    from sklearn.metrics import roc_auc_score

    _, taken = _acted(setting)
    kinds = np.unique(taken)
    areas = [roc_auc_score(taken == kind, propensity[:, place]) for place, kind in enumerate(kinds)]
    return float(np.mean(areas))


def _outside(propensity: NDArray[np.float64]) -> float:
    """Return the share of records whose action was as good as certain, or another one as good as excluded."""
    usual = 1 / propensity.shape[1]
    low, high = TRIMMED[0] * 2 * usual, 1 - (1 - TRIMMED[1]) * 2 * usual
    return float(((propensity < low) | (propensity > high)).any(axis=1).mean())
