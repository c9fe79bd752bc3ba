"""What each task of an assessment does. A task says it all: no task depends on another but for the plan and choices."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import numpy as np

from fingerpost.errors import UsageError
from fingerpost.lab.assess import rules
from fingerpost.lab.assess.actions import compared
from fingerpost.lab.assess.arms import run_arm
from fingerpost.lab.assess.byzantine import agreement_graph, attacked
from fingerpost.lab.assess.growth import largest_sites, newcomer, scaled
from fingerpost.lab.assess.malformed import malformed
from fingerpost.lab.assess.partitions import IID
from fingerpost.lab.assess.routing import level_codes
from fingerpost.lab.coordinator.experiment import measure_coordinator
from fingerpost.lab.federated.clients import Plan, Settings
from fingerpost.lab.federated.network import Network, Training
from fingerpost.lab.federated.trees import ARM as TREES
from fingerpost.lab.federated.tuning import tuned
from fingerpost.lab.leakage.report import QUICK, inversion
from fingerpost.lab.leakage.updates import Case
from fingerpost.lab.probabilities import accuracy, log_loss

if TYPE_CHECKING:
    from fingerpost.lab.assess.setting import Setting
    from fingerpost.lab.assess.splits import Splits
    from fingerpost.lab.assess.tasks import Result, Task

VALIDATED_SHARE = 0.2
INVERTED = (
    Case(attack="analytic", batch=1, control=True),
    Case(attack="analytic", batch=8),
    Case(attack="idlg", batch=1, control=True),
    Case(attack="idlg", batch=8),
    Case(attack="unrolled", batch=1, steps=5, control=True),
    Case(attack="analytic", batch=1, defence="dp-sgd"),
    Case(attack="idlg", batch=1, defence="top-10%"),
    Case(attack="unrolled", batch=8, steps=5),
    Case(attack="cosine", batch=1, control=True),
    Case(attack="idlg", batch=32),
    Case(attack="idlg", batch=8, trained=True),
    Case(attack="idlg", batch=1, defence="dp-sgd"),
)


def work(splits: Splits, task: Task) -> Result:
    """Return the result of a task: (kind, and what it is about)."""
    kind, *about = task
    match kind, about:
        case "tune", [str(arm)]:
            return _tuned(splits, arm)
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
        case "inversion", []:
            return _inverted(splits)
        case "coordinator", []:
            return _crashed(splits)
        case "actions", []:
            return compared(splits.setting(splits.main, 0))
    raise UsageError("lab-task", f"no part of an assessment is called {kind!r}")


def _said(setting: Setting, arm: str) -> Result:
    said = run_arm(arm, setting)
    return {"probabilities": said.probabilities, "bytes": said.bytes, "seconds": said.seconds}


def _tuned(splits: Splits, arm: str) -> Result:
    """Return the plan at which an arm does best on rows that clients keep back in the first split."""
    setting = splits.setting(splits.main, 0)
    hidden = [units for units in rules.HIDDEN if units or arm != "fedma"][: 1 if arm == TREES else None]
    networks = [Network(inputs=setting.features.shape[1], hidden=units, levels=setting.levels) for units in hidden]
    plan = Plan(network=networks[0], rounds=splits.request.sizes.rounds, seed=splits.request.seed)
    found = tuned(arm, setting.shards(), plan, networks=networks)
    best = found.plan
    return {
        "hidden": best.network.hidden,
        "rate": best.training.rate,
        "rounds": best.rounds,
        "settings": asdict(best.settings),
        "log_loss": min(one.loss for one in found.tried),
        "tried": len(found.tried),
    }


def plan_of(splits: Splits, found: Result) -> Plan:
    """Return the plan that a tuning found."""
    base = splits.base(0)
    network = Network(inputs=base.features.shape[1], hidden=found["hidden"], levels=base.levels)
    return Plan(
        network=network,
        training=Training(rate=found["rate"]),
        settings=Settings(**found["settings"]),
        rounds=found["rounds"],
        seed=splits.request.seed,
    )


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


def _crashed(splits: Splits) -> Result:
    """Kill who is in the middle on either side. Raises ``FingerpostError`` or ``OSError`` where that cannot be run."""
    sizes = splits.request.sizes
    found = measure_coordinator(rounds=sizes.coordinator_rounds, watch_seconds=sizes.coordinator_watch_seconds)
    return found.to_document()


def _inverted(splits: Splits) -> Result:
    """Return what attackers make of packets and of updates of this table's records (``fingerpost.lab.leakage``).

    Its counts get fresh noise of OpenDP, as a node's do: what is ``not_repeatable`` differs from run to run.
    """
    base = splits.base(0)
    codes = level_codes(base, base.template)[base.codes]
    levels = len(getattr(base.template.outcome, "levels", ()))
    wanted = splits.request.sizes
    cases = INVERTED[: wanted.inverted_cases]
    sizes = replace(QUICK, rows_max=wanted.inverted_rows, records=wanted.inverted_records, cases=cases)
    found = inversion(base.template, base.encoded, codes, levels=levels, seed=splits.request.seed, sizes=sizes)
    document = found.as_json()
    document["not_repeatable"] = [name for name in document["packets"] if name.startswith("dp-aggregate")]
    return document
