"""What is left of the directory when its OpenDHT process is killed, stops, or is flooded, or the node itself dies."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from fingerpost.directory._opendht import OpendhtDirectory, open_directory
from fingerpost.directory._opendht_process import CHILD
from fingerpost.directory.base import DirectoryOptions
from fingerpost.directory.record import HolderRecord, encode_record
from fingerpost.directory.region import Region
from fingerpost.errors import NetworkError
from fingerpost.ids import TemplateId
from fingerpost.limits import DIRECTORY_SECONDS_MAX, RECORDS_READ_MAX
from fingerpost.testing.record_samples import NOW, SettableClock, holder_record
from tests.faults.dht_stranger import Stranger

ROOT = Path(__file__).resolve().parents[2]
NETWORK_ID = "faults"
REGION = Region(template_id=TemplateId(bytes(range(16))))
SECONDS_MAX = 30.0


def record(number: int, **details: Any) -> HolderRecord:
    details = {"network_id": NETWORK_ID} | details
    return holder_record(number, template_id=REGION.template_id, **details)


class Directories:
    """Opens directories of one network, the later ones through the first."""

    def __init__(self) -> None:
        self.opened: list[OpendhtDirectory] = []

    async def open(self, **settings: Any) -> OpendhtDirectory:
        bootstrap = [self.opened[0].endpoint] if self.opened else []
        options = DirectoryOptions(
            network_id=NETWORK_ID, clock=SettableClock(), settings={"bootstrap": bootstrap} | settings
        )
        self.opened.append(await open_directory(options))
        return self.opened[-1]


@asynccontextmanager
async def directories() -> AsyncIterator[Directories]:
    several = Directories()
    try:
        yield several
    finally:
        for directory in several.opened:
            await directory.close()


async def finds(directory: OpendhtDirectory, *records: HolderRecord) -> bool:
    return set(await directory.find(REGION)) == set(records)


async def meets(directory: OpendhtDirectory, other: OpendhtDirectory) -> bool:
    await directory.find(REGION)
    return other.endpoint in directory.nodes_met


async def eventually(happened: Callable[[], Awaitable[bool]]) -> bool:
    """Ask again and again until it has happened; the bound is for a machine that stands still."""
    deadline = time.monotonic() + SECONDS_MAX
    while not await happened():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.1)
    return True


async def refused(call: Awaitable[None]) -> str:
    with pytest.raises(NetworkError) as caught:
        await call
    return caught.value.code


def process_of(directory: OpendhtDirectory) -> int:
    assert directory.process_id is not None
    return directory.process_id


async def replaced(directory: OpendhtDirectory, process_id: int) -> bool:
    return directory.restarts > 0 and directory.process_id not in {None, process_id}


def runs(process_id: int) -> bool:
    """Whether a process is alive; one that nobody has waited for is not."""
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def ends(process_id: int) -> bool:
    deadline = time.monotonic() + SECONDS_MAX
    while runs(process_id):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_after_a_kill_find_answers_from_the_cache_and_the_records_come_back() -> None:
    async def scenario() -> None:
        async with directories() as network:
            one, other = await network.open(), await network.open()
            await one.announce(REGION, record(1))
            await other.announce(REGION, record(2))
            assert await eventually(lambda: finds(one, record(1), record(2)))
            killed, endpoint = process_of(one), one.endpoint
            os.kill(killed, signal.SIGKILL)
            assert await finds(one, record(1), record(2)), "from the cache"
            assert await eventually(lambda: replaced(one, killed))
            assert one.endpoint == endpoint, "others still join through it"
            newcomer = await network.open()
            for directory in (one, other, newcomer):
                assert await eventually(partial(finds, directory, record(1), record(2)))

    asyncio.run(scenario())


def test_a_record_that_only_the_killed_process_kept_is_announced_again() -> None:
    async def scenario() -> None:
        async with directories() as network:
            alone = await network.open()
            await alone.announce(REGION, record(1))
            gone = record(2)
            await alone.announce(REGION, gone)
            await alone.withdraw(REGION, gone)
            killed = process_of(alone)
            os.kill(killed, signal.SIGKILL)
            assert await eventually(lambda: replaced(alone, killed))
            newcomer = await network.open()
            assert await eventually(lambda: finds(newcomer, record(1)))

    asyncio.run(scenario())


def test_a_process_that_stops_is_replaced_and_no_call_waits_longer_than_promised() -> None:
    async def scenario() -> None:
        async with directories() as network:
            one, other = await network.open(), await network.open()
            await one.announce(REGION, record(1))
            await other.announce(REGION, record(2))
            assert await eventually(lambda: finds(one, record(1), record(2)))
            stopped = process_of(one)
            os.kill(stopped, signal.SIGSTOP)
            async with asyncio.timeout(DIRECTORY_SECONDS_MAX):
                found, refusal = await asyncio.gather(one.find(REGION), refused(one.announce(REGION, record(3))))
            assert set(found) >= {record(1), record(2)}, "from the cache"
            assert refusal == "directory-unreachable"
            assert await eventually(lambda: replaced(one, stopped))
            assert not runs(stopped)
            assert await eventually(lambda: finds(other, record(1), record(2), record(3))), "announced all the same"

    asyncio.run(scenario())


def test_closing_ends_even_a_process_that_has_stopped() -> None:
    async def scenario() -> None:
        async with directories() as network:
            directory = await network.open()
            await directory.announce(REGION, record(1))
            process_id = process_of(directory)
            os.kill(process_id, signal.SIGSTOP)
            async with asyncio.timeout(SECONDS_MAX):
                await directory.close()
            assert not runs(process_id)

    asyncio.run(scenario())


def test_closing_while_the_process_is_being_replaced_leaves_nothing_behind() -> None:
    async def scenario() -> None:
        for pause in (0, 0.01, 0.3, 0.6):
            async with directories() as network:
                directory = await network.open()
                killed = process_of(directory)
                os.kill(killed, signal.SIGKILL)
                await asyncio.sleep(pause)
                await directory.close()
                assert not runs(killed)
                assert directory.process_id is None

    asyncio.run(scenario())


@pytest.mark.parametrize("stopped", [False, True])
def test_the_process_dies_with_a_node_that_is_killed(stopped: bool) -> None:
    command = [sys.executable, "-m", "tests.faults.directory_owner"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as owner:
        child = 0
        try:
            assert owner.stdout is not None
            child = int(owner.stdout.readline())
            assert runs(child)
            if stopped:  # then it cannot see that its input ends
                os.kill(child, signal.SIGSTOP)
            owner.kill()
            assert owner.wait(SECONDS_MAX) == -signal.SIGKILL
            assert ends(child)
        finally:
            owner.kill()
            if child and runs(child):
                os.kill(child, signal.SIGKILL)


def test_the_process_ends_when_its_input_ends_or_it_was_never_ours() -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    for parent in (os.getpid(), 1):
        command = [sys.executable, "-m", CHILD, str(parent)]
        ended = subprocess.run(command, env=environment, input=b"", capture_output=True, timeout=SECONDS_MAX)
        assert (ended.returncode, ended.stdout) == (int(parent == 1), b"")


def test_a_port_that_is_taken_is_said_so() -> None:
    async def scenario() -> None:
        async with directories() as network:
            first = await network.open()
            port = int(first.endpoint.rpartition(":")[2])
            with pytest.raises(NetworkError, match="Address already in use") as caught:
                await network.open(port=port)
            assert caught.value.code == "directory-unavailable"
            assert caught.value.hint

    asyncio.run(scenario())


def test_a_flood_of_junk_neither_hides_the_records_nor_gets_past_the_reader() -> None:
    async def scenario() -> None:
        async with directories() as network:
            one, other = await network.open(), await network.open()
            stranger = await Stranger.join(one.endpoint, network_id=NETWORK_ID)
            try:
                key = REGION.key(NETWORK_ID)
                whole = encode_record(record(1))
                expired = encode_record(record(3, issued_at=NOW - 4_000))
                foreign = encode_record(record(4, network_id="another"))
                forged = encode_record(replace(record(1), endpoint="127.0.0.1:6666", issued_at=NOW + 60))
                junk = [b"junk %d" % number for number in range(600)]
                junk += [whole[:-4] + number.to_bytes(4, "big") for number in range(600)]
                junk += [bytes(1_000) + number.to_bytes(2, "big") for number in range(100)]
                assert await stranger.write(key, [expired, foreign, forged, *junk]) > 1_000
                await one.announce(REGION, record(1))
                await other.announce(REGION, record(2))
                newcomer = await network.open()
                for directory in (one, other, newcomer):
                    assert await eventually(partial(finds, directory, record(1), record(2)))
                    assert {"record-invalid", "holder-signature", "record-expired"} <= set(directory.refused)
            finally:
                await stranger.leave()

    asyncio.run(scenario())


def test_a_flood_of_valid_records_does_not_displace_holders_known_before() -> None:
    async def scenario() -> None:
        async with directories() as network:
            one, other = await network.open(), await network.open()
            known = [record(number) for number in range(20)]
            for each in known:
                await one.announce(REGION, each)
            assert await eventually(lambda: finds(other, *known))
            stranger = await Stranger.join(one.endpoint, network_id=NETWORK_ID)
            try:
                minted = [encode_record(record(number)) for number in range(1_000, 1_000 + 2 * RECORDS_READ_MAX)]
                assert await stranger.write(REGION.key(NETWORK_ID), minted) > RECORDS_READ_MAX
                found = await other.find(REGION)
                assert len(found) <= RECORDS_READ_MAX
                assert set(known) <= set(found)
            finally:
                await stranger.leave()

    asyncio.run(scenario())


def test_nodes_that_are_gone_do_not_keep_one_from_those_that_are_there() -> None:
    async def scenario() -> None:
        async with directories() as network:
            one, other = await network.open(), await network.open()
            await other.announce(REGION, record(2))
            silent = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(4)]
            try:
                for each in silent:
                    each.bind(("127.0.0.1", 0))
                gone = [f"127.0.0.1:{each.getsockname()[1]}" for each in silent]
                newcomer = await network.open(bootstrap=[*gone, one.endpoint])
                assert await finds(newcomer, record(2))
            finally:
                for each in silent:
                    each.close()

    asyncio.run(scenario())


def test_nodes_met_before_lead_back_into_the_network(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with directories() as network:
            one, other = await network.open(), await network.open()
            await other.announce(REGION, record(2))
            settings = {"bootstrap": [one.endpoint]}
            options = DirectoryOptions(
                network_id=NETWORK_ID, clock=SettableClock(), state=tmp_path / "state", settings=settings
            )
            third = await open_directory(options)
            assert await eventually(lambda: finds(third, record(2)))
            assert await eventually(lambda: meets(third, other))
            await third.close()
            await one.close()
            again = await open_directory(replace(options, settings={}))
            network.opened.append(again)
            with suppress(NetworkError):
                await again.announce(REGION, record(3))
            assert await eventually(lambda: finds(other, record(2), record(3)))

    asyncio.run(scenario())


def test_a_first_node_that_is_killed_comes_back_by_nodes_it_met(tmp_path: Path) -> None:
    async def scenario() -> None:
        options = DirectoryOptions(network_id=NETWORK_ID, clock=SettableClock(), state=tmp_path / "state")
        async with directories() as network:
            first = await open_directory(options)
            network.opened.append(first)
            other, third = await network.open(), await network.open()
            await other.announce(REGION, record(2))
            assert await eventually(lambda: finds(first, record(2)))
            assert await eventually(lambda: meets(first, third))
            met = {each.endpoint for each in (other, third)}
            kept = (tmp_path / "state/opendht-nodes").read_text().split()
            assert met & set(kept), "what a kill must not lose is on disk before anything is closed"
            await first.close()
            (tmp_path / "state/opendht-nodes").write_text("".join(f"{each}\n" for each in kept))
            again = await open_directory(options)
            network.opened.append(again)
            assert await eventually(lambda: finds(again, record(2)))

    asyncio.run(scenario())
