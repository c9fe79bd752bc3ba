"""The ledger: nobody spends more than the cap, whatever happens to the file or the clock."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fingerpost.errors import PrivacyError
from fingerpost.privacy.ledger import Ledger, read_ledger

TEMPLATE, OTHER = bytes(16), bytes([1]) * 16


def keys(*numbers: int):
    return np.array([[number] * 16 for number in numbers], np.uint8).reshape(-1, 16)


def spend(ledger: Ledger, *numbers: int, day: int = 20_000, template_id: bytes = TEMPLATE) -> bytes:
    return ledger.spend(
        keys(*numbers),
        day=day,
        template_id=template_id,
        profile="dp-aggregate",
        cost_milli=1_000,
        cap_milli=4_000,
        packet_ids=bytes([day % 256]) * 32,
    )


def may(ledger: Ledger, *numbers: int, day: int = 20_000, template_id: bytes = TEMPLATE) -> list[bool]:
    may_be = ledger.may_count(keys(*numbers), day=day, template_id=template_id, cost_milli=1_000, cap_milli=4_000)
    return [bool(one) for one in may_be]


def three_releases() -> tuple[bytes, list[int]]:
    ledger = Ledger(ledger_id=bytes(16))
    data = ledger.header()
    ends = [len(data)]
    for day in (20_000, 20_001, 20_002):
        data += spend(ledger, 1, 2, day=day)
        ends.append(len(data))
    return data, ends


@given(st.lists(st.tuples(st.integers(0, 3), st.sets(st.integers(0, 5), min_size=1)), max_size=30))
def test_nobody_ever_spends_more_than_the_cap_or_twice_on_a_day(releases: list[tuple[int, set[int]]]) -> None:
    ledger, day = Ledger(ledger_id=bytes(16)), 20_000
    told: Counter[tuple[int, int]] = Counter()
    for later, subjects in releases:
        day += later
        chosen = [
            number
            for number, fits in zip(sorted(subjects), may(ledger, *sorted(subjects), day=day), strict=True)
            if fits
        ]
        if chosen:
            spend(ledger, *chosen, day=day)
            told.update((number, day) for number in chosen)
    totals = Counter(number for number, _ in told)
    assert max(told.values(), default=0) <= 1
    assert max(totals.values(), default=0) <= 4
    assert {key[0]: spent for key, spent in ledger.spent().items()} == {n: 1_000 * c for n, c in totals.items()}


def test_a_subject_counts_once_a_day_and_template_but_its_spending_adds_up_over_templates() -> None:
    ledger = Ledger(ledger_id=bytes(16))
    spend(ledger, 1)
    assert may(ledger, 1, 2, 2) == [False, True, False]
    assert may(ledger, 1, template_id=OTHER) == [True]
    for day in (20_001, 20_002, 20_003):
        spend(ledger, 1, day=day, template_id=OTHER)
    assert may(ledger, 1, day=20_004) == [False]


def test_a_release_of_subjects_who_may_not_be_counted_is_refused_and_changes_nothing() -> None:
    ledger = Ledger(ledger_id=bytes(16))
    spend(ledger, 1)
    with pytest.raises(PrivacyError) as raised:
        spend(ledger, 1, 2)
    assert raised.value.code == "ledger-overspent"
    assert may(ledger, 2) == [True]


def test_a_clock_before_the_last_release_is_refused() -> None:
    ledger = Ledger(ledger_id=bytes(16))
    spend(ledger, 1)
    with pytest.raises(PrivacyError) as raised:
        may(ledger, 2, day=19_999)
    assert raised.value.code == "ledger-clock"


def test_a_ledger_reads_back_what_was_spent() -> None:
    data, _ = three_releases()
    ledger, whole = read_ledger(data)
    assert whole == len(data)
    assert [entry.day for entry in ledger.entries] == [20_000, 20_001, 20_002]
    assert set(ledger.spent().values()) == {3_000}


def test_cutting_a_ledger_anywhere_loses_no_entry_that_was_whole() -> None:
    data, ends = three_releases()
    for size in range(ends[0], len(data)):
        ledger, whole = read_ledger(data[:size])
        assert whole == max(end for end in ends if end <= size)
        assert len(ledger.entries) == ends.index(whole)


@given(st.data())
def test_a_changed_byte_is_never_overlooked(draw: st.DataObject) -> None:
    data, _ = three_releases()
    place = draw.draw(st.integers(0, len(data) - 1))
    changed = bytearray(data)
    changed[place] ^= draw.draw(st.integers(1, 255))
    with pytest.raises(PrivacyError) as raised:
        read_ledger(bytes(changed))
    assert raised.value.code == "ledger-damaged"


def test_a_release_of_groups_costs_nothing_and_its_subjects_rest_while_it_lives() -> None:
    ledger = Ledger(ledger_id=bytes(16))
    free: dict[str, Any] = {"template_id": TEMPLATE, "cost_milli": 0, "cap_milli": 0, "rest_days": 90}
    data = ledger.header()
    data += ledger.spend(keys(1, 2), day=20_000, profile="k-anonymous", packet_ids=bytes(32), **free)
    assert list(ledger.may_count(keys(1, 3), day=20_089, **free)) == [False, True]
    assert list(ledger.may_count(keys(1, 3), day=20_090, **free)) == [True, True]
    assert ledger.spent() == {bytes([1]) * 16: 0, bytes([2]) * 16: 0}
    again, _ = read_ledger(data)
    assert list(again.may_count(keys(1, 3), day=20_089, **free)) == [False, True]
    assert [entry.number for entry in again.releases_of(bytes([1]) * 16, template_id=TEMPLATE)] == [1]
    assert not again.releases_of(bytes([3]) * 16, template_id=TEMPLATE)
