"""The election of calculators: what its ledger promises, whatever happens."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fingerpost.elections.calculate import LEAK_PRIORS, VOTE_NATS_MAX, Ledger, losses_of, starting_shares
from fingerpost.errors import UsageError
from fingerpost.synthesis.answer import Calculation, CalculatorShare
from tests.unit.synthesis import worlds

NAMES = ("alone", "pooled", "linear", "usual")
rounds = st.lists(
    st.dictionaries(st.sampled_from(NAMES), st.floats(0, 30, allow_nan=False), max_size=len(NAMES)), max_size=60
)
trials = st.dictionaries(st.sampled_from(NAMES), st.floats(0, 1_000, allow_nan=False), max_size=len(NAMES))


def played(ledger: Ledger, history: list[dict[str, float]]) -> Ledger:
    for lost in history:
        ledger = ledger.confirmed(lost)
    return ledger


@given(history=rounds, trial=trials)
def test_the_mixture_never_loses_more_beyond_a_calculator_than_its_bound(
    history: list[dict[str, float]], trial: dict[str, float]
) -> None:
    ledger = played(Ledger.open(starting_shares(NAMES, trial)), history)
    for name, mixture, alone in zip(NAMES, ledger.mixture_losses, ledger.losses, strict=True):
        assert mixture - alone <= ledger.bound(name) + 1e-6


@given(trial=trials)
def test_asking_costs_at_most_the_logarithm_of_the_number_of_calculators_beyond_going_alone(
    trial: dict[str, float],
) -> None:
    ledger = Ledger.open(starting_shares(NAMES, trial))
    assert ledger.bound("alone") <= math.log(len(NAMES)) + 1e-9


@given(trial=trials)
def test_no_trial_moves_the_odds_between_two_calculators_further_than_the_cap(trial: dict[str, float]) -> None:
    shares = starting_shares(NAMES, trial)
    assert math.fsum(shares.values()) == pytest.approx(1)
    others = [share for name, share in shares.items() if name != "alone"]
    assert max(others) / min(others) <= math.exp(VOTE_NATS_MAX) * (1 + 1e-9)


@given(history=rounds)
def test_standings_stay_shares_and_survive_being_kept(history: list[dict[str, float]]) -> None:
    ledger = played(Ledger.open(starting_shares(NAMES, {})), history)
    assert math.fsum(ledger.total.values()) == pytest.approx(1)
    assert min(ledger.total.values()) > 0
    assert Ledger.from_bytes(ledger.to_bytes()) == ledger


def test_the_calculator_that_is_right_gets_the_weight_and_gets_it_back_after_the_world_has_changed() -> None:
    ledger = Ledger.open(starting_shares(NAMES, {}))
    right = {"alone": 1.0, "pooled": 0.1, "linear": 1.0, "usual": 1.0}
    ledger = played(ledger, [right] * 200)
    assert ledger.total["pooled"] > 0.9
    changed = {"alone": 1.0, "pooled": 1.0, "linear": 0.1, "usual": 1.0}
    ledger = played(ledger, [changed] * 20)
    assert ledger.total["linear"] > 0.9


def test_a_calculator_that_sleeps_neither_gains_nor_loses() -> None:
    ledger = Ledger.open(starting_shares(NAMES, {}))
    without_leak = ledger.standings[0][0]
    ledger = ledger.confirmed({"pooled": 3.0, "linear": 0.1, "usual": 1.0})
    assert ledger.standings[0][0] == pytest.approx(without_leak)
    assert ledger.rounds == (0, 1, 1, 1)


def test_calculators_come_and_go_and_keep_what_they_lost() -> None:
    ledger = played(Ledger.open(starting_shares(NAMES, {})), [{"pooled": 0.1, "usual": 2.0}] * 5)
    changed = ledger.with_names(("alone", "pooled", "linear", "newcomer"))
    assert changed.total["newcomer"] == pytest.approx(0.25)
    assert math.fsum(changed.total.values()) == pytest.approx(1)
    assert changed.losses[1] == pytest.approx(0.5)
    assert changed.with_names(changed.names) is changed


@pytest.mark.parametrize("shares", [{}, {"a": 0.5}, {"a": 1.0, "b": 0.0}, {"a": 2.0, "b": -1.0}])
def test_a_start_that_is_no_share_is_refused(shares: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="sum to one"):
        Ledger.open(shares)


@pytest.mark.parametrize("data", [b"", b"\xc0", Ledger.open({"a": 1.0}).to_bytes()[:-1]])
def test_damaged_standings_are_said_to_be_unreadable(data: bytes) -> None:
    with pytest.raises(UsageError) as caught:
        Ledger.from_bytes(data)
    assert caught.value.code == "ledger-unreadable"


def test_the_priors_of_the_kinds_of_ledger_make_one_start() -> None:
    ledger = Ledger.open({"a": 0.5, "b": 0.5})
    assert [math.fsum(shares) for shares in ledger.standings] == pytest.approx(LEAK_PRIORS)


def share(name: str, **more: Any) -> CalculatorShare:
    nothing: dict[str, Any] = {"probabilities": (), "mean": None, "deviation": None}
    return CalculatorShare(name=name, standing=0.5, weight=0.5, awake=True, **(nothing | more))


def calculation(*shares: CalculatorShare) -> Calculation:
    return Calculation(asker="00" * 32, confirmations=0, regret_nats=0.0, calculators=shares)


def test_levels_are_scored_by_their_logarithm_and_sleepers_not_at_all() -> None:
    asleep = CalculatorShare(
        name="alone", standing=0.5, weight=0.0, awake=False, probabilities=(), mean=None, deviation=None
    )
    said = calculation(share("pooled", probabilities=(0.2, 0.3, 0.5)), asleep)
    assert losses_of(said, worlds.category_template(), "fair") == {"pooled": pytest.approx(-math.log(0.3))}


def test_numbers_are_scored_by_density_on_the_declared_range_and_never_without_bound() -> None:
    said = calculation(share("near", mean=1.0, deviation=0.5), share("far", mean=-9.0, deviation=0.1))
    lost = losses_of(said, worlds.number_template(), 1.0)
    assert lost["near"] == pytest.approx(-math.log(0.99 * 20 / (math.sqrt(2 * math.pi) * 0.5) + 0.01))
    assert lost["far"] == pytest.approx(-math.log(0.01))
