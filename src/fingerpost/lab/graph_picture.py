"""The agreement of nodes as a picture (needs the ``lab`` extra)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

COLOURS = {"own": "#1f2933", "hired": "#2f855a", "tried": "#9ae6b4", "refused": "#c53030", "unknown": "#7b8794"}
ID_DIGITS = 8
NAMES_SHOWN_MAX = 60  # beyond, names would cover each other


def draw(document: Mapping[str, Any], file: Path) -> None:
    """Draw the graph that ``fingerpost.elections.explain.graph`` gives into a PNG or SVG file, by its ending.

    Camps are blocks on the diagonal: green where two nodes tell the same story, red where they contradict each other.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    nodes = document["nodes"]
    matrix = np.array([[np.nan if value is None else value for value in row] for row in document["contrast"]], float)
    matrix = matrix.reshape(len(nodes), len(nodes))
    np.fill_diagonal(matrix, np.nan)
    size = min(4 + 0.16 * len(nodes), 14)
    figure = Figure(figsize=(size + 1.5, size), dpi=150)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    reach = float(np.nanmax(np.abs(matrix))) if np.isfinite(matrix).any() else 1.0
    image = axes.imshow(matrix, cmap="RdYlGn", vmin=-reach, vmax=reach)
    figure.colorbar(image, label="agreement beyond chance", shrink=0.7)
    if len(nodes) <= NAMES_SHOWN_MAX:
        names = [f"{node['node_id'][:ID_DIGITS]} {node['finding']}" for node in nodes]
        axes.set_yticks(range(len(nodes)), names, fontsize=7)
        axes.set_xticks([])
        for label, node in zip(axes.get_yticklabels(), nodes, strict=True):
            label.set_color(COLOURS[node["finding"]])
    axes.set_title(f"{len(nodes)} nodes: {document['hired']} hired, {document['refused']} refused")
    figure.savefig(file, bbox_inches="tight")
