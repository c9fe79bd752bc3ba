"""Nodes in processes of their own find each other through OpenDHT and exchange packets over a real carrier."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fingerpost.synthesis.receipt import verify_receipt
from fingerpost.testing.nats_servers import NatsServers

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
        directory.mkdir()
        template = directory / "pumps.toml"
        template.write_text(TEMPLATE)
        self.dht_port = free_port()
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
        self.public_key = self._read()["public_key"]

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
        bootstrap = [f"127.0.0.1:{members[0].dht_port}"] if members else []
        members.append(Member(tmp_path / f"member-{len(members)}", bootstrap=bootstrap, **options))
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


def test_a_node_that_is_no_member_gets_nothing(start: Callable[..., Member], tmp_path: Path) -> None:
    first = start(carrier="zeromq", members=[])
    assert first.do(emit=TABLE) == {"packets": 30, "holders": 0}
    stranger = start(carrier="zeromq")
    assert stranger.do(count=True) == {"packets": 0}
    assert stranger.do(emit=TABLE) == {"packets": 30, "holders": 0}
    assert first.do(count=True) == {"packets": 30}
