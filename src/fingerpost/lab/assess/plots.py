"""Plots of a report as SVG whose text stays text and takes the colour of the page."""

from __future__ import annotations

import re
from html import escape
from io import StringIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

INK = "#123456"  # replaced by the colour of the page


def plots_of(report: Mapping[str, Any]) -> dict[str, str]:
    """Return the figures of a report by name."""
    return {
        "arms": _figure(
            lambda axes: _arms(axes, report["arms"]), "Accuracy of every method with its 95 % interval", height=4.2
        ),
        "liars": _figure(
            lambda axes: _liars(axes, report["failure_modes"]["byzantine"]), "Accuracy by share of liars", height=3.2
        ),
        "scaling": _figure(
            lambda axes: _scaling(axes, report["scaling"]["points"]), "Error by number of nodes that tell", height=3.2
        ),
    }


def _figure(draw: Callable[[Any], None], title: str, *, height: float) -> str:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    settings: dict[Any, Any] = {
        "svg.fonttype": "none", "svg.hashsalt": title, "text.color": INK, "axes.edgecolor": INK,
        "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK, "font.family": "sans-serif",
    }  # fmt: skip
    with mpl.rc_context(settings):
        figure = Figure(figsize=(8, height), layout="constrained")
        figure.patch.set_alpha(0)
        axes = figure.subplots()
        axes.patch.set_alpha(0)
        axes.spines[["top", "right"]].set_visible(False)
        draw(axes)
        text = StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    svg = text.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    slug = re.sub(r"[^a-z0-9]+", "-", title.lower())
    svg = re.sub(r'(id="|"#|url\(#)', rf"\g<1>{slug}-", svg).replace(INK, "currentColor")
    svg = svg.replace("<svg", f'<svg role="img" aria-label="{escape(title)}"', 1)
    return f"<figure>{svg}<figcaption>{escape(title)}</figcaption></figure>"


def _arms(axes: Any, arms: Mapping[str, Any]) -> None:
    for place, arm in enumerate(reversed(list(arms.values()))):
        found = arm["intervals"]["accuracy"]
        axes.plot((found["low"], found["high"]), (place, place), color="#3b7dd8", linewidth=2)
        axes.plot(found["value"], place, "o", color="#3b7dd8")
    axes.set_yticks(range(len(arms)), [name.replace("_", " ") for name in reversed(list(arms))])
    axes.set_xlabel("accuracy")


def _liars(axes: Any, section: Mapping[str, Any]) -> None:
    rows = section["rows"]
    for name, mark in zip(rows[0]["accuracy"], "os^Dv", strict=False):
        shown = [row for row in rows if name in row["accuracy"]]
        across = [row["liars"] / row["nodes"] for row in shown]
        axes.plot(across, [row["accuracy"][name] for row in shown], marker=mark, label=name.replace("_", " "))
    axes.set_xlabel("share of liars")
    axes.set_ylabel("accuracy")
    axes.legend(frameon=False, fontsize="small")


def _scaling(axes: Any, points: list[dict[str, Any]]) -> None:
    axes.plot([point["nodes"] for point in points], [point["error"] for point in points], "o-", color="#3b7dd8")
    axes.set_xlabel("nodes that tell")
    axes.set_ylabel("share of wrong answers")
    axes.set_ylim(bottom=0)
