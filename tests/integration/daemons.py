"""Real nodes in processes of their own, and the command line that speaks to them; for tests of ``fingerpost node``."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fingerpost.cli._main import run
from fingerpost.node.home import Home
from fingerpost.node.identity import create_identity
from fingerpost.processes import start_tick
from fingerpost.system import SystemEntropy

SECONDS_MAX = 60
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2] / "src")}
TEMPLATE = """
format = 1
name = "pumps"
data_class = "non_personal"

[situation.pressure]
kind = "number"
range = [0, 10]

[situation.model]
kind = "category"
levels = ["A", "B"]

[action]
name = "done"
levels = ["grease", "replace"]

[outcome]
name = "result"
kind = "category"
levels = ["failed", "fine"]
"""
ROWS = ["pressure,model,done,result"] + [
    f"{n / 5:.1f},{'AB'[n > 24]},{('grease', 'replace')[n % 2]},{('fine', 'failed')[n > 24]}" for n in range(50)
]


def free_port() -> int:
    """Return a UDP port that nobody uses."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Result:
    """What one command left behind."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document on standard output."""
        found: dict[str, Any] = json.loads(self.out)
        return found


@dataclass
class Place:
    """One node's folder: home, template, table and configuration; its daemon when it runs."""

    folder: Path
    public_key: str
    members: list[str]
    bootstrap: list[str]
    more: str = ""
    dht_port: int = field(default_factory=free_port)
    process: subprocess.Popen[str] | None = None
    ready: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def make(
        cls, folder: Path, *, bootstrap: list[str] | None = None, more: str = "", template: str = TEMPLATE
    ) -> Place:
        """Make a folder with everything but a configuration, which needs the keys of all members."""
        folder.mkdir(parents=True)
        identity = create_identity(Home(folder / "home"), entropy=SystemEntropy(), day=20_000)
        (folder / "pumps.toml").write_text(template)
        (folder / "pumps.csv").write_text("\n".join(ROWS) + "\n")
        key = identity.public_key.hex()
        return cls(folder=folder, public_key=key, members=[key], bootstrap=bootstrap or [], more=more)

    @property
    def home(self) -> Home:
        """The home of the node."""
        return Home(self.folder / "home")

    def start(self, *, extra: dict[str, str] | None = None) -> dict[str, Any]:
        """Start the daemon and wait until it says that it is ready; return what it says."""
        process = self.launch(extra=extra)
        assert process.stdout is not None
        text = ""
        while not text.rstrip().endswith("}"):
            line = process.stdout.readline()
            assert line, (self.folder / "log").read_text()
            text += line
        self.ready = json.loads(text)
        return self.ready

    def launch(self, *, extra: dict[str, str] | None = None) -> subprocess.Popen[str]:
        """Start the daemon, with its log in the folder."""
        (self.folder / "node.toml").write_text(self.config())
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "fingerpost", "node", "run", "--config", "node.toml", "--json"],
                cwd=self.folder,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=ENVIRONMENT | (extra or {}),
            )
        return self.process

    def config(self) -> str:
        """Return the configuration."""
        directory = f'name = "opendht"\nport = {self.dht_port}\nbootstrap = {json.dumps(self.bootstrap)}'
        return (
            f'home = "home"\ntemplate = "pumps.toml"\n[network]\nid = "test"\nmembers = {json.dumps(self.members)}\n'
            f"[directory]\n{directory}\n{self.more}"
        )

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal to the daemon and return how it ended."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Return how the daemon ended."""
        assert self.process is not None
        status = self.process.wait(SECONDS_MAX)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return status

    def call(self, *arguments: str) -> Result:
        """Run one command in this home, inside this process as the program would in its own."""
        out, err = io.StringIO(), io.StringIO()
        with (
            pytest.MonkeyPatch.context() as patch,
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            patch.chdir(self.folder)
            patch.setenv("FINGERPOST_HOME", str(self.home.root))
            status = run(list(arguments))
        return Result(status, out.getvalue(), err.getvalue())

    def spawn(self, *arguments: str) -> Result:
        """Run one command in this home as a process of its own, so that several can run at the same time."""
        done = subprocess.run(
            [sys.executable, "-m", "fingerpost", *arguments],
            cwd=self.folder,
            env=ENVIRONMENT | {"FINGERPOST_HOME": str(self.home.root)},
            capture_output=True,
            text=True,
            timeout=4 * SECONDS_MAX,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def log(self) -> list[dict[str, Any]]:
        """Return the lines that the daemon logged so far."""
        return [json.loads(line) for line in (self.folder / "log").read_text().splitlines()]


def children_of(process: int) -> list[int]:
    """Return the processes that a process has started and that still run."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, IndexError, ValueError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == process:
                found.append(int(stat.parent.name))
    return found


def is_running(process: int) -> bool:
    """Say whether a process runs, one that waits for its parent's notice apart."""
    return start_tick(process) is not None
