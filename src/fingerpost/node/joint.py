"""Releases of several nodes at once: their counts are added up so that nobody sees but the sum, and one publishes it.

Every node counts its own records and enters them in its own ledger, when all others have said that they are there and
before its table leaves. Whoever publishes is drawn by the sum's name; it could be any of them, and all know the sum.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fingerpost.carrier.base import Delivery, Peer
from fingerpost.errors import PrivacyError, UsageError
from fingerpost.fingerprint import cell_of
from fingerpost.ids import PublicKey
from fingerpost.limits import DP_RELEASE_EPSILON
from fingerpost.node.noise import OpenDpNoise
from fingerpost.node.summing import sum_tables
from fingerpost.packet import PACKET_DTYPE, Profile, Signer, sign_bodies
from fingerpost.ports import day_of
from fingerpost.privacy.counts import count_records, counts_bodies, grid_of, outcome_levels
from fingerpost.privacy.secure_sum import SECRET_SIZE_BYTES, Sum, SumParty
from fingerpost.privacy.subjects import SUBJECT_SIZE_BYTES
from fingerpost.template import Template, profile_name

if TYPE_CHECKING:
    from fingerpost.node.connection import Connection
    from fingerpost.node.emission import Observations
    from fingerpost.node.engine import Engine
    from fingerpost.node.ledger_file import LedgerFile, Packets
    from fingerpost.node.release import Chosen, Prices
    from fingerpost.ports import Entropy
    from fingerpost.privacy.noise import Counts

LOOK_SECONDS = 0.5  # between two looks at who is there


class SideCarrier:
    """The carrier of a connection as far as sums go: it gives what other parties say of one, and nothing else."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        while not connection.aside.empty():  # of earlier sums: whoever is there says it again
            connection.aside.get_nowait()

    async def send(self, frame: bytes, *, to: Peer) -> None:
        """Hand one frame over."""
        await self._connection.send_aside(frame, to=to)

    async def receive(self) -> Delivery:
        """Wait for the next frame of a sum."""
        return await self._connection.aside.get()


@dataclass(frozen=True, slots=True, kw_only=True)
class Joint:
    """What one node brings to a release of several."""

    engine: Engine
    connection: Connection
    template: Template
    signer: Signer
    entropy: Entropy
    parties: Sequence[bytes]
    seconds: float

    async def total(
        self, file: LedgerFile, observations: Observations, chosen: Chosen, prices: Prices, *, now: float
    ) -> tuple[Sum, Counts]:
        """Return the noisy sum of the tables of all parties. Raises ``PrivacyError`` (``sum-dropout``)."""
        day, grid = day_of(now), grid_of(self.template)
        agreed = Sum(
            parties=tuple(self.parties),
            occasion=self.template.template_id + day.to_bytes(4, "little"),
            shape=grid.shape,
        )
        part = observations.part(chosen.rows)
        fingerprinter = self.engine.knowledge(self.template.template_id).fingerprinter
        counts = count_records(
            grid,
            cells=cell_of(fingerprinter.fingerprints(part.encoded), self.template),
            actions=part.actions,
            levels=outcome_levels(self.template, part.outcomes, self.entropy),
        )

        def pay() -> None:
            self._enter(file, np.zeros(0, PACKET_DTYPE), chosen.subjects, day=day, cost_milli=prices.cost_milli)

        total = await sum_tables(
            SideCarrier(self.connection),
            await self._peers(),
            SumParty(agreed, signer=self.signer, secret=self.entropy.read(SECRET_SIZE_BYTES)),
            counts,
            OpenDpNoise(),
            epsilon=DP_RELEASE_EPSILON,
            pay=pay,
            seconds=self.seconds,
        )
        return agreed, total

    def publish(self, file: LedgerFile, agreed: Sum, total: Counts, *, now: float) -> tuple[int, Packets] | None:
        """Put out the sum where this node is the one that does; else return None. It costs nobody anything more."""
        if agreed.adders[0] != bytes(self.signer.public_key):
            return None
        day = day_of(now)
        bodies = counts_bodies(
            self.template,
            np.clip(total, np.iinfo(np.int32).min, np.iinfo(np.int32).max),
            emitter=self.signer.public_key,
            day=day,
            entropy=self.entropy,
            noises=len(agreed.adders),
        )
        packets = sign_bodies(bodies, self.signer)
        self._enter(file, packets, np.zeros((0, SUBJECT_SIZE_BYTES), np.uint8), day=day, cost_milli=0)
        number = self.engine.put_out(self.template.template_id, packets, now=now)
        file.published()
        return number, packets

    def _enter(self, file: LedgerFile, packets: Packets, subjects: np.ndarray, *, day: int, cost_milli: int) -> None:
        from fingerpost.node.release import PRICES

        file.spend(
            packets,
            subjects,
            day=day,
            template_id=self.template.template_id,
            profile=profile_name(self.template.profile),
            cost_milli=cost_milli,
            cap_milli=PRICES[self.template.profile].cap_milli,
        )

    async def _peers(self) -> dict[bytes, Peer]:
        """Return where the other parties are, once the directory names all of them, or time is up."""
        others = [party for party in self.parties if party != bytes(self.signer.public_key)]
        try:
            async with asyncio.timeout(self.seconds):
                while not all(self.connection.peer(PublicKey(each)).address for each in others):
                    await self.connection.find()
                    await asyncio.sleep(LOOK_SECONDS)
        except TimeoutError:
            away = sum(self.connection.peer(PublicKey(each)).address is None for each in others)
            raise PrivacyError(
                "sum-dropout",
                f"{away} of {len(self.parties)} parties are not there",
                hint="nothing was released or paid for; let all of them run the command at the same time",
            ) from None
        return {each: self.connection.peer(PublicKey(each)) for each in others}


def require_summable(template: Template) -> None:
    """Raise ``UsageError`` (``sum-profile``) for a template whose records do not leave as counts."""
    if template.profile is not Profile.DP_AGGREGATE:
        raise UsageError(
            "sum-profile",
            f"under the profile {profile_name(template.profile)} there is nothing to add up",
            hint='sums are for templates with profile = "dp-aggregate"',
        )
