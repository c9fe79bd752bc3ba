"""Who holds a group: the same for everybody, and little changes when one comes or goes."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from fingerpost.ids import PublicKey
from fingerpost.node.placement import first_of_each_organisation, group_key, rank

KEYS = [PublicKey(hashlib.blake2s(bytes([number])).digest()) for number in range(40)]
TEMPLATE_ID = bytes(16)


@given(st.sets(st.sampled_from(KEYS), min_size=4), st.integers(0, 2**16))
def test_one_holder_less_changes_only_what_it_held(holders: set[PublicKey], group: int) -> None:
    key = group_key(TEMPLATE_ID, group)
    before = rank(key, holders)
    gone = before[2]
    assert rank(key, holders - {gone}) == [holder for holder in before if holder != gone]


@given(st.permutations(KEYS), st.integers(0, 2**16))
def test_the_order_in_which_holders_are_known_does_not_matter(holders: list[PublicKey], group: int) -> None:
    assert rank(group_key(TEMPLATE_ID, group), holders) == rank(group_key(TEMPLATE_ID, group), KEYS)


def test_groups_are_spread_evenly() -> None:
    counts = dict.fromkeys(KEYS, 0)
    for group in range(4_000):
        for holder in rank(group_key(TEMPLATE_ID, group), KEYS)[:3]:
            counts[holder] += 1
    assert 200 < min(counts.values()) <= max(counts.values()) < 400  # 300 each, give or take six standard deviations


@given(st.permutations(KEYS[:8]), st.lists(st.sampled_from(["", "north", "south"]), min_size=8, max_size=8))
def test_no_two_of_one_organisation_are_chosen_and_nobody_is_left_out_needlessly(
    ranked: list[PublicKey], names: list[str]
) -> None:
    organisations = dict(zip(ranked, names, strict=True))
    chosen = first_of_each_organisation(ranked, count=3, organisations=organisations)
    named = [organisations[holder] for holder in chosen if organisations[holder]]
    assert len(named) == len(set(named))
    possible = names.count("") + len(set(names) - {""})
    assert len(chosen) == min(3, possible)
