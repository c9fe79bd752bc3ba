"""The picture of ``make routing-scale``, in ``bench/results``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench._figures import Figure
from bench._plots import BAR, GRID, INK, MUTED, plt, save

BLUES, ORANGES = ("#b5d3ec", "#6aa5d8", "#2b6cb0", "#1a365d"), ("#fbbf77", "#dd6b20", "#8a3b0c")
MARKERS = {"digits": "o", "credit": "s", "beijing": "D"}
TITLES = {"digits": "digits", "credit": "credit defaults", "beijing": "Beijing air"}


def plot_routing(
    figures: Mapping[str, Figure], *, sets: Sequence[str], schemes: Sequence[str], probes: Sequence[int]
) -> None:
    """Draw recall at a million nodes against the packets looked at, set by set, and what the fullest holder keeps."""
    chart, panels = plt.subplots(1, len(sets) + 1, figsize=(3.7 * (len(sets) + 1), 4.0))
    for axes, name in zip(panels, sets, strict=False):
        _draw_recall(axes, figures, name, schemes, probes)
    panels[0].set_ylabel("recall of the 64 nearest")
    _draw_load(panels[-1], figures, schemes)
    for axes in panels:
        axes.grid(color=GRID)
        axes.set_axisbelow(True)
    handles, labels = panels[min(1, len(sets) - 1)].get_legend_handles_labels()
    chart.tight_layout(rect=(0, 0.1, 1, 1))
    chart.legend(handles, labels, frameon=False, loc="lower left", ncol=len(labels), bbox_to_anchor=(0.0, 0.03))
    counts = ", ".join(map(str, probes))
    note = (
        f"a million nodes, 10⁹ packets; points of a line, from left to right: {counts} cells looked into; dashed: 0.95"
    )
    chart.text(0.012, 0.0, note, color=MUTED, fontsize=9)
    save(chart, "routing-scale.png")


def _draw_recall(
    axes: Any, figures: Mapping[str, Figure], name: str, schemes: Sequence[str], probes: Sequence[int]
) -> None:
    for scheme, colour in zip(schemes, BLUES + ORANGES, strict=True):
        found = [figures[f"recall64_1e6_{scheme}_{count}"] for count in probes]
        found = [figure for figure in found if name in figure.detail["sets"]]
        kind, bits = ("codebook", scheme.removeprefix("codebook")) if scheme.startswith("c") else ("first bits", scheme)
        axes.plot(
            [figure.detail["share_looked_at"][name] for figure in found],
            [figure.detail["sets"][name] for figure in found],
            color=colour,
            linewidth=2,
            marker="o",
            markersize=4,
            label=f"{kind}, {bits}",
        )
    axes.axhline(0.95, color=BAR, linewidth=1.2, linestyle=(0, (3, 2)))
    axes.set_xscale("log")
    axes.set_ylim(0.1, 1.03)
    axes.set_xlabel("share of all packets in the cells")
    axes.set_title(TITLES[name], loc="left", fontweight="bold")


def _draw_load(axes: Any, figures: Mapping[str, Figure], schemes: Sequence[str]) -> None:
    """Draw the share of all packets that the fullest holder keeps against group bits, a line a set."""
    for scheme, colour in ((schemes[3], BLUES[-1]), (schemes[-1], ORANGES[1])):
        for name, by_group_bits in figures[f"load_skew_1e6_{scheme}"].detail["sets_by_group_bits"].items():
            shares = [entry["share_fullest"] for entry in by_group_bits.values()]
            bits = [int(bits) for bits in by_group_bits]
            axes.plot(bits, shares, color=colour, linewidth=1.5, marker=MARKERS[name], markersize=5)
    for name, marker in MARKERS.items():
        axes.plot([], [], color=INK, linestyle="none", marker=marker, markersize=5, label=TITLES[name])
    axes.plot([0, 12], [1, 2.0**-12], color=MUTED, linewidth=1.2, linestyle=(0, (1, 2)), label="if even")
    axes.set_yscale("log")
    axes.set_xlabel("group bits")
    axes.set_ylabel("share of all packets")
    axes.set_title("the fullest holder", loc="left", fontweight="bold")
    axes.legend(frameon=False, loc="lower left")
