"""Plots of a report as SVG whose text stays text and takes the colour of the page."""

from __future__ import annotations

import base64
import re
from html import escape
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from fingerpost.lab.graph_picture import draw as draw_graph

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MARKS = "os^DvPX*<>hp"
INK = "#123456"  # replaced by the colour of the page
PACKETS, UPDATES = "#3b7dd8", "#d8703b"


def plots_of(report: Mapping[str, Any]) -> dict[str, str]:
    """Return the figures of a report by name."""
    modes = report["failure_modes"]
    figures: dict[str, tuple[Callable[[Any], None], str, float]] = {
        "arms": (lambda axes: _arms(axes, report["arms"]), "Accuracy of every method with its 95 % interval", 5.0),
        "partitions": (
            lambda axes: _partitions(axes, modes["non_iid"]["partitions"], report["chosen"]["federated"]),
            "Accuracy by who has which rows",
            3.4,
        ),
        "newcomer": (
            lambda axes: _newcomer(axes, modes["non_iid"]["newcomer"]),
            "Accuracy at a site that was not there before, by its own rows",
            3.2,
        ),
        "communication": (
            lambda axes: _break_even(axes, modes["communication"]),
            "Break-even: model size above which routing moves less than federated learning",
            3.4,
        ),
        "liars": (lambda axes: _liars(axes, modes["byzantine"]), "Accuracy by share of liars", 3.6),
        "scaling": (lambda axes: _scaling(axes, report["scaling"]), "Log-loss by number of nodes that tell", 3.2),
    }
    figures |= _further(modes)
    return {name: figure_of(draw, title, height=height) for name, (draw, title, height) in figures.items()} | {
        "graph": _graph(report["scaling"]["agreement_graph"])
    }


def _further(modes: Mapping[str, Any]) -> dict[str, tuple[Callable[[Any], None], str, float]]:
    """Return the plots of reconstruction and, where that was run, of who was killed."""
    leaks = _leaks(modes["inversion"])
    found: dict[str, tuple[Callable[[Any], None], str, float]] = {
        "inversion": (
            lambda axes: _inversion(axes, leaks, modes["inversion"]["baselines"]["public mean"]["psnr"]),
            "How close the best reconstruction of a record comes",
            1.2 + 0.24 * len(leaks),
        )
    }
    if "left_out" not in modes["coordinator"]:
        waits = _waits(modes["coordinator"])
        title = "Seconds from a kill to the next answer, or to the next federated round"
        found["coordinator"] = (lambda axes: _coordinator(axes, waits), title, 1.2 + 0.3 * len(waits))
    return found


def _graph(found: Mapping[str, Any]) -> str:
    """Return the picture of who agrees with whom, as an image inside the page."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "graph.png"
        draw_graph(found["graph"], file)
        data = base64.b64encode(file.read_bytes()).decode()
    title = f"Who agrees with whom when {found['liars']} nodes lie: camps are blocks on the diagonal"
    image = f'<img alt="{escape(title)}" src="data:image/png;base64,{data}">'
    return f"<figure>{image}<figcaption>{escape(title)}</figcaption></figure>"


def figure_of(draw: Callable[[Any], None], title: str, *, height: float) -> str:
    """Return what ``draw`` puts on its axes as an SVG whose text takes the colour of the page, with a caption."""
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


def _leaks(section: Mapping[str, Any]) -> list[tuple[str, float, str]]:
    packets = [
        (f"packet, {profile}", found["attacks"][found["best"]]["psnr"], PACKETS)
        for profile, found in section["packets"].items()
    ]
    return [*packets, *((f"update: {row['label']}", row["psnr"], UPDATES) for row in section["updates"])]


def _inversion(axes: Any, leaks: list[tuple[str, float, str]], guess: float) -> None:
    for place, (_, psnr, colour) in enumerate(reversed(leaks)):
        axes.plot((min(guess, psnr), psnr), (place, place), color=colour, linewidth=2)
        axes.plot(psnr, place, "o", color=colour)
    axes.axvline(guess, color=INK, linestyle=":", linewidth=1)
    axes.set_yticks(range(len(leaks)), [label for label, _, _ in reversed(leaks)], fontsize="small")
    axes.set_xlabel("PSNR in dB (dotted: the mean of public records, without any packet or update)")


def _waits(section: Mapping[str, Any]) -> list[tuple[str, float, str]]:
    waits = [("SuperLink", section["federated"]["next_round_seconds"], UPDATES)]
    return waits + [
        (f"{one['role']}, {one['hospital']}", one["answer_seconds"], PACKETS) for one in section["outcome_routing"]
    ]


def _coordinator(axes: Any, waits: list[tuple[str, float, str]]) -> None:
    for place, (_, seconds, colour) in enumerate(reversed(waits)):
        axes.barh(place, max(seconds, 1e-3), left=1e-3, color=colour, height=0.6)
        axes.annotate(f"{seconds:.2g} s", (max(seconds, 1e-3), place), textcoords="offset points", xytext=(4, -3))
    axes.set_yticks(range(len(waits)), [label for label, _, _ in reversed(waits)])
    axes.set_xscale("log")
    axes.margins(x=0.12)
    axes.set_xlabel("seconds")


def _partitions(axes: Any, partitions: Mapping[str, Any], federated: str) -> None:
    names = [name for name in ("consortium", "dp-aggregate", federated, "local_logistic") if name]
    for name, mark in zip(names, MARKS, strict=False):
        axes.plot(
            list(partitions),
            [found[name]["accuracy"] for found in partitions.values()],
            marker=mark,
            label=_words(name),
        )
    axes.set_ylabel("accuracy")
    axes.legend(frameon=False, fontsize="small")


def _newcomer(axes: Any, rows: list[dict[str, Any]]) -> None:
    owns = [row["own_rows"] for row in rows]
    names = dict.fromkeys(name for row in rows for name in row["arms"])
    for name, mark in zip(names, MARKS, strict=False):
        shown = [(place, row["arms"][name]["accuracy"]) for place, row in enumerate(rows) if name in row["arms"]]
        axes.plot([each[0] for each in shown], [each[1] for each in shown], marker=mark, label=_words(name))
    axes.set_xticks(range(len(owns)), [str(own) for own in owns])
    axes.set_xlabel("own rows")
    axes.set_ylabel("accuracy")
    axes.legend(frameon=False, fontsize="small")


def _break_even(axes: Any, section: Mapping[str, Any]) -> None:
    for rounds, points in section["break_even_curves"].items():
        across = [point["observations"] for point in points]
        axes.loglog(across, [point["parameters"] for point in points], label=f"rounds: {rounds}")
    axes.plot(section["observations"], section["model_parameters"], "o", color="#b33a3a", label="this table")
    axes.set_xlabel("observations in all")
    axes.set_ylabel("model parameters")
    axes.legend(frameon=False, fontsize="small")


def _liars(axes: Any, section: Mapping[str, Any]) -> None:
    rows = [row for row in section["rows"] if row["attack"] == "flip"]
    for name, mark in zip(rows[0]["accuracy"], MARKS, strict=False):
        shown = [row for row in rows if name in row["accuracy"]]
        across = [row["liars"] / row["nodes"] for row in shown]
        axes.plot(across, [row["accuracy"][name] for row in shown], marker=mark, label=_words(name))
    axes.set_xlabel("share of liars")
    axes.set_ylabel("accuracy")
    axes.legend(frameon=False, fontsize="x-small", ncols=2)


def _scaling(axes: Any, section: Mapping[str, Any]) -> None:
    points, laws = section["points"], section["laws"]
    nodes = np.array([point["nodes"] for point in points], np.float64)
    axes.semilogx(nodes, [point["log_loss"] for point in points], "o", color="#3b7dd8", label="measured")
    for key, across, words in (
        ("log_loss_of_nodes", nodes, "a + b / root of nodes"),
        ("log_loss_of_pairs", nodes * (nodes - 1) / 2, "a + b / root of pairs"),
    ):
        if key in laws:
            axes.plot(nodes, laws[key]["level"] + laws[key]["slope"] / np.sqrt(across), "--", label=words)
    axes.set_xlabel("nodes that tell")
    axes.set_ylabel("log-loss")
    axes.legend(frameon=False, fontsize="small")


def _words(name: str) -> str:
    return name.replace("_", " ")
