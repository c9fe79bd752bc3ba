"""The suites: outcome routing beside federated, central, local and one-shot learning on seven public data sets.

Prints ``{suite}_{arm}_{partition}_{accuracy,auc,logloss,worst_node,bytes}``, and consortium's paired differences
``{suite}_{partition}_versus_{federated,central,local}_{accuracy,auc,logloss}`` (ours minus theirs, 95 % bounds).
``--data`` names the folder of the sets that come with no package; what is not there is left out and said so.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench._figures import Figure, is_quick, write_figures
from fingerpost.errors import UsageError
from fingerpost.lab.suites.run import BRIEF, WHOLE, run_suite
from fingerpost.lab.suites.tables import SUITES

TARGET = "lab"
DATA_DEFAULT = Path(__file__).resolve().parents[2] / "shared" / "data"
SHORT = {"accuracy": "accuracy", "auc": "auc", "log_loss": "logloss", "worst_node_accuracy": "worst_node"}


def main() -> None:
    """Measure and write the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=DATA_DEFAULT)
    parser.add_argument("--suites", nargs="+", default=["heart", "digits"] if is_quick() else list(SUITES))
    parser.add_argument("--seeds", type=int)
    options = parser.parse_args()
    extent = BRIEF if is_quick() else WHOLE
    if options.seeds is not None:
        extent = replace(extent, seeds=options.seeds)
    for suite in options.suites:
        begun = time.process_time()
        try:
            found = run_suite(suite, folder=options.data, extent=extent, progress=lambda step: print(step, flush=True))
        except UsageError as error:
            print(f"{suite} is left out: {error}")
            continue
        for note in found["notes"]:
            print(f"{suite}: {note}")
        print(f"{suite}: {time.process_time() - begun:.0f} s of processor time")
        write_figures(TARGET, figures_of(suite, found), seeds=[0])


def figures_of(suite: str, found: dict[str, Any]) -> list[Figure]:
    """Return the figures of one suite."""
    figures = []
    for partition, part in found["partitions"].items():
        where = partition.replace(".", "").replace("-", "_")
        for arm, scores in part["arms"].items():
            stem = f"{suite}_{arm.replace('-', '_')}_{where}"
            figures += [
                Figure(name=f"{stem}_{short}", value=scores[name], unit="nats" if name == "log_loss" else "share")
                for name, short in SHORT.items()
            ]
            figures.append(Figure(name=f"{stem}_bytes", value=scores["bytes"], unit="bytes"))
        for kind, differences in part["differences"].items():
            figures += [
                Figure(
                    name=f"{suite}_{where}_versus_{kind}_{SHORT[name]}",
                    value=one["value"],
                    low=min(one["low"], one["value"]),
                    high=max(one["high"], one["value"]),
                    unit="nats" if name == "log_loss" else "share",
                    detail={"opponent": part["opponents"][kind], "metric": found["metric"]},
                )
                for name, one in differences.items()
            ]
    return figures


if __name__ == "__main__":
    main()
