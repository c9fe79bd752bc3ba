"""What a node elected on many packets outlives its process, for as long as the packets are the very same."""

from __future__ import annotations

import numpy as np
import pytest

from fingerpost.elections.hire import Elector
from fingerpost.ids import node_id
from fingerpost.node import knowledge as knowledge_module
from fingerpost.node.knowledge import Knowledge
from fingerpost.packet import PACKET_DTYPE, Kind, Profile, Signer, blank_bodies, payloads, sign_bodies
from fingerpost.store._memory import MemoryStore
from fingerpost.template import infer_template

DAY = 20_000
OWN, OTHER = Signer(bytes(range(32))), Signer(bytes(range(1, 33)))


@pytest.fixture(autouse=True)
def few_packets_are_many(monkeypatch):
    monkeypatch.setattr(knowledge_module, "KEPT_PACKETS_MIN", 100)


@pytest.fixture
def reads(monkeypatch):
    """Count how often claims are read."""
    found = []
    read = Elector.read

    def counted(self, evidence):
        found.append(len(evidence))
        return read(self, evidence)

    monkeypatch.setattr(Elector, "read", counted)
    return found


def template():
    generator = np.random.default_rng(0)
    columns = {"x": generator.normal(size=200).round(3), "outcome": ["yes", "no"] * 100}
    return infer_template(columns, outcome="outcome", name="kept", data_class="non_personal").template


def packets_of(signer: Signer, count: int, *, seed: int):
    agreed, generator = template(), np.random.default_rng(seed)
    layout = agreed.observation_layout()
    bodies = blank_bodies(
        count,
        kind=Kind.OBSERVATION,
        profile=Profile.OPEN,
        epoch=DAY,
        ttl_days=30,
        template_id=agreed.template_id,
        emitter=signer.public_key,
        layout=layout,
    )
    bodies["nonce"] = generator.integers(0, 256, (count, 16), dtype=np.uint8)
    content = payloads(bodies, layout)
    content["fingerprint"] = generator.integers(0, 256, content["fingerprint"].shape, dtype=np.uint8)
    content["outcome"] = 1 + (content["fingerprint"][:, 0] > 127)
    packets = np.zeros(count, PACKET_DTYPE)
    packets[:] = sign_bodies(bodies, signer)
    return packets


def knowledge_on(store: MemoryStore, asker: Signer = OWN) -> Knowledge:
    return Knowledge(store, template(), asker=node_id(asker.public_key))


@pytest.fixture
def store():
    store = MemoryStore()
    store.add(np.concatenate([packets_of(OWN, 60, seed=1), packets_of(OTHER, 90, seed=2)]), day=DAY)
    return store


def test_a_later_process_recalls_what_an_earlier_one_found_on_the_same_packets(store, reads) -> None:
    first = knowledge_on(store).hiring(day=DAY)
    assert knowledge_on(store).hiring(day=DAY) == first
    assert reads == [150]


def test_another_packet_has_claims_read_again(store, reads) -> None:
    knowledge_on(store).hiring(day=DAY)
    store.add(packets_of(OTHER, 1, seed=3), day=DAY)
    again = knowledge_on(store)
    found = again.hiring(day=DAY)
    assert reads == [150, 151]
    assert found == knowledge_on(store).hiring(day=DAY)
    assert reads == [150, 151]


def test_what_one_node_found_is_not_what_another_finds(store, reads) -> None:
    knowledge_on(store).hiring(day=DAY)
    knowledge_on(store, OTHER).hiring(day=DAY)
    assert reads == [150, 150]


def test_a_process_that_has_elected_goes_on_electing_by_all_that_it_has_read(store, reads) -> None:
    knowledge = knowledge_on(store)
    knowledge.hiring(day=DAY)
    more = packets_of(OTHER, 1, seed=3)
    store.add(more, day=DAY)
    knowledge.hiring(day=DAY)
    knowledge_on(store).hiring(day=DAY)
    assert reads == [150, 151]


def test_a_record_that_cannot_be_read_is_as_good_as_none(store, reads) -> None:
    store.put_record(knowledge_module.HIRINGS_TABLE, template().template_id, b"nonsense")
    knowledge_on(store).hiring(day=DAY)
    assert reads == [150]


def test_few_packets_leave_nothing_behind(store, reads, monkeypatch) -> None:
    monkeypatch.setattr(knowledge_module, "KEPT_PACKETS_MIN", 151)
    knowledge_on(store).hiring(day=DAY)
    assert store.get_record(knowledge_module.HIRINGS_TABLE, template().template_id) is None
