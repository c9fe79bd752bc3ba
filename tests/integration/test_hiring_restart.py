"""Who was hired before a crash is hired after it: real node processes, one of which tells the opposite of the truth."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fingerpost.ids import PublicKey, node_id
from tests.integration.daemons import ROWS, SECONDS_MAX, Place


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Callable[..., Place]]:
    places: list[Place] = []

    def make(name: str, **options: Any) -> Place:
        places.append(Place.make(tmp_path / name, **options))
        return places[-1]

    yield make
    for one in places:
        if one.process is not None and one.process.poll() is None:
            one.end(signal.SIGKILL)


def election_at(asker: Place) -> dict[str, Any]:
    """Return how the nodes behind an answer were elected."""
    asked = asker.call("ask", "--set", "pressure=9.1", "--set", "model=B", "--json")
    assert asked.status == 0, asked.err
    (answer,) = asked.document["answers"]
    election: dict[str, Any] = answer["election"]
    return election


def test_who_was_hired_is_hired_again_after_a_crash_and_a_liar_stays_out(place: Callable[..., Place]) -> None:
    asker = place("asker")
    honest, liar = (place(name, bootstrap=[f"127.0.0.1:{asker.dht_port}"]) for name in ("honest", "liar"))
    nodes = (asker, honest, liar)
    others = {"failed": "fine", "fine": "failed"}
    lies = [f"{row.rpartition(',')[0]},{others[row.rpartition(',')[2]]}" for row in ROWS[1:]]
    (liar.folder / "pumps.csv").write_text("\n".join([ROWS[0], *lies]) + "\n")
    for node in nodes:
        node.members[:] = [each.public_key for each in nodes]
        node.start()
    for node in nodes:
        emitted = node.call("emit", "pumps.csv", "--json")
        assert emitted.status == 0, emitted.err
    until = time.monotonic() + SECONDS_MAX
    before = election_at(asker)
    while len(before["nodes"]) < len(nodes) or any(node["packets"] < len(lies) for node in before["nodes"]):
        assert time.monotonic() < until, before
        before = election_at(asker)
    names = [node_id(PublicKey(bytes.fromhex(node.public_key))).hex() for node in nodes]
    findings = {verdict["node_id"]: verdict["finding"] for verdict in before["nodes"]}
    assert [findings[name] for name in names[:2]] == ["own", "hired"]
    assert findings[names[2]] in {"refused", "unknown"}
    asker.end(signal.SIGKILL)
    asker.start()
    assert {verdict["node_id"]: verdict["finding"] for verdict in election_at(asker)["nodes"]} == findings
