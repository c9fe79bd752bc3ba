"""In which regions a holder stands, and which regions are read to find holders, so that no look-up grows. No I/O.

The holders of a template stand in a tree of regions. While there are few, all stand in the one of depth 0. Once a
region has more than ``REGION_RECORDS_SPLIT`` members, its members stand in the half of it that their ids fall into, and
so on; each record says how deep its holder stands. What keeps everybody findable:

* A member that moves stays where it stood for ``LINGER_SECONDS`` more: both depths are written, their union is read.
* Some stay in every region above as *signposts*: about ``SIGNPOSTS``, drawn by lot from their ids. A region in which
  ``EVIDENCE_MIN`` members say that they stand deeper, and that has more than ``MERGE_MEMBERS``, is read deeper too.
* So few as ``MERGE_MEMBERS`` below a region are all signposts there; they move back once each of them is seen there.
  Where many die at once, the others become signposts before the records of the dead expire, which lead to them.

Only members count, those whom ``admits`` admits: strangers who flood a region divide nothing. They make a search read
further, at most ``REGION_LOOKUPS_MAX`` regions, those first which members say are there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from fingerpost.directory.reading import is_later
from fingerpost.directory.record import HolderRecord
from fingerpost.directory.region import Region, region_at
from fingerpost.errors import UsageError
from fingerpost.ids import NodeId, PublicKey, TemplateId
from fingerpost.limits import (
    ANNOUNCE_SECONDS,
    RECORD_LIFETIME_SECONDS_DEFAULT,
    REGION_DEPTH_MAX,
    REGION_LOOKUPS_MAX,
    REGION_RECORDS_SPLIT,
)

SIGNPOSTS = REGION_RECORDS_SPLIT // 2
MERGE_MEMBERS = REGION_RECORDS_SPLIT // 4
EVIDENCE_MIN = 8
GROUP_MEMBERS_MIN = 16  # a group is not placed among fewer, while the region above has more
LINGER_SECONDS = RECORD_LIFETIME_SECONDS_DEFAULT
RENEWED_SECONDS = 5 * ANNOUNCE_SECONDS // 2  # who has not announced itself for longer has likely died

Admits = Callable[[PublicKey], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a holder's record, which says ``depth``, is to be written now, deepest region first, and taken back."""

    depth: int
    regions: tuple[Region, ...]
    left: tuple[Region, ...]


class HolderRegions:
    """Decides where one holder stands, round by round.

    The owner calls ``begin``, reads what ``regions_to_read`` names and hands it to ``found`` until nothing is named,
    then calls ``standing`` and writes accordingly; once a round, every ``ANNOUNCE_SECONDS``.
    """

    def __init__(self, template_id: TemplateId, node_id: NodeId, *, admits: Admits) -> None:
        self._template_id = template_id
        self._node_id = node_id
        self._leading = int.from_bytes(node_id[:4], "big")
        self._admits = admits
        self._depth = 0
        self._seen: dict[Region, _Sight] = {}
        self._linger: dict[Region, float] = {}
        self._written: tuple[Region, ...] = ()

    @property
    def depth(self) -> int:
        """Return the depth at which the holder stood when last asked."""
        return self._depth

    def may_hold(self, group: int) -> bool:
        """Say whether a group may be placed among the holders of this holder's region, or of the one above."""
        shift = 32 - max(0, self._depth - 1)
        return group_leading(self._template_id, group) >> shift == self._leading >> shift

    def begin(self) -> None:
        """Start a round: forget what the regions held."""
        self._seen.clear()

    def regions_to_read(self) -> tuple[Region, ...]:
        """Return the regions that must be read now, in any order: at most three, more on the first way down."""
        depth = self._descent()
        wanted = [self._own(depth), *([self._own(depth - 1)] if depth else [])]
        if depth and wanted[0] in self._seen and len(self._seen[wanted[0]].members) <= MERGE_MEMBERS:
            wanted.append(self._sibling(depth))
        return tuple(region for region in wanted if region not in self._seen)

    def found(self, region: Region, records: Iterable[HolderRecord]) -> None:
        """Take what a region held."""
        self._seen[region] = _Sight(region, records, self._admits)

    def standing(self, *, now: float) -> Standing:
        """Return where the holder stands from now on. Raises ``UsageError`` while regions are to be read."""
        if self.regions_to_read():
            raise UsageError("regions-unread", "a holder's standing follows from regions that were not read yet")
        before, self._depth = self._depth, self._descent()
        leaf = self._seen[self._own(self._depth)]
        if len(leaf.members) > REGION_RECORDS_SPLIT and self._depth < REGION_DEPTH_MAX:
            self._depth += 1
        elif self._depth and self._may_merge():
            self._depth -= 1
        if self._depth != before and self._own(before) in self._written:
            self._linger[self._own(before)] = now + LINGER_SECONDS
        regions = [self._own(depth) for depth in range(self._depth + 1, -1, -1) if self._stands_at(depth, now)]
        left = tuple(region for region in self._written if region not in regions)
        self._written = tuple(regions)
        return Standing(depth=self._depth, regions=self._written, left=left)

    def withdrawn(self) -> tuple[Region, ...]:
        """Return the regions in which a record may still stand, and forget them: the holder stands nowhere."""
        left, self._written = self._written, ()
        self._linger.clear()
        return left

    def _own(self, depth: int) -> Region:
        return region_at(self._template_id, self._leading, depth=depth)

    def _sibling(self, depth: int) -> Region:
        return region_at(self._template_id, self._leading ^ (1 << (32 - depth)), depth=depth)

    def _descent(self) -> int:
        """Return how deep what was seen so far leads, starting where the holder stood last."""
        depth = self._depth
        while depth < REGION_DEPTH_MAX and (sight := self._seen.get(self._own(depth))) and sight.is_divided:
            depth += 1
        return depth

    def _may_merge(self) -> bool:
        """Say whether all members below the region above are few, and are seen there, so that nobody is lost."""
        sibling = self._seen.get(self._sibling(self._depth))
        if sibling is None:
            return False
        above = self._seen[self._own(self._depth - 1)].members.keys()
        below = self._seen[self._own(self._depth)].members.keys() | sibling.members.keys()
        return len(above | below) <= MERGE_MEMBERS and below <= above

    def _stands_at(self, depth: int, now: float) -> bool:
        region = self._own(depth) if depth <= REGION_DEPTH_MAX else None
        if region is None or depth > self._depth:
            return region is not None and self._linger.get(region, now) > now
        if depth == self._depth or self._linger.get(region, now) > now:
            return True
        above = self._seen.get(region)
        if depth == self._depth - 1 and above is not None and not above.is_divided:
            return True  # whoever reads it would not look further
        neighbours = max(1, self._renewed_in(self._own(self._depth), now))
        return _lot(self._node_id, region) * neighbours << (self._depth - depth) < SIGNPOSTS << 64

    def _renewed_in(self, region: Region, now: float) -> int:
        """Count the members of a region that have lately announced themselves: the dead stay on for a while."""
        renewed: set[PublicKey] = set()
        for sight in self._seen.values():
            for key, leading in sight.members.items():
                if region.covers(leading) and sight.records[key].issued_at > now - RENEWED_SECONDS:
                    renewed.add(key)
        return len(renewed)


class HolderSearch:
    """Finds the holders of a template, or those among which one group is placed.

    The owner reads what ``regions_to_read`` names, all at once if it likes, and hands it to ``found`` until nothing is
    named. ``toward`` are the bits of ``group_leading``: only regions on the way there are read, and ``holders`` are
    those of the region where the way ends.
    """

    def __init__(self, template_id: TemplateId, *, admits: Admits, toward: int | None = None) -> None:
        self._admits = admits
        self._toward = toward
        self._seen: dict[Region, _Sight] = {}
        self._due: dict[Region, bool] = {Region(template_id=template_id): True}
        self._root = Region(template_id=template_id)

    @property
    def complete(self) -> bool:
        """Say whether every region that seemed worth reading was read."""
        return not self._due

    @property
    def inner_regions(self) -> tuple[Region, ...]:
        """Return the regions read that have been divided: they change slowly."""
        return tuple(region for region, sight in self._seen.items() if sight.is_divided)

    @property
    def is_divided(self) -> bool:
        """Say whether holders stand in more than one region, as far as was read."""
        return bool(self.inner_regions)

    def regions_to_read(self) -> tuple[Region, ...]:
        """Return the regions to read now, the most promising first; none when the search is over."""
        room = REGION_LOOKUPS_MAX - len(self._seen)
        ordered = sorted(self._due, key=lambda region: (not self._due[region], region.depth, region.prefix))
        return tuple(ordered[:room])

    def found(self, region: Region, records: Sequence[HolderRecord]) -> None:
        """Take what a region held."""
        self._due.pop(region, None)
        sight = self._seen[region] = _Sight(region, records, self._admits)
        crowded = len(records) > REGION_RECORDS_SPLIT
        if region.depth < REGION_DEPTH_MAX and (sight.is_divided or crowded):
            for half in (region.child(0), region.child(1)):
                if half not in self._seen and (self._toward is None or half.covers(self._toward)):
                    self._due[half] = sight.is_divided

    def region(self) -> Region:
        """Return the region whose holders are those of the group: the deepest divided one's half on the way there."""
        home = self._root
        while self._toward is not None and (sight := self._seen.get(home)) and sight.is_divided:
            half = region_at(home.template_id, self._toward, depth=home.depth + 1)
            if len(self._members(half)) < GROUP_MEMBERS_MIN:
                break
            home = half
        return home

    def holders(self) -> tuple[HolderRecord, ...]:
        """Return the latest record of each member found that falls into ``region``, ordered by public key."""
        members = self._members(self.region())
        return tuple(members[key] for key in sorted(members))

    def seen(self) -> tuple[HolderRecord, ...]:
        """Return the latest record of each member found anywhere, ordered by public key."""
        members = self._members(self._root)
        return tuple(members[key] for key in sorted(members))

    def _members(self, region: Region) -> dict[PublicKey, HolderRecord]:
        found: dict[PublicKey, HolderRecord] = {}
        for sight in self._seen.values():
            for key, leading in sight.members.items():
                if region.covers(leading) and is_later(sight.records[key], than=found.get(key)):
                    found[key] = sight.records[key]
        return found


def group_leading(template_id: TemplateId, group: int) -> int:
    """Return the 32 bits of a group that choose its region as the leading bits of its id choose a holder's."""
    key = template_id + group.to_bytes(4, "big")
    return int.from_bytes(hashlib.blake2s(key, digest_size=4, person=b"fpgroup").digest(), "big")


def region_of_group(template_id: TemplateId, group: int, depth: int) -> Region:
    """Return the region of ``depth`` among whose holders a group is placed."""
    return region_at(template_id, group_leading(template_id, group), depth=depth)


class _Sight:
    """What a region held: its ``members`` with their leading bits, and whether they say that it has been divided."""

    def __init__(self, region: Region, records: Iterable[HolderRecord], admits: Admits) -> None:
        self.records: dict[PublicKey, HolderRecord] = {}
        for record in records:
            if admits(record.public_key) and is_later(record, than=self.records.get(record.public_key)):
                self.records[record.public_key] = record
        self.members = {key: record.leading for key, record in self.records.items()}
        deeper = sum(record.depth > region.depth for record in self.records.values())
        self.is_divided = deeper >= EVIDENCE_MIN and len(self.members) > MERGE_MEMBERS


def _lot(node_id: NodeId, region: Region) -> int:
    """Return the number below 2^64 that a holder draws for a region; low ones make it a signpost."""
    message = region.template_id + bytes([region.depth]) + node_id
    return int.from_bytes(hashlib.blake2s(message, digest_size=8, person=b"fplot").digest(), "big")


if 2 * MERGE_MEMBERS > SIGNPOSTS:
    raise AssertionError("members so few that they may merge are all signposts")
if not ANNOUNCE_SECONDS * 2 < LINGER_SECONDS:
    raise AssertionError("whoever lingers does so until everybody has announced and seen it")
if not 2 * ANNOUNCE_SECONDS < RENEWED_SECONDS <= RECORD_LIFETIME_SECONDS_DEFAULT - 2 * ANNOUNCE_SECONDS:
    raise AssertionError("the living announce themselves in between, and again before the records of the dead expire")
