"""The calculators of this installation: those of the package, and those that other packages offer."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import cast

from fingerpost.errors import UsageError
from fingerpost.synthesis.calculators import CALCULATORS_GROUP, Calculator
from fingerpost.synthesis.shipped_calculators import shipped_calculators


def installed_calculators() -> tuple[Calculator, ...]:
    """Return every calculator that is installed; those of other packages come last, by name.

    Raises ``UsageError`` (``calculator-name``) when two have the same name.
    """
    offered = sorted(entry_points(group=CALCULATORS_GROUP), key=lambda point: point.name)
    makers = [cast("Callable[[], Calculator]", point.load()) for point in offered]
    found = (*shipped_calculators(), *(make() for make in makers))
    names = [calculator.name for calculator in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(
            "calculator-name",
            f"two calculators are called {twice[0]!r}",
            hint=f"uninstall one of the packages that offer them ({CALCULATORS_GROUP})",
        )
    return found
