"""Digests of what is kept: the same for the same packets, however they came; different for different ones."""

from __future__ import annotations

import hashlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fingerpost.ids import PublicKey
from fingerpost.node.inventory import Inventory, Shelf, leaf_of
from fingerpost.packet import packet_ids
from fingerpost.store._memory import MemoryStore
from fingerpost.store.base import Verdict
from fingerpost.testing.packet_samples import TEMPLATE_ID, observation, signed, signer, withdrawal

IDS = [hashlib.blake2s(bytes([number // 256, number % 256])).digest() for number in range(600)]
EMITTER = signer(1)
SOME = signed([observation(EMITTER, number) for number in range(6)], EMITTER)
WITHDRAWALS = signed(
    [
        withdrawal(EMITTER, packet_id.tobytes(), number=number, epoch=20_000 + number % 2)
        for number, packet_id in enumerate(np.repeat(packet_ids(SOME[:3]), 2, axis=0))
    ],
    EMITTER,
)
ALL = np.concatenate([SOME, WITHDRAWALS])


@given(st.sets(st.sampled_from(IDS)), st.sets(st.sampled_from(IDS)))
def test_differing_leaves_hold_all_that_one_shelf_lacks(mine: set[bytes], theirs: set[bytes]) -> None:
    ours, others = Shelf(mine), Shelf(theirs)
    leaves = ours.differing(others.leaf_records())
    listed, more = others.ids(leaves, count=10_000)
    assert theirs - mine <= set(listed)
    assert not more
    assert (ours.root() == others.root()) == (mine == theirs)


@given(st.lists(st.sampled_from(IDS), unique=True), st.integers(1, 50))
def test_ids_come_page_by_page(ids: list[bytes], count: int) -> None:
    shelf, found, after, more = Shelf(ids), [], b"", True
    while more:
        page, more = shelf.ids(range(4_096), after=after, count=count)
        found += page
        after = page[-1] if page else after
    assert found == sorted(ids) == list(shelf)


@given(st.lists(st.sampled_from(IDS), unique=True, min_size=1), st.data())
def test_a_shelf_forgets_what_is_taken_out(ids: list[bytes], data: st.DataObject) -> None:
    shelf = Shelf(ids)
    shelf.root()
    gone = data.draw(st.sampled_from(ids))
    shelf.remove(gone)
    assert shelf.root() == Shelf(each for each in ids if each != gone).root()
    assert gone not in shelf
    assert leaf_of(gone) < 4_096


@given(st.lists(st.lists(st.integers(0, len(ALL) - 1), min_size=1, unique=True)), st.booleans())
def test_what_is_noted_equals_what_is_read_anew(batches: list[list[int]], cells_first: bool) -> None:
    store = MemoryStore()
    inventory = Inventory(store, TEMPLATE_ID, own=PublicKey(EMITTER.public_key), group_of=lambda cell: cell)
    if cells_first:
        inventory.cell(0)
    for rows in batches:
        packets, ids = ALL[rows], packet_ids(ALL[rows])
        verdicts = store.add(packets, day=20_000, packet_ids=ids)
        new = (verdicts == Verdict.STORED) | (verdicts == Verdict.TOMBSTONE)
        inventory.add(packets[new], ids[new])
    anew = Inventory(store, TEMPLATE_ID, own=PublicKey(EMITTER.public_key), group_of=lambda cell: cell)
    assert list(inventory.shelf(0)) == list(anew.shelf(0))
    assert inventory.shelf(0).root() == anew.shelf(0).root()
    assert inventory.cell(0).root() == anew.cell(0).root()
    assert inventory.own == anew.own
    assert len(inventory) == len(anew)
