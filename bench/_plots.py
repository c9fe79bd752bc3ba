"""How all pictures of measurements look, and where they go: ``bench/results`` unless another folder is named."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

from bench._figures import RESULTS

mpl.use("Agg")  # no display needed

import matplotlib.pyplot as plt
from matplotlib.figure import Figure as Chart

__all__ = ["BAR", "GRID", "INK", "MUTED", "plt", "save"]

INK, MUTED, GRID, BAR = "#1f2933", "#7b8794", "#e4e7eb", "#c53030"

mpl.rcParams.update(
    {
        "font.size": 10,
        "axes.edgecolor": MUTED,
        "axes.labelcolor": INK,
        "text.color": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "figure.dpi": 150,
        "savefig.bbox": "tight",
    }
)


def save(chart: Chart, name: str, *, folder: Path = RESULTS) -> None:
    """Write a picture and forget it."""
    folder.mkdir(parents=True, exist_ok=True)
    chart.savefig(folder / name)
    plt.close(chart)
