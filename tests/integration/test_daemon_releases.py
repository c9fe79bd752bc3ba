"""What a running node releases, adds up and forgets, it does as a command does that finds no node running."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fingerpost.node.daemon.messages import ROWS_TOGETHER_MAX
from fingerpost.node.home import Home
from fingerpost.node.ledger_file import look_at_ledger
from tests.integration.daemons import Place, Result

TEMPLATE = """
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
bits = 4
[privacy]
profile = "dp-aggregate"
"""
OPEN = TEMPLATE.replace('"personal"', '"non_personal"').replace("dp-aggregate", "open")
EMIT = ("emit", "rain.csv", "--subject-column", "patient", "--json")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Callable[..., Place]]:
    places: list[Place] = []

    def make(name: str, *, rows: int, template: str = TEMPLATE, **options: Any) -> Place:
        places.append(Place.make(tmp_path / name, template=template, **options))
        lines = [f"{name}{n},{('grey', 'blue')[n % 2]},{('wet', 'dry')[n % 2]}" for n in range(rows)]
        text = "\n".join(["patient,sky,rain", *lines, f"{name}0,blue,dry"]) + "\n"
        (places[-1].folder / "rain.csv").write_text(text)
        return places[-1]

    yield make
    for one in places:
        if one.process is not None and one.process.poll() is None:
            one.end(signal.SIGKILL)


def told(result: Result) -> dict[str, Any]:
    """Return what an emission says, without what differs from run to run."""
    assert result.status == 0, result.err + result.out
    chance = ("packet_ids", "node_id", "example")
    return {key: value for key, value in result.document.items() if key not in chance}


def charged(node: Place) -> set[int]:
    ledger = look_at_ledger(Home(node.home.root))
    return set() if ledger is None else set(ledger.spent().values())


def test_a_release_longer_than_a_request_is_one_release_through_a_running_node_too(place: Callable[..., Place]) -> None:
    rows = ROWS_TOGETHER_MAX + 100
    with_daemon, without = place("a", rows=rows), place("b", rows=rows)
    with_daemon.start()
    through, alone = (node.call(*EMIT, "--template", "pumps.toml") for node in (with_daemon, without))
    assert told(through) == told(alone)
    assert through.document["packets"] == 16
    assert through.document["release"] | {"rows": 0} != through.document["release"]
    assert (through.document["release"]["rows"], through.document["release"]["same_subject"]) == (rows, 1)
    assert with_daemon.call("node", "status", "--json").document["packets"] == 16
    assert charged(with_daemon) == charged(without) == {1_000}
    again = [node.call(*EMIT, "--template", "pumps.toml", "--again") for node in (with_daemon, without)]
    assert [result.status for result in again] == [13, 13]
    assert again[0].document == again[1].document
    (with_daemon.folder / "rain.csv").write_text("patient,sky,rain\nx,pink,dry\n")
    (without.folder / "rain.csv").write_text("patient,sky,rain\nx,pink,dry\n")
    empty = [
        node.call(*EMIT, "--template", "pumps.toml", "--skip-bad-rows").document["error"]
        for node in (with_daemon, without)
    ]
    assert empty[0] == empty[1]


def test_forgetting_through_a_running_node_takes_back_the_same_as_without_one(place: Callable[..., Place]) -> None:
    results = []
    for name, runs in (("a", True), ("b", False)):
        node = place(name, rows=40, template=OPEN)
        if runs:
            node.start()
        assert node.call(*EMIT, "--template", "pumps.toml").document["packets"] == 41
        forgotten = node.call("forget", f"{name}0", "--template", "pumps.toml", "--json")
        repeated = node.call("forget", f"{name}0", "--template", "pumps.toml", "--json")
        assert forgotten.status == 0, forgotten.err
        assert len(forgotten.document["withdrawn"]) == 2
        left = node.call("ask", "--set", "sky=grey", "--template", "pumps.toml", "--json").document["answers"][0]
        results.append(
            [
                {key: value for key, value in result.document.items() if key not in ("withdrawn", "subject")}
                for result in (forgotten, repeated)
            ]
            + [left["packets"]]
        )
        if runs:
            assert node.end() == 0
        assert node.call("store", "stats", "--json").document["withdrawals"] == 2
    assert results[0] == results[1]
    assert results[0][2] == 39


def test_counts_that_were_released_through_a_running_node_are_listed_and_not_recalled(
    place: Callable[..., Place],
) -> None:
    documents = []
    for name, runs in (("a", True), ("b", False)):
        node = place(name, rows=40)
        if runs:
            node.start()
        told(node.call(*EMIT, "--template", "pumps.toml"))
        forgotten = node.call("forget", f"{name}0", "--template", "pumps.toml", "--json").document
        assert len(forgotten["kept"]) == 16
        documents.append({key: value for key, value in forgotten.items() if key not in ("kept", "subject")})
    assert documents[0] == documents[1]


def test_running_nodes_add_up_their_counts_with_one_that_does_not_run(place: Callable[..., Place]) -> None:
    first = place("a", rows=200)
    bootstrap = [f"127.0.0.1:{first.dht_port}"]
    nodes = [first, place("b", rows=200, bootstrap=bootstrap), place("c", rows=200, bootstrap=bootstrap)]
    for node in nodes:
        node.members = [each.public_key for each in nodes]
    for node in nodes[:2]:
        node.start()
    (nodes[2].folder / "node.toml").write_text(nodes[2].config())
    script = [*EMIT, "--template", "pumps.toml", "--sum", "node.toml", "--sum-seconds", "60"]
    found: dict[str, Result] = {}
    running = [spawned(node, script, found) for node in nodes]
    for each in running:
        each.join(120)
    documents = [found[node.public_key].document for node in nodes]
    assert [document.get("error") for document in documents] == [None] * 3
    assert sorted(document["packets"] for document in documents) == [0, 0, 16]
    assert [(each["release"]["parties"], each["release"]["rows"]) for each in documents] == [(3, 200)] * 3
    assert [charged(node) for node in nodes] == [{1_000}] * 3


def spawned(node: Place, arguments: list[str], found: dict[str, Result]) -> threading.Thread:
    """Run a command in a process of its own and note what it says; ``Place.call`` takes one at a time."""

    def work() -> None:
        found[node.public_key] = node.spawn(*arguments)

    thread = threading.Thread(target=work)
    thread.start()
    return thread
