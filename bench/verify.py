"""Checking signatures: whole batches, scattered ones and half of them, against a signature a packet.

Prints ``verify_{256,16}_vs_pynacl``: packets checked per second (structure, ids, tree, signature, nothing remembered
from before) with so many packets a signature, all of them there, ÷ signatures of 448-byte messages that the lowest
level of PyNaCl checks. ``…_scattered_…`` are packets in random order over the whole sample, ``…_half_…`` a random half
of each batch. All are timed by processor time, in turn, in one process.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # one core is what the figures say; read when numpy is loaded

import time
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from nacl import bindings

from bench._figures import is_quick, write_figures
from bench._packets import FRAME_PACKETS, plain_messages, signed_packets
from bench.ingest import ratio
from fingerpost.packet import RootCache, verify_packets

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

TARGET = "bench"
SEED = 1
PACKETS, MESSAGES = 16_384, 1_000
BATCHES = (256, 16)


def main() -> None:
    """Measure and write the figures."""
    rounds = 7 if is_quick() else 15
    generator = np.random.default_rng(SEED)
    messages, key = plain_messages(MESSAGES, seed=SEED)
    actions: dict[str, Callable[[], int]] = {"pynacl": partial(one_by_one, messages, key)}
    for batch in BATCHES:
        packets = signed_packets(PACKETS, batch=batch, seed=SEED)
        half = np.flatnonzero(generator.random(PACKETS) < 0.5)
        actions[f"verify_{batch}_vs_pynacl"] = partial(whole_frames, packets)
        actions[f"verify_{batch}_scattered_vs_pynacl"] = partial(whole_frames, packets[generator.permutation(PACKETS)])
        actions[f"verify_{batch}_half_vs_pynacl"] = partial(whole_frames, packets[half])
    rates = {name: [] for name in actions}  # type: dict[str, list[float]]
    for turn in range(rounds + 1):
        for name, action in actions.items():
            start = time.process_time()
            count = action()
            if turn:
                rates[name].append(count / (time.process_time() - start))
    theirs = rates.pop("pynacl")
    write_figures(TARGET, [ratio(name, ours, theirs) for name, ours in rates.items()], seeds=[SEED])


def one_by_one(messages: Sequence[bytes], key: bytes) -> int:
    """Check each message."""
    for message in messages:
        bindings.crypto_sign_open(message, key)
    return len(messages)


def whole_frames(packets: NDArray[np.void]) -> int:
    """Check packets frame by frame, with one cache of roots that starts empty."""
    roots = RootCache()
    for start in range(0, len(packets), FRAME_PACKETS):
        if not verify_packets(packets[start : start + FRAME_PACKETS], cache=roots).all():
            raise AssertionError("a valid packet was refused")
    return len(packets)


if __name__ == "__main__":
    main()
