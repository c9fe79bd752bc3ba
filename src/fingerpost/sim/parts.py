"""What stations are built from: the engine of production on a simulated disk, unless a test plants a bug in one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fingerpost.node.engine import Engine
from fingerpost.sim.disk import SimulatedDisk, SimulatedStore
from fingerpost.store.base import PacketStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """How a station makes its engine and opens its store."""

    engine: Callable[..., Engine] = Engine
    store: Callable[[SimulatedDisk], PacketStore] = SimulatedStore
