"""How a node releases: what a crash left over first, then what holders say, then the ledger, then the packets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fingerpost.errors import UsageError
from fingerpost.limits import ACKNOWLEDGEMENTS
from fingerpost.node.events import Acknowledged, Event, Refreshed, Unacknowledged
from fingerpost.node.joint import require_summable

if TYPE_CHECKING:
    from fingerpost.node.connection import Connection
    from fingerpost.node.emission import Observations
    from fingerpost.node.engine import Engine
    from fingerpost.node.ledger_file import LedgerFile
    from fingerpost.node.release import Made, Releaser
    from fingerpost.node.reports import Emission
    from fingerpost.node.status import Watch
    from fingerpost.ports import Clock
    from fingerpost.template import RowProblem, Template


HOLDER_LOOKS_MAX = 4
LOOKS_MAX = 20
LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Releasing:
    """The parts of a node that take part in a release; ``event_of`` waits for the event with a number."""

    engine: Engine
    template: Template
    releaser: Releaser
    connection: Connection | None
    watch: Watch
    clock: Clock
    event_of: Callable[[int], Awaitable[Event | None]]

    async def alone(self, observations: Observations, problems: Sequence[RowProblem]) -> Emission:
        """Release what this node has to tell."""
        with self.releaser.ledger() as file:
            answered = await self._before(file)
            made = self.releaser.release(
                file, self.template, observations, now=self.clock.now(), holders_answered=answered
            )
        return await self._told(made, problems)

    async def together(self, observations: Observations, *, parties: Sequence[bytes], seconds: float) -> Emission:
        """Release what this node has to tell added up with what others have."""
        require_summable(self.template)
        if self.connection is None:
            raise UsageError("sum-network", "a node outside of a network has nobody to add up with")
        with self.releaser.ledger() as file:
            answered = await self._before(file)
            known = len(self.engine.packets(self.template.template_id, now=self.clock.now()))
            made = await self.releaser.joint(
                file,
                self.connection,
                self.template,
                observations,
                parties=parties,
                seconds=seconds,
                now=self.clock.now(),
                holders_answered=answered,
            )
        if len(made.packets):
            return await self._told(made, ())
        await self._sum_arrives(known)
        return made.emission(None, ())

    async def _sum_arrives(self, known: int) -> None:
        """Wait until what another node publishes is here too, or not for now."""
        for _ in range(LOOKS_MAX):
            await self.event_of(self.engine.refresh(self.template.template_id, now=self.clock.now()))
            if len(self.engine.packets(self.template.template_id, now=self.clock.now())) > known:
                return
            await asyncio.sleep(LOOK_SECONDS)

    async def _before(self, file: LedgerFile) -> int:
        self.releaser.publish_earlier(file, self.template, now=self.clock.now())
        if self.connection is not None:
            await self.connection.meet(np.arange(1 << self.template.cell_bits, dtype=np.uint32))
        for _ in range(HOLDER_LOOKS_MAX - 1):
            answered = await self._holders_answer()
            if answered >= min(ACKNOWLEDGEMENTS, len(self.engine.peers.all())):
                return answered
            await asyncio.sleep(LOOK_SECONDS)
        return await self._holders_answer()

    async def _holders_answer(self) -> int:
        """Fetch what holders have, and return how many of them said so; the late ones of a busy network are missing."""
        event = await self.event_of(self.engine.refresh(self.template.template_id, now=self.clock.now()))
        return event.peers if isinstance(event, Refreshed) else 0

    async def _told(self, made: Made, problems: Sequence[RowProblem]) -> Emission:
        self.watch.emitted(made.number, len(made.packets))
        report = await self.event_of(made.number)
        seen = report if isinstance(report, (Acknowledged, Unacknowledged)) else None
        return made.emission(seen, problems)
