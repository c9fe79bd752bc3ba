"""A process that starts on a large store answers with the settings that an earlier one found, the same to the digit."""

from __future__ import annotations

import numpy as np
import pytest

from fingerpost.ids import node_id
from fingerpost.node import kept_findings as kept_module
from fingerpost.node import knowledge as knowledge_module
from fingerpost.node.kept_findings import FINDINGS_TABLE
from fingerpost.node.knowledge import Knowledge
from fingerpost.node.learning import Learning
from fingerpost.store._memory import MemoryStore
from fingerpost.synthesis import Query, _search, _synthesizer
from fingerpost.synthesis.kernel import KernelOptions
from fingerpost.synthesis.shipped_calculators import UsualOutcome, shipped_calculators
from tests.unit.node.test_kept_hiring import DAY, OTHER, OWN, packets_of, template

QUERIES = [Query(fingerprint=bytes([value]) * 32) for value in (0, 77, 255)]


@pytest.fixture(autouse=True, params=["solved whole", "solved on the nearest"])
def few_packets_are_many(monkeypatch, request):
    monkeypatch.setattr(knowledge_module, "KEPT_PACKETS_MIN", 100)
    if request.param == "solved on the nearest":
        few = KernelOptions(whole_packets_max=50, neighbours=40, search_packets_max=50, calibration_packets_max=30)
        monkeypatch.setattr(_synthesizer, "KernelOptions", lambda: few)


@pytest.fixture
def searches(monkeypatch):
    """Count how often settings are sought."""
    found, search = [], _search.search

    def counted(*given, **named):
        found.append(given)
        return search(*given, **named)

    monkeypatch.setattr(_search, "search", counted)
    return found


@pytest.fixture
def store():
    store = MemoryStore()
    store.add(np.concatenate([packets_of(OWN, 60, seed=1), packets_of(OTHER, 90, seed=2)]), day=DAY)
    return store


def answers_of(store, *, me=OWN, day=DAY, calculators=None, keep=True):
    asker = node_id(me.public_key)
    knowledge = Knowledge(store, template(), asker=asker)
    learning = Learning(store, template(), me=bytes(asker), calculators=calculators or shipped_calculators())
    panel = knowledge.panel(conditions={}, day=day)
    answers = panel.ask_many(QUERIES, weighing=learning.weighing(panel.synthesizer))
    if keep:
        learning.close(knowledge)
    return answers


def test_a_later_process_finds_the_same_answers_without_seeking_settings(store, searches) -> None:
    first = answers_of(store)
    assert searches
    searches.clear()
    assert answers_of(store) == first
    assert not searches
    store.put_records(FINDINGS_TABLE, {key: None for key, _ in list(store.records(FINDINGS_TABLE))})
    assert answers_of(store) == first
    assert searches


def test_what_was_recalled_is_kept_as_it_was(store) -> None:
    answers_of(store)
    before = list(store.records(FINDINGS_TABLE))
    answers_of(store)
    assert list(store.records(FINDINGS_TABLE)) == before


@pytest.mark.parametrize("change", ["packet", "asker", "version", "nonsense"])
def test_settings_are_sought_anew_by_another_asker_or_version_and_on_other_packets(
    store, searches, monkeypatch, change
) -> None:
    answers_of(store)
    me = OTHER if change == "asker" else OWN
    if change == "packet":
        store.add(packets_of(OTHER, 1, seed=3), day=DAY)
    elif change == "version":
        monkeypatch.setattr(kept_module, "FINDINGS_VERSION", 2)
    elif change == "nonsense":
        store.put_records(FINDINGS_TABLE, {key: b"no" for key, _ in list(store.records(FINDINGS_TABLE))})
    searches.clear()
    found = answers_of(store, me=me, keep=False)
    assert searches
    store.put_records(FINDINGS_TABLE, {key: None for key, _ in list(store.records(FINDINGS_TABLE))})
    assert answers_of(store, me=me, keep=False) == found


def test_other_calculators_are_compared_anew(store) -> None:
    answers_of(store)
    others = (UsualOutcome(), *shipped_calculators()[:2])
    found = answers_of(store, calculators=others, keep=False)
    store.put_records(FINDINGS_TABLE, {key: None for key, _ in list(store.records(FINDINGS_TABLE))})
    assert answers_of(store, calculators=others, keep=False) == found


def test_only_what_belongs_to_the_packets_that_are_there_stays_and_compacting_leaves_nothing(store) -> None:
    answers_of(store)
    store.add(packets_of(OTHER, 1, seed=3), day=DAY)
    answers_of(store)
    assert len(list(store.records(FINDINGS_TABLE))) == 1
    store.compact(DAY)
    assert not list(store.records(FINDINGS_TABLE))
