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
from fingerpost.directory.regions import HolderRegions, HolderSearch, group_leading
from fingerpost.ids import PublicKey, TemplateId, node_id
from fingerpost.limits import ANNOUNCE_SECONDS, RECORD_LIFETIME_SECONDS_DEFAULT, RECORDS_READ_MAX
from fingerpost.node.finding import Found, candidates_among, candidates_of
from fingerpost.sim.chance import Chance
from fingerpost.sim.options import Plan
from fingerpost.sim.schedule import Schedule
from fingerpost.sim.violation import ViolationError

CROWD_SECONDS = 40.0  # in which a crowd of holders comes
CROWD_LEAVES = 0.05  # of a crowd, in each round
CARRIER = "simulated"
ELSEWHERE = "elsewhere"  # the carrier of a crowd, which nobody else has
EVERYBODY_IS_FOUND = "a look-up finds everybody who stands in the directory"

Admits = Callable[[PublicKey], bool]


def _is_simulated(record: HolderRecord) -> bool:
    return record.carrier == CARRIER


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

    def find(self, groups: Iterable[int], *, own: PublicKey, now: float, reaches: Callable[[PublicKey], bool]) -> Found:
        """Return whom ``own`` finds whose clock shows ``now``, as ``fingerpost.node.finding.Finding.look`` does.

        ``reaches`` says whose announcements get through to the reader. Raises ``ViolationError`` when the regions that
        were read lack somebody who stands in another one.
        """
        found = self._find(groups, own=own, now=now)
        listed = tuple(
            record
            for record in found.records
            if reaches(record.public_key) and not (self.is_faulty and self._chance.happens(self._plan.missed_records))
        )
        return replace(found, records=listed)

    def candidates(self, group: int, *, now: float) -> frozenset[PublicKey] | None:
        """Return among whom a group is placed by who finds everybody that it has to; None where all are."""
        nobody = PublicKey(bytes(32))
        found = self._find([group], own=nobody, now=now)
        return None if found.candidates is None else found.candidates[group].holders - {nobody}

    def _find(self, groups: Iterable[int], *, own: PublicKey, now: float) -> Found:
        search = HolderSearch(self._template_id, admits=self._admits)
        self._read_next(search, now=now)
        if not search.is_divided:
            return Found(records=self._everybody(search, now=now))
        records: dict[PublicKey, HolderRecord] = {}
        candidates = {}
        everybody = self._everybody(search, now=now)
        for group in groups:
            toward = group_leading(self._template_id, group)
            way = HolderSearch(self._template_id, admits=self._admits, toward=toward)
            while way.regions_to_read():
                self._read_next(way, now=now)
            near = candidates_of(way, own=own, is_usable=_is_simulated)
            seen = everybody if near is None else way.seen()
            candidates[group] = near or candidates_among(seen, own=own, is_usable=_is_simulated)
            records |= {record.public_key: record for record in seen}
        return Found(records=tuple(records[key] for key in sorted(records)), candidates=candidates)

    def _everybody(self, search: HolderSearch, *, now: float) -> tuple[HolderRecord, ...]:
        while search.regions_to_read():
            self._read_next(search, now=now)
        holders = search.holders()
        self._check_found({record.public_key for record in holders}, now=now)
        return holders

    def _read_next(self, search: HolderSearch, *, now: float) -> None:
        for region in search.regions_to_read():
            search.found(region, self._read(region, now=now))

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
