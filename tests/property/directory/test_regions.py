"""Whoever announces itself is found, while regions divide and merge, and whatever strangers write into them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.directory.record import HolderRecord
from fingerpost.directory.region import Region, region_at
from fingerpost.directory.regions import (
    EVIDENCE_MIN,
    LINGER_SECONDS,
    MERGE_MEMBERS,
    HolderRegions,
    HolderSearch,
    group_leading,
    region_of_group,
)
from fingerpost.errors import UsageError
from fingerpost.ids import PublicKey, TemplateId, node_id
from fingerpost.limits import (
    ANNOUNCE_SECONDS,
    RECORD_LIFETIME_SECONDS_DEFAULT,
    RECORDS_READ_MAX,
    REGION_DEPTH_MAX,
    REGION_LOOKUPS_MAX,
    REGION_RECORDS_SPLIT,
)

TEMPLATE_ID = TemplateId(bytes(range(16)))
ROOT = Region(template_id=TEMPLATE_ID)


class Remembered(HolderRecord):
    """A record whose id is computed once: these tests look at each a thousand times."""

    __slots__ = ("known",)
    known: int

    @property
    def leading(self) -> int:
        return self.known


def key_of(number: int, *, stranger: bool = False) -> PublicKey:
    return PublicKey(hashlib.blake2s(b"%d %d" % (stranger, number)).digest())


def record_of(key: PublicKey, *, now: float, depth: int = 0) -> HolderRecord:
    record = Remembered(
        template_id=TEMPLATE_ID,
        public_key=key,
        carrier="memory",
        endpoint="",
        channel_key=b"",
        organisation="",
        capacity_packets=0,
        issued_at=int(now),
        lifetime_seconds=RECORD_LIFETIME_SECONDS_DEFAULT,
        depth=depth,
    )
    object.__setattr__(record, "known", int.from_bytes(node_id(key)[:4], "big"))
    return record


class World:
    """A directory on a board, its holders, and the virtual time; every reader's cut is drawn anew."""

    def __init__(self, seed: int = 0) -> None:
        self.random = Random(seed)
        self.now = 1_000_000.0
        self.board: dict[Region, dict[PublicKey, HolderRecord]] = {}
        self.holders: dict[PublicKey, HolderRegions] = {}
        self.members: set[PublicKey] = set()
        self.written: Counter[PublicKey] = Counter()
        self.lookups_max = 0

    def join(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            key = key_of(number)
            self.members.add(key)
            self.holders[key] = HolderRegions(TEMPLATE_ID, node_id(key), admits=self.members.__contains__)

    def leave(self, numbers: Iterable[int]) -> None:
        """Holders die: they say nothing more, and their records last until they expire."""
        for number in numbers:
            del self.holders[key_of(number)]

    def read(self, region: Region) -> list[HolderRecord]:
        """Return what a directory returns: live records, members first, of too many those that are drawn."""
        records = [record for record in self.board.get(region, {}).values() if record.is_live(self.now)]
        if len(records) > RECORDS_READ_MAX:
            self.random.shuffle(records)
            records.sort(key=lambda record: record.public_key not in self.members)
        return records[:RECORDS_READ_MAX]

    def announce(self, key: PublicKey) -> None:
        holder, lookups = self.holders[key], 0
        holder.begin()
        while due := holder.regions_to_read():
            lookups += len(due)
            for region in due:
                holder.found(region, self.read(region))
        self.lookups_max = max(self.lookups_max, lookups)
        standing = holder.standing(now=self.now)
        for region in standing.left:
            self.board[region].pop(key, None)
        for region in standing.regions:
            self.board.setdefault(region, {})[key] = record_of(key, now=self.now, depth=standing.depth)
        self.written[key] = len(standing.regions)

    def round(self, *, look_every: int = 0) -> None:
        """Everybody announces itself once, in any order; now and then somebody searches."""
        order = sorted(self.holders)
        self.random.shuffle(order)
        for place, key in enumerate(order):
            self.announce(key)
            self.now += ANNOUNCE_SECONDS / len(order)
            if look_every and place % look_every == 0:
                self.check_found()

    def search(self, toward: int | None = None) -> HolderSearch:
        search, lookups = HolderSearch(TEMPLATE_ID, admits=self.members.__contains__, toward=toward), 0
        while due := search.regions_to_read():
            for region in due:
                search.found(region, self.read(region))
            lookups += len(due)
        assert lookups <= (REGION_LOOKUPS_MAX if toward is None else REGION_DEPTH_MAX + 1)
        return search

    def check_found(self) -> None:
        """Everybody who has announced itself is found by the whole search and by the one towards its own id."""
        announced = {key for key in self.holders if self.written[key]}
        found = {record.public_key for record in self.search().holders()}
        assert not announced - found, f"{len(announced - found)} of {len(announced)} are not found"
        for key in self.random.sample(sorted(announced), min(3, len(announced))):
            search = self.search(toward=int.from_bytes(node_id(key)[:4], "big"))
            assert key in {record.public_key for record in search.holders()}

    def depths(self) -> set[int]:
        return {holder.depth for holder in self.holders.values()}


@pytest.mark.parametrize("seed", range(3))
def test_everybody_is_found_while_a_network_grows_and_shrinks(seed: int) -> None:
    world = World(seed)
    world.join(range(150))
    world.round(look_every=50)
    assert world.depths() == {0}
    for start, end in ((150, 230), (230, 420), (420, 700)):
        world.join(range(start, end))
        world.round(look_every=60)
    for _ in range(7):
        world.round(look_every=200)
    assert world.depths() <= {2, 3}
    assert max(len(records) for records in world.board.values()) <= 1.5 * REGION_RECORDS_SPLIT
    for start, end in ((20, 100), (100, 400), (400, 690)):
        world.leave(range(start, end))
        world.round(look_every=60)
    for _ in range(8):
        world.round(look_every=10)
    assert world.depths() == {0}
    for _ in range(2 + LINGER_SECONDS // ANNOUNCE_SECONDS):
        world.round()
    assert [region for region in world.board if world.read(region)] == [ROOT]


def test_a_network_that_starts_all_at_once_settles_and_is_found() -> None:
    world = World()
    world.join(range(900))
    for key in sorted(world.holders):
        world.holders[key].begin()
        world.holders[key].found(ROOT, [])
        world.board.setdefault(ROOT, {})[key] = record_of(key, now=world.now)
        world.holders[key].standing(now=world.now)
    for _ in range(8):
        world.round()
    world.check_found()
    assert world.depths() <= {2, 3, 4}


def test_look_ups_and_records_of_a_settled_network_do_not_grow_with_it() -> None:
    seen = {}
    for count in (400, 1_200):
        world = World()
        for start in range(0, count, 400):
            world.join(range(start, start + 400))
            world.round()
        for _ in range(9):
            world.round()
        world.lookups_max = 0
        world.round()
        searches = [world.search(toward=group_leading(TEMPLATE_ID, group)) for group in range(20)]
        seen[count] = (
            world.lookups_max,
            max(len(records) for records in world.board.values()),
            max(len(search.holders()) for search in searches),
            sum(world.written.values()) / count,
        )
        world.check_found()
    for lookups, records, holders, written in seen.values():
        assert lookups <= 3, seen
        assert records <= 1.5 * REGION_RECORDS_SPLIT, seen
        assert 30 <= holders <= REGION_RECORDS_SPLIT + 20, seen
        assert written < 3, seen


def test_everybody_who_searches_for_a_group_sees_the_same_holders_as_its_region_has() -> None:
    world = World()
    for start in range(0, 900, 300):
        world.join(range(start, start + 300))
        world.round()
    for _ in range(8):
        world.round()
    for group in range(40):
        leading = group_leading(TEMPLATE_ID, group)
        search = world.search(toward=leading)
        home = search.region()
        assert home == region_of_group(TEMPLATE_ID, group, home.depth)
        expected = sorted(key for key in world.holders if home.covers(int.from_bytes(node_id(key)[:4], "big")))
        assert [record.public_key for record in search.holders()] == expected


@pytest.mark.parametrize("depth", [0, REGION_DEPTH_MAX])
def test_a_flood_of_strangers_divides_nothing_and_hides_nobody(depth: int) -> None:
    world = World()
    world.join(range(120))
    world.round()
    for number in range(1_000):
        key = key_of(number, stranger=True)
        leading = int.from_bytes(node_id(key)[:4], "big")
        for level in range(6):
            region = region_at(TEMPLATE_ID, leading, depth=level)
            world.board.setdefault(region, {})[key] = record_of(key, now=world.now, depth=depth)
    for _ in range(3):
        world.round(look_every=30)
    assert world.depths() == {0}
    assert world.lookups_max == 1
    assert {record.public_key for record in world.search().holders()} == world.members


def test_a_flood_costs_a_search_of_a_divided_network_nobody() -> None:
    world = World()
    for start in range(0, 600, 200):
        world.join(range(start, start + 200))
        world.round()
    for _ in range(7):
        world.round()
    for number in range(3_000):
        key = key_of(number, stranger=True)
        leading = int.from_bytes(node_id(key)[:4], "big")
        for level in range(8):
            region = region_at(TEMPLATE_ID, leading, depth=level)
            world.board.setdefault(region, {})[key] = record_of(key, now=world.now, depth=level + 1)
    world.check_found()
    before = world.depths()
    world.round()
    assert world.depths() <= before | {min(before) + 1}
    world.check_found()


def test_members_who_lie_about_their_depth_cost_bounded_look_ups_and_hide_nobody() -> None:
    world = World()
    world.join(range(180))
    world.round()
    liars = sorted(world.holders)[: 2 * EVIDENCE_MIN]
    for _ in range(6):
        for key in liars:
            for level in range(REGION_DEPTH_MAX + 1):
                region = region_at(TEMPLATE_ID, int.from_bytes(node_id(key)[:4], "big"), depth=level)
                lie = record_of(key, now=world.now, depth=REGION_DEPTH_MAX)
                world.board.setdefault(region, {})[key] = lie
        for key in sorted(set(world.holders) - set(liars)):
            world.announce(key)
        world.now += ANNOUNCE_SECONDS
        honest = set(world.holders) - set(liars)
        assert honest <= {record.public_key for record in world.search().holders()}
        assert max(world.holders[key].depth for key in honest) <= 3


@settings(max_examples=30, deadline=None)
@given(
    waves=st.lists(st.tuples(st.integers(1, 200), st.booleans()), min_size=1, max_size=6),
    seed=st.integers(0, 2**16),
)
def test_everybody_is_found_after_any_comings_and_goings(waves: list[tuple[int, bool]], seed: int) -> None:
    world, next_number = World(seed), 0
    present: list[int] = []
    for count, comes in waves:
        if comes or not present:
            world.join(range(next_number, next_number + count))
            present += range(next_number, next_number + count)
            next_number += count
        else:
            world.random.shuffle(present)
            world.leave(present[:count])
            present = present[count:]
        if present:
            world.round()
            world.check_found()


def test_a_holder_stays_where_it_stood_until_everybody_has_seen_that_it_moved() -> None:
    world = World()
    world.join(range(REGION_RECORDS_SPLIT + 1))
    world.round()
    mover = sorted(world.holders)[0]
    world.announce(mover)
    assert world.holders[mover].depth == 1
    assert ROOT in [region for region, records in world.board.items() if mover in records]
    assert mover in {record.public_key for record in world.search().holders()}
    for _ in range(3 + LINGER_SECONDS // ANNOUNCE_SECONDS):
        world.round()
    at_root = [key for key in world.holders if key in world.board[ROOT]]
    assert MERGE_MEMBERS < len(at_root) < len(world.holders) * 0.7
    world.check_found()


def test_a_standing_is_refused_while_regions_are_unread_and_forgotten_when_withdrawn() -> None:
    holder = HolderRegions(TEMPLATE_ID, node_id(key_of(0)), admits=lambda _: True)
    holder.begin()
    with pytest.raises(UsageError) as caught:
        holder.standing(now=0)
    assert caught.value.code == "regions-unread"
    holder.found(ROOT, [])
    assert holder.standing(now=0).regions == (ROOT,)
    assert holder.withdrawn() == (ROOT,)
    assert holder.withdrawn() == ()


def test_the_latest_record_of_a_holder_counts_wherever_it_was_found() -> None:
    world = World()
    world.join(range(60))
    world.round()
    search = HolderSearch(TEMPLATE_ID, admits=lambda _: True)
    key = key_of(0)
    old, new = record_of(key, now=world.now), record_of(key, now=world.now + 60, depth=1)
    others = [record_of(key_of(number), now=world.now, depth=1) for number in range(1, 60)]
    search.found(ROOT, [old, *others])
    half = region_at(TEMPLATE_ID, old.leading, depth=1)
    assert half in search.regions_to_read()
    search.found(half, [new])
    assert next(record for record in search.holders() if record.public_key == key).issued_at == new.issued_at
    assert not search.complete
    assert search.inner_regions == (ROOT,)


def test_a_flood_of_every_region_ends_a_search_within_its_bound_after_what_members_say_was_read() -> None:
    world = World()
    members = [record_of(key_of(number), now=world.now, depth=1) for number in range(60)]
    strangers = [record_of(key_of(number, stranger=True), now=world.now) for number in range(REGION_RECORDS_SPLIT + 1)]
    world.members = {record.public_key for record in members}
    search, order = HolderSearch(TEMPLATE_ID, admits=world.members.__contains__), []
    while due := search.regions_to_read():
        order.append(due[0])
        assert len(order) <= REGION_LOOKUPS_MAX
        search.found(due[0], strangers + (members if due[0] == ROOT else []))
    assert len(order) == REGION_LOOKUPS_MAX
    assert set(order[1:3]) == {ROOT.child(0), ROOT.child(1)}
    assert not search.complete
    assert {record.public_key for record in search.holders()} == world.members


def members_below(region: Region, count: int) -> list[PublicKey]:
    """Return members whose ids fall into a region, the holder under test first."""
    falling = (key_of(number) for number in range(10_000))
    return [key for key in falling if region.covers(int.from_bytes(node_id(key)[:4], "big"))][:count]


@pytest.mark.parametrize(
    ("here", "there", "seen_above", "merges"),
    [
        (20, 30, slice(None), True),
        (20, 31, slice(None), False),
        (20, 10, slice(1, None), False),
        (20, 10, slice(None, -1), False),
        (1, 0, slice(None), True),
    ],
)
def test_a_holder_moves_back_only_when_few_are_left_and_all_are_seen_above(
    here: int, there: int, seen_above: slice, *, merges: bool
) -> None:
    left, right = (members_below(ROOT.child(bit), count) for bit, count in ((0, here), (1, there)))
    holder = HolderRegions(TEMPLATE_ID, node_id(left[0]), admits=lambda _: True)
    crowd = members_below(ROOT, REGION_RECORDS_SPLIT + 1)
    held = {ROOT: crowd, ROOT.child(0): crowd}
    for members in (held, {ROOT: [*left, *right][seen_above], ROOT.child(0): left, ROOT.child(1): right}):
        holder.begin()
        while due := holder.regions_to_read():
            for region in due:
                holder.found(region, [record_of(key, now=0) for key in members[region]])
        standing = holder.standing(now=0)
    assert standing.depth == (0 if merges else 1)
    assert ROOT in standing.regions
