"""A node that starts on a store of a million packets: how long until it answers, and how much memory it then has.

Prints ``restart_1e6_seconds``: wall time from starting the process until the first answer is there (imports, opening
and checking the store, reading the packets, what was elected before, the fit, the answer). Beside it are
``first_start_1e6_seconds``, the same for the first process on this store, which has to elect, and ``private_mb_1e6``:
megabytes that belong to the process alone after that answer (``/proc/PID/smaps``), the pages of the store's mapped file
aside. The store is written just before, so that it is in the system's cache, as after a restart of the process, not of
the machine. The node has a thousand outcomes of its own; the others are of a hundred nodes.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when numpy is loaded
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench._figures import Figure, is_quick, median_figure, write_figures
from bench._home import OWN, PACKETS, SEED, build_home

TARGET = "bench"
SITUATION = {"x": 0.5, "y": -0.5}


def main() -> None:
    """Build the store, start nodes on it and write the figures; or, as one of these nodes, answer once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--answer", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--packets", type=int, default=PACKETS, help="size of the store")
    parser.add_argument("--home", type=Path, help="build the home here, or use the one that is here")
    options = parser.parse_args()
    if options.answer is not None:
        answer_once(options.answer)
        return
    with tempfile.TemporaryDirectory(prefix="fingerpost-restart-") as folder:
        home = options.home or Path(folder) / "home"
        if not home.exists():
            build_home(home, packets=options.packets)
        first = start(home)
        runs = [start(home) for _ in range(3 if is_quick() else 5)]
    detail = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
    figures: list[Figure] = [
        median_figure("restart_1e6_seconds", [run["seconds"] for run in runs], unit="s", detail=detail),
        median_figure("private_mb_1e6", [run["private_mb"] for run in runs], unit="MB", detail=detail),
        Figure(name="first_start_1e6_seconds", value=first["seconds"], unit="s", detail=first),
    ]
    write_figures(TARGET, figures, seeds=[SEED])


def start(home: Path) -> dict[str, float]:
    """Start a process on ``home`` and return what it measured, with the seconds until its answer was here."""
    command = [sys.executable, "-m", "bench.restart", "--answer", str(home)]
    begin = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        if process.stdout is None:
            raise RuntimeError("the process has no output")
        line = process.stdout.readline()
        seconds = time.perf_counter() - begin
        process.stdout.read()
    if process.returncode or not line:
        raise RuntimeError(f"the node did not answer: exit status {process.returncode}")
    found: dict[str, float] = json.loads(line)
    return {"seconds": seconds} | found


def answer_once(home: Path) -> None:
    """Open the node of ``home``, ask, and print what that took."""
    began = time.perf_counter()
    from fingerpost import Node

    imported = time.perf_counter()
    with Node(home / "template.toml", home=home) as node:
        opened = time.perf_counter()
        answer = node.ask(SITUATION)
        first, processor = time.perf_counter(), time.process_time()
        if answer.packets < OWN:
            raise RuntimeError("the answer does not rest on the packets of the store")
        private, peak = private_mb(home), peak_mb()
        node.ask({"x": -1.0, "y": 0.25})
        second = time.perf_counter()
    found = {"import_seconds": imported - began, "open_seconds": opened - imported, "ask_seconds": first - opened}
    found |= {"second_ask_seconds": second - first, "private_mb": private, "peak_mb": peak}
    found |= {"processor_seconds": processor, "load": os.getloadavg()[0]}
    print(json.dumps(found | {"packets": answer.packets, "nodes": answer.node_count}), flush=True)


def private_mb(home: Path) -> float:
    """Return the private memory of this process in megabytes of 10^6 bytes, mapped files of ``home`` aside."""
    kilobytes, counts = 0, True
    for line in Path("/proc/self/smaps").read_text(encoding="utf-8").splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            counts = not line.partition("/")[1] or Path("/" + line.partition("/")[2]).parent != home.resolve() / "store"
        elif counts and line.startswith("Private_"):
            kilobytes += int(line.split()[1])
    return kilobytes * 1.024e-3


def peak_mb() -> float:
    """Return the most memory that this process ever had at once, shared pages included."""
    text = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(r"^VmHWM:\s+(\d+) kB$", text, re.MULTILINE)
    return int(found.group(1)) * 1.024e-3 if found else 0.0


if __name__ == "__main__":
    main()
