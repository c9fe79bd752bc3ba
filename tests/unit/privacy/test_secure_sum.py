"""Secure sums: exact, hidden from all but two, and nothing at all where somebody drops out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fingerpost.errors import PrivacyError
from fingerpost.packet import Signer
from fingerpost.privacy.secure_sum import Sum, SumParty

SHAPE = (4, 1, 3)


class Silent:
    """Noise of nothing: for sums that have to be exact."""

    def discrete_laplace(self, counts: Any, *, scale: float) -> Any:
        """Return ``counts`` as they are."""
        return counts


class Marked:
    """Noise that shows who added it, and at which scale."""

    def __init__(self) -> None:
        self.scales: list[float] = []

    def discrete_laplace(self, counts: Any, *, scale: float) -> Any:
        """Return ``counts`` and a thousand more of each."""
        self.scales.append(scale)
        return counts + 1_000


def signers(count: int) -> list[Signer]:
    return [Signer(bytes([number + 1]) * 32) for number in range(count)]


def parties_of(count: int, *, occasion: bytes = b"today", secrets: int = 0) -> list[SumParty]:
    people = signers(count)
    agreed = Sum(parties=tuple(each.public_key for each in people), occasion=occasion, shape=SHAPE)
    return [
        SumParty(agreed, signer=each, secret=bytes([secrets + number + 1]) * 32) for number, each in enumerate(people)
    ]


def pass_on(parties: list[SumParty], messages: list[bytes], *, to: Iterable[int] | None = None) -> None:
    people = signers(len(parties))
    for sender, message in enumerate(messages):
        for receiver in range(len(parties)) if to is None else to:
            if receiver != sender:
                parties[receiver].take(message, sender=people[sender].public_key)


def tables_of(count: int, seed: int = 0) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [rng.integers(-(2**40), 2**40, SHAPE) for _ in range(count)]


def masked_by_all(parties: list[SumParty], tables: list[Any], noise: Any = None) -> list[bytes]:
    pass_on(parties, [party.hello() for party in parties])
    return [party.masked(table, noise or Silent(), epsilon=1.0) for party, table in zip(parties, tables, strict=True)]


@settings(max_examples=20, deadline=None)
@given(count=st.integers(3, 7), seed=st.integers(0, 2**32))
def test_every_party_gets_the_exact_sum(count: int, seed: int) -> None:
    parties, tables = parties_of(count), tables_of(count, seed)
    pass_on(parties, masked_by_all(parties, tables))
    for party in parties:
        np.testing.assert_array_equal(party.total(), sum(tables))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), honest=st.sampled_from([(0, 1), (0, 3), (2, 3)]))
def test_all_but_two_see_the_same_whatever_the_two_have_as_long_as_their_sum_is_the_same(
    seed: int, honest: tuple[int, int]
) -> None:
    """The two share a mask that nobody else has: for any other split of their sum another mask gives the same view."""
    rng = np.random.default_rng(seed)
    tables, mask = tables_of(4, seed), rng.integers(0, 2**64, 12, dtype=np.uint64)
    moved = rng.integers(-(2**20), 2**20, SHAPE)
    other = [table.copy() for table in tables]
    other[honest[0]] += moved
    other[honest[1]] -= moved
    keys = [each.public_key for each in signers(4)]
    pair = {keys[place] for place in honest}
    first = min(pair)
    shift = moved.reshape(-1).astype(np.int64).view(np.uint64) * np.uint64(1 if keys[honest[0]] == first else 2**64 - 1)
    original, views = SumParty._mask, []
    for held, pad in ((tables, mask), (other, mask - shift)):

        def masks(self: SumParty, party: bytes, key: bytes, pad: Any = pad) -> Any:
            return pad if {self._me, party} == pair else original(self, party, key)

        with patch.object(SumParty, "_mask", masks):
            views.append(masked_by_all(parties_of(4), held))
    assert views[0] == views[1]


def test_what_one_party_sends_looks_random() -> None:
    parties = parties_of(3)
    sent = masked_by_all(parties, [np.zeros(SHAPE, np.int64)] * 3)
    again = masked_by_all(parties_of(3, occasion=b"tomorrow"), [np.zeros(SHAPE, np.int64)] * 3)
    assert len(set(sent)) == 3
    assert set(sent).isdisjoint(again)


@pytest.mark.parametrize("missing", range(4))
def test_without_every_part_there_is_no_sum(missing: int) -> None:
    parties, tables = parties_of(4), tables_of(4)
    sent = masked_by_all(parties, tables)
    people = signers(4)
    for sender, message in enumerate(sent):
        for receiver, party in enumerate(parties):
            if sender not in (missing, receiver):
                party.take(message, sender=people[sender].public_key)
    for receiver, party in enumerate(parties):
        if receiver != missing:
            with pytest.raises(PrivacyError) as raised:
                party.total()
            assert raised.value.code == "sum-dropout"


def test_nothing_is_masked_before_every_party_has_said_hello() -> None:
    parties = parties_of(3)
    pass_on(parties, [party.hello() for party in parties[:2]] + [parties[2].hello()], to=[0])
    with pytest.raises(PrivacyError) as raised:
        parties[1].masked(np.zeros(SHAPE, np.int64), Silent(), epsilon=1.0)
    assert raised.value.code == "sum-early"


def test_two_parties_add_all_the_noise_each_and_nobody_chooses_who() -> None:
    parties, noise = parties_of(5), Marked()
    pass_on(parties, masked_by_all(parties, [np.zeros(SHAPE, np.int64)] * 5, noise))
    assert (parties[0].total() == 2_000).all()
    assert noise.scales == [1.0, 1.0]
    drawn = {parties_of(5, occasion=bytes([day]))[0].agreed.adders for day in range(60)}
    assert len({key for pair in drawn for key in pair}) == 5


def test_a_table_is_masked_once_with_noise_drawn_once() -> None:
    parties = parties_of(3)
    noise = Marked()
    first = masked_by_all(parties, tables_of(3), noise)
    drawn = len(noise.scales)
    assert [
        party.masked(table, noise, epsilon=1.0) for party, table in zip(parties, tables_of(3, 9), strict=True)
    ] == first
    assert len(noise.scales) == drawn


def test_a_party_that_began_again_is_taken_with_its_new_key_until_masks_are_made() -> None:
    parties, people, tables = parties_of(3), signers(3), tables_of(3)
    pass_on(parties, [party.hello() for party in parties])
    parties[1] = SumParty(parties[1].agreed, signer=people[1], secret=bytes([77]) * 32)
    pass_on(parties, masked_by_all(parties, tables))
    np.testing.assert_array_equal(parties[0].total(), sum(tables))
    third = SumParty(parties[1].agreed, signer=people[1], secret=bytes([78]) * 32)
    with pytest.raises(PrivacyError):
        parties[0].take(third.hello(), sender=people[1].public_key)


@pytest.mark.parametrize("count", [1, 2])
def test_fewer_than_three_parties_cannot_sum_since_each_would_know_the_others_part(count: int) -> None:
    with pytest.raises(PrivacyError) as raised:
        parties_of(count)
    assert raised.value.code == "sum-parties"


def test_the_same_party_twice_does_not_make_three() -> None:
    one, other = (each.public_key for each in signers(2))
    with pytest.raises(PrivacyError):
        Sum(parties=(one, other, other), occasion=b"", shape=SHAPE)


@settings(max_examples=60, deadline=None)
@given(place=st.integers(0, 10_000), change=st.integers(1, 255), step=st.sampled_from(["hello", "masked"]))
def test_a_message_that_was_changed_is_refused(place: int, change: int, step: str) -> None:
    parties, people = parties_of(3), signers(3)
    message = parties[1].hello() if step == "hello" else masked_by_all(parties, tables_of(3))[1]
    damaged = bytearray(message)
    damaged[place % len(message)] ^= change
    with pytest.raises(PrivacyError) as raised:
        parties[0].take(bytes(damaged), sender=people[1].public_key)
    assert raised.value.code == "sum-message"


def test_messages_of_others_and_second_versions_are_refused() -> None:
    parties, people = parties_of(3), signers(4)
    hello = parties[1].hello()
    parties[0].take(hello, sender=people[1].public_key)
    parties[0].take(hello, sender=people[1].public_key)
    for message, sender in (
        (hello, people[2]),  # signed by another
        (hello, people[3]),  # a stranger
        (parties_of(3, occasion=b"other")[1].hello(), people[1]),  # another sum
        (b"", people[1]),
    ):
        with pytest.raises(PrivacyError):
            parties[0].take(message, sender=sender.public_key)
