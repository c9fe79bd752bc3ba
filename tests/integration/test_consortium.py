"""Nodes in processes of their own under the profile consortium: members answer, holders without keys hold."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.daemons import SECONDS_MAX, TEMPLATE, Place

SEALED = TEMPLATE.replace('"non_personal"', '"personal"') + '[privacy]\nprofile = "consortium"\n'
ASK = ("ask", "--set", "pressure=9.1", "--set", "model=B", "--json")


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    end = time.monotonic() + SECONDS_MAX
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.2)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Callable[..., Place]]:
    places: list[Place] = []

    def make(name: str, **options: Any) -> Place:
        places.append(Place.make(tmp_path / name, template=SEALED, **options))
        return places[-1]

    yield make
    for one in places:
        if one.process is not None and one.process.poll() is None:
            one.end(signal.SIGKILL)


def test_a_member_answers_from_what_a_holder_without_keys_kept(place: Callable[..., Place]) -> None:
    """The emitter is gone when the member asks: what it learns it got from a node that could not read it."""
    emitter = place("emitter")
    holder = place("holder", bootstrap=[f"127.0.0.1:{emitter.dht_port}"])
    member = place("member", bootstrap=[f"127.0.0.1:{emitter.dht_port}", f"127.0.0.1:{holder.dht_port}"])
    for one in (emitter, holder, member):
        one.members = [emitter.public_key, holder.public_key, member.public_key]
    assert emitter.call("consortium", "create", "--template", "pumps.toml").status == 0
    file = str(member.folder / "member.keys")
    assert emitter.call("consortium", "add", member.public_key, "--output", file).status == 0
    emitter.start()
    holder.start()
    emitted = emitter.call("emit", "pumps.csv", "--json")
    assert emitted.status == 0, emitted.err
    assert emitted.document["holders"] == 1
    assert emitter.end(signal.SIGKILL) == -signal.SIGKILL

    blind = holder.call(*ASK).document["answers"][0]
    assert blind["packets"] == 0
    assert blind["abstained"]

    member.start()
    until(lambda: member.call("node", "status", "--json").document["packets"] == 50)
    before = member.call(*ASK).document["answers"][0]
    assert before["packets"] == 0
    joined = member.call("consortium", "join", file, "--from", emitter.public_key, "--template", "pumps.toml")
    assert joined.status == 0, joined.err
    asked = member.call(*ASK, "--receipt", "a.receipt")
    assert asked.status == 0, asked.out
    answer = asked.document["answers"][0]
    assert answer["packets"] == 50
    assert max(answer["levels"], key=lambda level: level["probability"])["level"] == "failed"
    assert "opened with the secrets in the receipt" in holder.call("verify", str(member.folder / "a.receipt")).out
