"""The pictures of ``make accuracy``, in ``bench/results``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bench._figures import Figure
from bench._plots import GRID, INK, MUTED, plt, save

COLOURS = {"256": "#8fb8de", "1024": "#2b6cb0", "sketch": "#dd6b20"}
LABELS = {"256": "256 bits", "1024": "1,024 bits", "sketch": "256 bits + sketch"}
TITLES = {"digits": "digits", "breast_cancer": "breast cancer", "wine": "wine", "heart": "heart, four hospitals"}
BARS = {"digits": -1.0, "breast_cancer": -1.0, "wine": -2.0, "heart": -2.0}  # points, at 1,024 bits
RELIABILITY_BINS = 10


def plot_gaps(figures: Sequence[Figure]) -> None:
    """Draw the gap to the central SVM with its interval for every set and variant."""
    found = {figure.name: figure for figure in figures}
    chart, axes = plt.subplots(figsize=(7.2, 3.6))
    axes.axvline(0, color=INK, linewidth=1)
    for row, name in enumerate(TITLES):
        axes.plot([BARS[name]] * 2, [row - 0.4, row + 0.4], color="#c53030", linewidth=1.2, linestyle=(0, (3, 2)))
        for step, (variant, colour) in enumerate(COLOURS.items()):
            figure = found[f"acc_gap_svm_{name}_{variant}"]
            low, high = 100 * (figure.low or 0), 100 * (figure.high or 0)
            height = row + 0.24 * (step - 1)
            label = LABELS[variant] if row == 0 else None
            axes.plot([low, high], [height, height], color=colour, linewidth=2.4, solid_capstyle="round")
            axes.plot(100 * figure.value, height, "o", color=colour, markersize=6, label=label)
    axes.set_yticks(range(len(TITLES)), list(TITLES.values()))
    axes.invert_yaxis()
    axes.grid(axis="x", color=GRID)
    axes.set_axisbelow(True)
    axes.set_xlabel("accuracy of packets minus that of the central SVM, in points")
    axes.set_title("One message instead of all the data: what it costs", loc="left", fontweight="bold")
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5), title="fingerprint")
    axes.annotate(
        "dashed: the least allowed at 1,024 bits", (0, -0.2), xycoords="axes fraction", color=MUTED, fontsize=8
    )
    save(chart, "accuracy-gaps.png")


def plot_reliability(said: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> None:
    """Draw how often the named level was right against how sure packets at 1,024 bits were."""
    chart, panels = plt.subplots(1, len(said), figsize=(3 * len(said), 3.2), sharey=True)
    for axes, (name, (probabilities, codes)) in zip(panels, said.items(), strict=True):
        confidence = probabilities.max(axis=1)
        right = probabilities.argmax(axis=1) == codes
        edges = np.quantile(confidence, np.linspace(0, 1, RELIABILITY_BINS + 1))
        place = np.clip(np.searchsorted(edges, confidence, side="right") - 1, 0, RELIABILITY_BINS - 1)
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1)
        for bin_number in np.unique(place):
            inside = place == bin_number
            share, count = right[inside].mean(), inside.sum()
            half = 1.96 * np.sqrt(max(share * (1 - share), 0.25 / count) / count)
            axes.plot(
                [confidence[inside].mean()] * 2, [share - half, min(share + half, 1)], color="#8fb8de", linewidth=2
            )
            axes.plot(confidence[inside].mean(), share, "o", color="#2b6cb0", markersize=5)
        start = max(0.0, float(np.floor(10 * confidence.min()) / 10))
        axes.set_xlim(start, 1.02)
        axes.set_ylim(start if start > 0.45 else 0.3, 1.02)
        axes.set_title(TITLES[name], loc="left", fontweight="bold")
        axes.set_xlabel("said probability")
        axes.grid(color=GRID)
        axes.set_axisbelow(True)
    panels[0].set_ylabel("share that was right")
    save(chart, "accuracy-reliability.png")


def plot_risk(curves: Mapping[str, Sequence[tuple[np.ndarray, np.ndarray]]]) -> None:
    """Draw the error rate among the answered against the share answered, by confidence and by plain probability."""
    shown = {"heart": "heart", "unseen_digits": "digits, two of them never seen", "unseen_wine": "wine, one never seen"}
    chart, panels = plt.subplots(1, len(shown), figsize=(3.4 * len(shown), 3.2))
    for axes, (case, title) in zip(panels, shown.items(), strict=True):
        for (share, risk), colour, label in zip(
            curves[case], (COLOURS["1024"], MUTED), ("by confidence", "by plain probability"), strict=True
        ):
            axes.plot(share, 100 * risk, color=colour, linewidth=2, label=label)
        axes.set_title(title, loc="left", fontweight="bold")
        axes.set_xlabel("share of questions answered")
        axes.set_xlim(0, 1)
        axes.set_ylim(bottom=0)
        axes.grid(color=GRID)
        axes.set_axisbelow(True)
    panels[0].set_ylabel("errors among the answered, %")
    panels[0].legend(frameon=False, loc="upper left")
    save(chart, "accuracy-risk-coverage.png")
