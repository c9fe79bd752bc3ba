"""What ``bench.check`` counts: each job runs between two marks that callgrind sees, after one run that is not counted.

A mark is a call of ``getppid`` of the C library, which nothing else calls here.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from bench._packets import LAYOUT, signed_packets
from fingerpost.packet import (
    RootCache,
    check_structure,
    decode,
    packet_ids,
    packets_from_frame,
    payloads,
    verify_packets,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

PACKETS, SEED = 256, 2
MARK = "getppid"


def main() -> None:
    """Run every job, each between marks."""
    gc.disable()  # A collection would fall into one job or another.
    for job in jobs().values():
        job()
        os.getppid()
        job()
        os.getppid()


def jobs() -> dict[str, Callable[[], object]]:
    """Return what is counted, by name, in order."""
    batch = signed_packets(PACKETS, batch=PACKETS, seed=SEED)
    small = signed_packets(PACKETS, batch=16, seed=SEED)
    order = np.random.default_rng(SEED).permutation(PACKETS)
    frame = batch.tobytes()
    return {
        "decode_one_by_one_256": partial(decode_each, frame),
        "decode_frame_256": partial(read_frame, frame),
        "packet_ids_256": partial(packet_ids, batch),
        "verify_batch_of_256": partial(verified, batch),
        "verify_half_of_256": partial(verified, batch[order[: PACKETS // 2]]),
        "verify_batches_of_16": partial(verified, small),
    }


def decode_each(frame: bytes) -> None:
    """Turn each packet into a value."""
    for start in range(0, len(frame), 512):
        decode(frame[start : start + 512])


def read_frame(frame: bytes) -> None:
    """Check all packets as an array, and look at their payloads as columns."""
    packets = packets_from_frame(frame)
    if check_structure(packets).any() or payloads(packets, LAYOUT)["fingerprint"].shape != (PACKETS, 32):
        raise AssertionError("a valid packet was refused")


def verified(packets: NDArray[np.void]) -> None:
    """Verify, with nothing remembered from before."""
    if not verify_packets(packets, cache=RootCache()).all():
        raise AssertionError("a valid packet was refused")


if __name__ == "__main__":
    main()
