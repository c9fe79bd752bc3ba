"""The consortium without its parts, on the same packets: what elections and the choice of calculators do."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from fingerpost.lab.assess.routing import Askers, by_node, evidence_of, packets_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from fingerpost.lab.assess.setting import Probabilities, Setting


def _unelected(setting: Setting) -> tuple[Probabilities, int]:
    """Every node uses everybody's packets, and still picks calculators by its own outcomes."""
    packets = packets_of(setting)
    askers = Askers(evidence_of(packets, setting), setting)
    return by_node(setting, partial(askers.forecast, elections=False)), packets.nbytes * (setting.nodes - 1)


def _pooled(setting: Setting) -> tuple[Probabilities, int]:
    """Every node uses everybody's packets and one calculator, kernel ridge: the same answer wherever one asks."""
    packets = packets_of(setting)
    askers = Askers(evidence_of(packets, setting), setting)
    return askers.pooled(setting.asked), packets.nbytes * (setting.nodes - 1)


ABLATIONS: dict[str, Callable[[Setting], tuple[Probabilities, int]]] = {
    "consortium_unelected": _unelected,
    "consortium_pooled": _pooled,
}
