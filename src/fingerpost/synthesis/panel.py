"""Several calculators on one pool, and one estimate mixed from what they say.

How much each of them counts is an input, a ``Weighing``: elections decide it, a receipt states it. The mixture itself
is plain: probabilities are averaged; a number's distribution is the mixture of the calculators' distributions.
Intervals keep the reach that the pooled kernel gives them (on log-odds, for probabilities) around the new estimate, and
grow by how far the calculators are apart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from fingerpost.errors import UsageError
from fingerpost.synthesis._site_kernel import SiteFindings
from fingerpost.synthesis.answer import Calculation, CalculatorShare, LevelEstimate, NumberEstimate
from fingerpost.synthesis.calculators import ALONE, check_forecast, losses
from fingerpost.synthesis.findings import PanelFindings
from fingerpost.synthesis.intervals import NORMAL_95
from fingerpost.synthesis.kernel import KernelSettings
from fingerpost.template import CategoryOutcomeField

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from fingerpost.synthesis.answer import Answer
    from fingerpost.synthesis.calculators import Calculator, FittedCalculator, Forecast, Pool, Questions
    from fingerpost.template import Template

POOLED = "pooled"
EDGE = 1e-9  # probabilities closer to 0 or 1 have no use for log-odds


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighing:
    """How much each calculator counts for one asker: ``standings`` by name, above zero, that sum to one."""

    asker: bytes
    standings: Mapping[str, float]
    confirmations: int = 0
    regret_nats: float = 0.0

    def __post_init__(self) -> None:
        values = list(self.standings.values())
        if not values or not all(math.isfinite(value) and value > 0 for value in values):
            raise UsageError("weighing-standings", "standings of calculators are above zero")
        if abs(math.fsum(values) - 1) > 1e-6 or len(self.asker) != 32:
            raise UsageError("weighing-standings", "standings sum to one, and an asker's id has 32 bytes")


class Panel:
    """Calculators fitted to one pool; each is fitted when it is first needed."""

    def __init__(
        self, pool: Pool, template: Template, calculators: Sequence[Calculator], *, found: PanelFindings | None = None
    ) -> None:
        self._pool = pool
        self._found = found
        self._template = template
        self._calculators = tuple(calculators)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the calculators, in order."""
        return tuple(calculator.name for calculator in self._calculators)

    @property
    def judged(self) -> int:
        """How many packets the calculators were compared on."""
        return len(self._pool.judged)

    @property
    def judges_own(self) -> bool:
        """Whether those packets are the asker's own."""
        return self._pool.own_judges

    def findings(self) -> PanelFindings:
        """Return what was found so far, which another process need not seek."""
        known = {name: getattr(each, "found", None) for name, each in self.__dict__.get("_fitted", {}).items()}
        return PanelFindings(
            trial=self.__dict__.get("trial"),
            alone_speaks=self.__dict__.get("alone_speaks"),
            known={name: found for name, found in known.items() if isinstance(found, KernelSettings | SiteFindings)},
        )

    @cached_property
    def trial(self) -> dict[str, float]:
        """The losses in nats of each calculator that has something to go on, packets being left out, summed by worth.

        They are relative to the pooled kernel. What a calculator gains on it counts only beyond one standard error:
        the best of several on few packets looks better than it is; and only as far as it does whichever way records
        are counted. Where one sleeps it is held to the pooled kernel.
        """
        if self._found is not None and self._found.trial is not None:
            return dict(self._found.trial)
        if self._left_out.get(POOLED) is None:
            worth = self._pool.judged_worths[0]
            return {
                name: float(worth @ np.nan_to_num(lost)) for name, lost in self._left_out.items() if lost is not None
            }
        return {
            name: max(min(total + error, 0.0) if total < 0 else total for total, error in each)
            for name, each in self._apart.items()
            if name != ALONE or self._pool.has_many
        }

    @cached_property
    def alone_speaks(self) -> bool:
        """Whether ``alone`` takes part before any answer was confirmed: nothing has corrected it, and it cannot itself.

        The asker's records have to be many and of every usual outcome, and may not foresee packets that are left out
        clearly worse than everybody's do: by more than one standard error.
        """
        if self._found is not None and self._found.alone_speaks is not None:
            return self._found.alone_speaks
        return self._pool.stands_alone and all(total <= error for total, error in self._apart.get(ALONE, ()))

    @cached_property
    def _apart(self) -> dict[str, list[tuple[float, float]]]:
        """What calculators lose in nats beyond the pooled kernel, and the standard error of that, each way to count."""
        usual, found = self._left_out.get(POOLED), dict[str, list[tuple[float, float]]]()
        for name, lost in self._left_out.items():
            if lost is not None and usual is not None:
                apart = self._pool.judged_worths * np.where(np.isnan(lost), 0.0, lost - usual)
                found[name] = [(float(each.sum()), float(np.sqrt((each**2).sum()))) for each in apart]
        return found

    @cached_property
    def _left_out(self) -> dict[str, NDArray[np.float64] | None]:
        """The losses (j,) of judged packets by each calculator; NaN where it sleeps."""
        pool, found = self._pool, dict[str, "NDArray[np.float64] | None"]()
        for name, fitted in self._fitted.items():
            if fitted is None:
                found[name] = None
                continue
            forecast = self._checked(name, fitted.left_out(), len(pool.judged))
            lost = losses(forecast, pool.targets[pool.judged], low=pool.low, high=pool.high)
            found[name] = np.where(forecast.awake, lost, np.nan)
        return found

    def mix(self, answers: Sequence[Answer], questions: Questions, weighing: Weighing) -> list[Answer]:
        """Return the ``answers`` to ``questions`` with estimates mixed by ``weighing``.

        :raises UsageError: (``calculator-missing``) when the weighing names a calculator that is not here.
        """
        missing = sorted(set(weighing.standings) - set(self.names))
        if missing:
            raise UsageError(
                "calculator-missing",
                f"no calculator is called {missing[0]!r} here",
                hint="install the package that offers it (entry-point group fingerpost.calculators)",
            )
        forecasts = {
            name: None if fitted is None else self._checked(name, fitted.forecast(questions), len(questions))
            for name, fitted in self._fitted.items()
            if name in weighing.standings
        }
        if ALONE in forecasts and not weighing.confirmations and not self.alone_speaks:
            forecasts[ALONE] = None
        return [self._mixed(answer, row, forecasts, weighing) for row, answer in enumerate(answers)]

    @cached_property
    def _fitted(self) -> dict[str, FittedCalculator | None]:
        return {calculator.name: calculator.fit(self._pool) for calculator in self._calculators}

    def _checked(self, name: str, forecast: Forecast, questions: int) -> Forecast:
        return check_forecast(forecast, questions=questions, levels=self._pool.evidence.levels, name=name)

    def _mixed(self, answer: Answer, row: int, forecasts: Mapping[str, Forecast | None], weighing: Weighing) -> Answer:
        awake = {name: found for name, found in forecasts.items() if found is not None and found.awake[row]}
        total = math.fsum(weighing.standings[name] for name in awake)
        shares = []
        for name in self.names:
            if name in weighing.standings:
                found, standing = awake.get(name), weighing.standings[name]
                shares.append(_share(name, standing, standing / total if found is not None else 0.0, found, row))
        calculation = Calculation(
            asker=weighing.asker.hex(),
            confirmations=weighing.confirmations,
            regret_nats=weighing.regret_nats,
            calculators=tuple(shares),
        )
        if not awake:
            return replace(answer, calculation=calculation)
        weights = np.array([share.weight for share in shares if share.awake])
        values = np.array([found.values[row] for found in awake.values()])
        if answer.number is not None:
            number = _number(answer.number, weights, values[:, 0], self._template)
            narrower = 1 - (number.high - number.low) / (self._pool.high - self._pool.low)
            before = 1 - (answer.number.high - answer.number.low) / (self._pool.high - self._pool.low)
            confidence = answer.confidence * narrower / before if before > 0 else 0.0
            return replace(answer, number=number, calculation=calculation, confidence=min(max(confidence, 0.0), 1.0))
        levels = _levels(answer.levels, weights, values)
        likeliest = max(level.probability for level in levels)
        confidence = answer.confidence * likeliest / max(level.probability for level in answer.levels)
        return replace(answer, levels=levels, calculation=calculation, confidence=min(confidence, 1.0))


def pool_range(template: Template) -> tuple[float, float]:
    """Return the declared range of a number outcome; (0, 1) for levels, which need none."""
    if isinstance(template.outcome, CategoryOutcomeField):
        return 0.0, 1.0
    return float(template.outcome.low), float(template.outcome.high)


def _share(name: str, standing: float, weight: float, found: Forecast | None, row: int) -> CalculatorShare:
    is_number = found is not None and found.deviations is not None
    return CalculatorShare(
        name=name,
        standing=standing,
        weight=weight,
        awake=found is not None,
        probabilities=() if found is None or is_number else tuple(found.values[row].tolist()),
        mean=float(found.values[row, 0]) if found is not None and is_number else None,
        deviation=float(found.deviations[row]) if found is not None and found.deviations is not None else None,
    )


def _levels(
    before: tuple[LevelEstimate, ...], weights: NDArray[np.float64], values: NDArray[np.float64]
) -> tuple[LevelEstimate, ...]:
    mixed = weights @ values
    odds, parts = _log_odds(mixed), _log_odds(values)
    apart = NORMAL_95**2 * (weights @ (parts - odds) ** 2)
    found = []
    for place, level in enumerate(before):
        middle, low, high = _log_odds(np.array([level.probability, level.low, level.high]))
        below, above = (float(np.sqrt((middle - end) ** 2 + apart[place])) for end in (low, high))
        probability = float(mixed[place])
        ends = [1 / (1 + math.exp(-(float(odds[place]) + shift))) for shift in (-below, above)]
        found.append(
            LevelEstimate(
                level=level.level,
                probability=probability,
                low=min(ends[0] if level.low > 0 else 0.0, probability),
                high=max(ends[1] if level.high < 1 else 1.0, probability),
            )
        )
    return tuple(found)


def _number(
    before: NumberEstimate, weights: NDArray[np.float64], means: NDArray[np.float64], template: Template
) -> NumberEstimate:
    bottom, top = pool_range(template)
    mean = float(np.clip(weights @ means, bottom, top))
    apart = NORMAL_95**2 * float(weights @ (means - mean) ** 2)

    def end(value: float) -> float:
        reach = math.copysign(math.sqrt((value - before.mean) ** 2 + apart), value - before.mean)
        return float(np.clip(mean + reach, bottom, top))

    mean_low, mean_high = min(end(before.mean_low), mean), max(end(before.mean_high), mean)
    return NumberEstimate(
        mean=mean,
        mean_low=mean_low,
        mean_high=mean_high,
        low=min(end(before.low), mean_low),
        high=max(end(before.high), mean_high),
        unit=before.unit,
    )


def _log_odds(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    clipped = np.clip(probabilities, EDGE, 1 - EDGE)
    return np.asarray(np.log(clipped) - np.log1p(-clipped), np.float64)
