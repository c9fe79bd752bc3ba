"""A whole assessment: splits, partitions, arms, failure modes, verdict. The same seed gives the same report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fingerpost.errors import UsageError
from fingerpost.lab.assess import rules
from fingerpost.lab.assess.arms import ARMS, ROUTING, Setting, run_arm
from fingerpost.lab.assess.failures import failure_modes, scaling
from fingerpost.lab.assess.features import draft_template, encode_all, raw_features
from fingerpost.lab.assess.partitions import IID, NATURAL, deal, dirichlet_name, held_out, skew
from fingerpost.lab.assess.scoring import Record, bootstrap, scores_of
from fingerpost.lab.assess.verdict import dimensions, recommendation
from fingerpost.lab.federated.arms import federated_forecast
from fingerpost.lab.federated.clients import Plan, Shard
from fingerpost.lab.federated.network import Network, Training
from fingerpost.lab.probabilities import log_loss

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fingerpost.lab.assess.rules import Sizes
    from fingerpost.lab.assess.table import AssessedTable

SCHEMA = "fingerpost-assess/1"
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is wanted: ``nodes`` and ``alpha`` of the partitions that are drawn."""

    table: AssessedTable
    source: str
    sizes: Sizes
    nodes: int = rules.NODES_DEFAULT
    alpha: float = rules.ALPHA_DEFAULT
    seed: int = 0

    def __post_init__(self) -> None:
        if not 2 <= self.nodes <= len(self.table) // 4:
            raise UsageError(
                "assess-nodes",
                f"{len(self.table)} rows cannot be dealt to {self.nodes} nodes",
                hint=f"choose 2 to {len(self.table) // 4} nodes",
            )
        if not self.alpha > 0:
            raise UsageError("assess-alpha", "alpha is more than 0", hint="0.1 is skewed, 100 is nearly even")


def assess(request: Request, progress: Progress = lambda _step: None) -> dict[str, Any]:
    """Return the report (docs/reference/assess.md describes it); ``progress`` is told each step."""
    table = request.table
    partitions = [*([NATURAL] if table.nodes is not None else []), IID, dirichlet_name(request.alpha)]
    settings: dict[str, list[Setting]] = {name: [] for name in partitions}
    notes = list(table.notes)
    plan: Plan | None = None
    for turn in range(request.sizes.seeds):
        progress(f"split {turn + 1} of {request.sizes.seeds}: drafting the template")
        base, found = _base(request, turn)
        if plan is None:
            progress("choosing the federated model on training rows")
            plan = _tuned(base, request)
            notes += found
        for name in partitions:
            settings[name].append(_placed(base, name, request, plan, turn))
    records = {name: _run(name, settings[name], progress) for name in partitions}
    main = partitions[0] if table.nodes is not None else partitions[-1]
    report: dict[str, Any] = {
        "schema": SCHEMA,
        "source": request.source,
        "outcome": table.outcome,
        "levels": list(table.levels),
        "rows_read": table.rows_read,
        "rows_used": len(table),
        "nodes": settings[main][0].nodes,
        "seed": request.seed,
        "splits": request.sizes.seeds,
        "headline_partition": main,
        "rules": list(rules.RULES),
        "notes": notes,
        "arms": _scored(records[main], request.seed),
    }
    by_partition = {name: _scored(found, request.seed) for name, found in records.items()}
    report["failure_modes"] = failure_modes(by_partition, settings, main, progress)
    report["scaling"] = scaling(settings[IID][0], progress)
    report["dimensions"] = dimensions(report)
    report["recommendation"] = recommendation(report)
    return report


def _base(request: Request, turn: int) -> tuple[Setting, list[str]]:
    """Return split number ``turn``: rows, template and encodings, with all rows at one node."""
    table, sizes = request.table, request.sizes
    chance = np.random.default_rng([request.seed, turn])
    test = held_out(table.codes, share=sizes.test_share, most=sizes.test_max, chance=chance)
    train, asked = np.flatnonzero(~test), np.flatnonzero(test)
    template, notes = draft_template(table, train)
    encoded, misfits = encode_all(template, table)
    if misfits:
        notes.append(f"{misfits} cells did not fit the drafted template and count as missing")
    features = raw_features(table, train)
    setting = Setting(
        features=features,
        encoded=encoded,
        template=template,
        codes=table.codes,
        levels=len(table.levels),
        owners=np.zeros(len(table), np.int64),
        nodes=1,
        train=train,
        asked=asked,
        asked_at=np.zeros(len(asked), np.int64),
        plan=Plan(network=Network(inputs=features.shape[1], hidden=0, levels=len(table.levels))),
        seed=request.seed * 1_000 + turn,
    )
    return setting, notes


def _tuned(base: Setting, request: Request) -> Plan:
    """Return the federated plan that does best on a fifth of the training rows of the first split."""
    chance = np.random.default_rng([request.seed, 77])
    order = chance.permutation(base.train)
    cut = len(order) // 5
    validation, fitting = order[:cut], order[cut:]
    owners = deal(fitting, nodes=min(request.nodes, len(fitting)), chance=chance)
    shards = [
        Shard(rows=base.features[fitting[owners == node]], codes=base.codes[fitting[owners == node]])
        for node in np.unique(owners)
    ]
    best: tuple[float, Plan] | None = None
    for hidden in rules.HIDDEN:
        for rate in rules.RATES:
            network = Network(inputs=base.features.shape[1], hidden=hidden, levels=base.levels)
            plan = Plan(
                network=network, training=Training(rate=rate), rounds=request.sizes.tuning_rounds, seed=request.seed
            )
            said = federated_forecast("fedavg", shards, base.features[validation], plan).probabilities
            loss = log_loss(said, base.codes[validation])
            if best is None or loss < best[0]:
                best = loss, replace(plan, rounds=request.sizes.rounds)
    if best is None:
        raise AssertionError("the grid is not empty")
    return best[1]


def _placed(base: Setting, name: str, request: Request, plan: Plan, turn: int) -> Setting:
    """Return the split under a partition."""
    table = request.table
    chance = np.random.default_rng([request.seed, turn, len(name)])
    plan = replace(plan, seed=request.seed + turn)
    if name == NATURAL and table.nodes is not None:
        return replace(
            base, owners=table.nodes, nodes=len(table.node_names), asked_at=table.nodes[base.asked], plan=plan
        )
    nodes = request.nodes if table.nodes is None else len(table.node_names)
    owners = (
        deal(base.codes, nodes=nodes, chance=chance)
        if name == IID
        else skew(base.codes, nodes=nodes, alpha=request.alpha, chance=chance)
    )
    return replace(base, owners=owners, nodes=nodes, asked_at=chance.integers(nodes, size=len(base.asked)), plan=plan)


def _run(partition: str, settings: list[Setting], progress: Progress) -> dict[str, Record]:
    records: dict[str, Record] = {}
    for arm in ARMS:
        progress(f"{partition}: {arm}")
        said = [run_arm(arm, setting) for setting in settings]
        records[arm] = Record(
            probabilities=np.concatenate([one.probabilities for one in said]),
            codes=np.concatenate([setting.codes[setting.asked] for setting in settings]),
            row=np.concatenate([setting.asked for setting in settings]),
            node=np.concatenate([setting.asked_at for setting in settings]),
            bytes=round(float(np.mean([one.bytes for one in said]))),
            seconds=float(np.mean([one.seconds for one in said])),
        )
    return records


def _scored(records: dict[str, Record], seed: int) -> dict[str, Any]:
    ours = records[ROUTING]
    scored: dict[str, Any] = {}
    for arm, record in records.items():
        intervals = {
            "accuracy": _interval(record.right, record.row, seed),
            "log_loss": _interval(record.surprise, record.row, seed),
            "accuracy_minus_outcome_routing": _interval(record.right - ours.right, record.row, seed),
            "log_loss_minus_outcome_routing": _interval(record.surprise - ours.surprise, record.row, seed),
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
