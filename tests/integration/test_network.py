"""Nodes in processes of their own find each other through a directory and exchange packets over a real carrier."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fingerpost import AsyncNode, MemoryNetwork
from fingerpost.carrier.nats_servers import NatsServers
from fingerpost.directory.base import Directory
from fingerpost.directory.record import HolderRecord
from fingerpost.directory.region import Region
from fingerpost.errors import NetworkError
from fingerpost.ids import PublicKey
from fingerpost.node import connection
from fingerpost.ports import Clock
from fingerpost.synthesis.receipt import verify_receipt

TEMPLATE = """
format = 1
name = "pumps"
data_class = "non_personal"

[situation.pressure]
kind = "number"
range = [0, 10]

[situation.model]
kind = "category"
levels = ["A", "B"]

[outcome]
name = "result"
kind = "category"
levels = ["failed", "fine"]

[privacy]
profile = "open"
"""
TABLE = {
    "pressure": [1.0, 1.2, 0.8, 9.0, 9.2, 8.8] * 5,
    "model": ["A", "A", "A", "B", "B", "B"] * 5,
    "result": ["fine", "fine", "fine", "failed", "failed", "failed"] * 5,
}
SECONDS_MAX = 60


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Member:
    """A node in a process of its own."""

    def __init__(self, directory: Path, *, carrier: str, bootstrap: list[str], **more: Any) -> None:
        directory.mkdir(exist_ok=True)
        template = directory / "pumps.toml"
        template.write_text(TEMPLATE)
        self.dht_port = more.get("dht_port") or free_port()
        options = {
            "template": str(template),
            "home": str(directory / "home"),
            "carrier": carrier,
            "dht_port": self.dht_port,
            "bootstrap": bootstrap,
            **more,
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.network_node", json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        opened = self._read()
        self.public_key = opened["public_key"]
        self.listed: dict[str, str] = opened.get("listed", {})

    def do(self, **request: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        print(json.dumps(request), file=self.process.stdin, flush=True)
        return self._read()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.leave()

    def leave(self) -> int:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        status = self.process.wait(SECONDS_MAX)
        self.process.stdout.close()
        return status

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        found: dict[str, Any] = json.loads(self.process.stdout.readline() or '{"public_key": "ended"}')
        return found


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Member]]:
    members: list[Member] = []

    def start_one(**options: Any) -> Member:
        options.setdefault("bootstrap", [f"127.0.0.1:{members[0].dht_port}"] if members else [])
        members.append(Member(tmp_path / f"member-{len(members)}", **options))
        return members[-1]

    yield start_one
    for member in members:
        if member.process.poll() is None:
            member.leave()


@pytest.mark.parametrize("carrier", ["zeromq", "grpc", "flight", "nats"])
def test_a_newcomer_in_another_process_answers_after_the_emitter_is_killed(
    start: Callable[..., Member], carrier: str
) -> None:
    with NatsServers() if carrier == "nats" else contextlib.nullcontext() as servers:
        settings = {"servers": servers.urls} if servers else {}
        first, emitter = (start(carrier=carrier, carrier_settings=settings) for _ in range(2))
        told = emitter.do(emit=TABLE)
        assert told == {"packets": 30, "holders": 1}, told
        assert first.do(count=True) == {"packets": 30}
        emitter.kill()
        newcomer = start(carrier=carrier, carrier_settings=settings)
        assert newcomer.do(count=True) == {"packets": 30}
        for mode in ("sync", "cells", "direct"):
            answer = newcomer.do(ask={"pressure": 9.1, "model": "B"}, mode=mode)
            assert answer["probabilities"]["failed"] > 0.7, answer
            derived = verify_receipt(bytes.fromhex(answer["receipt"]))  # in this process, from the packets alone
            assert (derived.packets, derived.whole) == (30, True)
            assert derived.answer.probabilities == pytest.approx(answer["probabilities"], abs=1e-9)
        assert newcomer.leave() == 0
        assert first.leave() == 0


def test_nodes_that_share_nothing_but_nats_servers_find_each_other_and_exchange_packets(
    start: Callable[..., Member],
) -> None:
    with NatsServers() as servers:
        settings = {"servers": servers.urls}
        first, second = (
            start(carrier="nats", carrier_settings=settings, directory_name="nats", directory_settings=settings)
            for _ in range(2)
        )
        assert second.do(emit=TABLE) == {"packets": 30, "holders": 1}
        for member in (first, second):
            answer = member.do(ask={"pressure": 9.1, "model": "B"}, mode="cells")
            assert answer["probabilities"]["failed"] > 0.7, answer
        assert second.leave() == 0
        assert first.do(count=True) == {"packets": 30}
        assert first.leave() == 0


def test_a_node_that_is_no_member_gets_nothing(start: Callable[..., Member], tmp_path: Path) -> None:
    first = start(carrier="zeromq", members=[])
    assert first.do(emit=TABLE) == {"packets": 30, "holders": 0}
    stranger = start(carrier="zeromq")
    assert stranger.do(count=True) == {"packets": 0}
    assert stranger.do(emit=TABLE) == {"packets": 30, "holders": 0}
    assert first.do(count=True) == {"packets": 30}


def test_peers_of_a_list_exchange_packets_and_one_that_comes_back_is_where_it_was_listed(
    start: Callable[..., Member], tmp_path: Path
) -> None:
    first = start(carrier="zeromq", directory_name="static", peers=[])
    second = start(carrier="zeromq", directory_name="static", peers=[first.listed])
    assert second.do(emit=TABLE) == {"packets": 30, "holders": 1}
    assert first.do(count=True) == {"packets": 30}
    answer = first.do(ask={"pressure": 9.1, "model": "B"})
    assert answer["probabilities"]["failed"] > 0.7, answer
    assert first.leave() == 0
    again = start(
        carrier="zeromq",
        directory_name="static",
        peers=[second.listed],
        home=str(tmp_path / "member-0/home"),
        listen=first.listed["endpoint"],
    )
    assert again.listed == first.listed
    assert again.do(emit=TABLE) == {"packets": 30, "holders": 1}
    assert second.do(count=True) == {"packets": 60}
    assert second.do(emit=TABLE) == {"packets": 30, "holders": 1}
    assert again.do(count=True) == {"packets": 90}


def test_a_node_that_opened_before_there_was_a_network_is_found_once_there_is_one(start: Callable[..., Member]) -> None:
    port = free_port()
    early = start(carrier="zeromq", bootstrap=[f"127.0.0.1:{port}"])
    assert early.do(emit=TABLE) == {"packets": 30, "holders": 0}
    late = start(carrier="zeromq", bootstrap=[], dht_port=port)
    deadline = time.monotonic() + SECONDS_MAX
    while late.do(count=True) != {"packets": 30}:
        assert time.monotonic() < deadline, "what was emitted alone is fetched once its holder is found"
        time.sleep(0.1)
        late.do(synchronise=True)


def test_a_node_opens_although_its_directory_is_out_of_reach_and_announces_itself_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = tmp_path / "pumps.toml"
    template.write_text(TEMPLATE)
    told: dict[str, Any] = {"situation": {"pressure": 9.0, "model": "B"}, "outcome": "failed"}
    monkeypatch.setattr(connection, "ANNOUNCE_AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(connection, "FIND_SECONDS", 0.01)

    async def main() -> None:
        network = LateNetwork()
        async with (
            await AsyncNode.open(template, network=network) as one,
            await AsyncNode.open(template, network=network) as other,
        ):
            await one.emit(**told)
            assert (len(await one.packets()), len(await other.packets())) == (1, 0)
            network.is_reachable = True
            async with asyncio.timeout(SECONDS_MAX):
                while len(network.announced) < 2:
                    await network.changed.wait()
                    network.changed.clear()
            async with asyncio.timeout(SECONDS_MAX):
                while len(await other.packets()) < 1:  # What was emitted alone is handed over.
                    await asyncio.sleep(0.01)
            assert network.announced == {one.public_key, other.public_key}

    asyncio.run(main())


def test_a_node_whose_directory_fails_in_whatever_way_counts_that_and_is_announced_again(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(connection, "ANNOUNCE_AGAIN_SECONDS", 0.05)
    monkeypatch.setattr(connection, "ANNOUNCE_SECONDS", 0.05)
    template = tmp_path / "template.toml"
    template.write_text(TEMPLATE, encoding="utf-8")

    async def main() -> None:
        network = LateNetwork()
        network.is_reachable = True
        async with await AsyncNode.open(template, network=network) as node:
            network.failure = ValueError("a record that the directory does not like")
            async with asyncio.timeout(SECONDS_MAX):
                while (await node.status()).refused["directory"].get("announce-failed", 0) < 2:
                    await asyncio.sleep(0.01)
                network.failure = None
                network.announced.clear()
                while node.public_key not in network.announced:
                    await asyncio.sleep(0.01)
            assert (await node.status()).refused["directory"]["announce-failed"] >= 2

    asyncio.run(main())


class LateNetwork(MemoryNetwork):
    """A network whose directory takes no record until ``is_reachable``."""

    def __init__(self) -> None:
        super().__init__()
        self.is_reachable = False
        self.failure: Exception | None = None
        self.announced: set[PublicKey] = set()
        self.changed = asyncio.Event()

    async def open_directory(self, *, clock: Clock, state: Path | None) -> Directory:
        return LateDirectory(self, await super().open_directory(clock=clock, state=state))


class LateDirectory:
    def __init__(self, network: LateNetwork, inner: Directory) -> None:
        self.network = network
        self.inner = inner
        self.find, self.withdraw, self.close = inner.find, inner.withdraw, inner.close

    async def announce(self, region: Region, record: HolderRecord) -> None:
        if not self.network.is_reachable:
            raise NetworkError("directory-unreachable", "nobody there")
        if self.network.failure is not None:
            raise self.network.failure
        await self.inner.announce(region, record)
        self.network.announced.add(record.public_key)
        self.network.changed.set()
