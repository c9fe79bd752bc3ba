"""How accuracy falls as liars become more, attack by attack."""

from __future__ import annotations

from collections.abc import Sequence

from bench._figures import Figure
from bench._plots import BAR, GRID, INK, MUTED, plt, save

LINES = (
    ("oracle", INK, "honest only"),
    ("ours", "#2f855a", "hired"),
    ("everybody", BAR, "everybody"),
    ("own", MUTED, "own only"),
)


def plot_gaps(name: str, figures: Sequence[Figure]) -> None:
    """Draw ``robustness-SET.png``: one panel an attack, accuracy over the share of liars."""
    values = {figure.name: figure.value for figure in figures}
    points = [key.removeprefix(f"ours_{name}_").split("_") for key in values if key.startswith(f"ours_{name}_")]
    kinds = list(dict.fromkeys((part[0], "_".join(part[2:])) for part in points))
    chart, panels = plt.subplots(1, len(kinds), figsize=(2.6 * len(kinds), 2.8), sharey=True, squeeze=False)
    for panel, (attack, skew) in zip(panels[0], kinds, strict=True):
        percents = sorted({int(part[1]) for part in points if part[0] == attack and "_".join(part[2:]) == skew})
        for arm, colour, words in LINES:
            labels = [f"{arm}_{name}_{attack}_{percent}{skew and '_' + skew}" for percent in percents]
            dashes = "--" if arm == "oracle" else "-"
            panel.plot(percents, [values[each] for each in labels], dashes, color=colour, label=words, lw=1.6)
        panel.set_title(f"{attack} {skew}".strip(), fontsize=9)
        panel.set_xlabel("liars, %")
        panel.grid(color=GRID)
    panels[0][0].set_ylabel("accuracy")
    panels[0][0].legend(fontsize=7)
    save(chart, f"robustness-{name}.png")
