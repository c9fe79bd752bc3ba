"""Sealed packets are opened once: a change of the store opens what is new, and forgets what is gone."""

from __future__ import annotations

import numpy as np
import pytest

from fingerpost.fingerprint import Fingerprinter
from fingerpost.ids import node_id
from fingerpost.node import opened as opened_module
from fingerpost.node.emission import Observations, build_packets
from fingerpost.node.knowledge import Knowledge
from fingerpost.node.opened import OpenedPackets
from fingerpost.node.withdrawing import build_withdrawals
from fingerpost.packet import Kind, Profile, Signer, packet_ids
from fingerpost.privacy.seal import KeyRing, Opened, Seals, passing_ring
from fingerpost.privacy.subjects import Contribution
from fingerpost.store._memory import MemoryStore
from fingerpost.template import encode_record, parse_template
from tests.unit.node.town import TEMPLATE, Counted

SHARED = parse_template(TEMPLATE.replace("non_personal", "personal").replace('"open"', '"consortium"'))
SIGNER, DAY = Signer(bytes(range(32))), 20_000


def ring(secret: int = 1) -> KeyRing:
    return passing_ring(SHARED.template_id, bytes([secret]) * 32, day=DAY - 1)


def packets_of(count: int, *, seed: str, keys: KeyRing | None = None) -> np.ndarray:
    generator = np.random.default_rng(len(seed))
    observations = Observations(
        encoded=generator.integers(0, 100, (count, encode_record(SHARED, {"size": 1}).size)).astype(np.int16),
        outcomes=generator.integers(1, 3, count).astype(np.uint16),
        actions=np.zeros(count, np.uint16),
        conditions=np.zeros((count, 0), np.uint16),
        confidences=np.full(count, 255, np.uint8),
    )
    packets, _ = build_packets(
        SHARED,
        Fingerprinter(SHARED),
        observations,
        signer=SIGNER,
        day=DAY,
        entropy=Counted(seed),
        seals=Seals(keys or ring()),
    )
    return packets


@pytest.fixture
def opens(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return how many packets were opened, each time that some were."""
    counted: list[int] = []
    real = Seals.open

    def note(seals: Seals, packets: np.ndarray) -> Opened:
        counted.extend([len(packets)] if len(packets) else [])
        return real(seals, packets)

    monkeypatch.setattr(Seals, "open", note)
    return counted


def withdraw(store: MemoryStore, packet: np.ndarray) -> None:
    (packet_id,) = packet_ids(packet)
    gone = Contribution(
        packet_id=packet_id.tobytes(),
        template_id=SHARED.template_id,
        epoch=DAY,
        ttl_days=30,
        profile=Profile.CONSORTIUM,
        kind=Kind.OBSERVATION,
        cell=int(packet["cell"][0]),
    )
    store.add(build_withdrawals(SHARED, [gone], signer=SIGNER, day=DAY, entropy=Counted("w")), day=DAY)


def test_a_change_of_the_store_opens_what_is_new_and_forgets_what_is_gone(opens: list[int]) -> None:
    store = MemoryStore()
    knowledge = Knowledge(store, SHARED, asker=node_id(SIGNER.public_key))
    knowledge.use_keys(ring())
    first = packets_of(40, seed="first")
    store.add(first, day=DAY)
    assert len(knowledge.evidence(day=DAY)) == 40
    store.add(packets_of(3, seed="more"), day=DAY)
    evidence = knowledge.evidence(day=DAY)
    assert opens == [40, 3]
    fresh = Knowledge(store, SHARED, asker=node_id(SIGNER.public_key))
    fresh.use_keys(ring())
    anew = fresh.evidence(day=DAY)
    assert (anew.packet_ids == evidence.packet_ids).all()
    assert (anew.fingerprints == evidence.fingerprints).all()
    assert opens == [40, 3, 43]
    withdraw(store, first[:1])
    assert len(knowledge.evidence(day=DAY)) == 42
    assert len(knowledge._opened) == 42, "what was withdrawn is nowhere kept in clear"
    assert opens == [40, 3, 43]


def test_what_does_not_open_is_tried_once_and_again_with_other_keys(opens: list[int]) -> None:
    store = MemoryStore()
    knowledge = Knowledge(store, SHARED, asker=node_id(SIGNER.public_key))
    knowledge.use_keys(ring())
    store.add(packets_of(5, seed="strangers", keys=ring(2)), day=DAY)
    assert len(knowledge.evidence(day=DAY)) == 0
    store.add(packets_of(2, seed="own"), day=DAY)
    assert len(knowledge.evidence(day=DAY)) == 2
    assert opens == [5, 2]
    knowledge.use_keys(ring(2))
    assert len(knowledge.evidence(day=DAY)) == 5
    assert opens == [5, 2, 7]


def test_sealed_and_plain_packets_read_as_they_do_when_each_is_opened_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opened_module, "OPENED_PACKETS_MAX", 7)
    packets = packets_of(20, seed="all")
    seals = Seals(ring())
    plain = seals.open(packets).packets[:4]
    mixed = np.concatenate([packets[:6], plain, packets[6:]])
    read = OpenedPackets(seals, SHARED)
    for _ in range(2):
        found, expected = read.read(mixed), seals.open(mixed)
        assert found.packets.tobytes() == expected.packets.tobytes()
        assert (found.rows == expected.rows).all()
        assert (found.secrets == expected.secrets).all()
        assert len(read) == 7
