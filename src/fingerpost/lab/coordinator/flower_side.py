"""Federated learning with its coordinator killed: a real SuperLink, three SuperNodes, a run that restarts (flwr 1.41).

The operator is a good one: the SuperLink keeps its state in a database, the app keeps a checkpoint after every round,
the SuperLink is started again, and the run is started again as soon as it is clear that it does not go on by itself.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fingerpost.errors import DaemonError
from fingerpost.lab.coordinator.flower_app import read_checkpoint
from fingerpost.lab.coordinator.processes import Program, free_tcp_ports, wait_for_end, wait_until

if TYPE_CHECKING:
    from fingerpost.processes import ProcessMark

HOSPITALS = ("Cleveland", "Hungary", "Switzerland")  # three of four; they are nodes here too
HOST = "127.0.0.1"
START_SECONDS_MAX = 90.0
ROUND_SECONDS_MAX = 120.0
INTO_THE_ROUND_SECONDS = 1.0
TRUSTED = (
    "Everybody trusts whoever runs the SuperLink: it sees every model and every update, decides who takes part, and "
    "nothing is learnt without it."
)
APP = """\
[project]
name = "hospitals"
version = "1.0.0"
description = "FedAvg over hospitals"
license = "Apache-2.0"
dependencies = ["flwr"]

[tool.flwr.app]
publisher = "fingerpost"

[tool.flwr.app.components]
serverapp = "fingerpost.lab.coordinator.flower_app:server"
clientapp = "fingerpost.lab.coordinator.flower_app:client"

[tool.flwr.app.config]
folder = {folder}
rounds = {rounds}
nodes = {nodes}
hospital = {hospital}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowerCrash:
    """A SuperLink and all that it had started were killed while a round ran, ``rounds_before`` of them being done.

    For ``away_seconds`` it stayed away, and so many rounds were done. Then it came back on its database, ready after
    ``ready_seconds``, and was watched for ``watched_seconds``: did the run go on by itself? If not it was started again
    from the checkpoint, and ``again_seconds`` later the next round was done. ``next_round_seconds`` is what a user
    waits without our watching: away, ready and again. ``survivors`` SuperNodes were still there.
    """

    nodes: int
    rounds: int
    rounds_before: int
    round_seconds: float
    away_seconds: float
    rounds_while_away: int
    ready_seconds: float
    watched_seconds: float
    went_on_by_itself: bool
    again_seconds: float
    rounds_after: int
    survivors: int
    trusted: str = TRUSTED

    @property
    def next_round_seconds(self) -> float:
        """Seconds from the kill to the next round that was done."""
        return self.away_seconds + self.ready_seconds + self.again_seconds


class FlowerNetwork:
    """The processes: a context manager's inside, which ``close`` ends by their ids."""

    def __init__(self, folder: Path, *, rounds: int) -> None:
        self.folder = folder
        self.rounds = rounds
        self.port, *node_ports = free_tcp_ports(1 + len(HOSPITALS))
        self._environment = self._prepare()
        self._said_before = 0
        self.link = self._program(
            "superlink",
            "flower-superlink",
            "--disable-runtime-dependency-installation",
            "--database",
            str(folder / "state.db"),
            port=self.port,
        )
        self.nodes = [
            self._program(
                f"supernode-{hospital}",
                "flower-supernode",
                "--superlink",
                f"{HOST}:{self.port}",
                "--node-config",
                f'hospital="{hospital}"',
                port=port,
            )
            for hospital, port in zip(HOSPITALS, node_ports, strict=True)
        ]

    @property
    def done(self) -> int:
        """Return how many rounds the checkpoint has."""
        for program in (self.link, *self.nodes):
            program.look()
        return read_checkpoint(self.folder)[0]

    def submit(self) -> None:
        """Start the run, again and again while the SuperLink takes none yet. Raises ``DaemonError``."""
        deadline = time.monotonic() + START_SECONDS_MAX
        while True:
            said = subprocess.run(  # noqa: S603 - our own words
                [_tool("flwr"), "run", str(self.folder / "app"), "lab", "--format", "json"],
                capture_output=True,
                text=True,
                check=False,
                cwd=self.folder,
                env=self._environment,
                timeout=START_SECONDS_MAX,
            )
            if said.returncode == 0 and _succeeded(said.stdout):
                return
            if time.monotonic() > deadline:
                raise DaemonError("lab-flower", f"Flower took no run: {said.stdout[-300:]}{said.stderr[-300:]}")
            time.sleep(0.5)

    def is_ready(self) -> bool:
        """Whether the SuperLink says that it listens; what an earlier process said does not count."""
        text = self.link.log.read_text(encoding="utf-8", errors="replace")[self._said_before :]
        return "Uvicorn running" in text

    def start_link(self) -> float:
        """Start the SuperLink; return the seconds until it listens. Raises ``DaemonError``."""
        self._said_before = len(self.link.log.read_text(errors="replace")) if self.link.log.exists() else 0
        begun = time.monotonic()
        self.link.start()
        if not wait_until(self.is_ready, seconds=START_SECONDS_MAX):
            raise DaemonError("lab-flower", f"the SuperLink did not start: {self.link.last_words()}")
        return time.monotonic() - begun

    def wait_for_round(self, number: int) -> float:
        """Wait until so many rounds are done; return the seconds it took. Raises ``DaemonError``."""
        begun = time.monotonic()
        if not wait_until(lambda: self.done >= number, seconds=ROUND_SECONDS_MAX):
            raise DaemonError("lab-flower", f"round {number} did not end: {self.link.last_words()}")
        return time.monotonic() - begun

    def close(self) -> tuple[int, int]:
        """End all processes; return how many there were, and how many are left."""
        seen: set[ProcessMark] = set()
        for program in (*self.nodes, self.link):
            program.kill()
            seen |= program.seen()
        return len(seen), wait_for_end(seen)

    def _prepare(self) -> dict[str, str]:
        app, home = self.folder / "app", self.folder / "flwr"
        app.mkdir()
        home.mkdir()
        settings = {"folder": str(self.folder), "hospital": HOSPITALS[0]}
        quoted = {name: json.dumps(value) for name, value in settings.items()}
        (app / "pyproject.toml").write_text(
            APP.format(rounds=self.rounds, nodes=len(HOSPITALS), **quoted), encoding="utf-8"
        )
        (home / "config.toml").write_text(
            f'[superlink]\ndefault = "lab"\n\n[superlink.lab]\naddress = "{HOST}:{self.port}"\ninsecure = true\n',
            encoding="utf-8",
        )
        package = str(Path(__file__).parents[3])
        here = os.environ.get("PYTHONPATH", "")
        return os.environ | {
            "FLWR_HOME": str(home),
            "FLWR_TELEMETRY_ENABLED": "0",
            "FLWR_DISABLE_UPDATE_CHECK": "1",
            "OMP_NUM_THREADS": "1",
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
            "PYTHONPATH": os.pathsep.join(filter(None, [package, here])),
        }

    def _program(self, name: str, tool: str, *words: str, port: int) -> Program:
        command = [_tool(tool), "--insecure", "--host", HOST, "--port", str(port), *words]
        return Program(name, command, folder=self.folder, environment=self._environment)


def crash_flower(
    folder: Path, *, rounds: int = 4, kill_after: int = 2, away_seconds: float = 10.0, watch_seconds: float = 20.0
) -> tuple[FlowerCrash, int, int]:
    """Kill the SuperLink of a run in the middle; return what came of it, the processes there were, and those left."""
    network = FlowerNetwork(folder, rounds=rounds)
    try:
        crash = _crash(network, kill_after=kill_after, away_seconds=away_seconds, watch_seconds=watch_seconds)
    except BaseException:
        network.close()
        raise
    return crash, *network.close()


def _crash(network: FlowerNetwork, *, kill_after: int, away_seconds: float, watch_seconds: float) -> FlowerCrash:
    network.start_link()
    for node in network.nodes:
        node.start()
    network.submit()
    network.wait_for_round(1)  # the first waits for processes to start
    begun = time.monotonic()
    network.wait_for_round(kill_after)
    round_seconds = (time.monotonic() - begun) / (kill_after - 1)
    wait_until(lambda: False, seconds=INTO_THE_ROUND_SECONDS)
    before = network.done
    network.link.kill()
    killed_at = time.monotonic()
    wait_until(lambda: network.done > before, seconds=away_seconds)
    away, while_away = time.monotonic() - killed_at, network.done - before
    ready = network.start_link()
    watched_from = time.monotonic()
    by_itself = wait_until(lambda: network.done > before, seconds=watch_seconds)
    watched = time.monotonic() - watched_from
    again = watched
    if not by_itself:
        again_from = time.monotonic()
        network.submit()
        network.wait_for_round(before + 1)
        again = time.monotonic() - again_from
    network.wait_for_round(network.rounds)
    return FlowerCrash(
        nodes=len(network.nodes),
        rounds=network.rounds,
        rounds_before=before,
        round_seconds=round_seconds,
        away_seconds=away,
        rounds_while_away=while_away,
        ready_seconds=ready,
        watched_seconds=watched,
        went_on_by_itself=by_itself,
        again_seconds=again,
        rounds_after=network.done,
        survivors=sum(node.look() for node in network.nodes),
    )


def _tool(name: str) -> str:
    """Return the path of a program that Flower brought along."""
    return str(Path(sys.executable).parent / name)


def _succeeded(text: str) -> bool:
    try:
        return bool(json.loads(text).get("success"))
    except ValueError:
        return False
