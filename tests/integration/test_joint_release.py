"""Three nodes release their counts as one sum: only that leaves, each ledger is charged once, one of them publishes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from fingerpost.errors import PrivacyError, UsageError
from fingerpost.node.home import Home
from fingerpost.node.ledger_file import look_at_ledger
from fingerpost.node.network import MemoryNetwork
from fingerpost.node.reports import Emission
from fingerpost.node.runtime import AsyncNode
from fingerpost.template import parse_template

TEMPLATE = parse_template(
    """
format = 1
name = "rain"
data_class = "personal"
[situation.sky]
kind = "category"
levels = ["blue", "grey", "black", "white"]
[outcome]
name = "rain"
kind = "category"
levels = ["dry", "wet"]
[cells]
kind = "prefix"
bits = 6
[privacy]
profile = "dp-aggregate"
"""
)
ROWS = 200


def table(first: int) -> dict[str, list[str]]:
    numbers = range(first, first + ROWS)
    return {
        "patient": [f"p{number}" for number in numbers],
        "sky": [("grey", "black")[number % 2] for number in numbers],
        "rain": [("wet", "dry")[number % 2] for number in numbers],
    }


async def opened(folder: Path, network: MemoryNetwork, count: int = 3) -> list[AsyncNode]:
    return [await AsyncNode.open(TEMPLATE, home=folder / f"home {number}", network=network) for number in range(count)]


async def summed(nodes: list[AsyncNode], *, away: int | None = None, seconds: float = 60.0) -> list[Any]:
    parties = [bytes(node.public_key) for node in nodes]
    return await asyncio.gather(
        *(
            node.emit_sum(table(1_000 * number), subject_column="patient", parties=parties, seconds=seconds)
            for number, node in enumerate(nodes)
            if number != away
        ),
        return_exceptions=True,
    )


async def close(nodes: list[AsyncNode]) -> None:
    for node in nodes:
        await node.close()


def spent(folder: Path, number: int) -> set[int]:
    ledger = look_at_ledger(Home(folder / f"home {number}"))
    return set() if ledger is None else set(ledger.spent().values())


def test_a_sum_is_published_once_reaches_all_and_costs_each_subject_once(tmp_path: Path) -> None:
    async def run() -> tuple[list[Emission], list[Any], list[Any]]:
        nodes = await opened(tmp_path, MemoryNetwork())
        try:
            emissions = await summed(nodes)
            answers = [await node.ask({"sky": "grey"}) for node in nodes]
            again = await summed(nodes, seconds=2.0)
        finally:
            await close(nodes)
        return emissions, answers, again

    emissions, answers, again = asyncio.run(run())
    assert sorted(len(each.packet_ids) for each in emissions) == [0, 0, 64]
    for each in emissions:
        assert each.release is not None
        assert (each.release.rows, each.release.parties) == (ROWS, 3)
    for answer in answers:
        assert answer.packets == 64
        assert abs(answer.records - 3 * ROWS) < 150
        assert answer.probabilities["wet"] > 0.85
    assert [each.code for each in again] == ["release-empty"] * 3
    assert [spent(tmp_path, number) for number in range(3)] == [{1_000}] * 3


def test_a_node_that_published_a_sum_may_release_again_alone(tmp_path: Path) -> None:
    async def run() -> list[Emission]:
        nodes = await opened(tmp_path, MemoryNetwork())
        try:
            await summed(nodes)
            return [
                await node.emit_table(table(10_000 * (number + 1)), subject_column="patient")
                for number, node in enumerate(nodes)
            ]
        finally:
            await close(nodes)

    assert all(len(emission.packet_ids) == 64 for emission in asyncio.run(run()))


def test_where_one_is_away_nothing_is_released_or_paid_for_and_the_next_sum_works(tmp_path: Path) -> None:
    async def run() -> tuple[list[Any], int, list[Any]]:
        nodes = await opened(tmp_path, MemoryNetwork())
        try:
            failed = await summed(nodes, away=1, seconds=1.5)
            released = sum([len(await node.packets()) for node in nodes])
            assert [spent(tmp_path, number) for number in range(3)] == [set()] * 3
            return failed, released, await summed(nodes)
        finally:
            await close(nodes)

    failed, released, after = asyncio.run(run())
    assert all(isinstance(each, PrivacyError) and each.code == "sum-dropout" for each in failed)
    assert released == 0
    assert sorted(len(each.packet_ids) for each in after) == [0, 0, 64]


def test_a_node_outside_of_a_network_has_nobody_to_add_up_with(tmp_path: Path) -> None:
    async def run() -> None:
        async with await AsyncNode.open(TEMPLATE, home=tmp_path) as node:
            await node.emit_sum(table(0), subject_column="patient", parties=[bytes(node.public_key)], seconds=1.0)

    with pytest.raises(UsageError) as raised:
        asyncio.run(run())
    assert raised.value.code == "sum-network"
