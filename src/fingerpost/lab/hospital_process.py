"""Hospitals as real nodes: each a ``fingerpost node run`` in a process of its own, in a temporary folder of its own.

They find each other through OpenDHT on the loopback interface. No process outlives this one, however it ends.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fingerpost.carrier.nats_servers import NatsServers
from fingerpost.errors import DaemonError
from fingerpost.ids import NodeId, PublicKey
from fingerpost.lab.exchange import SeededEntropy
from fingerpost.lab.heart import HOSPITALS
from fingerpost.node.consortium import (
    create_consortium,
    join_consortium,
    offer_keys,
    read_offer,
    save_consortium,
)
from fingerpost.node.daemon.client import DaemonClient, RemoteNode
from fingerpost.node.daemon.presence import read_presence
from fingerpost.node.home import Home
from fingerpost.node.identity import create_identity
from fingerpost.packet import Profile
from fingerpost.ports import day_of
from fingerpost.processes import ProcessMark, family_of, start_bound
from fingerpost.system import SystemClock, SystemEntropy

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from fingerpost.node.reports import Emission
    from fingerpost.privacy.seal import KeyRing
    from fingerpost.synthesis import Answer
    from fingerpost.template import Template

NETWORK_ID = "hospitals"
START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 30.0
LOOK_SECONDS = 0.05
LOG_READ_BYTES_MAX = 65_536
# So many processes on one machine gain nothing from a thread a core each, and a thread that spins takes one away.
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """One hospital joined: its process, where it listens, and seconds from its start until it was ready.

    ``found`` are the seconds from its start until the directory had named each of the others to it.
    """

    hospital: str
    process: int
    endpoint: str
    ready_seconds: float
    found: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """All processes ended: how many there were, helpers of nodes and servers too, and how many still run."""

    started: int
    left: int
    seconds: float

    def and_then(self, later: Ended) -> Ended:
        """Return both together."""
        return Ended(
            started=self.started + later.started, left=self.left + later.left, seconds=self.seconds + later.seconds
        )


class HospitalProcess:
    """One hospital's node in a process of its own; it has what ``HospitalNode`` asks for while the process runs."""

    def __init__(self, name: str, folder: Path, *, template: Template, seed: int) -> None:
        self.name = name
        self.process = 0
        self.started_at = 0.0
        self.ready_seconds = 0.0
        self._folder = folder
        self.home = Home(folder / "home")
        self._template = template
        self._running: subprocess.Popen[bytes] | None = None
        self._client: DaemonClient | None = None
        self._received_before = 0  # by processes of this hospital that ended
        self._seen: set[ProcessMark] = set()
        folder.mkdir()
        day = day_of(SystemClock().now())
        self.identity = create_identity(self.home, entropy=SeededEntropy(seed, name), day=day)

    def configure(self, text: str) -> None:
        """Write the configuration of the node."""
        (self._folder / "node.toml").write_text(text, encoding="utf-8")

    def start(self) -> None:
        """Start the process, once what an earlier one started is gone; ``look`` says when it is ready."""
        _wait_for_end(self._seen, seconds=STOP_SECONDS_MAX)
        with (self._folder / "log").open("ab") as log:
            self.started_at = time.monotonic()
            self._running = start_bound(
                [sys.executable, "-P", "-m", "fingerpost", "node", "run", "--config", "node.toml"],
                output=log,
                folder=self._folder,
                environment=_environment(self._folder),
                end_signal=signal.SIGTERM,
            )
        self.process = self._running.pid
        self._remember_family()
        self._client = None

    def look(self) -> bool:
        """Say whether the process that was started is ready. Raises ``DaemonError`` (``hospital-ended``, ``-late``)."""
        if self._client is not None:
            return True
        if self._running is None or self._running.poll() is not None:
            error, hint = self._last_words()
            raise DaemonError("hospital-ended", f"the node of {self.name} did not start: {error}", hint=hint)
        if time.monotonic() - self.started_at > START_SECONDS_MAX:
            raise self.late("is not ready")
        presence = read_presence(self.home)
        if presence is None or presence.process != self.process:
            return False
        self._client = DaemonClient(presence)
        self.ready_seconds = time.monotonic() - self.started_at
        return True

    def late(self, what: str) -> DaemonError:
        """Return the error about something that took too long."""
        return DaemonError(
            "hospital-late",
            f"{self.name} {what} after {START_SECONDS_MAX:.0f} s",
            hint="is the machine very busy? --carrier memory runs all four nodes in one process",
        )

    def peers(self) -> list[dict[str, Any]]:
        """Return the other nodes that the directory names now."""
        found: list[dict[str, Any]] = self.client.get("/v1/peers")["peers"]
        return found

    def endpoint(self) -> str:
        """Return where other nodes reach this one."""
        return str(self.client.get("/v1/status")["endpoint"])

    def kill(self) -> None:
        """End the process as a crash would; what it started has to notice by itself."""
        self._received_before = self.bytes_received
        self._remember_family()
        self.kill_at_once()
        self._client = None

    def ask_to_end(self) -> None:
        """Send the signal that ends the node in order."""
        if self._running is not None and self._running.poll() is None:
            self._remember_family()
            self._running.send_signal(signal.SIGTERM)

    def end(self, *, seconds: float) -> None:
        """Wait for the end of the process, and kill it when it takes longer."""
        if self._running is None:
            return
        try:
            self._running.wait(seconds)
        except subprocess.TimeoutExpired:
            self._running.kill()
            self._running.wait()

    def kill_at_once(self) -> None:
        """End the process, if it runs, and wait for nothing else."""
        if self._running is not None and self._running.poll() is None:
            self._running.kill()
            self._running.wait()

    def seen(self) -> set[ProcessMark]:
        """Return every process that this hospital had."""
        return self._seen

    @property
    def client(self) -> DaemonClient:
        """What speaks to the process. Raises ``DaemonError`` (``hospital-ended``) while there is none."""
        if self._client is None:
            raise DaemonError("hospital-ended", f"the node of {self.name} does not run", hint="start it first")
        return self._client

    @property
    def node_id(self) -> NodeId:
        """The id under which others know the node."""
        return self.identity.node_id

    @property
    def bytes_received(self) -> int:
        """Bytes of all frames that arrived so far, at earlier processes of this hospital too."""
        now = 0 if self._client is None else int(self._client.get("/v1/status")["received_bytes"])
        return self._received_before + now

    def emit_table(self, columns: Mapping[str, Any], *, subject_column: str | None = None) -> Emission:
        """Tell the outcomes of a table."""
        return self._node().emit_table(columns, subject_column=subject_column)

    def ask(self, situation: Mapping[str, object]) -> Answer:
        """Return what happened elsewhere in situations like this one."""
        return self._node().ask(situation)

    def ask_table(self, columns: Mapping[str, Any]) -> list[Answer]:
        """Return an answer for each row of a table."""
        return self._node().ask_table(columns)

    def explain(self, node: bytes) -> dict[str, Any]:
        """Return why a node was hired or refused, as plain values."""
        return self._node().explain(node)

    def find_packets(self, ids: Sequence[str]) -> npt.NDArray[np.void]:
        """Return the packets with these ids (hex) that are there."""
        return self._node().find_packets(ids)

    def synchronise(self) -> int:
        """Fetch every packet that the network holds; return how many were new."""
        return self._node().synchronise()

    def close(self) -> None:
        """End the process in order."""
        self.ask_to_end()
        self.end(seconds=STOP_SECONDS_MAX)

    def _node(self) -> RemoteNode:
        return RemoteNode(self.client, self._template)

    def _remember_family(self) -> None:
        """Remember which processes run for this hospital now."""
        self._seen.update(family_of(self.process))

    def _last_words(self) -> tuple[str, str]:
        """Return the error and the hint that the process ended with, as far as its log has them."""
        with (self._folder / "log").open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(0, size - LOG_READ_BYTES_MAX))
            lines = log.read().decode(errors="replace").splitlines()
        said = {}
        for line in lines:
            for kind in ("error", "hint"):
                if line.startswith(f"fingerpost: {kind}: "):
                    said[kind] = line.split(": ", 2)[2]
        error = said.get("error") or (lines[-1] if lines else "it said nothing")
        hint = said.get("hint", "")
        return error, f"{hint}{'; ' if hint else ''}--carrier memory runs all four nodes in one process"


class HospitalProcesses:
    """The processes of all hospitals: a context manager that leaves none of them, nor their folders, behind."""

    def __init__(
        self, template: Template, *, carrier: str, seed: int, bootstrap: slice = slice(None)
    ) -> None:  # ``bootstrap``: those that the others are told of
        self.carrier = carrier
        self._bootstrap = bootstrap
        self.nodes: dict[str, HospitalProcess] = {}
        self._template = template
        self._seed = seed
        self._servers: list[ProcessMark] = []
        self._stack = ExitStack()
        self._ended: Ended | None = None
        self.keys: KeyRing | None = None

    def start(self) -> None:
        """Start the process of each hospital, and the server that the carrier needs; ``join`` waits for them.

        Raises ``UsageError`` (``nats-server-missing``, ``nats-server-start``) and ``OSError``.
        """
        folder = Path(tempfile.mkdtemp(prefix="fingerpost-demo-"))
        self._stack.callback(shutil.rmtree, folder, ignore_errors=True)
        carrier = f"name = {_quoted(self.carrier)}\n"
        if self.carrier == "nats":
            servers = self._stack.enter_context(NatsServers())
            self._servers = [mark for process in servers.processes for mark in family_of(process)]
            carrier += f"servers = {_quoted(servers.urls)}\n"
        (folder / "template.json").write_bytes(self._template.canonical)
        for number, hospital in enumerate(HOSPITALS):
            self.nodes[hospital] = HospitalProcess(
                hospital, folder / str(number), template=self._template, seed=self._seed
            )
        if self._template.profile is Profile.CONSORTIUM:
            self.keys = self._share_keys()
        ports = _free_ports(len(HOSPITALS))
        members = [
            f"{{ public_key = {_quoted(node.identity.public_key.hex())}, organisation = {_quoted(node.name)} }}"
            for node in self.nodes.values()
        ]
        for node, port in zip(self.nodes.values(), ports, strict=True):
            first = ports[self._bootstrap]
            bootstrap = [f"127.0.0.1:{other}" for other in (ports if port in first else first) if other != port]
            node.configure(
                f'home = "home"\ntemplate = "../template.json"\n\n[network]\nid = {_quoted(NETWORK_ID)}\n'
                f"members = [{', '.join(members)}]\n\n[carrier]\n{carrier}\n[directory]\n"
                f'name = "opendht"\nbind = "127.0.0.1"\nport = {port}\nbootstrap = {_quoted(bootstrap)}\n'
            )
        for node in self.nodes.values():
            node.start()

    def _share_keys(self) -> KeyRing:
        """Let the first hospital make the keys of a consortium and give them to the others, as its commands do."""
        keeper, *others = self.nodes.values()
        day = day_of(SystemClock().now())
        made = create_consortium(
            keeper.home,
            keeper.identity,
            template_id=self._template.template_id,
            ttl_days=self._template.ttl_days,
            entropy=SystemEntropy(),
            day=day,
        ).with_members(PublicKey(other.identity.public_key) for other in others)
        save_consortium(keeper.home, made)
        offer = offer_keys(made, keeper.identity, members=made.members)
        for other in others:
            join_consortium(other.home, read_offer(offer, other.identity), trusted=made.keeper, day=day)
        return made.ring

    def join(self, advance: Callable[[int], None]) -> tuple[Joined, ...]:
        """Wait until each hospital has found all others; ``advance`` is told of ``join_steps()`` steps.

        Raises ``DaemonError``: ``hospital-ended``, ``hospital-late``.
        """
        names = {node.identity.public_key.hex(): name for name, node in self.nodes.items()}
        found: dict[str, dict[str, float]] = {name: {} for name in self.nodes}
        ready: set[str] = set()
        while any(len(others) < len(self.nodes) - 1 for others in found.values()):
            for name, node in self.nodes.items():
                if node.look() and name not in ready:
                    ready.add(name)
                    advance(1)
                if name in ready and len(found[name]) < len(self.nodes) - 1:
                    here = {names[peer["public_key"]] for peer in node.peers() if peer["endpoint"]}
                    new = here - set(found[name]) - {name}
                    found[name] |= dict.fromkeys(sorted(new), time.monotonic() - node.started_at)
                    advance(len(new))
                    if not new and time.monotonic() - node.started_at > START_SECONDS_MAX:
                        raise node.late("has not found all others")
            time.sleep(LOOK_SECONDS)
        return tuple(
            Joined(
                hospital=name,
                process=node.process,
                endpoint=node.endpoint(),
                ready_seconds=node.ready_seconds,
                found=found[name],
            )
            for name, node in self.nodes.items()
        )

    @staticmethod
    def join_steps() -> int:
        """Return how many steps ``join`` takes."""
        return len(HOSPITALS) ** 2

    def start_again(self, name: str, *, holds: Sequence[str]) -> tuple[float, float]:
        """Start a hospital's process on its disk; return the seconds until it is ready, and until it ``holds`` all ids.

        Raises as ``join`` does.
        """
        node = self.nodes[name]
        node.start()
        while not node.look():
            time.sleep(LOOK_SECONDS)
        while len(node.find_packets(holds)) < len(set(holds)):
            if time.monotonic() - node.started_at > START_SECONDS_MAX:
                raise node.late("does not hold every packet")
            time.sleep(LOOK_SECONDS)
        return node.ready_seconds, time.monotonic() - node.started_at

    def close(self) -> Ended:
        """End every process in order, remove the folders, and say whether a process is left; twice is harmless."""
        if self._ended is not None:
            return self._ended
        begun = time.monotonic()
        try:
            for node in self.nodes.values():
                node.ask_to_end()
            for node in self.nodes.values():
                node.end(seconds=max(0.0, begun + STOP_SECONDS_MAX - time.monotonic()))
        finally:
            for node in self.nodes.values():
                node.kill_at_once()
            self._stack.close()
        seen = {*self._servers}.union(*(node.seen() for node in self.nodes.values()))
        left = _wait_for_end(seen, seconds=STOP_SECONDS_MAX)
        self._ended = Ended(started=len(seen), left=left, seconds=time.monotonic() - begun)
        return self._ended


def _wait_for_end(marks: Iterable[ProcessMark], *, seconds: float) -> int:
    """Wait until these processes have ended; return how many have not in time."""
    deadline = time.monotonic() + seconds
    running = [mark for mark in marks if mark.is_running]
    while running and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
        running = [mark for mark in running if mark.is_running]
    return len(running)


def _environment(folder: Path) -> dict[str, str]:
    """Return the environment of a hospital's process: it has nothing to do with the user's own node."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("FINGERPOST_")}
    above = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, [above, own.get("PYTHONPATH", "")]))
    return _ENVIRONMENT | own | {"PYTHONPATH": path, "FINGERPOST_HOME": str(folder / "home"), "NO_COLOR": "1"}


def _free_ports(count: int) -> list[int]:
    """Return as many UDP ports of the loopback interface that nobody uses now."""
    with ExitStack() as stack:
        ports = []
        for _ in range(count):
            probe = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            probe.bind(("127.0.0.1", 0))
            ports.append(int(probe.getsockname()[1]))
    return ports


def _quoted(value: object) -> str:
    """Return a text, or a list of them, as TOML: what JSON writes is that, too."""
    return json.dumps(value)
