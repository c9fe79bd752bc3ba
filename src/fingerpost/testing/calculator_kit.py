"""Does a calculator keep the promises of ``fingerpost.synthesis.calculators.Calculator``? ``check_calculator`` asks it.

from fingerpost.testing.calculator_kit import check_calculator

def test_our_calculator_keeps_its_promises():
    check_calculator(Ours)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from fingerpost.synthesis.calculators import Calculator, Forecast, Pool, Questions, check_forecast, losses, own_pool
from fingerpost.synthesis.evidence import Evidence
from fingerpost.synthesis.kernel import KernelOptions, fit

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
BITS = 256
LEVELS = 3
LOW, HIGH = -10.0, 10.0
QUESTIONS = 12
NOISE_ROWS = 240
NOISE_GAIN_MAX = 0.1  # nats a packet: nothing forecasts noise better than that by luck at this many packets
TOLERANCE = 1e-9


def check_calculator(make: Callable[[], Calculator]) -> None:
    """Check every promise of ``Calculator`` on pools of several kinds. Raises ``AssertionError`` for a broken one."""
    name = make().name
    if not NAME.fullmatch(name):
        raise AssertionError(f"a calculator's name is lower case words joined by hyphens, not {name!r}")
    for what, pool in _pools():
        fitted = make().fit(pool)
        if fitted is None:
            continue
        questions = _questions(QUESTIONS)
        forecast = fitted.forecast(questions)
        _check_distribution(forecast, pool, len(questions), f"{name}, {what}")
        _check_distribution(fitted.left_out(), pool, len(pool.judged), f"{name}, {what}, left out")
        _check_questions_apart(fitted.forecast, questions, forecast, f"{name}, {what}")
        again = make().fit(pool)
        if again is None or not _alike(again.forecast(questions), forecast):
            raise AssertionError(f"{name}, {what}: the same evidence gives the same forecast")
    _check_left_out(make, name)


def _check_distribution(forecast: Forecast, pool: Pool, count: int, where: str) -> None:
    try:
        check_forecast(forecast, questions=count, levels=pool.evidence.levels, name=where)
    except Exception as error:
        raise AssertionError(f"{where}: a forecast is a distribution for each question ({error})") from None


def _check_questions_apart(
    forecast: Callable[[Questions], Forecast], questions: Questions, together: Forecast, where: str
) -> None:
    order = np.arange(len(questions))[::-1]
    turned = forecast(Questions(fingerprints=questions.fingerprints[order]))
    one = forecast(Questions(fingerprints=questions.fingerprints[:1]))
    if not _alike(turned, together, rows=order) or not _alike(one, together, rows=np.arange(1)):
        raise AssertionError(f"{where}: a forecast does not depend on what else is asked")


def _check_left_out(make: Callable[[], Calculator], name: str) -> None:
    """Let the outcomes be noise: whoever forecasts them much better than their shares has looked at them."""
    chance = np.random.default_rng(5)
    prints = chance.integers(0, 256, (NOISE_ROWS, BITS // 8), dtype=np.uint8)
    codes = chance.integers(0, LEVELS, NOISE_ROWS)
    pool = _pool(prints, codes, nodes=np.arange(NOISE_ROWS) % 3)
    fitted = make().fit(pool)
    if fitted is None:
        return
    forecast = fitted.left_out()
    lost = losses(forecast, pool.targets[pool.judged], low=0.0, high=1.0)[forecast.awake]
    shares = np.bincount(codes, minlength=LEVELS) / NOISE_ROWS
    usual = -float(shares @ np.log(shares))
    if len(lost) and float(lost.mean()) < usual - NOISE_GAIN_MAX:
        raise AssertionError(f"{name}: a packet that is left out is as if it were not there, but noise was foretold")


def _alike(one: Forecast, other: Forecast, rows: npt.NDArray[np.intp] | None = None) -> bool:
    chosen = np.arange(len(other.awake)) if rows is None else rows
    if not np.array_equal(one.awake, other.awake[chosen]):
        return False
    if not np.allclose(one.values, other.values[chosen], atol=TOLERANCE, rtol=0):
        return False
    if one.deviations is None or other.deviations is None:
        return one.deviations is other.deviations
    return bool(np.allclose(one.deviations, other.deviations[chosen], atol=TOLERANCE, rtol=1e-6))


def _pools() -> Iterator[tuple[str, Pool]]:
    points = _points(90)
    prints, codes = _prints(points), np.digitize(points[:, 0], [-0.3, 0.3])
    nodes = np.arange(90) % 3
    yield "levels, own packets", _pool(prints, codes, nodes=nodes)
    yield "levels, a stranger", _pool(prints, codes, nodes=nodes, asker=7)
    yield "levels, only own packets", _pool(prints[:12], codes[:12], nodes=np.zeros(12, np.int64))
    yield "levels, few packets", _pool(prints[:5], codes[:5], nodes=nodes[:5])
    yield "levels, one outcome", _pool(prints, np.zeros(90, np.int64), nodes=nodes)
    yield "numbers, own packets", _pool(prints, None, nodes=nodes, values=4 * points[:, 0])
    yield "numbers, all the same", _pool(prints, None, nodes=nodes, values=np.full(90, 2.0))


def _pool(
    prints: npt.NDArray[np.uint8],
    codes: npt.NDArray[np.int64] | None,
    *,
    nodes: npt.NDArray[np.int64],
    asker: int = 0,
    values: npt.NDArray[np.float64] | None = None,
) -> Pool:
    keys = np.zeros((len(prints), 32), np.uint8)
    keys[:, 0] = nodes + 1
    evidence = Evidence.from_arrays(
        fingerprints=prints,
        codes=codes,
        counts=None if codes is None else np.zeros((0, LEVELS), np.int64),
        values=values,
        emitters=keys,
    )
    mine = Evidence.from_arrays(fingerprints=prints[:1], values=[0.0], emitters=_key(asker + 1)).node_ids[0]
    options = KernelOptions()
    fitted = fit(evidence, options=options)
    low, high = (0.0, 1.0) if values is None else (LOW, HIGH)
    return own_pool(evidence, fitted, asker=mine.tobytes(), day=0, options=options, low=low, high=high)


def _key(first: int) -> npt.NDArray[np.uint8]:
    key = np.zeros((1, 32), np.uint8)
    key[0, 0] = first
    return key


def _points(count: int, seed: int = 3) -> npt.NDArray[np.float64]:
    return np.random.default_rng(seed).uniform(-1, 1, (count, 3))


def _prints(points: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    chance = np.random.default_rng(0)
    planes, offsets = chance.standard_normal((3, BITS)), chance.standard_normal(BITS)
    return np.packbits(points @ planes + offsets >= 0, axis=1)


def _questions(count: int) -> Questions:
    return Questions(fingerprints=_prints(_points(count, 4)))
