"""The pictures of ``make bench-report``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench._bars import Bar
from bench._figures import Figure
from bench._plots import BAR, GRID, INK, MUTED, plt, save

COLOURS = ("#2b6cb0", "#dd6b20", "#2f855a", "#6b46c1", "#b7791f", "#97266d", "#4a5568")
FIGURES_MIN = 2


def plot_margins(judged: Sequence[tuple[Figure, Bar]], path: Path) -> Path | None:
    """Draw how many times better than its bar each figure is; None where fewer than two have such a ratio."""
    rows = [(figure, [margin(value, bar) for value in _ends(figure)]) for figure, bar in judged]
    shown = sorted(
        ((figure, found) for figure, ends in rows if (found := [each for each in ends if each is not None])),
        key=lambda row: row[1][0],
    )
    if len(shown) < FIGURES_MIN:
        return None
    chart, axes = plt.subplots(figsize=(7.5, 0.7 + 0.32 * len(shown)))
    for place, (_figure, ends) in enumerate(shown):
        colour = INK if ends[0] >= 1 else BAR
        axes.plot([min(ends), max(ends)], [place, place], color=colour, linewidth=2, alpha=0.5)
        axes.plot([ends[0]], [place], color=colour, marker="o", markersize=6)
    axes.axvline(1, color=MUTED, linewidth=1.2, linestyle=(0, (3, 2)))
    axes.set_xscale("log")
    axes.set_yticks(range(len(shown)), [figure.name for figure, _ in shown], fontsize=9)
    axes.set_xlabel("times better than its bar (left of the line: not met)")
    axes.grid(axis="x", color=GRID)
    axes.set_axisbelow(True)
    save(chart, path.name, folder=path.parent)
    return path


def margin(value: float, bar: Bar) -> float | None:
    """Return how many times better than a bar a value is: below 1 it is worse. None where a ratio says nothing."""
    if bar.at_least is not None and bar.at_most is not None:
        return None
    if bar.at_least is not None:
        return value / bar.at_least if value > 0 and bar.at_least > 0 else None
    return bar.at_most / value if value > 0 and bar.at_most else None


def plot_sizes(figures: Sequence[Figure], path: Path) -> Path | None:
    """Draw seconds against size for figures whose detail has both; None where there are none."""
    lines = [figure for figure in figures if {"sizes", "seconds"} <= set(figure.detail)]
    if not lines:
        return None
    chart, axes = plt.subplots(figsize=(7.5, 4.8))
    for place, figure in enumerate(lines):
        exponent = f"{figure.value:.2f}"
        axes.plot(
            figure.detail["sizes"],
            figure.detail["seconds"],
            color=COLOURS[place % len(COLOURS)],
            marker="o",
            markersize=4,
            linewidth=1.8,
            label=f"{figure.name.removesuffix('_exponent')}: n to the {exponent}",
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("packets")
    axes.set_ylabel("seconds")
    axes.grid(color=GRID)
    axes.set_axisbelow(True)
    axes.legend(frameon=False, fontsize=9)
    save(chart, path.name, folder=path.parent)
    return path


def _ends(figure: Figure) -> list[float]:
    """Return the value, then the ends of its interval where it has one."""
    return [figure.value, *(end for end in (figure.low, figure.high) if end is not None)]
