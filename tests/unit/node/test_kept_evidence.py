"""A process that starts on a large store answers from columns that an earlier one kept, while packets are the same."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from fingerpost.errors import StoreFullError
from fingerpost.ids import node_id
from fingerpost.node import kept_evidence as kept_module
from fingerpost.node import knowledge as knowledge_module
from fingerpost.node.kept_evidence import EVIDENCE_TABLE, keep_evidence, kept_evidence
from fingerpost.node.knowledge import Knowledge
from fingerpost.packet import packet_ids
from fingerpost.store._lmdb import LmdbStore
from fingerpost.store._memory import MemoryStore
from fingerpost.synthesis import Evidence
from tests.unit.node.test_kept_hiring import DAY, OTHER, OWN, packets_of, template

ID = template().template_id


@pytest.fixture(autouse=True)
def few_packets_are_many_and_records_are_short(monkeypatch):
    monkeypatch.setattr(knowledge_module, "KEPT_PACKETS_MIN", 100)
    monkeypatch.setattr(kept_module, "PART_SIZE_BYTES", 1_000)


@pytest.fixture(params=["memory", "lmdb"])
def store(request, tmp_path):
    store = MemoryStore() if request.param == "memory" else LmdbStore(tmp_path / "store")
    store.add(np.concatenate([packets_of(OWN, 60, seed=1), packets_of(OTHER, 90, seed=2)]), day=DAY)
    yield store
    store.close()


@pytest.fixture
def scans(store, monkeypatch):
    """Count how often packets are read."""
    found = []
    scan = store.scan
    monkeypatch.setattr(store, "scan", lambda *of: found.append(1) or scan(*of))
    return found


def knowledge_on(store, **options) -> Knowledge:
    return Knowledge(store, template(), asker=node_id(OWN.public_key), **options)


def assert_same(left: Evidence, right: Evidence) -> None:
    for each in fields(Evidence):
        one, other = getattr(left, each.name), getattr(right, each.name)
        assert type(one) is type(other), each.name
        if isinstance(one, np.ndarray):
            assert one.dtype == other.dtype, each.name
        np.testing.assert_array_equal(one, other, err_msg=each.name)


def kept_by(store) -> Evidence:
    knowledge = knowledge_on(store)
    evidence = knowledge.evidence(day=DAY)
    knowledge.keep()
    return evidence


def test_a_later_process_has_the_same_columns_without_reading_a_packet(store, scans) -> None:
    first = kept_by(store)
    assert len(scans) == 1
    assert_same(knowledge_on(store).evidence(day=DAY), first)
    assert len(scans) == 1


@pytest.mark.parametrize("change", ["add", "drop", "expire", "compact"])
def test_packets_are_read_anew_once_they_have_changed(store, scans, change) -> None:
    kept_by(store)
    if change == "add":
        store.add(packets_of(OTHER, 1, seed=3), day=DAY)
    elif change == "drop":
        store.drop(packet_ids(packets_of(OTHER, 90, seed=2))[:7], day=DAY)
    elif change == "expire":
        store.expire(DAY + 30)
    else:
        store.compact(DAY)
    scans.clear()
    again = knowledge_on(store).evidence(day=DAY)
    assert len(scans) == 1
    parts = list(store.scan(ID))
    expected = np.concatenate(parts) if parts else packets_of(OWN, 1, seed=1)[:0]
    assert_same(again, Evidence.from_packets(expected, template()))


def test_what_is_kept_later_takes_the_place_of_what_was_kept_before(store, scans) -> None:
    kept_by(store)
    store.add(packets_of(OTHER, 40, seed=3), day=DAY)
    more = kept_by(store)
    records = len(list(store.records(EVIDENCE_TABLE)))
    store.drop(packet_ids(packets_of(OTHER, 90, seed=2))[:80], day=DAY)
    less = kept_by(store)
    assert len(more) == 190
    assert len(less) == 110
    assert len(list(store.records(EVIDENCE_TABLE))) < records
    scans.clear()
    assert_same(knowledge_on(store).evidence(day=DAY), less)
    assert not scans


def test_keeping_the_same_twice_writes_once(store, monkeypatch) -> None:
    kept_by(store)
    before = list(store.records(EVIDENCE_TABLE))
    monkeypatch.setattr(store, "put_records", None)
    monkeypatch.setattr(store, "put_record", None)
    kept_by(store)
    assert list(store.records(EVIDENCE_TABLE)) == before


def test_nothing_is_kept_of_few_packets_nor_of_those_that_changed_since(store, monkeypatch) -> None:
    knowledge_on(store).keep()
    knowledge = knowledge_on(store)
    knowledge.evidence(day=DAY)
    store.add(packets_of(OTHER, 1, seed=3), day=DAY)
    knowledge.keep()
    monkeypatch.setattr(knowledge_module, "KEPT_PACKETS_MIN", 152)
    kept_by(store)
    assert list(store.records(EVIDENCE_TABLE)) == []


def test_nothing_is_kept_where_who_may_be_answered_from_depends_on_the_day(store, scans) -> None:
    knowledge = knowledge_on(store, released=lambda packets, day: np.arange(len(packets)) % 2 == day % 2)
    knowledge.evidence(day=DAY)
    knowledge.keep()
    assert list(store.records(EVIDENCE_TABLE)) == []
    kept_by(store)
    scans.clear()
    knowledge_on(store, released=lambda packets, day: np.zeros(len(packets), bool)).evidence(day=DAY)
    assert len(scans) == 1


@pytest.mark.parametrize("header", [b"nonsense", b"\x80"])
def test_a_header_that_cannot_be_read_is_as_good_as_none(store, scans, header) -> None:
    kept_by(store)
    store.put_record(EVIDENCE_TABLE, ID, header)
    scans.clear()
    first = kept_by(store)
    assert_same(knowledge_on(store).evidence(day=DAY), first)
    assert len(scans) == 1


def test_what_another_version_kept_is_not_read(store, monkeypatch) -> None:
    kept_by(store)
    monkeypatch.setattr(kept_module, "EVIDENCE_VERSION", 2)
    assert kept_evidence(store, ID) is None


def test_a_process_that_dies_while_it_keeps_leaves_nothing_to_be_read(store, monkeypatch) -> None:
    first = kept_by(store)
    store.add(packets_of(OTHER, 1, seed=3), day=DAY)
    put, written = store.put_record, []

    def dying(table, key, value):
        written.append(key)
        if len(written) > 5:
            raise KeyboardInterrupt
        put(table, key, value)

    monkeypatch.setattr(store, "put_record", dying)
    with pytest.raises(KeyboardInterrupt):
        keep_evidence(store, ID, first)
    assert kept_evidence(store, ID) is None


def test_a_full_disk_keeps_nothing_and_hinders_nobody(store, scans, monkeypatch) -> None:
    def full(table, key, value):
        raise StoreFullError("store-full", "the disk is full")

    knowledge = knowledge_on(store)
    knowledge.evidence(day=DAY)
    with monkeypatch.context() as patch:
        patch.setattr(store, "put_record", full)
        knowledge.keep()
    knowledge_on(store).evidence(day=DAY)
    assert len(scans) == 2


@pytest.mark.parametrize("kind", ["category", "number"])
def test_every_column_of_every_kind_of_evidence_is_kept(kind) -> None:
    generator, store = np.random.default_rng(5), MemoryStore()
    columns = {
        "fingerprints": generator.integers(0, 256, (50, 32)),
        "emitters": generator.integers(0, 3, (50, 1)).repeat(32, axis=1),
        "sketches": generator.integers(0, 256, (50, 32)),
        "conditions": generator.integers(0, 3, (50, 2)),
        "actions": generator.integers(0, 3, 50),
        "confidences": generator.integers(0, 256, 50),
        "epochs": generator.integers(0, 9, 50),
    }
    if kind == "category":
        codes = generator.integers(-1, 3, 50)
        histograms = generator.integers(1, 9, (int((codes < 0).sum()), 3))
        evidence = Evidence.from_arrays(codes=codes, counts=histograms, **columns)
    else:
        squares, records = generator.random(50), generator.integers(1, 9, 50)
        evidence = Evidence.from_arrays(values=generator.random(50), squares=squares, records=records, **columns)
    keep_evidence(store, ID, evidence)
    found = kept_evidence(store, ID)
    assert found is not None
    assert_same(found, evidence)
