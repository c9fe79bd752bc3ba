"""Packets of a data set, from encoded rows to evidence."""

from __future__ import annotations

import numpy as np
import pytest

from fingerpost.fingerprint import Fingerprinter
from fingerpost.lab import pool
from fingerpost.lab.data import load
from fingerpost.packet import PACKET_DTYPE, packet_ids


def emitted(name: str, *, sketch: bool = False, nodes=None, rows: int = 60):
    found = load(name)
    template = found.template(bits=128, sketch=sketch)
    kept = np.random.default_rng(0).permutation(len(found))[:rows]
    encoded, outcomes = found.encoded()[kept], found.outcomes[kept]
    return template, encoded, outcomes, pool.emit(template, encoded, outcomes, nodes=nodes, seed=4)


def rows_of(evidence, prints) -> list[int]:
    """The row that each packet came from: fingerprints of 128 bits are as good as different."""
    places = {print_.tobytes(): row for row, print_ in enumerate(prints)}
    return [places[print_.tobytes()] for print_ in evidence.fingerprints]


def test_evidence_says_of_every_row_what_the_row_said() -> None:
    template, encoded, outcomes, packets = emitted("wine", sketch=True)
    assert packets.dtype == PACKET_DTYPE
    evidence = pool.collect(template, packets)
    assert len(evidence) == 60
    rows = rows_of(evidence, Fingerprinter(template).fingerprints(encoded))
    assert sorted(rows) == list(range(60))
    assert evidence.codes.tolist() == outcomes[rows].tolist()
    assert evidence.sketches is not None
    assert (evidence.sketches == Fingerprinter(template).sketches(encoded)[rows]).all()


def test_numbers_travel_as_they_are() -> None:
    template, encoded, outcomes, packets = emitted("diabetes")
    evidence = pool.collect(template, packets)
    rows = rows_of(evidence, Fingerprinter(template).fingerprints(encoded))
    assert evidence.means.tolist() == outcomes[rows].tolist()
    assert evidence.sketches is None


def test_every_node_signs_its_own_rows() -> None:
    nodes = np.arange(60) % 3 + np.arange(60) // 50
    template, encoded, _, packets = emitted("wine", nodes=nodes)
    evidence = pool.collect(template, packets)
    rows = rows_of(evidence, Fingerprinter(template).fingerprints(encoded))
    pairs = set(zip(evidence.node_index.tolist(), nodes[rows].tolist(), strict=True))
    assert len(pairs) == len(set(nodes.tolist())) == 4


def test_the_same_seed_emits_the_same_packets_and_no_order_of_rows() -> None:
    first, again = emitted("wine")[3], emitted("wine")[3]
    assert (packet_ids(first) == packet_ids(again)).all()
    template, encoded, _, packets = emitted("wine")
    prints = Fingerprinter(template).fingerprints(encoded)
    places = {print_.tobytes(): row for row, print_ in enumerate(prints)}
    order = [places[packet["payload"][10:26].tobytes()] for packet in packets]
    assert order != sorted(order)


def test_a_packet_that_was_touched_stops_the_measurement() -> None:
    template, _, _, packets = emitted("wine")
    packets["payload"][7, 12] ^= 1
    with pytest.raises(AssertionError, match="does not verify"):
        pool.collect(template, packets)
