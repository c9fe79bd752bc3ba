"""Counting what is left after a crash says the truth, also when it is bad news."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fingerpost.lab.crash import Crash, NetworkPart, count_copies, largest_difference
from fingerpost.lab.exchange import Exchange
from fingerpost.lab.heart import load_heart_template, load_patients
from fingerpost.lab.hospital_process import Ended, Joined
from fingerpost.packet import packet_ids


class Shelf:
    """A node that has some packets and no other verb."""

    def __init__(self, packets: Any) -> None:
        self._packets = packets

    def find_packets(self, ids: Sequence[str]) -> Any:
        wanted = {bytes.fromhex(one) for one in ids}
        return self._packets[[one.tobytes() in wanted for one in packet_ids(self._packets)]]


@pytest.fixture(scope="module")
def exchange() -> Any:
    connected = Exchange.in_memory(load_heart_template(), load_patients(), seed=0)
    connected.emit("Switzerland")
    yield connected
    connected.close()


def crash_of(exchange: Exchange, copies: dict[int, int]) -> Crash:
    return Crash(
        hospital="Cleveland",
        process=1,
        answer=exchange.ask("Hungary", {}),
        seconds=0.25,
        same_evidence=True,
        difference=0.0,
        acknowledged=123,
        copies=copies,
    )


def test_copies_are_counted_node_by_node_and_what_nobody_has_is_lost(exchange: Exchange) -> None:
    packets = exchange.packets("Switzerland")
    ids = exchange.packet_ids(["Switzerland"])
    assert len(ids) == 123
    nodes: Any = {"a": Shelf(packets[:100]), "b": Shelf(packets[50:120]), "c": Shelf(packets[:0])}
    copies = count_copies(nodes, ids)
    assert copies == {1: 70, 2: 50}
    crash = crash_of(exchange, copies)
    assert (crash.lost, crash.fewest_copies) == (3, 0)
    kept = crash_of(exchange, {2: 3, 3: 120})
    assert (kept.lost, kept.fewest_copies) == (0, 2)


def test_a_packet_that_one_node_holds_twice_counts_once(exchange: Exchange) -> None:
    packets = exchange.packets("Switzerland")[:5]
    nodes: Any = {"a": Shelf(np.concatenate([packets, packets]))}
    assert count_copies(nodes, exchange.packet_ids(["Switzerland"])) == {1: 5}


def test_answers_differ_by_their_worst_probability(exchange: Exchange) -> None:
    answer = exchange.ask("Hungary", {"age": 50})
    levels = tuple(replace(level, probability=level.probability * 0.5) for level in answer.levels)
    assert largest_difference(answer, answer) == 0
    assert largest_difference(answer, replace(answer, levels=levels)) == max(answer.probabilities.values()) * 0.5
    assert largest_difference(answer, replace(answer, levels=levels[:1])) == 1


def test_the_document_of_a_crash_is_what_was_measured(exchange: Exchange) -> None:
    joined = [
        Joined(hospital=name, process=number, endpoint="x", ready_seconds=1.23456, found={"b": 2.0, "c": 2.5 + number})
        for number, name in enumerate("ab")
    ]
    network = NetworkPart(
        carrier="grpc",
        joined=tuple(joined),
        crash=crash_of(exchange, {3: 120, 2: 1}),
        back=None,
        ended=Ended(started=10, left=1, seconds=2.0),
    )
    document = network.to_document()
    assert (document["carrier"], document["directory"], document["join_seconds"]) == ("grpc", "opendht", 3.5)
    assert document["processes"][0]["ready_seconds"] == 1.235
    assert (document["killed"], document["lost"], document["copies"]) == ("Cleveland", 2, {"2": 1, "3": 120})
    assert (document["processes_started"], document["processes_left"]) == (10, 1)
    assert document["catch_up_seconds"] is None
