"""A node finds others and is found through a real directory, in small networks and in divided ones."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fingerpost.directory._memory import MemoryBoard, MemoryDirectory
from fingerpost.directory.record import HolderRecord
from fingerpost.directory.region import Region
from fingerpost.directory.regions import region_of_group
from fingerpost.errors import NetworkError
from fingerpost.ids import PublicKey, TemplateId, node_id
from fingerpost.limits import (
    ANNOUNCE_SECONDS,
    RECORD_LIFETIME_SECONDS_DEFAULT,
    RECORDS_READ_MAX,
    REGION_RECORDS_SPLIT,
)
from fingerpost.node.finding import Finding
from fingerpost.testing.record_samples import SettableClock, holder_key, holder_record

NETWORK_ID = "finding"
TEMPLATE_ID = TemplateId(bytes(range(16)))
ROOT = Region(template_id=TEMPLATE_ID)


class CountingDirectory(MemoryDirectory):
    """Counts its look-ups, and can be out of reach."""

    lookups = 0
    unreachable: tuple[Region, ...] = ()

    async def find(self, region: Region) -> tuple[HolderRecord, ...]:
        self.lookups += 1
        return await super().find(region)

    async def announce(self, region: Region, record: HolderRecord) -> None:
        if region in self.unreachable:
            raise NetworkError("directory-unreachable", "out of reach")
        await super().announce(region, record)


class Node:
    """One holder on a board that it shares with others."""

    def __init__(self, number: int, board: MemoryBoard, clock: SettableClock) -> None:
        self.number = number
        self.clock = clock
        self.key = PublicKey(bytes(holder_key(number).verify_key))
        self.directory = CountingDirectory(board, network_id=NETWORK_ID, clock=clock)
        self.finding = Finding(
            self.directory,
            template_id=TEMPLATE_ID,
            public_key=self.key,
            network_id=NETWORK_ID,
            sign=lambda statement: holder_key(number).sign(statement).signature,
            admits=lambda key: key not in STRANGERS,
            clock=clock,
        )

    async def announce(self) -> None:
        record = holder_record(
            self.number, template_id=TEMPLATE_ID, network_id="", issued_at=int(self.clock.now()), lifetime_seconds=300
        )
        await self.finding.announce(record)


STRANGERS = {PublicKey(bytes(holder_key(number).verify_key)) for number in range(1_000, 1_010)}


def keys(records: tuple[HolderRecord, ...]) -> set[bytes]:
    return {record.public_key for record in records}


def run(scenario: Any) -> None:
    asyncio.run(scenario())


def test_in_a_small_network_every_call_is_one_look_up_and_strangers_are_not_found() -> None:
    async def scenario() -> None:
        board, clock = MemoryBoard(), SettableClock()
        nodes = [Node(number, board, clock) for number in (*range(4), 1_000)]
        for node in nodes:
            await node.announce()
        for node in nodes[:4]:
            assert node.directory.lookups == 1
            assert keys(await node.finding.find()) == {other.key for other in nodes[:4]}
            assert keys(await node.finding.find_group(3)) == {other.key for other in nodes[:4]}
            assert node.directory.lookups == 3
        await nodes[0].finding.withdraw()
        await nodes[0].finding.withdraw()
        assert keys(await nodes[1].finding.find()) == {other.key for other in nodes[1:4]}

    run(scenario)


def test_in_a_divided_network_everybody_is_found_and_a_group_takes_one_look_up() -> None:
    async def scenario() -> None:
        board, clock = MemoryBoard(), SettableClock()
        nodes = [Node(number, board, clock) for number in range(REGION_RECORDS_SPLIT + 40)]
        for _ in range(3 + RECORD_LIFETIME_SECONDS_DEFAULT // ANNOUNCE_SECONDS):
            for node in nodes:
                await node.announce()
            clock.time += ANNOUNCE_SECONDS
        asker = Node(0, board, clock)
        assert keys(await asker.finding.find()) == {node.key for node in nodes}
        homes = {prefix: Region(template_id=TEMPLATE_ID, depth=1, prefix=prefix) for prefix in (0, 1)}
        expected = {
            prefix: {node.key for node in nodes if home.covers(holder_leading(node.key))}
            for prefix, home in homes.items()
        }
        asker.directory.lookups = 0
        for group in range(20):
            assert (
                keys(await asker.finding.find_group(group)) == expected[region_of_group(TEMPLATE_ID, group, 1).prefix]
            )
        assert asker.directory.lookups == 20  # the region that was divided is remembered, its halves are read afresh
        clock.time += ANNOUNCE_SECONDS
        await asker.finding.find_group(0)
        assert asker.directory.lookups == 22
        nodes[0].directory.lookups = 0
        await nodes[0].announce()
        assert nodes[0].directory.lookups == 2
        await nodes[0].finding.withdraw()
        assert nodes[0].key not in keys(await Node(1, board, clock).finding.find())

    run(scenario)


def holder_leading(key: bytes) -> int:
    return int.from_bytes(node_id(key)[:4], "big")


def test_a_directory_out_of_reach_is_told_after_everything_was_tried() -> None:
    async def scenario() -> None:
        board, clock = MemoryBoard(), SettableClock()
        nodes = [Node(number, board, clock) for number in range(REGION_RECORDS_SPLIT + 1)]
        for node in nodes:
            await node.announce()
        mover = nodes[0]
        half = next(region for region in (ROOT.child(0), ROOT.child(1)) if region.covers(holder_leading(mover.key)))
        mover.directory.unreachable = (half,)
        clock.time += 1
        with pytest.raises(NetworkError) as caught:
            await mover.announce()
        assert caught.value.code == "directory-unreachable"
        found = {record.public_key: record for record in await nodes[1].directory.find(ROOT)}
        assert found[mover.key].depth == 1
        mover.directory.unreachable = ()
        clock.time += 1
        await mover.announce()
        assert mover.key in keys(await nodes[1].directory.find(half))

    run(scenario)


def test_in_a_small_network_a_look_names_everybody_and_narrows_nothing() -> None:
    async def scenario() -> None:
        board, clock = MemoryBoard(), SettableClock()
        nodes = [Node(number, board, clock) for number in range(5)]
        for node in nodes:
            await node.announce()
        nodes[0].directory.lookups = 0
        found = await nodes[0].finding.look([0, 7])
        assert found.candidates is None
        assert keys(found.records) == {node.key for node in nodes}
        assert nodes[0].directory.lookups == 1

    run(scenario)


def test_in_a_network_larger_than_a_listing_a_look_names_the_same_candidates_to_everybody_and_no_others() -> None:
    async def scenario() -> None:
        board, clock = MemoryBoard(), SettableClock()
        nodes = [Node(number, board, clock) for number in range(RECORDS_READ_MAX + 40)]
        for node in nodes:
            await node.announce()
        groups = range(4)
        one, other = nodes[0], nodes[-1]
        one.directory.lookups = 0
        found, theirs = await one.finding.look(groups), await other.finding.look(groups)
        assert found.candidates is not None
        assert theirs.candidates is not None
        regions = 0
        for group in groups:
            ours = found.candidates[group].holders
            assert ours == theirs.candidates[group].holders, "who asks makes no difference"
            assert 16 <= len(ours) < len(nodes) * 0.7
            depth = next(
                depth
                for depth in (3, 2, 1)
                if ours
                <= {
                    node.key
                    for node in nodes
                    if region_of_group(TEMPLATE_ID, group, depth).covers(holder_leading(node.key))
                }
            )
            home = region_of_group(TEMPLATE_ID, group, depth)
            assert ours == {node.key for node in nodes if home.covers(holder_leading(node.key))}, "nobody is left out"
            regions += depth
        assert one.directory.lookups <= 1 + regions
        assert keys(found.records) >= set().union(*(each.holders for each in found.candidates.values())) - {one.key}

    run(scenario)


def test_where_few_of_a_region_can_be_reached_everybody_who_can_is_a_candidate() -> None:
    async def scenario() -> None:
        board, clock = MemoryBoard(), SettableClock()
        nodes = [Node(number, board, clock) for number in range(REGION_RECORDS_SPLIT + 40)]
        for node in nodes:
            await node.announce()
        reachable = {node.key for node in nodes[:5]}
        asker = Node(0, board, clock)
        asker.finding._is_usable = lambda record: record.public_key in reachable
        found = await asker.finding.look([1])
        assert found.candidates is not None
        assert found.candidates[1].holders == reachable

    run(scenario)
