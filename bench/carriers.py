"""How much of what a bare library moves in frames of 1 MiB is left by the carrier that is built on it.

Prints ``carrier_efficiency_{zeromq,grpc,flight,nats}``: throughput of the carrier (identities proved, encrypted, with
back-pressure) ÷ that of its library. Sender and receiver are two processes; carrier and library move the same number of
frames in turn, and each figure is the median of the ratios of such pairs. The libraries:

========  =============================================================================================
zeromq    pyzmq, PUSH to PULL, encrypted by CURVE as the carrier is
grpc      grpc.aio, one stream of messages, TLS with the same kind of key as the carrier
flight    Arrow Flight, DoPut of record batches of 2,048 packets, TLS with the same kind of key
nats      nats-py over the same server, in the clear: the carrier seals its frames from end to end
========  =============================================================================================

``carrier_efficiency_{zeromq,grpc,flight}_clear`` compare the same carriers, which encrypt, with their libraries in the
clear, and ``carrier_efficiency_zeromq_unencrypted`` the carrier of that name. ``python -m bench.carriers grpc nats``
measures some of them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bench._carrier_ends import FRAME
from bench._figures import Figure, is_quick, median_figure, write_figures
from fingerpost.carrier.nats_servers import NatsServers

TARGET = "network"
CARRIERS = ("zeromq", "grpc", "flight", "nats")
END_SECONDS_MAX = 20.0
ROUND_SECONDS_MAX = 120.0
NATS_MESSAGES_A_FRAME = 2

LIBRARIES = {
    "encrypted/zeromq": "pyzmq PUSH to PULL with CURVE",
    "clear/zeromq": "pyzmq PUSH to PULL in the clear",
    "encrypted/grpc": "grpc.aio stream over TLS",
    "clear/grpc": "grpc.aio stream in the clear",
    "encrypted/flight": "Flight DoPut over TLS",
    "clear/flight": "Flight DoPut in the clear",
    "clear/nats": "nats-py in the clear, two messages of 512 KiB a frame, over the same nats-server",
}

# What each figure of a carrier divides: its name's suffix, the arm above and the arm below.
RATIOS: dict[str, list[tuple[str, str, str]]] = {
    "zeromq": [
        ("", "ours/zeromq", "encrypted/zeromq"),
        ("_clear", "ours/zeromq", "clear/zeromq"),
        ("_unencrypted", "ours/zeromq_unencrypted", "clear/zeromq"),
    ],
    "grpc": [("", "ours/grpc", "encrypted/grpc"), ("_clear", "ours/grpc", "clear/grpc")],
    "flight": [("", "ours/flight", "encrypted/flight"), ("_clear", "ours/flight", "clear/flight")],
    "nats": [("", "ours/nats", "clear/nats")],
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """How long it took to move some frames, and how much processor time of sender and receiver together."""

    seconds: float
    processor_seconds: float


class Arm:
    """Two processes between which frames move: a context manager that ends them."""

    ends = "bench._carrier_ends"

    def __init__(self, name: str, settings: Mapping[str, Any]) -> None:
        self.name = name
        self._settings = dict(settings)
        self._ends: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        """Start both ends."""
        try:
            with self._watched():
                where = self._start("receive", json.dumps(self._settings))
                self._start("send", where)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the sender, then the receiver."""
        for end in reversed(self._ends):
            with end:
                if end.stdin is not None:
                    end.stdin.close()
                try:
                    end.wait(END_SECONDS_MAX)
                except subprocess.TimeoutExpired:
                    end.kill()

    def move(self, frames: int) -> Moved:
        """Return how long it takes until the receiver has so many frames."""
        before, start = self._processor_seconds(), time.perf_counter()
        with self._watched():
            for end in self._ends:
                _say(end, str(frames))
            _hear(self._ends[0])
            elapsed = time.perf_counter() - start
            _hear(self._ends[1])
        return Moved(seconds=elapsed, processor_seconds=self._processor_seconds() - before)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Kill both ends when something takes too long; whoever waits for one of them then hears of its end."""
        watchdog = threading.Timer(ROUND_SECONDS_MAX, self._kill)
        watchdog.start()
        try:
            yield
        finally:
            watchdog.cancel()

    def _kill(self) -> None:
        for end in self._ends:
            end.kill()

    def _processor_seconds(self) -> float:
        """Return what all threads of both ends have used; proc(5), fields 14 and 15 of stat."""
        ticks = 0
        for end in self._ends:
            stat = Path(f"/proc/{end.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            ticks += int(stat[11]) + int(stat[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def _start(self, role: str, argument: str) -> str:
        kind, _, name = self.name.partition("/")
        arm = f"{'ours' if kind == 'ours' else 'bare'}/{name}"
        end = subprocess.Popen(
            [sys.executable, "-m", self.ends, role, arm, argument],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._ends.append(end)
        return _hear(end)


def main() -> None:
    """Measure and write the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("carriers", nargs="*", metavar="CARRIER", help=f"of {', '.join(CARRIERS)}; all by default")
    names = parser.parse_args().carriers or CARRIERS
    for name in names:
        if name not in CARRIERS:
            parser.error(f"{name} is none of {', '.join(CARRIERS)}")
    frames, rounds = (50, 3) if is_quick() else (200, 15)
    write_figures(TARGET, [figure for name in names for figure in efficiency(name, frames=frames, rounds=rounds)])


def efficiency(carrier: str, *, frames: int, rounds: int) -> list[Figure]:
    """Move so many frames in each of the rounds, by every arm in turn, and return the figures of one carrier."""
    with ExitStack() as stack:
        servers = stack.enter_context(NatsServers()).urls if carrier == "nats" else []
        names = dict.fromkeys(arm for _suffix, *pair in RATIOS[carrier] for arm in pair)
        arms = [stack.enter_context(_arm(name, servers)) for name in names]
        moved: dict[str, list[Moved]] = {name: [] for name in names}
        for turn in range(rounds + 1):  # The first is not counted: connections open, memory is had from the system.
            for arm in arms:
                measured = arm.move(frames)
                if turn:
                    moved[arm.name].append(measured)
    return [
        _figure(f"carrier_efficiency_{carrier}{suffix}", ours, theirs, moved, frames)
        for suffix, ours, theirs in RATIOS[carrier]
    ]


def _figure(name: str, ours: str, theirs: str, moved: Mapping[str, Sequence[Moved]], frames: int) -> Figure:
    detail = {
        "carrier": ours.replace("ours/", ""),
        "library": LIBRARIES[theirs],
        "frames_per_round": frames,
        "rounds": len(moved[ours]),
    }
    for who, arm in (("carrier", ours), ("library", theirs)):
        seconds = statistics.median(measured.seconds for measured in moved[arm])
        processor = statistics.median(measured.processor_seconds for measured in moved[arm])
        detail |= {
            f"{who}_megabytes_per_second": frames * len(FRAME) / 1e6 / seconds,
            f"{who}_processor_milliseconds_per_frame": 1e3 * processor / frames,
        }
    ratios = [bare.seconds / mine.seconds for mine, bare in zip(moved[ours], moved[theirs], strict=True)]
    return median_figure(name, ratios, unit="ratio", detail=detail)


def _arm(name: str, servers: Sequence[str]) -> AbstractContextManager[Arm]:
    kind, _, carrier = name.partition("/")
    if carrier == "nats":
        more = {} if kind == "ours" else {"messages_a_frame": NATS_MESSAGES_A_FRAME}
        return Arm(name, {"servers": list(servers)} | more)
    return Arm(name, {} if kind == "ours" else {"encrypts": kind == "encrypted"})


def _say(end: subprocess.Popen[str], line: str) -> None:
    if end.stdin is None:
        raise RuntimeError("an end without standard input")
    print(line, file=end.stdin, flush=True)


def _hear(end: subprocess.Popen[str]) -> str:
    line = end.stdout.readline() if end.stdout is not None else ""
    if not line:
        raise RuntimeError(f"an end of the measurement has ended: {end.args!r}")
    return line.strip()


if __name__ == "__main__":
    main()
