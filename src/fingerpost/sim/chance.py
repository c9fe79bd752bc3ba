"""Everything that a simulation draws: one seed, split into streams by name."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

Value = TypeVar("Value")


class Chance:
    """A stream of draws that follows from its name alone, so that a draw more in one part changes no other part."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._random = random.Random(name)  # noqa: S311 - it must be repeatable, not unpredictable

    def stream(self, name: str) -> Chance:
        """Return the stream with this name below this one."""
        return Chance(f"{self._name}/{name}")

    def happens(self, probability: float) -> bool:
        """Say yes with this probability."""
        return self._random.random() < probability

    def between(self, low: float, high: float) -> float:
        """Return a number from ``low`` to ``high``, all alike."""
        return low + (high - low) * self._random.random()

    def waiting(self, mean: float) -> float:
        """Return a waiting time of a process without memory."""
        return self._random.expovariate(1 / mean)

    def integer(self, low: int, high: int) -> int:
        """Return an integer from ``low`` to ``high``, both included."""
        return self._random.randint(low, high)

    def one_of(self, values: Sequence[Value]) -> Value:
        """Return one of the values."""
        return self._random.choice(values)

    def some_of(self, values: Sequence[Value], count: int) -> list[Value]:
        """Return ``count`` of the values, or all when there are fewer, in random order."""
        return self._random.sample(values, min(count, len(values)))

    def octets(self, size: int) -> bytes:
        """Return ``size`` bytes."""
        return self._random.randbytes(size)

    def read(self, size: int) -> bytes:
        """Return ``size`` bytes: a ``Chance`` is an ``Entropy`` that repeats itself."""
        return self._random.randbytes(size)
