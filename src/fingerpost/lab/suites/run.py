"""One suite: every arm under every partition on the same splits, and outcome routing's differences with intervals.

Splits, settings and all arms but the federated ones are those of ``fingerpost assess``. Each federated arm is tuned by
its own grid on every split and under every partition, by rows that its clients keep back; the federated arm that counts
is the one with the least loss on those. The best central arm is picked on asked rows: hindsight in its favour.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fingerpost.lab.assess.arms import ARMS, CENTRAL_ARMS, FEDERATED_ARMS, LOCAL_ARMS, ROUTING, run_arm
from fingerpost.lab.assess.rules import HIDDEN, QUICK, Sizes
from fingerpost.lab.assess.scoring import Record, bootstrap, scores_of
from fingerpost.lab.assess.splits import Request, Splits
from fingerpost.lab.federated.arms import federated_forecast
from fingerpost.lab.federated.network import Network
from fingerpost.lab.federated.tuning import ROUND_FACTORS, tuned
from fingerpost.lab.paired import Interval
from fingerpost.lab.probabilities import area_under_curve
from fingerpost.lab.suites.ablations import ABLATIONS
from fingerpost.lab.suites.tables import balance_of, read_suite

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from fingerpost.lab.assess.setting import Setting
    from fingerpost.lab.assess.table import AssessedTable

SCHEMA = "fingerpost-lab/1"
BALANCED_MIN = 0.5  # rarer than half its even share, and accuracy says little: then AUC counts
LEVELS_OF_SLOW_ARMS_MAX = 20  # boosting grows a tree for each level a round
SLOW_ARMS = ("central_boosting", "central_svm", "pooled_rows")
AREA_RESAMPLES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How much of a suite is run."""

    rows_max: int
    asked_max: int
    rounds: int
    seeds: int
    partitions: tuple[str, ...]
    arms: tuple[str, ...]
    federated: tuple[str, ...]
    round_factors: tuple[float, ...] = ()


BRIEF = Extent(
    rows_max=1_000,
    asked_max=250,
    rounds=10,
    seeds=2,
    partitions=("natural", "skewed", "dirichlet-0.05", "one-class", "offline"),
    arms=(
        "majority",
        "local_logistic",
        ROUTING,
        *ABLATIONS,
        "federated_neighbours",
        "one_shot_lda",
        "central_logistic",
    ),
    federated=("fedavg", "scaffold"),
)
WHOLE = Extent(
    rows_max=4_000,
    asked_max=1_000,
    rounds=20,
    seeds=3,
    partitions=("natural", "iid", "skewed", "dirichlet-0.05", "one-class", "offline"),
    arms=(*(arm for arm in ARMS if arm not in FEDERATED_ARMS), *ABLATIONS),
    federated=("fedavg", "fedavgm", "fedadam", "fedprox", "scaffold", "moon"),
    round_factors=ROUND_FACTORS,
)


def run_suite(
    name: str,
    *,
    folder: Path | None = None,
    extent: Extent = WHOLE,
    seed: int = 0,
    progress: Callable[[str], None] = lambda _step: None,
) -> dict[str, Any]:
    """Return what a suite gave, as plain values. Raises ``UsageError`` as ``read_suite``."""
    table = read_suite(name, folder, rows_max=extent.rows_max, seed=seed)
    splits = Splits(Request(table=table, source=name, sizes=_sizes(extent), seed=seed))
    arms = _arms(table, extent)
    metric = "auc" if len(table.levels) == 2 or balance_of(table.codes) < BALANCED_MIN else "accuracy"
    found = {}
    for partition in splits.partitions:
        settings = [splits.setting(partition, turn) for turn in range(extent.seeds)]
        settings = [replace(one, plan=replace(one.plan, rounds=extent.rounds)) for one in settings]
        records, losses = {}, {}
        for arm in arms:
            progress(f"{name}, {partition}: {arm}")
            records[arm] = _record(settings, [_said(arm, setting) for setting in settings])
        for arm in extent.federated:
            progress(f"{name}, {partition}: {arm}")
            told = [_trained(arm, setting, extent) for setting in settings]
            records[arm] = _record(settings, [one[:3] for one in told])
            losses[arm] = float(np.mean([one[3] for one in told]))
        found[partition] = _compared(records, losses, metric, seed)
    return {
        "rows_read": table.rows_read,
        "rows_used": len(table),
        "levels": len(table.levels),
        "metric": metric,
        "splits": extent.seeds,
        "notes": [*table.notes, *splits.notes()],
        "partitions": found,
    }


def _sizes(extent: Extent) -> Sizes:
    return replace(
        QUICK, name="lab", rows_max=extent.rows_max, test_max=extent.asked_max, seeds=extent.seeds,
        rounds=extent.rounds, partitions=extent.partitions,
    )  # fmt: skip


def _arms(table: AssessedTable, extent: Extent) -> tuple[str, ...]:
    left = {"no_change"} if table.previous is None else set()
    left |= {"open"} if table.personal else set()
    left |= set(SLOW_ARMS) if len(table.levels) > LEVELS_OF_SLOW_ARMS_MAX else set()
    wanted = dict.fromkeys(extent.arms)
    if table.previous is not None:
        wanted["no_change"] = None
    return tuple(arm for arm in wanted if arm not in left)


def _said(arm: str, setting: Setting) -> tuple[Any, int, float]:
    if arm in ABLATIONS:
        begun = time.perf_counter()
        probabilities, moved = ABLATIONS[arm](setting)
        return probabilities, moved, time.perf_counter() - begun
    said = run_arm(arm, setting)
    return said.probabilities, said.bytes, said.seconds


def _trained(arm: str, setting: Setting, extent: Extent) -> tuple[Any, int, float, float]:
    """Return what a federated arm says once it is tuned, its bytes, seconds with tuning, and its loss in tuning."""
    begun = time.perf_counter()
    shards = setting.shards()
    networks = [
        Network(inputs=setting.features.shape[1], hidden=hidden, levels=setting.levels)
        for hidden in HIDDEN
        if hidden or arm != "moon"
    ]
    with np.errstate(over="ignore", invalid="ignore"):  # a learning rate of the grid may be too large
        best = tuned(arm, shards, setting.plan, networks=networks, round_factors=extent.round_factors)
        told = federated_forecast(arm, shards, setting.features[setting.asked], best.plan)
    return told.probabilities, told.bytes, time.perf_counter() - begun, min(one.loss for one in best.tried)


def _record(settings: list[Setting], told: list[tuple[Any, int, float]]) -> Record:
    return Record(
        probabilities=np.concatenate([one[0] for one in told]),
        codes=np.concatenate([setting.codes[setting.asked] for setting in settings]),
        row=np.concatenate([setting.asked for setting in settings]),
        node=np.concatenate([setting.asked_at for setting in settings]),
        bytes=round(float(np.mean([one[1] for one in told]))),
        seconds=float(np.mean([one[2] for one in told])),
    )


def _compared(records: Mapping[str, Record], losses: Mapping[str, float], metric: str, seed: int) -> dict[str, Any]:
    arms = {
        arm: {**scores_of(record), "bytes": record.bytes, "seconds": round(record.seconds, 3)}
        for arm, record in records.items()
    }
    selected = min(losses, key=losses.__getitem__)
    present = {kind: [arm for arm in names if arm in arms] for kind, names in _KINDS.items()}
    best = {kind: max(names, key=lambda arm: arms[arm][metric]) for kind, names in present.items() if names}
    opponents = {"federated": selected, **best}
    return {
        "arms": arms,
        "validation_log_loss": dict(losses),
        "opponents": opponents,
        "differences": {
            kind: {
                name: _as_json(paired(records[ROUTING], records[opponent], name, seed=seed))
                for name in ("accuracy", "auc", "log_loss")
            }
            for kind, opponent in opponents.items()
        },
    }


def paired(ours: Record, theirs: Record, metric: str, *, seed: int) -> Interval:
    """Return ours minus theirs on the same asked rows with its 95 % bootstrap interval over rows of the table."""
    if metric == "accuracy":
        return bootstrap(ours.right - theirs.right, ours.row, seed=seed)
    if metric == "log_loss":
        return bootstrap(ours.surprise - theirs.surprise, ours.row, seed=seed)
    return _paired_area(ours, theirs, seed=seed)


def _paired_area(ours: Record, theirs: Record, *, seed: int) -> Interval:
    """As ``paired``, for the area under the curve, which is no mean over rows: whole rows are drawn anew."""

    def difference(places: Any) -> float:
        codes = ours.codes[places]
        return area_under_curve(ours.probabilities[places], codes) - area_under_curve(
            theirs.probabilities[places], codes
        )

    _, place = np.unique(ours.row, return_inverse=True)
    order = np.argsort(place, kind="stable")
    ends = np.cumsum(np.bincount(place))
    groups = np.split(order, ends[:-1])
    chance = np.random.default_rng([seed, 9])
    drawn = [
        difference(np.concatenate([groups[one] for one in chance.integers(len(groups), size=len(groups))]))
        for _ in range(AREA_RESAMPLES)
    ]
    low, high = np.quantile(drawn, (0.025, 0.975))
    return Interval(value=difference(np.arange(len(ours.codes))), low=float(low), high=float(high))


def _as_json(interval: Interval) -> dict[str, float]:
    return {"value": interval.value, "low": interval.low, "high": interval.high}


_KINDS = {"central": CENTRAL_ARMS, "local": LOCAL_ARMS}
