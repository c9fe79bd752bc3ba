"""Bad signatures are bounded per peer, whatever the number of peers, and honest peers never notice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fingerpost.ids import PublicKey
from fingerpost.limits import BAD_SIGNATURES_MAX, BAD_SIGNATURES_PER_SECOND, FRAME_PACKETS_MAX
from fingerpost.node.budget import SignatureBudget

NOW = 1.7e9
HOSTILE, HONEST = PublicKey(bytes(32)), PublicKey(bytes(31) + b"\1")

steps = st.lists(
    st.tuples(st.floats(0, 10), st.integers(0, 3), st.integers(0, FRAME_PACKETS_MAX)), min_size=1, max_size=60
)


@given(steps)
def test_a_peer_gets_no_more_checks_than_its_bucket_the_time_and_one_frame_allow(
    frames: list[tuple[float, int, int]],
) -> None:
    budget, now, checked = SignatureBudget(), NOW, 0
    for seconds, _, bad in frames:
        now += seconds
        if not budget.is_muted(HOSTILE, now=now):
            budget.charge(HOSTILE, bad, now=now)
            checked += bad
    assert checked <= BAD_SIGNATURES_MAX + BAD_SIGNATURES_PER_SECOND * (now - NOW) + FRAME_PACKETS_MAX + 1e-3


@given(steps)
def test_a_peer_whose_signatures_hold_is_never_muted_whatever_others_do(frames: list[tuple[float, int, int]]) -> None:
    budget, now = SignatureBudget(peers_max=2), NOW
    for seconds, other, bad in frames:
        now += seconds
        budget.charge(PublicKey(bytes([9, other]) + bytes(30)), bad, now=now)
        budget.charge(HONEST, 0, now=now)
        assert not budget.is_muted(HONEST, now=now)
        assert len(budget) <= 2


def test_a_muted_peer_is_heard_again_once_a_token_has_come_back() -> None:
    budget = SignatureBudget(tokens_max=10, tokens_per_second=2)
    budget.charge(HOSTILE, 10, now=NOW)
    assert budget.is_muted(HOSTILE, now=NOW)
    assert budget.is_muted(HOSTILE, now=NOW + 0.25)
    assert not budget.is_muted(HOSTILE, now=NOW + 0.75)


def test_a_bucket_that_is_full_again_takes_no_memory() -> None:
    budget = SignatureBudget(tokens_max=10, tokens_per_second=2)
    budget.charge(HOSTILE, 10, now=NOW)
    assert not budget.is_muted(HOSTILE, now=NOW + 5)
    assert len(budget) == 0


def test_a_clock_that_is_set_back_neither_fills_a_bucket_nor_mutes_for_longer() -> None:
    budget = SignatureBudget(tokens_max=10, tokens_per_second=2)
    budget.charge(HOSTILE, 11, now=NOW)
    assert budget.is_muted(HOSTILE, now=NOW - 3_600)
    assert not budget.is_muted(HOSTILE, now=NOW - 3_598)


def test_of_more_peers_than_are_remembered_those_charged_last_stay_muted() -> None:
    budget = SignatureBudget(tokens_max=1, peers_max=100)
    peers = [PublicKey(number.to_bytes(32, "big")) for number in range(1_000)]
    for peer in peers:
        budget.charge(peer, 1, now=NOW)
    assert len(budget) == 100
    assert all(budget.is_muted(peer, now=NOW) for peer in peers[-100:])
