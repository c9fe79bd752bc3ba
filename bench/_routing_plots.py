"""The picture of ``make routing-scale``, in ``bench/results``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench._figures import Figure
from bench._plots import BAR, GRID, INK, MUTED, plt, save

COLOURS = {8: "#a9cbe8", 12: "#5b9bd5", 16: "#2b6cb0", 20: "#1a365d"}
MARKERS = {"digits": "o", "credit": "s", "beijing": "D"}
TITLES = {"digits": "digits", "credit": "credit defaults", "beijing": "Beijing air"}


def plot_routing(
    figures: Mapping[str, Figure], *, sets: Sequence[str], cell_bits: Sequence[int], probes: Sequence[int]
) -> None:
    """Draw recall at a million nodes against the packets looked at, set by set, and what the fullest holder keeps."""
    chart, panels = plt.subplots(1, len(sets) + 1, figsize=(3.6 * (len(sets) + 1), 3.8))
    for axes, name in zip(panels, sets, strict=False):
        for bits in cell_bits:
            found = [figures[f"recall64_1e6_{bits}_{count}"] for count in probes if count <= 1 << bits]
            axes.plot(
                [figure.detail["share_looked_at"][name] for figure in found],
                [figure.detail["sets"][name] for figure in found],
                color=COLOURS[bits],
                linewidth=2,
                marker="o",
                markersize=4,
                label=f"{bits} bits",
            )
        axes.axhline(0.95, color=BAR, linewidth=1.2, linestyle=(0, (3, 2)))
        axes.set_xscale("log")
        axes.set_ylim(0.2, 1.02)
        axes.set_xlabel("share of all packets in the cells")
        axes.set_title(TITLES[name], loc="left", fontweight="bold")
    panels[0].set_ylabel("recall of the 64 nearest")
    panels[0].legend(frameon=False, title="cells of", loc="lower right")
    _draw_load(panels[-1], figures[f"load_skew_1e6_{max(cell_bits)}"].detail["sets_by_group_bits"])
    for axes in panels:
        axes.grid(color=GRID)
        axes.set_axisbelow(True)
    note = f"a million nodes, 10⁹ packets; points from left to right: {', '.join(map(str, probes))} cells; dashed: 0.95"
    chart.suptitle(note, x=0.01, y=0.0, ha="left", color=MUTED, fontsize=9)
    chart.tight_layout()
    save(chart, "routing-scale.png")


def _draw_load(axes: Any, sets: Mapping[str, Mapping[str, Mapping[str, float]]]) -> None:
    """Draw the share of all packets that the fullest holder keeps against group bits, a line a set."""
    for name, by_group_bits in sets.items():
        shares = [entry["share_fullest"] for entry in by_group_bits.values()]
        group_bits = [int(bits) for bits in by_group_bits]
        axes.plot(group_bits, shares, color=INK, linewidth=1.5, marker=MARKERS[name], markersize=5, label=TITLES[name])
    ends = [int(bits) for bits in next(iter(sets.values()))]
    axes.plot(ends, [2.0**-bits for bits in ends], color=MUTED, linewidth=1.2, linestyle=(0, (1, 2)), label="if even")
    axes.set_yscale("log")
    axes.set_xlabel("group bits")
    axes.set_ylabel("share of all packets")
    axes.set_title("the fullest holder", loc="left", fontweight="bold")
    axes.legend(frameon=False, loc="lower left")
