"""Running nodes in a network of several regions: each group is placed, emitted to and asked for within its region."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import pytest

from fingerpost.node import connection
from fingerpost.node.network import MemoryNetwork
from fingerpost.node.runtime import AsyncNode
from fingerpost.template import parse_template
from tests.small_regions import NODES, small_regions

GROUPS = 8
ROWS = 64
SECONDS_MAX = 60.0
TEMPLATE = parse_template("""
format = 1
name = "pumps"
data_class = "non_personal"
[situation.pressure]
kind = "number"
range = [0, 100]
[situation.speed]
kind = "number"
range = [0, 100]
[outcome]
kind = "category"
levels = ["failed", "worked"]
[cells]
bits = 3
group_bits = 3
[privacy]
profile = "open"
""")


async def placed(nodes: Sequence[AsyncNode], group: int) -> tuple[set[bytes], set[bytes], int]:
    """Return who is a candidate for a group by the directory, who says that it holds it, and the copies that agree."""
    own = nodes[0]._connection
    assert own is not None
    assert own._finding is not None
    found = await own._finding.look([group])
    assert found.candidates is not None, "the network has been divided"
    held = {node.public_key: each for node in nodes for each in node.groups() if each.number == group and each.holds}
    digests = [each.digest for each in held.values() if each.complete]
    return set(found.candidates[group].holders), set(held), max(map(digests.count, digests), default=0)


def test_packets_go_to_the_region_of_their_group_and_are_found_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "FIND_SECONDS", 0.5)
    monkeypatch.setattr(connection, "FIND_SECONDS_MAX", 1.0)

    async def scenario() -> None:
        network = MemoryNetwork()
        nodes = [await AsyncNode.open(TEMPLATE, network=network, follow=False) for _ in range(NODES)]
        try:
            table = {
                "pressure": [row % 8 * 13.0 for row in range(ROWS)],
                "speed": [row // 8 * 13.0 for row in range(ROWS)],
                "outcome": ["failed" if row % 8 > 3 else "worked" for row in range(ROWS)],
            }
            emission = await nodes[-1].emit_table(table)
            assert emission.acknowledged
            deadline = time.monotonic() + SECONDS_MAX
            for group in range(GROUPS):
                candidates, holders, agree = await placed(nodes, group)
                while not (len(holders) == 3 and holders <= candidates and agree == 3):
                    assert time.monotonic() < deadline, f"group {group}: {len(holders)} holders, {agree} agree"
                    await asyncio.sleep(0.2)
                    candidates, holders, agree = await placed(nodes, group)
                assert len(candidates) < NODES
            newcomer = await AsyncNode.open(TEMPLATE, network=network, follow=False)
            nodes.append(newcomer)
            answer = await newcomer.ask({"pressure": 90.0, "speed": 50.0}, mode="cells", cells=GROUPS)
            assert answer.packets == ROWS
            assert answer.probabilities["failed"] > 0.7
        finally:
            for node in nodes:
                await node.close()

    with small_regions():
        asyncio.run(scenario())
