"""All figures on one page: ``make bench-report`` reads ``bench/results`` and writes docs/reference/figures.md.

Whatever targets were measured are on the page, each with the commit and the machine it was measured on; what was not
measured is absent. Pictures go to docs/images: how far each figure is above or below its bar, and the lines of figures
that were measured at several sizes (``sizes`` and ``seconds`` in their detail). ``--results`` and ``--docs`` name other
folders.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench._bars import Bar, bar_of
from bench._figures import RESULTS, Figure
from bench._report_plots import plot_margins, plot_sizes

DOCS = RESULTS.parents[1] / "docs"
PAGE, IMAGES = Path("reference/figures.md"), Path("images")

OPENING = """\
# Figures

`make bench-report` writes this page from what the measurements left in `bench/results`; nothing on it is typed by hand.
A target that is missing was not measured. Each section names the command that measures it, the commit that was
measured and the machine.

A ratio says ours ÷ theirs, so more is better, unless the name ends in `_cost`, `_seconds` or `_ms`: then less is. An
interval is that of the value, by bootstrap over rounds or seeds unless the measurement says otherwise. A bar is what
the figure has to reach; a figure without one is reported, not judged. What a name means is said at the top of the
script in `bench/` that prints it. Where other programs wanted the cores (a load above their number), wall-clock figures
are pessimistic, above all those of two processes.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one results file says."""

    target: str
    commit: str
    quick: bool
    machine: Mapping[str, Any]
    seeds: Sequence[int]
    figures: Sequence[Figure]


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the page and its pictures, and say where."""
    parser = argparse.ArgumentParser(prog="bench.report", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--results", type=Path, default=RESULTS, help="where measurements leave their figures")
    parser.add_argument("--docs", type=Path, default=DOCS, help="where the page and its pictures go")
    options = parser.parse_args(arguments)
    results = read_results(options.results)
    if not results:
        parser.exit(1, f"bench-report: {options.results} holds no results; measure first, say: make bench QUICK=1\n")
    (options.docs / PAGE).parent.mkdir(parents=True, exist_ok=True)
    (options.docs / IMAGES).mkdir(parents=True, exist_ok=True)
    sections = [section(measured, pictures=draw(measured, options.docs / IMAGES)) for measured in results]
    (options.docs / PAGE).write_text("\n".join([OPENING, *sections]), encoding="utf-8")
    print(f"{sum(len(each.figures) for each in results)} figures of {len(results)} targets in {options.docs / PAGE}")


def read_results(folder: Path) -> list[Measured]:
    """Return what the results files of a folder say, by target. Raises ``ValueError`` for a file that is none."""
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            found.append(
                Measured(
                    target=content["target"],
                    commit=content["commit"],
                    quick=content["quick"],
                    machine=content["machine"],
                    seeds=content["seeds"],
                    figures=[Figure(**entry) for entry in content["figures"]],
                )
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path.name} is no file of results: {error!r}") from error
    return found


def draw(measured: Measured, folder: Path) -> list[str]:
    """Draw what a target gives, and return the names of its pictures; those of an earlier report go."""
    for old in (folder / f"figures-{measured.target}-{kind}.png" for kind in ("margins", "sizes")):
        old.unlink(missing_ok=True)
    judged = [(figure, bar) for figure in measured.figures if (bar := bar_of(measured.target, figure.name))]
    drawn = [
        plot_margins(judged, folder / f"figures-{measured.target}-margins.png"),
        plot_sizes(measured.figures, folder / f"figures-{measured.target}-sizes.png"),
    ]
    return [path.name for path in drawn if path is not None]


def section(measured: Measured, *, pictures: Sequence[str] = ()) -> str:
    """Return one target as Markdown."""
    machine = measured.machine
    form = "short form (`QUICK=1`): fewer rounds or rows, wider intervals" if measured.quick else "full form"
    seeds = f" Seeds {', '.join(map(str, measured.seeds))}." if measured.seeds else ""
    loads = [each.detail["load"] for each in measured.figures if "load" in each.detail]
    busy = f" Load of the machine meanwhile: up to {max(loads):.1f}." if loads else ""
    lines = [
        f"## {measured.target}",
        "",
        f"`make {measured.target}`, {form}. Commit `{measured.commit}`, {machine['cpu']}, {machine['cores']} cores, "
        f"Python {machine['python']}, numpy {machine['numpy']}.{seeds}{busy}",
        "",
        "| figure | value | interval | unit | bar | met |",
        "|---|---:|---:|---|---|---|",
    ]
    for figure in sorted(measured.figures, key=lambda each: each.name):
        bar = bar_of(measured.target, figure.name)
        interval = "" if figure.low is None else f"{number(figure.low)} to {number(figure.high)}"
        verdict = "" if bar is None else verdict_of(figure, bar)
        cells = [f"`{figure.name}`", number(figure.value), interval, figure.unit, str(bar or ""), verdict]
        lines.append(f"| {' | '.join(cells)} |")
    for name in pictures:
        about = "ratio of each figure to its bar" if name.endswith("margins.png") else "time against size"
        lines += ["", f"![{measured.target}: {about}](../{IMAGES}/{name})"]
    return "\n".join([*lines, ""])


def verdict_of(figure: Figure, bar: Bar) -> str:
    """Return ``yes`` or ``no``; a bar on an end of an interval needs one."""
    compared = getattr(figure, bar.edge)
    if compared is None:
        return "no interval"
    return "yes" if bar.is_met(compared) else "**no**"


def number(value: float | None) -> str:
    """Return a number with four digits that count, and whole numbers whole."""
    if value is None:
        return ""
    if abs(value) >= 1_000 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.4g}"


if __name__ == "__main__":
    main()
