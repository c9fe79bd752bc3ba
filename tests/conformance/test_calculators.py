"""Every shipped calculator keeps the promises of the port, and the kit notices one that does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import EntryPoint, EntryPoints
from typing import Any

import numpy as np
import pytest

from fingerpost.errors import ReceiptError, UsageError
from fingerpost.node import calculators as installed
from fingerpost.node.facade import Node
from fingerpost.synthesis import verify_receipt
from fingerpost.synthesis.calculators import Calculator, Forecast, Pool, Questions
from fingerpost.synthesis.shipped_calculators import UsualOutcome, shipped_calculators
from fingerpost.template import parse_template
from fingerpost.testing.calculator_kit import check_calculator

TEMPLATE = """
format = 1
name = "plugin"
data_class = "non_personal"
[situation.size]
kind = "number"
range = [0, 100]
[outcome]
kind = "category"
levels = ["failed", "worked"]
"""


@pytest.mark.parametrize("place", range(len(shipped_calculators())), ids=[c.name for c in shipped_calculators()])
def test_a_shipped_calculator_keeps_its_promises(place: int) -> None:
    check_calculator(lambda: shipped_calculators()[place])


class Changed:
    """The usual outcome with one promise broken by ``change``; ``peek`` looks at the outcomes it is to forecast."""

    def __init__(
        self, change: Callable[[Forecast, int], Forecast], *, name: str = "changed", peek: bool = False
    ) -> None:
        self.name, self._change, self._peek = name, change, peek
        self._pool: Any = None
        self._inner: Any = None
        self._turn = 0

    def fit(self, pool: Pool) -> Any:
        self._pool, self._inner = pool, UsualOutcome().fit(pool)
        return self

    def forecast(self, questions: Questions) -> Forecast:
        self._turn += 1
        return self._change(self._inner.forecast(questions), self._turn)

    def left_out(self) -> Forecast:
        found: Forecast = self._inner.left_out()
        if not self._peek or found.deviations is not None:
            return found
        values = 0.5 * found.values + 0.5 * self._pool.targets[self._pool.judged]
        return replace(found, values=values)


def _same(forecast: Forecast, _turn: int) -> Forecast:
    return forecast


def _halved(forecast: Forecast, _turn: int) -> Forecast:
    return replace(forecast, values=forecast.values / 2) if forecast.deviations is None else forecast


def _infinite(forecast: Forecast, _turn: int) -> Forecast:
    return forecast if forecast.deviations is None else replace(forecast, deviations=forecast.deviations * np.inf)


def _moody(forecast: Forecast, turn: int) -> Forecast:
    if forecast.deviations is not None:
        return forecast
    shift = 0.01 * turn
    values = (1 - shift) * forecast.values + shift / forecast.values.shape[1]
    return replace(forecast, values=values)


def _crowded(forecast: Forecast, _turn: int) -> Forecast:
    share = 1 / (1 + len(forecast.values))
    values = (1 - share) * forecast.values + share / forecast.values.shape[1]
    return forecast if forecast.deviations is not None else replace(forecast, values=values)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Changed(_halved), "is a distribution"),
        (lambda: Changed(_infinite), "is a distribution"),
        (lambda: Changed(_moody), "what else is asked|same evidence"),
        (lambda: Changed(_crowded), "what else is asked"),
        (lambda: Changed(_same, peek=True), "noise was foretold"),
        (lambda: Changed(_same, name="Two Words"), "name is lower case"),
    ],
)
def test_the_kit_rejects_a_calculator_with_a_broken_promise(make: Callable[[], Calculator], words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        check_calculator(make)


def test_a_calculator_without_a_broken_promise_passes() -> None:
    check_calculator(lambda: Changed(_same))


def make_plugin() -> Calculator:
    return Changed(_same, name="plugged-in")


def make_clash() -> Calculator:
    return Changed(_same, name="pooled")


def offering(monkeypatch: pytest.MonkeyPatch, maker: str) -> None:
    point = EntryPoint(name="ours", value=f"{__name__}:{maker}", group="fingerpost.calculators")
    monkeypatch.setattr(installed, "entry_points", lambda group: EntryPoints([point]))


def test_a_calculator_of_another_package_takes_part_and_its_receipts_need_it(monkeypatch: pytest.MonkeyPatch) -> None:
    offering(monkeypatch, "make_plugin")
    with Node(parse_template(TEMPLATE)) as node:
        for size in range(0, 100, 5):
            node.emit(situation={"size": size}, outcome="worked" if size > 50 else "failed")
        answer = node.ask({"size": 70})
        assert answer.calculation is not None
        assert [share.name for share in answer.calculation.calculators][-1] == "plugged-in"
        data = node.receipt(answer).to_bytes()
    assert verify_receipt(data, calculators=installed.installed_calculators()).answer.probabilities
    with pytest.raises(ReceiptError, match="plugged-in"):
        verify_receipt(data)


def test_two_calculators_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    offering(monkeypatch, "make_clash")
    with pytest.raises(UsageError) as caught:
        installed.installed_calculators()
    assert caught.value.code == "calculator-name"
