"""A home restored from an older backup has forgotten what it spent: others remember, and it releases no more."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from fingerpost.errors import PrivacyError
from fingerpost.node.network import MemoryNetwork
from fingerpost.node.runtime import AsyncNode
from tests.integration.test_joint_release import TEMPLATE, table


async def release(home: Path, network: MemoryNetwork | None, first: int) -> int:
    async with await AsyncNode.open(TEMPLATE, home=home, network=network) as node:
        return len((await node.emit_table(table(first), subject_column="patient")).packet_ids)


async def released_before_and_after(folder: Path, network: MemoryNetwork | None) -> Path:
    """Release, copy the whole home, release again; return the home as it was restored from the copy."""
    home, copy = folder / "home", folder / "copy"
    assert await release(home, network, 0) == 64
    shutil.copytree(home, copy)
    assert await release(home, network, 1_000) == 64
    shutil.rmtree(home)
    shutil.copytree(copy, home)
    return home


def test_where_holders_remember_a_later_release_a_restored_home_releases_nothing(tmp_path: Path) -> None:
    async def run() -> str:
        network = MemoryNetwork()
        holders = [await AsyncNode.open(TEMPLATE, home=tmp_path / name, network=network) for name in ("b", "c")]
        try:
            home = await released_before_and_after(tmp_path, network)
            with pytest.raises(PrivacyError) as raised:
                await release(home, network, 2_000)
        finally:
            for holder in holders:
                await holder.close()
        return raised.value.code

    assert asyncio.run(run()) == "ledger-behind"


def test_without_anybody_to_remember_a_restored_home_cannot_know(tmp_path: Path) -> None:
    async def run() -> int:
        home = await released_before_and_after(tmp_path, None)
        return await release(home, None, 2_000)

    assert asyncio.run(run()) == 64, "the check is that of the holders: alone, nothing stops it"


def test_a_ledger_that_was_put_back_beside_newer_packets_releases_nothing(tmp_path: Path) -> None:
    async def run() -> str:
        home, copy = tmp_path / "home", tmp_path / "copy"
        await release(home, None, 0)
        shutil.copytree(home / "privacy", copy)
        await release(home, None, 1_000)
        shutil.rmtree(home / "privacy")
        shutil.copytree(copy, home / "privacy")
        with pytest.raises(PrivacyError) as raised:
            await release(home, None, 2_000)
        return raised.value.code

    assert asyncio.run(run()) == "ledger-behind"
