"""Splits of a table under partitions, each made once: the same request always gives the same settings."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from fingerpost.errors import UsageError
from fingerpost.lab.assess import rules
from fingerpost.lab.assess.features import draft_template, encode_all, given_template, level_name, raw_features
from fingerpost.lab.assess.partitions import (
    IID,
    NATURAL,
    OFFLINE,
    ONE_CLASS,
    SKEWED,
    deal,
    dirichlet_name,
    held_out,
    one_class,
    skew,
)
from fingerpost.lab.assess.setting import Setting
from fingerpost.lab.federated.clients import Plan
from fingerpost.lab.federated.network import Network

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from fingerpost.lab.assess.rules import Sizes
    from fingerpost.lab.assess.table import AssessedTable
    from fingerpost.template import Template

TIME_SHARE_FIRST = 0.55  # of rows in order of time, that the first split trains on


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is wanted: ``nodes`` and ``alpha`` of the partitions that are drawn; a template, or none to draft one."""

    table: AssessedTable
    source: str
    sizes: Sizes
    nodes: int = rules.NODES_DEFAULT
    alpha: float = rules.ALPHA_DEFAULT
    seed: int = 0
    template: Template | None = None

    def __post_init__(self) -> None:
        if not 2 <= self.nodes <= len(self.table) // 4:
            raise UsageError(
                "assess-nodes",
                f"{len(self.table)} rows cannot be dealt to {self.nodes} nodes",
                hint=f"choose 2 to {len(self.table) // 4} nodes",
            )
        if not self.alpha > 0:
            raise UsageError("assess-alpha", "alpha is more than 0", hint="0.1 is skewed, 100 is nearly even")
        if self.template is not None:
            object.__setattr__(self, "table", given_template(self.template, self.table))

    @property
    def digest(self) -> str:
        """Return what tells this request from all others: table, seed and configuration, in 32 hex digits."""
        table = self.table
        told = {
            "columns": {name: [str(cell) for cell in cells] for name, cells in table.columns.items()},
            "outcome": [table.outcome, table.levels, table.codes.tolist()],
            "nodes": None if table.nodes is None else [table.node_names, table.nodes.tolist()],
            "actions": None if table.actions is None else [table.action_levels, table.actions.tolist()],
            "previous": None if table.previous is None else table.previous.tolist(),
            "sizes": asdict(self.sizes),
            "drawn": [self.nodes, self.alpha, self.seed, rules.RULES],
            "template": None if self.template is None else self.template.template_id.hex(),
        }
        return hashlib.blake2s(json.dumps(told).encode(), digest_size=16).hexdigest()


class Splits:
    """The settings of a request; ``plans`` are what federated arms train by, once they are tuned."""

    def __init__(self, request: Request, plans: Mapping[str, Plan] | None = None) -> None:
        self.request = request
        self.plans = dict(plans or {})
        self._bases: dict[int, tuple[Setting, list[str]]] = {}

    @property
    def partitions(self) -> tuple[str, ...]:
        """Return the names of the partitions, natural nodes first where there are any."""
        has_nodes = self.request.table.nodes is not None
        wanted = [name for name in self.request.sizes.partitions if has_nodes or name != NATURAL]
        return tuple(dict.fromkeys(self.skewed if name == SKEWED else name for name in wanted))

    @property
    def skewed(self) -> str:
        """Return the name of the partition that is skewed as asked for."""
        return dirichlet_name(self.request.alpha)

    @property
    def main(self) -> str:
        """Return the partition of the headline figures."""
        return NATURAL if self.request.table.nodes is not None else self.skewed

    def notes(self) -> list[str]:
        """Return what was noted when the first template was made."""
        return self._base(0)[1]

    def base(self, turn: int) -> Setting:
        """Return split number ``turn`` with all rows at one node."""
        return self._base(turn)[0]

    def setting(self, partition: str, turn: int) -> Setting:
        """Return a split under a partition."""
        request, base = self.request, self.base(turn)
        table = request.table
        chance = np.random.default_rng([request.seed, turn, len(partition)])
        plans = {arm: replace(plan, seed=request.seed + turn) for arm, plan in self.plans.items()}
        base = replace(base, plan=plans.get("fedavg", base.plan), plans=plans)
        if partition == OFFLINE:
            return _offline(self.setting(self.main, turn))
        if partition == NATURAL and table.nodes is not None:
            return _natural(replace(base, owners=table.nodes, nodes=len(table.node_names)), chance)
        nodes = request.nodes if table.nodes is None else len(table.node_names)
        if partition == IID:
            owners = deal(base.codes, nodes=nodes, chance=chance)
        elif partition == ONE_CLASS:
            owners = one_class(base.codes, nodes=nodes, chance=chance)
        else:
            alpha = float(partition.removeprefix("dirichlet-"))
            owners = skew(base.codes, nodes=nodes, alpha=alpha, chance=chance)
        askers = chance.permutation(nodes)[: rules.ASKERS_MAX]
        asked_at = askers[chance.integers(len(askers), size=len(base.asked))]
        return replace(base, owners=owners, nodes=nodes, asked_at=asked_at)

    def _base(self, turn: int) -> tuple[Setting, list[str]]:
        if turn not in self._bases:
            self._bases[turn] = _base_of(self.request, turn)
        return self._bases[turn]


def _base_of(request: Request, turn: int) -> tuple[Setting, list[str]]:
    table = request.table
    chance = np.random.default_rng([request.seed, turn])
    train, asked = _by_chance(request, chance) if table.previous is None else _by_time(request, turn, chance)
    template, notes = (request.template, []) if request.template is not None else draft_template(table, train)
    encoded, misfits = encode_all(template, table)
    if misfits:
        notes.append(f"{misfits} cells did not fit the template and count as missing")
    features = raw_features(table, train)
    drafted = request.template is None
    names = tuple(level_name(code) if drafted else level for code, level in enumerate(table.levels))
    setting = Setting(
        features=features,
        encoded=encoded,
        template=template,
        codes=table.codes,
        names=names,
        owners=np.zeros(len(table), np.int64),
        nodes=1,
        train=train,
        asked=asked,
        asked_at=np.zeros(len(asked), np.int64),
        plan=Plan(network=Network(inputs=features.shape[1], hidden=0, levels=len(table.levels))),
        seed=request.seed * 1_000 + turn,
        actions=_action_codes(table, template, drafted=drafted),
        previous=table.previous,
    )
    return setting, notes


def _by_chance(request: Request, chance: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    sizes = request.sizes
    test = held_out(request.table.codes, share=sizes.test_share, most=sizes.test_max, chance=chance)
    return np.flatnonzero(~test), np.flatnonzero(test)


def _by_time(request: Request, turn: int, chance: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Train on what was before a moment, ask about what came next; each split begins where the last one ended."""
    rows, sizes = len(request.table), request.sizes
    edges = np.linspace(TIME_SHARE_FIRST, 1, sizes.seeds + 1) * rows
    first, last = int(edges[turn]), int(edges[turn + 1])
    asked = np.arange(first, last)
    if len(asked) > sizes.test_max:
        asked = first + np.sort(chance.choice(len(asked), sizes.test_max, replace=False))
    return np.arange(first), asked


def _action_codes(table: AssessedTable, template: Template, *, drafted: bool) -> NDArray[np.int64] | None:
    if table.actions is None:
        return None
    if template.action is None:
        raise UsageError(
            "assess-action", "the template has no action", hint="leave out --action, or the template: one is drafted"
        )
    levels = template.action.levels
    names = [level_name(code + 1) if drafted else level for code, level in enumerate(table.action_levels)]
    codes = [levels.index(name) + 1 if name in levels else 0 for name in names]
    return np.array([0, *codes], np.int64)[table.actions]


def _natural(setting: Setting, chance: np.random.Generator) -> Setting:
    """Ask every row where it belongs, at no more nodes than may ask."""
    at = setting.owners[setting.asked]
    askers = chance.permutation(np.unique(at))[: rules.ASKERS_MAX]
    here = np.isin(at, askers)
    return replace(setting, asked=setting.asked[here], asked_at=at[here])


def _offline(setting: Setting) -> Setting:
    """Let a fifth of the nodes be there in each round, the same ones for both sides.

    A federated client trains in the rounds in which it is there; a node's packets are at their holders from the first
    round on in which it was there, and those of a node that never was are missing.
    """
    plan = replace(setting.plan, participation=rules.ONLINE_SHARE)
    plans = {arm: replace(one, participation=rules.ONLINE_SHARE) for arm, one in setting.plans.items()}
    occupied = [node for node in range(setting.nodes) if len(setting.rows_of(node))]
    seen = {occupied[place] for turn in range(1, plan.rounds + 1) for place in plan.present(len(occupied), turn)}
    return replace(setting, plan=plan, plans=plans, heard=frozenset(seen))
