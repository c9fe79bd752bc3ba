"""How accuracy falls as liars become more, attack by attack."""

from __future__ import annotations

from collections.abc import Sequence

from bench._figures import Figure
from bench._plots import BAR, GRID, INK, MUTED, plt, save

LINES = (
    ("oracle", INK, "--", "packets, honest only"),
    ("ours", "#2f855a", "-", "packets, hired"),
    ("everybody", BAR, "-", "packets, everybody"),
    ("own", MUTED, "-", "own packets only"),
    ("fl_oracle", "#6b46c1", "--", "that defence, honest only"),
    ("fl_best", "#6b46c1", "-", "best federated defence"),
    ("fl_fedavg", "#d69e2e", "-", "FedAvg"),
)
COLUMNS = 5


def plot_gaps(name: str, figures: Sequence[Figure]) -> None:
    """Draw ``robustness-SET.png``: one panel an attack, accuracy over the share of liars, with intervals of ours."""
    known = {figure.name: figure for figure in figures}
    points = [key.removeprefix(f"ours_{name}_").split("_") for key in known if key.startswith(f"ours_{name}_")]
    kinds = list(dict.fromkeys((part[0], "_".join(part[2:])) for part in points))
    if not kinds:
        return
    columns = min(len(kinds), COLUMNS)
    rows = -(-len(kinds) // columns)
    chart, grid = plt.subplots(rows, columns, figsize=(2.6 * columns, 2.7 * rows), sharey=True, squeeze=False)
    panels = list(grid.flat)
    for panel, (attack, skew) in zip(panels, kinds, strict=False):
        percents = sorted({int(part[1]) for part in points if part[0] == attack and "_".join(part[2:]) == skew})
        for arm, colour, dashes, words in LINES:
            labels = {percent: f"{arm}_{name}_{attack}_{percent}{skew and '_' + skew}" for percent in percents}
            there = [percent for percent in percents if labels[percent] in known]
            found = [known[labels[percent]] for percent in there]
            if found:
                panel.plot(there, [each.value for each in found], dashes, color=colour, label=words, lw=1.5)
            if arm == "ours":
                panel.fill_between(
                    there, [each.low for each in found], [each.high for each in found], color=colour, alpha=0.15, lw=0
                )
        panel.set_title(f"{attack} {skew}".strip(), fontsize=9)
        panel.set_xlabel("liars, %")
        panel.grid(color=GRID)
    for panel in panels[len(kinds) :]:
        panel.axis("off")
    for row in grid:
        row[0].set_ylabel("accuracy")
    handles, words = panels[0].get_legend_handles_labels()
    chart.legend(handles, words, fontsize=7, ncols=4, loc="upper center", bbox_to_anchor=(0.5, 0.0))
    chart.tight_layout()
    save(chart, f"robustness-{name}.png")
