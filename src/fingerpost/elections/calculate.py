"""The second election: which calculation to trust.

Confirmed outcomes are the votes. Before round t calculator k has standing w_k, the estimate is the mixture of those
that are awake, and after the outcome each awake calculator's standing is multiplied by the probability it gave, the
awake ones keeping their total (Freund, Schapire, Singer and Warmuth 1997, Using and combining predictors
that specialize).
Whatever the outcomes are, and however they were chosen, over the rounds in which k was awake

    loss of the mixture - loss of k <= ln(1 / start of k)   nats, in all.

Two kinds of ledger run beside each other, since the best calculator may change: in one standings never leak (the bound
above), in the others a share of every standing goes back to the start each round (fixed share, Herbster and Warmuth
1998). A prior over the kinds, and over calculators in each, makes one start for every pair; the bound holds for pairs.

The start is stated, not learnt: with M calculators the one that asks nobody (``alone``) starts with 1 / M at least, all
told, so asking the network never costs more than ln M nats beyond going alone. The others share the rest by how well
they forecast packets left out, the asker's own where there are enough of them; no such vote moves the odds between two
of them by more than ``VOTE_NATS_MAX``, since packets need not be distributed like questions. The start is fixed at the
first confirmation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from fingerpost.errors import UsageError
from fingerpost.synthesis.calculators import ALONE, PROBABILITY_MIN, number_loss
from fingerpost.synthesis.panel import Weighing, pool_range
from fingerpost.template import CategoryOutcomeField, outcome_code

if TYPE_CHECKING:
    from fingerpost.synthesis.answer import Calculation
    from fingerpost.synthesis.panel import Panel
    from fingerpost.template import Template

LEAKS = (0.0, 0.01, 0.05)  # share of every standing that goes back to the start at each confirmation
LEAK_PRIORS = (0.9, 0.05, 0.05)
VOTE_NATS_MAX = 6.0
STANDING_MIN = 1e-12
LEDGER_VERSION = 1

if abs(math.fsum(LEAK_PRIORS) - 1) > 1e-12 or LEAKS[0] != 0:
    raise AssertionError("the priors of the kinds of ledger sum to one, and the first does not leak")


class Ledger(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What confirmations have said about the calculators of one template. A value: ``confirmed`` returns a new one.

    ``start`` and each of ``standings`` (one list a leak) are in the order of ``names``; ``standings`` sum to one over
    all lists together. ``losses`` are the cumulative losses in nats of each calculator over the ``rounds`` in which it
    was awake, ``mixture_losses`` those of the mixture in the same rounds, ``loss`` that of the mixture in all rounds.
    """

    names: tuple[str, ...]
    start: tuple[float, ...]
    standings: tuple[tuple[float, ...], ...]
    confirmations: int = 0
    loss: float = 0.0
    losses: tuple[float, ...]
    mixture_losses: tuple[float, ...]
    rounds: tuple[int, ...]
    version: int = LEDGER_VERSION

    @classmethod
    def open(cls, start: Mapping[str, float]) -> Ledger:
        """Return a ledger without a confirmation, for calculators that start with these shares, which sum to one."""
        shares = tuple(start.values())
        if not shares or min(shares) <= 0 or abs(math.fsum(shares) - 1) > 1e-9:
            raise UsageError("ledger-start", "calculators start with shares above zero that sum to one")
        nothing = (0.0,) * len(shares)
        return cls(
            names=tuple(start),
            start=shares,
            standings=tuple(tuple(prior * share for share in shares) for prior in LEAK_PRIORS),
            losses=nothing,
            mixture_losses=nothing,
            rounds=(0,) * len(shares),
        )

    @property
    def total(self) -> dict[str, float]:
        """Return the standing of each calculator over all leaks; they sum to one."""
        columns = [math.fsum(column) for column in zip(*self.standings, strict=True)]
        whole = math.fsum(columns)
        return {name: max(value / whole, STANDING_MIN) for name, value in zip(self.names, columns, strict=True)}

    def bound(self, name: str) -> float:
        """Return the bound, in nats and in all, of what the mixture loses beyond this calculator."""
        return -math.log(LEAK_PRIORS[0] * self.start[self.names.index(name)])

    def with_names(self, names: Sequence[str]) -> Ledger:
        """Return the ledger for these calculators: a new one gets 1 / M of everything, one that is gone leaves.

        Each change is like a new start for what the bounds say; losses of those that stay are kept.
        """
        if tuple(names) == self.names:
            return self
        kept = [name for name in self.names if name in names]
        fresh = 1 / len(names)
        place = {name: self.names.index(name) for name in kept}

        def redone(shares: Sequence[float], whole: float) -> tuple[float, ...]:
            stays = math.fsum(shares[place[name]] for name in kept)
            left = whole * (1 - fresh * (len(names) - len(kept)))
            return tuple(left * shares[place[name]] / stays if name in place else whole * fresh for name in names)

        return msgspec.structs.replace(
            self,
            names=tuple(names),
            start=redone(self.start, 1.0),
            standings=tuple(redone(shares, math.fsum(shares)) for shares in self.standings),
            losses=tuple(self.losses[place[name]] if name in place else 0.0 for name in names),
            mixture_losses=tuple(self.mixture_losses[place[name]] if name in place else 0.0 for name in names),
            rounds=tuple(self.rounds[place[name]] if name in place else 0 for name in names),
        )

    def confirmed(self, lost: Mapping[str, float]) -> Ledger:
        """Return the ledger after one outcome, on which each awake calculator lost ``lost`` nats.

        Calculators that are not in this ledger do not vote. Without an awake one nothing changes.
        """
        votes = {name: loss for name, loss in lost.items() if name in self.names}
        if not votes:
            return self
        if not all(math.isfinite(loss) for loss in votes.values()):
            raise UsageError("ledger-loss", "a loss is a finite number of nats")
        awake = [votes.get(name) for name in self.names]
        least = min(votes.values())
        before = math.fsum(
            share for shares in self.standings for share, loss in zip(shares, awake, strict=True) if loss is not None
        )
        grown = [
            [
                share if loss is None else share * math.exp(least - loss)
                for share, loss in zip(shares, awake, strict=True)
            ]
            for shares in self.standings
        ]
        after = math.fsum(
            share for shares in grown for share, loss in zip(shares, awake, strict=True) if loss is not None
        )
        mixture = least - math.log(after / before)
        scale = before / after
        standings = []
        for leak, shares in zip(LEAKS, grown, strict=True):
            scaled = [share if loss is None else share * scale for share, loss in zip(shares, awake, strict=True)]
            whole = math.fsum(scaled)
            leaked = [
                (1 - leak) * share + leak * whole * first for share, first in zip(scaled, self.start, strict=True)
            ]
            standings.append(tuple(max(share, 1e-300) for share in leaked))
        return msgspec.structs.replace(
            self,
            standings=tuple(standings),
            confirmations=self.confirmations + 1,
            loss=self.loss + mixture,
            losses=tuple(total + (loss or 0.0) for total, loss in zip(self.losses, awake, strict=True)),
            mixture_losses=tuple(
                total + (0.0 if loss is None else mixture)
                for total, loss in zip(self.mixture_losses, awake, strict=True)
            ),
            rounds=tuple(count + (loss is not None) for count, loss in zip(self.rounds, awake, strict=True)),
        )

    def to_bytes(self) -> bytes:
        """Return the ledger as bytes to be kept."""
        return msgspec.msgpack.encode(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> Ledger:
        """Read a ledger that was kept. Raises ``UsageError`` (``ledger-unreadable``)."""
        try:
            ledger = msgspec.msgpack.decode(data, type=cls)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise UsageError("ledger-unreadable", f"the standings of calculators cannot be read: {error}") from None
        columns = (ledger.start, ledger.losses, ledger.mixture_losses, ledger.rounds, *ledger.standings)
        if ledger.version != LEDGER_VERSION or any(len(column) != len(ledger.names) for column in columns):
            raise UsageError("ledger-unreadable", "the standings of calculators are of another version, or damaged")
        return ledger


def starting_shares(names: Sequence[str], trial: Mapping[str, float]) -> dict[str, float]:
    """Return the share that each calculator starts with, given the summed losses of those that could be compared.

    Calculators without a loss count as the average of the others.
    """
    count = len(names)
    if not trial:
        votes = dict.fromkeys(names, 0.0)
    else:
        least = min(trial.values())
        known = {name: max(least - loss, -VOTE_NATS_MAX) for name, loss in trial.items()}
        usual = math.fsum(known.values()) / len(known)
        votes = {name: known.get(name, usual) for name in names}
    powers = {name: math.exp(vote) for name, vote in votes.items()}
    whole = math.fsum(powers.values())
    shares = {name: power / whole for name, power in powers.items()}
    floor = 1 / (count * LEAK_PRIORS[0])
    if ALONE not in shares or shares[ALONE] >= floor or floor >= 1:
        return shares
    rest = 1 - shares[ALONE]
    return {name: floor if name == ALONE else share * (1 - floor) / rest for name, share in shares.items()}


def weigh(ledger: Ledger | None, panel: Panel, *, asker: bytes) -> Weighing:
    """Return how much each calculator of a panel counts now: by what was confirmed, before that by the start."""
    used = opened(ledger, panel)
    regret = used.bound(ALONE) if ALONE in used.names else 0.0
    return Weighing(
        asker=asker, standings=_normalised(used.total), confirmations=used.confirmations, regret_nats=regret
    )


def opened(ledger: Ledger | None, panel: Panel) -> Ledger:
    """Return the ledger for the calculators of a panel, a new one if there is none."""
    if ledger is None or not ledger.confirmations:
        return Ledger.open(starting_shares(panel.names, panel.trial))
    return ledger.with_names(panel.names)


def losses_of(calculation: Calculation, template: Template, outcome: object) -> dict[str, float]:
    """Return the loss in nats of each awake calculator of an answer, now that the ``outcome`` is known.

    Raises ``RecordError`` for an outcome that the template does not have.
    """
    awake = [share for share in calculation.calculators if share.awake]
    code = outcome_code(template, outcome)
    if isinstance(template.outcome, CategoryOutcomeField):
        return {share.name: -math.log(max(share.probabilities[int(code) - 1], PROBABILITY_MIN)) for share in awake}
    low, high = pool_range(template)
    return {
        share.name: number_loss(share.mean, share.deviation, float(code), low=low, high=high)
        for share in awake
        if share.mean is not None and share.deviation is not None
    }


def _normalised(shares: Mapping[str, float]) -> dict[str, float]:
    whole = math.fsum(shares.values())
    return {name: share / whole for name, share in shares.items()}
