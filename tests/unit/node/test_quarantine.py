"""Emitters that nobody named: how much they may have here, and from when on answers may rest on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fingerpost.errors import UsageError
from fingerpost.ids import PublicKey
from fingerpost.node.asking import locate
from fingerpost.node.events import Fetched, PacketsArrived
from fingerpost.node.quarantine import EMITTERS_TABLE, Quarantine
from fingerpost.node.roster import OpenAdmission, Roster
from fingerpost.node.succession import sign_succession
from fingerpost.packet import PACKET_DTYPE
from fingerpost.store._lmdb import LmdbStore
from fingerpost.store._memory import MemoryStore
from tests.unit.node.town import Town

DAY = 20_000
SECONDS_PER_DAY = 86_400.0


def of(*emitters: int) -> npt.NDArray[np.void]:
    """Return a packet of each of these emitters; only who emitted it counts here."""
    packets = np.zeros(len(emitters), PACKET_DTYPE)
    packets["emitter"][:, 0] = emitters
    return packets


def quarantine(store: MemoryStore | LmdbStore, *, days: int = 1, named: int = 9, **more: int) -> Quarantine:
    rules = OpenAdmission(quarantine_days=days)
    return Quarantine(store, rules=rules, is_named=lambda key: key[0] == named, **more)


@given(st.integers(1, 30), st.integers(0, 60))
def test_an_emitter_waits_for_whole_days_since_it_was_first_seen(days: int, later: int) -> None:
    kept = quarantine(MemoryStore(), days=days)
    for day in range(DAY, DAY + later + 1):
        kept.meet(of(1), day=day)
    assert kept.released(of(1, 9), DAY + later).tolist() == [later > days, True]


def test_without_a_quarantine_nobody_waits() -> None:
    assert quarantine(MemoryStore(), days=0).released(of(1), DAY).tolist() == [True]


def test_what_nobody_has_met_may_not_be_answered_from() -> None:
    assert quarantine(MemoryStore()).released(of(1), DAY).tolist() == [False]


def test_the_first_sight_of_an_emitter_survives_a_restart(tmp_path: Path) -> None:
    store = LmdbStore(tmp_path)
    quarantine(store).meet(of(1), day=DAY)
    store.close()
    store = LmdbStore(tmp_path)
    assert quarantine(store).released(of(1, 2), DAY + 2).tolist() == [True, False]
    store.close()


def test_an_emitter_is_forgotten_when_nothing_of_it_can_be_left() -> None:
    store = MemoryStore()
    kept = quarantine(store)
    kept.meet(of(1, 2), day=DAY)
    kept.meet(of(2), day=DAY + 5)
    kept.forget(day=DAY + 31, ttl_days=30)
    assert len(kept) == 2
    kept.forget(day=DAY + 32, ttl_days=30)
    assert [key[0] for key, _ in store.records(EMITTERS_TABLE)] == [2]
    assert kept.released(of(1, 2), DAY + 32).tolist() == [False, True]


def test_no_more_emitters_are_remembered_than_the_bound_says() -> None:
    kept = quarantine(MemoryStore(), emitters_max=2)
    assert kept.meet(of(1, 2, 3, 1, 9), day=DAY).tolist() == [True, True, False, True, True]
    assert kept.meet(of(2, 4), day=DAY + 1).tolist() == [True, False]
    assert len(kept) == 2


@pytest.mark.parametrize("bounds", [{"quota_packets": 0}, {"quarantine_days": -1}, {"quarantine_days": 99_999}])
def test_bounds_that_are_none_are_refused(bounds: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        OpenAdmission(**bounds)
    assert caught.value.code == "open-admission"


def test_whom_a_named_key_signed_a_succession_to_is_named_too() -> None:
    seeds = bytes(32), bytes(31) + b"\1"
    record = sign_succession(*seeds, day=DAY)
    roster = Roster(members=OpenAdmission(named=frozenset({record.old_key})), records=[record.encoded])
    assert roster.is_named(PublicKey(record.new_key))
    assert roster.keys == {record.old_key, record.new_key}
    assert not roster.is_named(PublicKey(bytes(32)))
    assert roster.admits(PublicKey(bytes(32)), day=DAY)


def an_open_town(**bounds: int) -> Town:
    """Return six nodes that know each other; a to c are named by everybody, x to z by nobody."""
    town = Town()
    named = Town()
    keys = frozenset(named.add(name).public_key for name in "abc")
    for name in "abcxyz":
        town.add(name, follow=name in "axz", roster=Roster(members=OpenAdmission(named=keys, **bounds)))
    town.run(3)
    return town


def evidence(town: Town, name: str) -> int:
    return len(town.engines[name].evidence(town.template.template_id, now=town.now))


def test_packets_of_a_newcomer_are_held_and_handed_on_but_not_answered_from_at_first() -> None:
    town = an_open_town()
    (new,), (old,) = town.emit("x", 50), town.emit("b", 50)
    town.run(10)
    template_id = town.template.template_id
    assert {"a", "z"} <= town.holding(town.id_of(new)), "they are replicated like others"
    assert (evidence(town, "a"), evidence(town, "x")) == (1, 2), "a node trusts itself"
    assert town.engines["a"].packets(template_id, now=town.now).size == 2
    digest = town.engines["a"].synthesizer(template_id, conditions={}, now=town.now).evidence_digest
    behind = town.engines["a"].packets_behind(template_id, digest, now=town.now)
    assert behind.tobytes() == old.packets.tobytes()
    town.start("a", follow=True, roster=Roster(members=OpenAdmission(named=frozenset({town.key("b")}))))
    town.introduce()
    town.run(2 * SECONDS_PER_DAY, step=SECONDS_PER_DAY)
    assert evidence(town, "a") == 2, "the days before the restart count"


def test_packets_that_came_before_admission_was_open_wait_from_the_first_start_on() -> None:
    town = Town()
    for name in "ab":
        town.add(name, follow=True)
    town.emit("b", 50)
    assert evidence(town, "a") == 1
    town.start("a", follow=True, roster=Roster(members=OpenAdmission()))
    town.introduce()
    town.run(3)
    assert evidence(town, "a") == 0
    town.run(2 * SECONDS_PER_DAY, step=SECONDS_PER_DAY)
    assert evidence(town, "a") == 1


def test_packets_of_a_newcomer_that_are_fetched_for_one_question_are_left_out_of_it_too() -> None:
    town = an_open_town()
    town.emit("x", *range(0, 100, 10))
    town.emit("b", 50)
    town.run(10)
    asker = next(name for name in "cby" if town.engines[name].group(town.template.template_id).holds is False)
    engine, template_id = town.engines[asker], town.template.template_id
    where = locate(engine, town.template, {"size": 50}, cells=16)
    engine.fetch_cells(template_id, where.cells, now=town.now)
    town.settle()
    fetched = [event for event in town.events[asker] if isinstance(event, Fetched)][-1]
    assert fetched.answered
    of_cells = engine.synthesizer(template_id, cells=where.cells, conditions={}, now=town.now)
    assert len(of_cells.evidence) == 1
    ids = [town.id_of(each) for each in town.emit("y", 50)] + list(fetched.packet_ids)
    nearest = engine.synthesizer(template_id, ids=ids, conditions={}, now=town.now)
    assert len(nearest.evidence) == (1 if asker == "y" else 0)


def test_a_newcomer_may_have_its_quota_here_and_a_named_emitter_more() -> None:
    town = an_open_town(quota_packets=3)
    town.emit("x", *range(5))
    town.emit("b", *range(5))
    town.run(10)
    stored = town.engines["a"].packets(town.template.template_id, now=town.now)
    counts = {name: (stored["emitter"] == np.frombuffer(town.key(name), np.uint8)).all(axis=1).sum() for name in "xb"}
    assert counts == {"x": 3, "b": 5}
    told = [event for events in town.events.values() for event in events if isinstance(event, PacketsArrived)]
    assert {event.peer for event in told if "refused-over-quota" in event.refused} == {town.key("x")}
