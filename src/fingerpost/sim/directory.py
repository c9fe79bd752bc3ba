"""A simulated directory: every node learns of the others, late, now and then not at all, and for minutes too long.

It keeps what the port ``Directory`` promises and no more: a record is found within seconds and until it expires or is
withdrawn, also that of a holder that is long dead; a reader that is cut off goes on with what it found last. Where a
holder stands among the regions, and which regions are read, is decided by ``fingerpost.directory.regions``, as in
production.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

from fingerpost.directory.record import HolderRecord
from fingerpost.directory.region import Region
from fingerpost.directory.regions import HolderRegions, HolderSearch
from fingerpost.ids import PublicKey, TemplateId, node_id
from fingerpost.limits import ANNOUNCE_SECONDS, RECORD_LIFETIME_SECONDS_DEFAULT, RECORDS_READ_MAX
from fingerpost.sim.chance import Chance
from fingerpost.sim.options import Plan
from fingerpost.sim.schedule import Schedule
from fingerpost.sim.violation import ViolationError

CROWD_SECONDS = 40.0  # in which a crowd of holders comes
CROWD_LEAVES = 0.05  # of a crowd, in each round
ELSEWHERE = "elsewhere"  # the carrier of a crowd, which nobody else has
EVERYBODY_IS_FOUND = "a look-up finds everybody who stands in the directory"

Admits = Callable[[PublicKey], bool]


class SimulatedDirectory:
    """The records of all holders of a run."""

    def __init__(
        self, schedule: Schedule, chance: Chance, plan: Plan, *, template_id: TemplateId, admits: Admits
    ) -> None:
        self._plan = plan
        self._schedule = schedule
        self._chance = chance
        self._template_id = template_id
        self._admits = admits
        self._regions: dict[Region, dict[PublicKey, HolderRecord]] = {}
        self.is_faulty = True
        self.deepest = 0

    def standing_of(self, public_key: PublicKey) -> HolderRegions:
        """Return what decides where a holder stands: one for each of its processes."""
        return HolderRegions(self._template_id, node_id(public_key), admits=self._admits)

    def announce(self, record: HolderRecord, standing: HolderRegions) -> None:
        """Publish a record wherever its holder stands, in place of the earlier one."""
        standing.begin()
        while due := standing.regions_to_read():
            for region in due:
                standing.found(region, self._read(region, now=record.issued_at))
        stands = standing.standing(now=record.issued_at)
        self.deepest = max(self.deepest, stands.depth)
        stamped = replace(record, depth=stands.depth)
        delay = self._chance.between(0, self._plan.directory_seconds)

        def appear() -> None:
            for region in stands.regions:
                held = self._regions.setdefault(region, {})
                if record.public_key not in held or held[record.public_key].issued_at <= record.issued_at:
                    held[record.public_key] = stamped
            for region in stands.left:
                self._regions.get(region, {}).pop(record.public_key, None)

        self._schedule.after(delay, appear)

    def find(self, *, now: float, reaches: Callable[[PublicKey], bool]) -> list[HolderRecord]:
        """Return the records that a reader finds whose clock shows ``now``, by ascending key.

        ``reaches`` says whose announcements get through to the reader. Raises ``ViolationError`` when the regions that
        were read lack somebody who stands in another one.
        """
        search = HolderSearch(self._template_id, admits=self._admits)
        while due := search.regions_to_read():
            for region in due:
                search.found(region, self._read(region, now=now))
        holders = search.holders()
        self._check_found({record.public_key for record in holders}, now=now)
        return [
            record
            for record in holders
            if reaches(record.public_key) and not (self.is_faulty and self._chance.happens(self._plan.missed_records))
        ]

    def _read(self, region: Region, *, now: float) -> list[HolderRecord]:
        held = self._regions.get(region, {})
        return [held[key] for key in sorted(held) if held[key].is_live(now)][:RECORDS_READ_MAX]

    def _check_found(self, found: set[PublicKey], *, now: float) -> None:
        for region, held in self._regions.items():
            lacking = [record for key, record in held.items() if record.is_live(now) and key not in found]
            if lacking:
                names = ", ".join(record.endpoint for record in lacking[:5])
                raise ViolationError(
                    EVERYBODY_IS_FOUND, f"{len(lacking)} are missed that stand {region.depth} deep, such as {names}"
                )


class Crowd:
    """Holders that do nothing but stand in the directory, so many that its regions divide."""

    def __init__(
        self, schedule: Schedule, chance: Chance, directory: SimulatedDirectory, *, template_id: TemplateId
    ) -> None:
        self._schedule = schedule
        self._chance = chance
        self._directory = directory
        self._template_id = template_id

    def come(self, keys: Iterable[PublicKey]) -> None:
        """Let these holders come, one after the other."""
        for number, key in enumerate(keys):
            standing = self._directory.standing_of(key)
            begin = partial(self._keep_announcing, key, standing, number)
            self._schedule.after(self._chance.between(0, CROWD_SECONDS), begin)

    def _keep_announcing(self, key: PublicKey, standing: HolderRegions, number: int) -> None:
        record = HolderRecord(
            template_id=self._template_id,
            public_key=key,
            carrier=ELSEWHERE,
            endpoint=f"c{number}",
            channel_key=b"",
            organisation="",
            capacity_packets=0,
            issued_at=int(self._schedule.now),
            lifetime_seconds=RECORD_LIFETIME_SECONDS_DEFAULT,
        )
        self._directory.announce(record, standing)
        if not self._chance.happens(CROWD_LEAVES):
            self._schedule.after(ANNOUNCE_SECONDS, partial(self._keep_announcing, key, standing, number))
