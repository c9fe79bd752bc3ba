"""Several engines in one place: every frame arrives at once and in order, and the test moves the clock."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np

from fingerpost.ids import PublicKey
from fingerpost.node.emission import Emitted, observation
from fingerpost.node.engine import Engine
from fingerpost.node.events import Event
from fingerpost.node.peers import Holder
from fingerpost.packet import Signer, packet_ids
from fingerpost.store._memory import MemoryStore
from fingerpost.template import Template, parse_template

START = 20_000 * 86_400.0
TEMPLATE = """
format = 1
name = "sizes"
data_class = "non_personal"
[situation.size]
kind = "number"
range = [0, 100]
[outcome]
kind = "category"
levels = ["failed", "worked"]
[cells]
kind = "prefix"
bits = 4
[retention]
ttl_days = 30
[privacy]
profile = "open"
"""


class Counted:
    """Entropy that a test can repeat."""

    def __init__(self, seed: str) -> None:
        self._seed = seed.encode()
        self._reads = 0

    def read(self, size: int) -> bytes:
        """Return the next ``size`` bytes."""
        self._reads += 1
        return hashlib.shake_128(self._seed + self._reads.to_bytes(8, "big")).digest(size)


def signer_of(name: str) -> Signer:
    """Return the identity of the node with this name."""
    return Signer(hashlib.blake2s(name.encode()).digest())


class Town:
    """Engines by name. A name in ``dead`` neither gets nor gives frames; ``drops`` decides about single frames."""

    def __init__(self) -> None:
        self.template: Template = parse_template(TEMPLATE)
        self.now = START
        self.engines: dict[str, Engine] = {}
        self.stores: dict[str, MemoryStore] = {}
        self.events: dict[str, list[Event]] = {}
        self.dead: set[str] = set()
        self.drops: Callable[[str, str, bytes], bool] = lambda sender, receiver, frame: False
        self.frames = 0

    def add(self, name: str, *, follow: bool = False, organisation: str = "", **more: Any) -> Engine:
        """Let a new node with an empty store join, and tell everybody of everybody."""
        self.stores[name] = MemoryStore()
        engine = self.start(name, follow=follow, organisation=organisation, **more)
        self.introduce()
        return engine

    def start(self, name: str, *, follow: bool = False, organisation: str = "", **more: Any) -> Engine:
        """Start a node on the store it has."""
        entropy = Counted(f"{name} {self.now}")
        engine = Engine(
            signer=signer_of(name), store=self.stores[name], entropy=entropy, organisation=organisation, **more
        )
        engine.serve(self.template, follow=follow)
        self.engines[name] = engine
        self.events.setdefault(name, [])
        self.dead.discard(name)
        return engine

    def introduce(self, *, organisations: dict[str, str] | None = None) -> None:
        """Let a directory name everybody who ever joined to everybody."""
        named = organisations or {}
        holders = [
            Holder(public_key=engine.public_key, organisation=named.get(name, ""))
            for name, engine in self.engines.items()
        ]
        for name, engine in self.engines.items():
            if name not in self.dead:
                engine.know(holders, now=self.now)

    def emit(self, name: str, *sizes: float) -> list[Emitted]:
        """Let a node tell outcomes, one emission each."""
        engine = self.engines[name]
        made = [
            engine.emit(
                self.template.template_id,
                observation(self.template, {"size": size}, outcome="worked"),
                now=self.now,
            )
            for size in sizes
        ]
        self.settle()
        return made

    def settle(self) -> None:
        """Deliver what is due until nothing is."""
        names = {engine.public_key: name for name, engine in self.engines.items()}
        for _ in range(10_000):
            moved = False
            for name, engine in self.engines.items():
                for outgoing in engine.frames_to_send():
                    to = names[outgoing.to]
                    moved = True
                    self.frames += 1
                    if {name, to} & self.dead or self.drops(name, to, outgoing.frame):
                        continue
                    self.engines[to].receive(outgoing.frame, peer=engine.public_key, now=self.now)
                while (event := engine.next_event()) is not None:
                    self.events[name].append(event)
            if not moved:
                return
        raise AssertionError("frames go round and round")

    def run(self, seconds: float, *, step: float = 0.5) -> None:
        """Let time pass."""
        until = self.now + seconds
        while self.now < until:
            self.now += step
            for name, engine in self.engines.items():
                if name not in self.dead and engine.timer_at <= self.now:
                    engine.handle_timer(now=self.now)
            self.settle()

    def key(self, name: str) -> PublicKey:
        """Return a node's key."""
        return self.engines[name].public_key

    def holding(self, packet_id: bytes) -> set[str]:
        """Return who of the living has a packet."""
        return {name for name in self.engines if name not in self.dead and self.has(name, packet_id)}

    def id_of(self, emitted: Emitted) -> bytes:
        """Return the id of the first packet of an emission."""
        return bytes(packet_ids(emitted.packets)[0])

    def has(self, name: str, packet_id: bytes) -> bool:
        """Say whether a node's store has a packet."""
        return bool(self.stores[name].contains(np.frombuffer(packet_id, np.uint8).reshape(1, -1))[0])


def holders_of(town: Town) -> list[str]:
    """Return who holds the one group, as a living node sees it, best first."""
    names = {town.key(name): name for name in town.engines}
    living = next(name for name in town.engines if name not in town.dead)
    return [names[key] for key in town.engines[living].group(town.template.template_id).current]


def outsider(town: Town) -> str:
    """Return a node that is no holder."""
    return next(name for name in town.engines if name not in {*holders_of(town), *town.dead})
