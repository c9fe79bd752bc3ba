"""Liars, free riders and malformed clients: against packets with and without elections, and against federated rules.

One honest node asks, and has the same anchors in both worlds: its own training rows. They elect nodes for us, and are
the rows that FLTrust's server trusts. Every arm is compared with its own honest oracle: the same arm when liars say
nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fingerpost.elections.explain import graph
from fingerpost.fingerprint import Fingerprinter
from fingerpost.lab.assess.routing import CONFIGURATIONS, Askers, counted, evidence_of, name_of, packets_of
from fingerpost.lab.attacks import ATTACKS, Scene
from fingerpost.lab.federated.arms import federated_forecast
from fingerpost.lab.federated.clients import Shard
from fingerpost.lab.probabilities import accuracy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from fingerpost.lab.assess.rules import Sizes
    from fingerpost.lab.assess.setting import Probabilities, Setting
    from fingerpost.lab.assess.tasks import Result, Task

ELECTED, PLAIN, COUNTED = "consortium", "consortium without elections", "dp-aggregate"
RULES_FL = ("fedavg", "krum", "multi-krum", "median", "trimmed-mean", "fltrust")
ATTACKED = (ELECTED, PLAIN, COUNTED, *RULES_FL)
GRAPH_SHARE = 0.4


def lied_to(setting: Setting, *, share: float, attack: str) -> tuple[Setting, Setting, int, NDArray[np.int64]]:
    """Return the setting with liars, the same without what they say, who asks, and the liars.

    The asker is honest and of middling size; all rows are asked there.
    """
    chance = np.random.default_rng([setting.seed, 5])
    sizes = np.bincount(setting.owners[setting.train], minlength=setting.nodes)
    asker = int(np.argsort(-sizes, kind="stable")[setting.nodes // 3])
    others = np.array([node for node in chance.permutation(setting.nodes) if node != asker], np.int64)
    liars = others[: min(round(share * setting.nodes), len(others))]
    here = replace(setting, asked_at=np.full(len(setting.asked), asker))
    train = setting.train
    lying = np.isin(setting.owners[train], liars)
    scene = Scene(
        truth=setting.codes[train],
        levels=setting.levels,
        lying=lying,
        seen=np.unique(setting.codes[setting.rows_of(asker)]),
        order=chance.permutation(len(train)),
        bits=np.unpackbits(Fingerprinter(setting.template).fingerprints(setting.encoded[train]), axis=1),
        chance=np.random.default_rng([setting.seed, 6]),
    )
    told = setting.codes.copy()
    told[train] = ATTACKS[attack](scene)
    return replace(here, codes=told), replace(here, train=train[~lying]), asker, liars


def attacked(setting: Setting, arm: str, *, share: float, attack: str) -> Result:
    """Return the accuracy of an arm with liars."""
    lied, _, asker, liars = lied_to(setting, share=share, attack=attack)
    right = _accuracy(_said(lied, arm, asker, expected=len(liars)), setting.codes[setting.asked])
    return {"liars": len(liars), "nodes": setting.nodes, "accuracy": right}


def unlied(setting: Setting, arm: str, *, share: float) -> Result:
    """Return the accuracy of an arm when so many liars say nothing: its honest oracle, whatever they would say."""
    _, honest, asker, _ = lied_to(setting, share=share, attack=next(iter(ATTACKS)))
    return {"accuracy": _accuracy(_said(honest, arm, asker, expected=0), setting.codes[setting.asked])}


def tasks_of(sizes: Sizes) -> list[Task]:
    """Return what has to be run: without liars every attack comes to the same, and oracles serve all attacks."""
    tasks: list[Task] = []
    for turn in range(sizes.liar_seeds):
        for share in sizes.liar_shares:
            attacks = sizes.attacks if share else sizes.attacks[:1]
            tasks += [("liars", share, attack, turn, arm) for attack in attacks for arm in ATTACKED]
            tasks += [("oracle", share, turn, arm) for arm in ATTACKED if share]
    return tasks


def rows_of(sizes: Sizes, found: Mapping[Task, Result]) -> dict[tuple[Any, ...], Result]:
    """Return results by (share, attack, turn, arm), each with its oracle."""
    rows: dict[tuple[Any, ...], Result] = {}
    for share in sizes.liar_shares:
        for attack in sizes.attacks:
            for turn in range(sizes.liar_seeds):
                for arm in ATTACKED:
                    row = found["liars", share, attack if share else sizes.attacks[0], turn, arm]
                    oracle = found["oracle", share, turn, arm] if share and row["liars"] else row
                    rows[share, attack, turn, arm] = {**row, "oracle": oracle["accuracy"]}
    return rows


def _accuracy(said: Probabilities | None, truth: NDArray[np.int64]) -> float | None:
    return None if said is None else accuracy(said.argmax(axis=1), truth)


def _said(setting: Setting, arm: str, asker: int, *, expected: int) -> Probabilities | None:
    if arm in (ELECTED, PLAIN):
        askers = Askers(evidence_of(packets_of(setting), setting), setting)
        return askers.forecast(asker, setting.asked, elections=arm == ELECTED)
    if arm == COUNTED:
        return counted(packets_of(setting, "dp-aggregate"), setting)
    clients = sum(len(setting.rows_of(node)) > 0 for node in range(setting.nodes))
    if arm in ("krum", "multi-krum") and clients - expected < 3:
        return None  # the rule needs three clients that it does not expect to lie
    rows = setting.rows_of(asker)
    root = Shard(rows=setting.features[rows], codes=setting.codes[rows])
    plan = replace(setting.plan, liars=expected)
    asked = setting.features[setting.asked]
    return federated_forecast(arm, setting.shards(), asked, plan, root=root).probabilities


def agreement_graph(setting: Setting) -> Result:
    """Return who agrees with whom, as the asker sees it, when some nodes lie (``fingerpost.elections.explain``)."""
    lied, _, asker, liars = lied_to(setting, share=GRAPH_SHARE, attack="flip")
    template = CONFIGURATIONS[ELECTED].template(setting.template)
    found = graph(evidence_of(packets_of(lied), lied), template, asker=name_of(asker, setting.seed))
    names = {name_of(int(node), setting.seed).hex() for node in liars}
    for node in found["nodes"]:
        node["lies"] = node["node_id"] in names
    return {"graph": found, "liars": len(liars)}


def section(rows: dict[tuple[Any, ...], Result]) -> list[dict[str, Any]]:
    """Return rows of the report from results by (share, attack, turn, arm): means over turns."""
    found: list[dict[str, Any]] = []
    for share, attack in dict.fromkeys((key[0], key[1]) for key in rows):
        mine = {key: row for key, row in rows.items() if key[:2] == (share, attack)}
        first = next(iter(mine.values()))
        row = {"attack": attack, "share": share, "liars": first["liars"], "nodes": first["nodes"]}
        row["accuracy"], row["oracle"], row["loss_points"] = {}, {}, {}
        for arm in dict.fromkeys(key[3] for key in mine):
            pairs = [(one["accuracy"], one["oracle"]) for key, one in mine.items() if key[3] == arm]
            known = [(value, oracle) for value, oracle in pairs if value is not None and oracle is not None]
            if known:
                value, oracle = (float(np.mean(column)) for column in zip(*known, strict=True))
                row["accuracy"][arm], row["oracle"][arm] = value, oracle
                row["loss_points"][arm] = 100 * (oracle - value)
        found.append(row)
    return found
