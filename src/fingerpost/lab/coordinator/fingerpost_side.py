"""Outcome routing with each of its nodes killed in turn: four hospitals in four processes, one of which has each role.

The first made the consortium's keys and gave them out, the last is the only one that the others were told to join by
(it was told of all others), the two between only hold packets. Every node had fetched what the others emitted.
"""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fingerpost.errors import DaemonError, FingerpostError
from fingerpost.lab.coordinator.processes import LOOK_SECONDS
from fingerpost.lab.crash import count_copies, largest_difference
from fingerpost.lab.heart import HOSPITALS, OUTCOME_COLUMN, columns_of, load_heart_template, load_patients
from fingerpost.lab.hospital_process import HospitalProcesses
from fingerpost.packet import Profile

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from fingerpost.lab.hospital_process import Ended, HospitalProcess
    from fingerpost.synthesis import Answer
    from fingerpost.template import Template

KEEPER, BOOTSTRAP = HOSPITALS[0], HOSPITALS[-1]
ROWS_AT_A_TIME = 5
ACKNOWLEDGE_SECONDS_MAX = 60.0
ROLES = {KEEPER: "key distributor", BOOTSTRAP: "bootstrap node"}
TRUSTED = {
    "holder": "Nobody: packets are signed by their emitters, and other holders have them.",
    "key distributor": "It knows the keys of the consortium, as every member does: a dishonest one can let strangers "
    "read. It cannot write in another's name.",
    "bootstrap node": "It names nodes to whoever starts; a dishonest one can name others, whose packets nobody that "
    "lists its members takes.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCrash:
    """One node was killed and came back on its disk.

    ``answer_seconds`` is how long the slowest of the others took to answer straight after the kill; ``same_evidence``
    whether all of them rest on the same packets as before, ``difference`` the largest of a probability. Of
    ``acknowledged`` packets ``lost`` are at no other node, and the least spread one at ``fewest_copies``.
    ``emit_seconds`` is how long another needed to emit ``emitted`` packets while it was away, until they were safe, and
    ``found`` how many of those the remaining ones then had. ``handled_seconds`` is the time to replace its role, where
    it has one and that was tried. ``restart_seconds`` and ``catch_up_seconds`` count from the start of its new process.
    """

    role: str
    hospital: str
    answer_seconds: float
    same_evidence: bool
    difference: float
    acknowledged: int
    lost: int
    fewest_copies: int
    emitted: int
    emit_seconds: float
    found: int
    handled: str
    handled_seconds: float | None
    restart_seconds: float
    catch_up_seconds: float
    trusted: str


class Hospitals:
    """The running network, and what it has acknowledged so far."""

    def __init__(self, template: Template, processes: HospitalProcesses, folder: Path) -> None:
        self.template = template
        self.nodes = processes.nodes
        self.processes = processes
        self.folder = folder
        self.ids: list[str] = []
        patients = load_patients()
        self._waiting = {name: [one for one in patients if one.hospital == name] for name in HOSPITALS}
        self.situation: Mapping[str, object] = self._waiting[HOSPITALS[1]].pop().situation

    def emit(self, name: str, rows: int, *, keep: int = 0) -> tuple[list[str], float]:
        """Let a hospital tell of its next patients, all but ``keep`` at most; return ids, and seconds until safe."""
        waiting = self._waiting[name]
        rows = min(rows, len(waiting) - keep)
        told, self._waiting[name] = waiting[:rows], waiting[rows:]
        columns = columns_of(told) | {OUTCOME_COLUMN: [patient.outcome for patient in told]}
        begun = time.monotonic()
        emission = self.nodes[name].emit_table(columns)
        ids = list(emission.packet_ids)
        if not emission.acknowledged:
            self._wait_for_copies(name, ids, begun)
        self.ids += ids
        return ids, time.monotonic() - begun

    def synchronise(self, *, without: str = "") -> None:
        """Let every node fetch what it lacks."""
        for name, node in self.nodes.items():
            if name != without:
                node.synchronise()

    def ask_all(self, *, without: str = "") -> dict[str, tuple[Answer, float]]:
        """Let every node ask the same; return answers and seconds."""
        found = {}
        for name, node in self.nodes.items():
            if name != without:
                begun = time.monotonic()
                answer = node.ask(self.situation)
                found[name] = answer, time.monotonic() - begun
        return found

    def _wait_for_copies(self, name: str, ids: list[str], begun: float) -> None:
        """Wait until two nodes beside ``name`` have these packets: it goes on handing them over by itself."""
        others = [node for other, node in self.nodes.items() if other != name and _runs(node)]
        while sum(len(node.find_packets(ids)) == len(ids) for node in others) < 2:
            if time.monotonic() - begun > ACKNOWLEDGE_SECONDS_MAX:
                raise DaemonError("hospital-late", f"packets of {name} did not reach two other nodes")
            time.sleep(LOOK_SECONDS)


def crash_nodes(folder: Path, *, seed: int = 0) -> tuple[tuple[NodeCrash, ...], Ended]:
    """Kill each of four hospitals in turn; return what came of it, and whether a process was left."""
    template = load_heart_template(Profile.CONSORTIUM)
    processes = HospitalProcesses(template, carrier="zeromq", seed=seed, bootstrap=slice(-1, None))
    try:
        processes.start()
        processes.join(lambda _steps: None)
        hospitals = Hospitals(template, processes, folder)
        for name in HOSPITALS:
            hospitals.emit(name, 1_000, keep=4 * ROWS_AT_A_TIME)
        crashes = tuple(_crash(hospitals, name) for name in HOSPITALS)
    finally:
        ended = processes.close()
    return crashes, ended


def _crash(hospitals: Hospitals, name: str) -> NodeCrash:
    hospitals.synchronise()
    before = {other: answer for other, (answer, _) in hospitals.ask_all(without=name).items()}
    hospitals.nodes[name].kill()
    after = hospitals.ask_all(without=name)
    alive: dict[str, Any] = {other: node for other, node in hospitals.nodes.items() if other != name}
    copies = count_copies(alive, hospitals.ids)
    acknowledged = len(hospitals.ids)
    emitter, *listeners = alive
    ids, emit_seconds = hospitals.emit(emitter, ROWS_AT_A_TIME)
    hospitals.synchronise(without=name)
    found = min(len(alive[one].find_packets(ids)) for one in listeners)
    handled, handled_seconds = _handle(hospitals, name, list(alive))
    ready, caught_up = hospitals.processes.start_again(name, holds=hospitals.ids)
    lost = acknowledged - sum(copies.values())
    role = ROLES.get(name, "holder")
    return NodeCrash(
        role=role,
        hospital=name,
        answer_seconds=max(seconds for _, seconds in after.values()),
        same_evidence=all(answer.evidence_digest == before[one].evidence_digest for one, (answer, _) in after.items()),
        difference=max(largest_difference(answer, before[one]) for one, (answer, _) in after.items()),
        acknowledged=acknowledged,
        lost=lost,
        fewest_copies=0 if lost else min(copies, default=0),
        emitted=len(ids),
        emit_seconds=emit_seconds,
        found=found,
        handled=handled,
        handled_seconds=handled_seconds,
        restart_seconds=ready,
        catch_up_seconds=caught_up,
        trusted=TRUSTED[role],
    )


def _handle(hospitals: Hospitals, name: str, alive: list[str]) -> tuple[str, float | None]:
    """Do without a role while its node is away; return what was done, and the seconds it took."""
    if name == KEEPER:
        return _take_over(hospitals, alive)
    if name == BOOTSTRAP:
        return _rejoin(hospitals, alive)
    return "nothing to do", None


def _take_over(hospitals: Hospitals, alive: list[str]) -> tuple[str, float]:
    """Let a member make and give out new keys, as its operator would; the absent keeper gets them for its return."""
    successor, *others = (hospitals.nodes[name] for name in alive)
    begun = time.monotonic()
    file = hospitals.folder / "members.keys"
    template = ["--template", str(hospitals.folder / "template.json")]
    (hospitals.folder / "template.json").write_bytes(hospitals.template.canonical)
    _command(successor, "rotate", "--take-over", "--output", str(file), *template)
    public_key = successor.identity.public_key.hex()
    for node in others:
        _command(node, "join", str(file), "--from", public_key, *template)
    ids, _ = hospitals.emit(alive[0], ROWS_AT_A_TIME)
    hospitals.synchronise(without=KEEPER)
    wanted = len(ids)
    if any(len(node.find_packets(ids)) < wanted for node in others):
        raise DaemonError("hospital-late", "what was emitted under the new key did not arrive")
    seconds = time.monotonic() - begun
    _command(hospitals.nodes[KEEPER], "join", str(file), "--from", public_key, *template)
    return f"{alive[0]} made new keys, all others took them, and packets under them arrived", seconds


def _rejoin(hospitals: Hospitals, alive: list[str]) -> tuple[str, float]:
    """Restart another node while the only one it was told to join by is away; wait until its packets are safe."""
    name = alive[1]
    node = hospitals.nodes[name]
    node.kill()
    begun = time.monotonic()
    node.start()
    while not node.look():
        time.sleep(LOOK_SECONDS)
    hospitals.emit(name, ROWS_AT_A_TIME)
    return f"{name} restarted without it, and its packets reached two others", time.monotonic() - begun


def _command(node: HospitalProcess, *words: str) -> None:
    """Run a command of ``fingerpost consortium`` in the home of a node. Raises ``DaemonError`` with what it said."""
    said = subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-P", "-m", "fingerpost", "consortium", *words, "--home", str(node.home.root)],
        capture_output=True,
        text=True,
        check=False,
        timeout=ACKNOWLEDGE_SECONDS_MAX,
    )
    if said.returncode:
        raise DaemonError("lab-command", f"fingerpost consortium {words[0]}: {said.stderr.strip()[-300:]}")


def _runs(node: HospitalProcess) -> bool:
    try:
        node.find_packets([])
    except FingerpostError:
        return False
    return True
