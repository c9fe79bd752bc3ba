"""The coordinator is killed: Flower's SuperLink in the middle of a run, and each of our nodes in turn. Real processes.

Prints ``coordinator_fl_{next_round_seconds,rounds_while_away,went_on_by_itself}``, for each of our roles
``coordinator_{role}_{answer_seconds,lost,catch_up_seconds}``, and ``coordinator_processes_left``. ``--json`` writes
what ``assess`` reports under ``failure_modes.coordinator``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from bench._figures import Figure, is_quick, write_figures
from fingerpost.lab.coordinator.experiment import Coordinator, measure_coordinator

TARGET = "lab"


def main() -> None:
    """Measure and write the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", help="not used: heart comes with the package")
    parser.add_argument("--json", type=Path, help="write the whole result to this file")
    options = parser.parse_args()
    rounds, watch = (3, 5.0) if is_quick() else (5, 30.0)
    found = measure_coordinator(rounds=rounds, watch_seconds=watch, progress=print)
    document = found.to_document()
    if options.json is not None:
        options.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    print(document["verdict"])
    write_figures(TARGET, figures_of(found), seeds=[0])


def figures_of(found: Coordinator) -> list[Figure]:
    """Return the figures; of the two nodes that only hold packets, the slower one counts."""
    document, flower = found.to_document(), found.flower
    federated = {name: value for name, value in document["federated"].items() if name != "trusted"}
    figures = [
        Figure(name="coordinator_fl_next_round_seconds", value=flower.next_round_seconds, unit="s", detail=federated),
        Figure(name="coordinator_fl_rounds_while_away", value=flower.rounds_while_away, unit="rounds"),
        Figure(name="coordinator_fl_went_on_by_itself", value=float(flower.went_on_by_itself), unit="yes"),
        Figure(name="coordinator_processes_left", value=found.processes_left, unit="processes"),
    ]
    for role in dict.fromkeys(crash.role for crash in found.nodes):
        crashes = [crash for crash in found.nodes if crash.role == role]
        stem = f"coordinator_{role.replace(' ', '_')}"
        slowest = max(crash.answer_seconds for crash in crashes)
        handled = {crash.handled: crash.handled_seconds for crash in crashes if crash.handled_seconds is not None}
        figures += [
            Figure(name=f"{stem}_answer_seconds", value=slowest, unit="s", detail=handled),
            Figure(name=f"{stem}_lost", value=sum(crash.lost for crash in crashes), unit="packets"),
            Figure(name=f"{stem}_catch_up_seconds", value=max(crash.catch_up_seconds for crash in crashes), unit="s"),
        ]
    return figures


if __name__ == "__main__":
    main()
