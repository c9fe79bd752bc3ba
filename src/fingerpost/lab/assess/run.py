"""A whole assessment: splits, partitions, arms, failure modes, verdict. The same seed gives the same report."""

from __future__ import annotations

from importlib.util import find_spec
from subprocess import SubprocessError
from typing import TYPE_CHECKING, Any

import numpy as np

from fingerpost.errors import FingerpostError
from fingerpost.lab.assess import byzantine, growth, rules
from fingerpost.lab.assess.arms import (
    ARMS,
    FEDERATED_ARMS,
    QUICK_ARMS,
    ROUTING,
    of_kind,
)
from fingerpost.lab.assess.communication import communication
from fingerpost.lab.assess.partitions import IID
from fingerpost.lab.assess.scoring import Record, bootstrap, scores_of
from fingerpost.lab.assess.splits import Request, Splits
from fingerpost.lab.assess.tasks import Kept, Runner
from fingerpost.lab.assess.verdict import dimensions, recommendation
from fingerpost.lab.assess.work import plan_of, work

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from fingerpost.lab.assess.tasks import Progress, Result, Task

SCHEMA = "fingerpost-assess/2"
HEADLINE_PROFILES = ("consortium", "dp-aggregate")
COORDINATOR: Task = ("coordinator",)
WITHOUT_COORDINATOR = (
    "What is lost when who is in the middle is killed was left out: it takes minutes of real processes, and does not "
    "depend on these rows. A full assessment measures it."
)
LEVELS_OF_TREES_MAX = 20  # FedXgbBagging trains a model for each
NEEDS = {"dp-sgd": ("dp_accounting", "privacy"), "xgb-bagging": ("xgboost", "lab")}  # arm: library, extra

__all__ = ["Request", "assess"]


def assess(
    request: Request, progress: Progress = lambda _step: None, *, workers: int = 1, kept: Path | None = None
) -> dict[str, Any]:
    """Return the report (docs/reference/assess.md describes it); ``progress`` is told each part that is done.

    With ``workers`` parts run in as many processes; with ``kept`` finished parts are kept in that folder, and a run of
    the same request takes them from there.
    """
    folder = None if kept is None else Kept(folder=kept, digest=request.digest)
    first = Runner(Splits(request), work, workers=workers, kept=folder, progress=progress)
    middle = crashed(request, first)
    bare = Splits(request)
    arms = arms_of(bare)
    tunings = first.run(("tune", arm) for arm in of_kind(_as_keys(arms), FEDERATED_ARMS))
    splits = Splits(request, {str(arm): plan_of(bare, tuning) for (_, arm), tuning in tunings.items()})
    tasks = _tasks(splits, arms)
    found = dict(tunings) | {COORDINATOR: middle}
    found |= Runner(splits, work, workers=workers, kept=folder, progress=progress).run(tasks)
    return _report(splits, arms, found)


def arms_of(splits: Splits) -> tuple[str, ...]:
    """Return the arms that are run on this table."""
    table = splits.request.table
    wanted = tuple(ARMS) if splits.request.sizes.every_arm else QUICK_ARMS
    left = {"no_change"} if table.previous is None else set()
    left |= {"open"} if table.personal else set()
    left |= {"xgb-bagging"} if len(table.levels) > LEVELS_OF_TREES_MAX else set()
    return tuple(arm for arm in wanted if arm not in left and not _lacks(arm))


def _lacks(arm: str) -> bool:
    """Whether a library that an arm needs is not there."""
    return arm in NEEDS and find_spec(NEEDS[arm][0]) is None


def crashed(request: Request, runner: Runner) -> Result:
    """Return the coordinator experiment, or why there is none. It runs alone: it measures seconds."""
    if not request.sizes.coordinator_rounds:
        return {"left_out": WITHOUT_COORDINATOR}
    try:
        return runner.run([COORDINATOR])[COORDINATOR]
    except (FingerpostError, OSError, SubprocessError) as error:
        return {"left_out": f"What is lost when who is in the middle is killed could not be measured here: {error}"}


def _not_measured(request: Request, crashed: Result) -> dict[str, str]:
    wanted = ARMS if request.sizes.every_arm else QUICK_ARMS
    lacking = {
        arm: f"{arm} was left out: pip install 'fingerpost[{NEEDS[arm][1]}]' brings {NEEDS[arm][0]}"
        for arm in wanted
        if _lacks(arm)
    }
    if "xgb-bagging" in wanted and len(request.table.levels) > LEVELS_OF_TREES_MAX:
        lacking["xgb-bagging"] = f"xgb-bagging was left out: trees for each of {len(request.table.levels)} levels"
    return lacking | ({"coordinator": crashed["left_out"]} if "left_out" in crashed else {})


def _tasks(splits: Splits, arms: tuple[str, ...]) -> list[Task]:
    sizes, table = splits.request.sizes, splits.request.table
    tasks: list[Task] = [("inversion",)]  # the longest first
    tasks += [
        ("arm", partition, turn, arm) for partition in splits.partitions for turn in range(sizes.seeds) for arm in arms
    ]
    tasks += [("choose", profile) for profile in HEADLINE_PROFILES]
    attacked_arms = (byzantine.ELECTED, byzantine.PLAIN, byzantine.COUNTED, *byzantine.RULES_FL)
    tasks += [
        ("liars", share, attack, turn, arm)
        for share in sizes.liar_shares
        for attack in sizes.attacks
        for turn in range(sizes.liar_seeds)
        for arm in attacked_arms
    ]
    spread = growth.spread_out(splits.base(0))
    tasks += [("scale", count) for count in growth.node_counts(spread.nodes)]
    tasks += [
        ("newcomer", place, own, arm)
        for place in range(sizes.newcomers)
        for own in rules.OWN_ROWS
        for arm in growth.NEWCOMER_ARMS
    ]
    tasks += [("graph",), ("malformed",)]
    return tasks + ([("actions",)] if table.actions is not None else [])


def _as_keys(arms: tuple[str, ...]) -> dict[str, None]:
    return dict.fromkeys(arms)


def _report(splits: Splits, arms: tuple[str, ...], found: Mapping[Task, Result]) -> dict[str, Any]:
    request = splits.request
    table, sizes = request.table, request.sizes
    scored = {
        partition: _scored(_records(splits, partition, arms, found), request.seed) for partition in splits.partitions
    }
    chosen = _chosen(arms, found)
    main = splits.main
    setting = splits.setting(main, 0)
    federated = of_kind(scored[main], FEDERATED_ARMS)
    report: dict[str, Any] = {
        "schema": SCHEMA,
        "source": request.source,
        "outcome": table.outcome,
        "levels": list(table.levels),
        "rows_read": table.rows_read,
        "rows_used": len(table),
        "nodes": setting.nodes,
        "seed": request.seed,
        "size": sizes.name,
        "splits": sizes.seeds,
        "headline_partition": main,
        "chosen": chosen,
        "rules": list(rules.RULES),
        "notes": [*table.notes, *_personal_notes(splits), *splits.notes()],
        "arms": scored[main],
    }
    report["failure_modes"] = {
        "inversion": found["inversion",],
        "non_iid": _non_iid(scored, found, arms),
        "communication": communication(scored[main], setting, federated),
        "byzantine": _byzantine(found),
        "coordinator": found[COORDINATOR],
        "not_measured": _not_measured(request, found[COORDINATOR]),
    }
    report["scaling"] = _scaling(found)
    if table.actions is not None:
        report["actions"] = _actions(splits, found["actions",])
    report["dimensions"] = dimensions(report)
    report["recommendation"] = recommendation(report)
    return report


def _personal_notes(splits: Splits) -> list[str]:
    names = splits.request.table.personal
    if not names:
        return []
    return [
        f"the profile open was left out: {', '.join(names)} look personal, and personal data may not leave in clear"
    ]


def _chosen(arms: tuple[str, ...], found: Mapping[Task, Result]) -> dict[str, Any]:
    """Return the profile and the federated arm with the least log-loss on rows held back from training.

    Arms are held back rows client by client, profiles of all rows: losses compare within a kind, not across.
    """
    federated = of_kind(_as_keys(arms), FEDERATED_ARMS)
    losses = {arm: float(found["tune", arm]["log_loss"]) for arm in federated}
    losses |= {profile: float(found["choose", profile]["log_loss"]) for profile in HEADLINE_PROFILES}
    keys = ("hidden", "rate", "rounds", "settings", "tried")
    return {
        "federated": min(federated, key=losses.__getitem__),
        "profile": min(HEADLINE_PROFILES, key=losses.__getitem__),
        "validation_log_loss": losses,
        "tuned": {arm: {key: found["tune", arm][key] for key in keys} for arm in federated},
    }


def _records(splits: Splits, partition: str, arms: tuple[str, ...], found: Mapping[Task, Result]) -> dict[str, Record]:
    turns = range(splits.request.sizes.seeds)
    settings = [splits.setting(partition, turn) for turn in turns]
    codes = np.concatenate([setting.codes[setting.asked] for setting in settings])
    rows = np.concatenate([setting.asked for setting in settings])
    nodes = np.concatenate([setting.asked_at for setting in settings])
    records = {}
    for arm in arms:
        said = [found["arm", partition, turn, arm] for turn in turns]
        records[arm] = Record(
            probabilities=np.concatenate([one["probabilities"] for one in said]),
            codes=codes,
            row=rows,
            node=nodes,
            bytes=round(float(np.mean([one["bytes"] for one in said]))),
            seconds=float(np.mean([one["seconds"] for one in said])),
        )
    return records


def _scored(records: dict[str, Record], seed: int) -> dict[str, Any]:
    ours = records[ROUTING]
    scored: dict[str, Any] = {}
    for arm, record in records.items():
        intervals = {
            "accuracy": _interval(record.right, record.row, seed),
            "log_loss": _interval(record.surprise, record.row, seed),
            "accuracy_minus_consortium": _interval(record.right - ours.right, record.row, seed),
            "log_loss_minus_consortium": _interval(record.surprise - ours.surprise, record.row, seed),
        }
        scored[arm] = {
            **scores_of(record),
            "bytes": record.bytes,
            "seconds": round(record.seconds, 3),
            "intervals": intervals,
        }
    return scored


def _interval(values: NDArray[np.float64], row: NDArray[np.int64], seed: int) -> dict[str, float]:
    found = bootstrap(values, row, seed=seed)
    return {"value": found.value, "low": found.low, "high": found.high}


def _non_iid(scored: dict[str, dict[str, Any]], found: Mapping[Task, Result], arms: tuple[str, ...]) -> dict[str, Any]:
    """Penalties in points of accuracy against rows dealt out evenly, and what a site gets that was not there before."""
    names = ("accuracy", "auc", "log_loss", "worst_node_accuracy")
    even = scored[IID]
    rows = [result for task, result in found.items() if task[0] == "newcomer" and result["accuracy"] is not None]
    return {
        "partitions": {
            partition: {arm: {key: one[arm][key] for key in names} for arm in arms} for partition, one in scored.items()
        },
        "penalty_points": {
            partition: {arm: 100 * (even[arm]["accuracy"] - one[arm]["accuracy"]) for arm in arms}
            for partition, one in scored.items()
            if partition != IID
        },
        "newcomer": growth.curve_of(rows),
    }


def _byzantine(found: Mapping[Task, Result]) -> dict[str, Any]:
    rows = {task[1:]: result for task, result in found.items() if task[0] == "liars"}
    return {
        "partition": IID,
        "anchors": "the asker's own training rows: they elect nodes, and are FLTrust's trusted rows",
        "rows": byzantine.section(rows),
        "malformed": found["malformed",],
    }


def _scaling(found: Mapping[Task, Result]) -> dict[str, Any]:
    points = sorted((result for task, result in found.items() if task[0] == "scale"), key=lambda one: one["nodes"])
    return {
        "partition": IID,
        "points": points,
        "laws": growth.laws_of(points),
        "agreement_graph": found["graph",],
    }


def _actions(splits: Splits, result: Result) -> dict[str, Any]:
    """Return the section with the texts of the table in the place of a drafted template's numbers."""
    table = splits.request.table
    if splits.request.template is not None:
        return result
    named = {f"level {code + 1:02d}": text for code, text in enumerate(table.action_levels)}
    levels = {f"level {code:02d}": text for code, text in enumerate(table.levels)}
    actions = {
        named.get(action, action): {
            **one,
            "levels": {levels[name]: value for name, value in one["levels"].items()},
            "raw_shares": {levels[name]: value for name, value in one["raw_shares"].items()},
        }
        for action, one in result["actions"].items()
    }
    return {**result, "actions": actions}
