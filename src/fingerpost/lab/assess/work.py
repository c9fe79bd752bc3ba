"""What each task of an assessment does. A task says it all: no task depends on another but for the plan and choices."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fingerpost.errors import UsageError
from fingerpost.lab.assess import rules
from fingerpost.lab.assess.actions import compared
from fingerpost.lab.assess.arms import run_arm
from fingerpost.lab.assess.byzantine import agreement_graph, attacked
from fingerpost.lab.assess.growth import largest_sites, newcomer, scaled
from fingerpost.lab.assess.malformed import malformed
from fingerpost.lab.assess.partitions import IID, deal
from fingerpost.lab.federated.arms import federated_forecast
from fingerpost.lab.federated.clients import Plan, Shard
from fingerpost.lab.federated.network import Network, Training
from fingerpost.lab.probabilities import accuracy, log_loss

if TYPE_CHECKING:
    from fingerpost.lab.assess.setting import Setting
    from fingerpost.lab.assess.splits import Splits
    from fingerpost.lab.assess.tasks import Result, Task

VALIDATED_SHARE = 0.2


def work(splits: Splits, task: Task) -> Result:
    """Return the result of a task: (kind, and what it is about)."""
    kind, *about = task
    match kind, about:
        case "tune", [int(hidden), float(rate)]:
            return _tuned(splits, hidden, rate)
        case "choose", [str(arm)]:
            return _validated(splits, arm)
        case "arm", [str(partition), int(turn), str(arm)]:
            return _said(splits.setting(partition, turn), arm)
        case "liars", [float(share), str(attack), int(turn), str(arm)]:
            return attacked(splits.setting(IID, turn), arm, share=share, attack=attack)
        case "graph", []:
            return agreement_graph(splits.setting(IID, 0))
        case "malformed", []:
            return malformed(splits.setting(IID, 0))
        case "scale", [int(count)]:
            return scaled(splits.setting(IID, 0), count, asked_max=splits.request.sizes.scaling_asked)
        case "newcomer", [int(place), int(own), str(arm)]:
            return _newcomer(splits, place, own, arm)
        case "actions", []:
            return compared(splits.setting(splits.main, 0))
    raise UsageError("lab-task", f"no part of an assessment is called {kind!r}")


def _said(setting: Setting, arm: str) -> Result:
    said = run_arm(arm, setting)
    return {"probabilities": said.probabilities, "bytes": said.bytes, "seconds": said.seconds}


def _tuned(splits: Splits, hidden: int, rate: float) -> Result:
    """Return FedAvg's log-loss on a fifth of the training rows of the first split."""
    base, request = splits.base(0), splits.request
    order = np.random.default_rng([request.seed, 77]).permutation(base.train)
    cut = int(VALIDATED_SHARE * len(order))
    validation, fitting = order[:cut], order[cut:]
    chance = np.random.default_rng([request.seed, 78])
    owners = deal(fitting, nodes=min(request.nodes, len(fitting)), chance=chance)
    shards = [
        Shard(rows=base.features[fitting[owners == node]], codes=base.codes[fitting[owners == node]])
        for node in np.unique(owners)
    ]
    plan = plan_of(splits, hidden, rate, rounds=request.sizes.tuning_rounds)
    said = federated_forecast("fedavg", shards, base.features[validation], plan).probabilities
    return {"log_loss": log_loss(said, base.codes[validation])}


def plan_of(splits: Splits, hidden: int, rate: float, *, rounds: int) -> Plan:
    """Return a federated plan of the grid."""
    base = splits.base(0)
    network = Network(inputs=base.features.shape[1], hidden=hidden, levels=base.levels)
    return Plan(network=network, training=Training(rate=rate), rounds=rounds, seed=splits.request.seed)


def _validated(splits: Splits, arm: str) -> Result:
    """Return the log-loss of an arm on a fifth of the training rows of the first split, the rest being trained on."""
    setting = splits.setting(splits.main, 0)
    chance = np.random.default_rng([setting.seed, 79])
    order = chance.permutation(setting.train)
    cut = min(int(VALIDATED_SHARE * len(order)), splits.request.sizes.test_max)
    validation, fitting = np.sort(order[:cut]), np.sort(order[cut:])
    askers = chance.permutation(np.unique(setting.owners[validation]))[: rules.ASKERS_MAX]
    here = np.isin(setting.owners[validation], askers)
    at = setting.owners[validation]
    inner = replace(setting, train=fitting, asked=validation[here], asked_at=at[here])
    return {"log_loss": log_loss(run_arm(arm, inner).probabilities, setting.codes[inner.asked])}


def _newcomer(splits: Splits, place: int, own: int, arm: str) -> Result:
    setting = splits.setting(splits.main, 0)
    sites = largest_sites(setting, place + 1)
    inner = newcomer(setting, sites[place], own) if place < len(sites) else None
    if inner is None:
        return {"site": place, "own_rows": own, "arm": arm, "accuracy": None, "log_loss": None}
    said, truth = run_arm(arm, inner).probabilities, setting.codes[inner.asked]
    return {
        "site": place,
        "own_rows": own,
        "arm": arm,
        "accuracy": accuracy(said.argmax(axis=1), truth),
        "log_loss": log_loss(said, truth),
    }
