"""How long it takes until fingerpost can be used: importing it, and the command line's help.

Prints ``import_cost`` (``import fingerpost`` ÷ ``python -c pass``), ``import_seconds`` (what the import adds),
``node_import_seconds`` (what naming ``fingerpost.Node`` adds: the import is lazy, so that this is when numpy and the
cores are loaded) and ``help_seconds`` (``fingerpost --help`` from start to end).
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from functools import partial

from bench._figures import interleaved_seconds, is_quick, median_figure, write_figures

TARGET = "bench"
COMMANDS = {
    "nothing": ["-c", "pass"],
    "import": ["-c", "import fingerpost"],
    "node": ["-c", "import fingerpost; fingerpost.Node"],
    "help": ["-m", "fingerpost", "--help"],
}


def main() -> None:
    """Measure and write the figures."""
    runs = {
        name: partial(subprocess.run, [sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
        for name, command in COMMANDS.items()
    }
    seconds = interleaved_seconds(runs, rounds=5 if is_quick() else 25)
    pairs = list(zip(seconds["nothing"], seconds["import"], strict=True))
    node_pairs = list(zip(seconds["nothing"], seconds["node"], strict=True))
    detail = {f"{name}_seconds_median": statistics.median(measured) for name, measured in seconds.items()}
    figures = [
        median_figure("import_cost", [ours / bare for bare, ours in pairs], unit="ratio", detail=detail),
        median_figure("import_seconds", [ours - bare for bare, ours in pairs], unit="s"),
        median_figure("node_import_seconds", [node - bare for bare, node in node_pairs], unit="s"),
        median_figure("help_seconds", seconds["help"], unit="s"),
    ]
    write_figures(TARGET, figures)


if __name__ == "__main__":
    main()
