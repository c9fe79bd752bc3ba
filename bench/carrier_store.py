"""Frames of packets from one process into the durable store of another, against bare ZeroMQ that forgets them.

Prints ``carrier_store_vs_bare``: packets per second that a receiver on the ZeroMQ carrier (identities proved, CURVE)
verifies, makes durable and adds to its index ÷ those that pyzmq PUSH moves in the clear to a PULL that drops them.
``carrier_store_vs_bare_encrypted`` compares with pyzmq over CURVE, as the carrier is. The same frames, 1,792 packets in
whole batches of 256, each frame once; wall clock, all arms in turn. ``…_processor`` are the same ratios of processor
time, both ends and all rounds together: what is left of them when other programs take the cores away.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read by both ends, which inherit it

import statistics
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

from bench._carrier_store_ends import FRAME_PACKETS, SEED
from bench._figures import Figure, is_quick, median_figure, write_figures
from bench.carriers import Arm, Moved

TARGET = "bench"
ARMS = ("ours/zeromq", "clear/zeromq", "encrypted/zeromq")


class StoreArm(Arm):
    """Two processes; the receiver of ``ours`` keeps what arrives."""

    ends = "bench._carrier_store_ends"


def main() -> None:
    """Measure and write the figures."""
    frames, rounds = (40, 5) if is_quick() else (100, 9)
    moved: dict[str, list[Moved]] = {name: [] for name in ARMS}
    with ExitStack() as stack:
        settings = {"frames": frames * (rounds + 1)}
        arms = [
            stack.enter_context(StoreArm(name, settings | {"encrypts": name.startswith("encrypted")})) for name in ARMS
        ]
        for turn in range(rounds + 1):  # The first is not counted: connections open, memory is had from the system.
            for arm in arms:
                measured = arm.move(frames)
                if turn:
                    moved[arm.name].append(measured)
    figures = []
    for name, bare in (
        ("carrier_store_vs_bare", "clear/zeromq"),
        ("carrier_store_vs_bare_encrypted", "encrypted/zeromq"),
    ):
        figures += [
            figure(name, moved, bare, packets=frames * FRAME_PACKETS),
            processor_figure(f"{name}_processor", moved, bare, packets=frames * rounds * FRAME_PACKETS),
        ]
    write_figures(TARGET, figures, seeds=[SEED])


def figure(name: str, moved: Mapping[str, Sequence[Moved]], bare: str, *, packets: int) -> Figure:
    """Return throughput as a ratio, round by round."""
    ours = moved["ours/zeromq"]
    ratios = [theirs.seconds / mine.seconds for mine, theirs in zip(ours, moved[bare], strict=True)]
    detail = {"packets_per_round": packets, "rounds": len(ratios), "load": os.getloadavg()[0]}
    for who, found in (("ours", ours), ("theirs", moved[bare])):
        detail[f"{who}_packets_per_second"] = packets / statistics.median(each.seconds for each in found)
    return median_figure(name, ratios, unit="ratio", detail=detail)


def processor_figure(name: str, moved: Mapping[str, Sequence[Moved]], bare: str, *, packets: int) -> Figure:
    """Return packets per second of processor time as a ratio; a single round is too short for the system's clock."""
    ours, theirs = (sum(each.processor_seconds for each in moved[arm]) for arm in ("ours/zeromq", bare))
    detail = {
        "ours_microseconds_per_packet": 1e6 * ours / packets,
        "theirs_microseconds_per_packet": 1e6 * theirs / packets,
    }
    return Figure(name=name, value=theirs / ours, unit="ratio", detail=detail)


if __name__ == "__main__":
    main()
