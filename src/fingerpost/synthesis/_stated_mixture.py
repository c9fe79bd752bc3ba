"""What a receipt states about calculators: their standings, which are inputs, and the mixture, which must follow."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec

from fingerpost.errors import UsageError
from fingerpost.synthesis.answer import Answer, Calculation, CalculatorShare
from fingerpost.synthesis.panel import Weighing

CALCULATORS_MAX = 64
POOLED = "pooled"
TOLERANCE = 1e-9


def stated_weighing(claims: Mapping[str, Any]) -> Weighing | None:
    """Return the weighing that an answer claims to be mixed by; None for one from a single calculator.

    :raises UsageError: and what a reader of nonsense raises (``KeyError``, ``TypeError``, ``ValueError``).
    """
    stated = claims["calculation"]
    if stated is None:
        return None
    if not 0 < len(stated["calculators"]) <= CALCULATORS_MAX:
        raise UsageError("weighing-standings", f"an answer is mixed from 1 to {CALCULATORS_MAX} calculators")
    return Weighing(
        asker=bytes.fromhex(stated["asker"]),
        standings={share["name"]: float(share["standing"]) for share in stated["calculators"]},
        confirmations=int(stated["confirmations"]),
        regret_nats=float(stated["regret_nats"]),
    )


def mixed_as_stated(pooled: Answer, claims: Mapping[str, Any]) -> Answer:
    """Return ``pooled`` with the mixture that ``claims`` state, where only the pooled part could be derived again.

    The other calculators' forecasts are as stated; that the estimate is their mixture is checked by whoever compares.
    """
    if claims["calculation"] is None:
        return pooled
    calculation = msgspec.convert(claims["calculation"], Calculation)
    awake = [share for share in calculation.calculators if share.awake]
    total = math.fsum(share.standing for share in awake)
    shares = tuple(_share(share, pooled, total) for share in calculation.calculators)
    calculation = replace(calculation, calculators=shares)
    used = [share for share in shares if share.awake]
    if not used:
        return replace(pooled, calculation=calculation)
    if pooled.number is not None:
        mean = math.fsum(share.weight * (share.mean or 0.0) for share in used)
        bottom, top = sorted((pooled.number.mean, mean))
        number = replace(pooled.number, mean=mean, mean_low=min(pooled.number.mean_low, bottom))
        return replace(pooled, number=replace(number, mean_high=max(number.mean_high, top)), calculation=calculation)
    levels = tuple(
        replace(level, probability=math.fsum(share.weight * share.probabilities[place] for share in used))
        for place, level in enumerate(pooled.levels)
    )
    return replace(pooled, levels=levels, calculation=calculation)


def _share(share: CalculatorShare, pooled: Answer, total: float) -> CalculatorShare:
    """Return a share with the weight that follows from standings, and for the pooled calculator what was derived."""
    found = replace(share, weight=share.standing / total if share.awake else 0.0)
    if share.name != POOLED or not share.awake:
        return found
    if pooled.number is not None:
        return replace(found, mean=pooled.number.mean)
    return replace(found, probabilities=tuple(level.probability for level in pooled.levels))
