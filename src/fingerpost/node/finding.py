"""Finding holders and being found: what a node says to its directory, whatever the size of the network."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from fingerpost.directory.base import Directory
from fingerpost.directory.record import HolderRecord
from fingerpost.directory.region import Region
from fingerpost.directory.regions import GROUP_MEMBERS_MIN, Admits, HolderRegions, HolderSearch, group_leading
from fingerpost.errors import NetworkError
from fingerpost.ids import PublicKey, TemplateId, node_id
from fingerpost.limits import ANNOUNCE_SECONDS
from fingerpost.node.placement import Candidates
from fingerpost.ports import Clock

LOOKUPS_AT_ONCE = 16
REGIONS_REMEMBERED_MAX = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Whom a look into the directory found: everybody, or with ``candidates`` those who matter, and for which group."""

    records: tuple[HolderRecord, ...]
    candidates: dict[int, Candidates] | None = None


class Finding:
    """One node's dealings with a directory for one template.

    In a small network each call is one look-up. In a large one the regions that have been divided are remembered for
    ``ANNOUNCE_SECONDS``, so that finding the holders of a group stays one look-up; ``announce`` takes three at most,
    after the first time. ``is_usable`` says by whose record this node can reach a holder; ``stranger`` is told at each
    look of everybody who stands there and may not take part.

    Every method raises ``NetworkError`` as ``Directory`` says; the directory is closed by whoever opened it.
    """

    def __init__(
        self,
        directory: Directory,
        *,
        template_id: TemplateId,
        public_key: PublicKey,
        network_id: str,
        sign: Callable[[bytes], bytes],
        admits: Admits,
        clock: Clock,
        group_bits: int = 0,
        is_usable: Callable[[HolderRecord], bool] = bool,
        stranger: Callable[[PublicKey], object] = bool,
    ) -> None:
        self._directory = directory
        self._template_id = template_id
        self._public_key = public_key
        self._groups = 1 << group_bits
        self._is_usable = is_usable
        self._stranger = stranger
        self._network_id = network_id
        self._sign = sign
        self._admits = _with_oneself(admits, public_key)
        self._clock = clock
        self._regions = HolderRegions(template_id, node_id(public_key), admits=self._admits)
        self._record: HolderRecord | None = None
        self._remembered: dict[Region, tuple[float, tuple[HolderRecord, ...]]] = {}
        self._under_way: dict[Region, asyncio.Task[tuple[HolderRecord, ...]]] = {}
        self._room = asyncio.Semaphore(LOOKUPS_AT_ONCE)

    async def announce(self, record: HolderRecord) -> None:
        """Look where this node stands among the holders, sign its record and write it there."""
        self._regions.begin()
        while due := self._regions.regions_to_read():
            for region, records in zip(due, await self._read(due), strict=True):
                self._regions.found(region, records)
        standing = self._regions.standing(now=self._clock.now())
        self._record = replace(record, depth=standing.depth).signed(self._sign, network_id=self._network_id)
        announcing = [self._directory.announce(region, self._record) for region in standing.regions]
        taking_back = [self._directory.withdraw(region, self._record) for region in standing.left]
        outcomes = await asyncio.gather(*announcing, *taking_back, return_exceptions=True)
        _raise_first(outcomes[: len(announcing)])  # what was not taken back is gone by itself within minutes

    async def withdraw(self) -> None:
        """Take this node's record back everywhere; harmless where it never announced itself."""
        record = self._record
        if record is not None:
            taking_back = [self._directory.withdraw(region, record) for region in self._regions.withdrawn()]
            _raise_first(await asyncio.gather(*taking_back, return_exceptions=True))

    async def find(self) -> tuple[HolderRecord, ...]:
        """Return the records of all admitted holders, this node included, as far as a bounded search finds them.

        In networks of thousands of holders that is a part; ``find_group`` is the question to ask there.
        """
        return await self._search(HolderSearch(self._template_id, admits=self._admits))

    async def find_group(self, group: int) -> tuple[HolderRecord, ...]:
        """Return the records of the admitted holders among which a group of cells is placed."""
        toward = group_leading(self._template_id, group)
        return await self._search(HolderSearch(self._template_id, admits=self._admits, toward=toward))

    async def look(self, groups: Collection[int]) -> Found:
        """Return whom this node needs to know, to place and ask for ``groups`` and those that it may hold itself.

        That is everybody while all holders stand in one region. Once it has been divided, each group is looked up by
        itself, and whoever has nothing to do with any of them is not listed.
        """
        everybody = HolderSearch(self._template_id, admits=self._admits)
        await self._read_next(everybody)
        if not everybody.is_divided:
            return Found(records=await self._search(everybody))
        wanted = sorted({*groups, *filter(self._regions.may_hold, range(self._groups))})
        nearby = await asyncio.gather(*(self._nearby(group) for group in wanted))
        records = {record.public_key: record for _, seen in nearby for record in seen}
        return Found(
            records=tuple(records[key] for key in sorted(records)),
            candidates={group: candidates for group, (candidates, _) in zip(wanted, nearby, strict=True)},
        )

    async def _nearby(self, group: int) -> tuple[Candidates, tuple[HolderRecord, ...]]:
        search = HolderSearch(self._template_id, admits=self._admits, toward=group_leading(self._template_id, group))
        await self._search(search)
        candidates = candidates_of(search, own=self._public_key, is_usable=self._is_usable)
        if candidates is not None:
            return candidates, search.seen()
        everybody = await self.find()
        return candidates_among(everybody, own=self._public_key, is_usable=self._is_usable), everybody

    async def _search(self, search: HolderSearch) -> tuple[HolderRecord, ...]:
        while search.regions_to_read():
            await self._read_next(search)
        return search.holders()

    async def _read_next(self, search: HolderSearch) -> None:
        due = search.regions_to_read()[:LOOKUPS_AT_ONCE]
        for region, records in zip(due, await self._read_or_recall(due), strict=True):
            search.found(region, records)
            if region in search.inner_regions:
                self._remember(region, records)

    async def _read_or_recall(self, regions: tuple[Region, ...]) -> list[tuple[HolderRecord, ...]]:
        now = self._clock.now()
        recalled = {
            region: tuple(record for record in records if record.is_live(now))
            for region, (until, records) in self._remembered.items()
            if region in regions and until - ANNOUNCE_SECONDS <= now < until
        }
        missing = tuple(region for region in regions if region not in recalled)
        recalled |= zip(missing, await self._read(missing), strict=True)
        return [recalled[region] for region in regions]

    async def _read(self, regions: tuple[Region, ...]) -> list[tuple[HolderRecord, ...]]:
        return list(await asyncio.gather(*(self._read_once(region) for region in regions)))

    async def _read_once(self, region: Region) -> tuple[HolderRecord, ...]:
        """Read a region, together with whoever is reading it: a node that comes finds and announces at once."""
        reading = self._under_way.get(region)
        if reading is None:

            def ended(task: asyncio.Task[tuple[HolderRecord, ...]]) -> None:
                self._under_way.pop(region, None)
                if not task.cancelled():
                    task.exception()  # whoever asked may have gone

            reading = self._under_way[region] = asyncio.create_task(self._read_one(region))
            reading.add_done_callback(ended)
        return await asyncio.shield(reading)

    async def _read_one(self, region: Region) -> tuple[HolderRecord, ...]:
        async with self._room:
            records = await self._directory.find(region)
        for record in records:
            if not self._admits(record.public_key):
                self._stranger(record.public_key)
        return records

    def _remember(self, region: Region, records: tuple[HolderRecord, ...]) -> None:
        now = self._clock.now()
        if region not in self._remembered or self._remembered[region][0] <= now:
            self._remembered.pop(region, None)
            self._remembered[region] = now + ANNOUNCE_SECONDS, records
        while len(self._remembered) > REGIONS_REMEMBERED_MAX:
            del self._remembered[next(iter(self._remembered))]


def candidates_of(
    search: HolderSearch, *, own: PublicKey, is_usable: Callable[[HolderRecord], bool]
) -> Candidates | None:
    """Return among whom a group is placed, from a search for its holders, and who else was seen on the way.

    None says that too few of them can be reached, so that everybody is a candidate: nobody must be left out then.
    """
    usable = {record.public_key for record in search.holders() if is_usable(record)}
    if len(usable) < GROUP_MEMBERS_MIN:
        return None
    if search.region().covers(int.from_bytes(node_id(own)[:4], "big")):
        usable.add(own)
    return Candidates(holders=frozenset(usable), seen=frozenset(record.public_key for record in search.seen()))


def candidates_among(
    everybody: Collection[HolderRecord], *, own: PublicKey, is_usable: Callable[[HolderRecord], bool]
) -> Candidates:
    """Return everybody who can be reached, and oneself, as candidates for a group."""
    usable = {record.public_key for record in everybody if is_usable(record)}
    return Candidates(holders=frozenset({*usable, own}), seen=frozenset(record.public_key for record in everybody))


def _with_oneself(admits: Admits, own: PublicKey) -> Admits:
    return lambda public_key: public_key == own or admits(public_key)


def _raise_first(outcomes: list[BaseException | None]) -> None:
    """Raise an error that a caller does not expect, if there is one, else the first of the others."""
    errors = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    if errors:
        raise min(errors, key=lambda error: isinstance(error, NetworkError))
