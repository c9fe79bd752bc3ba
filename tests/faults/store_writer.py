"""A process that writes to a store until somebody kills it. What it writes follows from a seed and a number alone.

``python -m tests.faults.store_writer DIRECTORY SEED FIRST [early]`` prints ``open`` and then the number of each
operation once it is done; with ``early`` it lies, and prints the number before.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from fingerpost.packet import packet_ids
from fingerpost.store._lmdb import LmdbStore
from fingerpost.store.base import PacketStore
from fingerpost.testing.packet_samples import observation, signed, signer, withdrawal

DAY = 20_000


def perform(store: PacketStore, seed: int, number: int) -> None:
    """Carry out operation ``number``, one call of the store: the same for the same seed."""
    choice = np.random.default_rng([seed, number]).integers(100)
    day = DAY + number // 10
    if choice < 60:
        store.add(packets_of(seed, number), day=day)
    elif choice < 75:
        store.add(withdrawals_of(seed, number), day=day)
    elif choice < 82:
        store.expire(day)
    elif choice < 88:
        store.compact(day)
    else:
        store.put_records("table", {b"one": b"%d" % number, b"two": b"%d" % number, b"%d" % (number % 5): b"x" * 5_000})


def packets_of(seed: int, number: int) -> np.ndarray:
    """Return the packets that operation ``number`` adds, if it adds any."""
    rng = np.random.default_rng([seed, number, 1])
    emitter = signer(int(rng.integers(3)))
    count = int(rng.choice([1, 3, 40, 256, 300]))
    ttl_days = int(rng.integers(1, 20))
    return signed(
        [observation(emitter, 1_000 * number + n, epoch=DAY + number // 10, ttl_days=ttl_days) for n in range(count)],
        emitter,
    )


def withdrawals_of(seed: int, number: int) -> np.ndarray:
    """Return withdrawals of some of what an earlier operation added, by its emitter."""
    rng = np.random.default_rng([seed, number, 2])
    earlier = int(rng.integers(max(number - 8, 0), number + 1))
    packets = packets_of(seed, earlier)
    chosen = rng.permutation(len(packets))[: 1 + len(packets) // 8]
    emitter = next(each for each in map(signer, range(3)) if each.public_key == packets["emitter"][0].tobytes())
    return signed([withdrawal(emitter, row.tobytes(), epoch=DAY) for row in packet_ids(packets)[chosen]], emitter)


def say(word: str) -> None:
    """Tell whoever reads, at once."""
    sys.stdout.write(word + "\n")
    sys.stdout.flush()


def main() -> None:
    """Write until killed."""
    directory, seed, first, *early = sys.argv[1:]
    store = LmdbStore(Path(directory))
    say("open")
    number = int(first)
    while True:
        if early:
            say(str(number))
        perform(store, int(seed), number)
        if not early:
            say(str(number))
        number += 1


if __name__ == "__main__":
    main()
