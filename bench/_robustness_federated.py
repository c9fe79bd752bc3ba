"""Federated arms in the same networks, under liars of the same power: they train on what they claim.

Each arm also runs without the liars: its own oracle. Features are the records as the template encodes them, or the bits
of the very fingerprints that packets carry (``bits``), so that capacity is not mistaken for robustness. Rules that want
the number of liars get the true one; FLTrust's root are the asker's own rows, the same anchors as in elections.

One configuration for all sets and arms, chosen by FedAvg without liars on seeds 0 and 1.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from bench._robustness import World, prints
from fingerpost.lab import data
from fingerpost.lab.federated.arms import federated_forecast
from fingerpost.lab.federated.clients import Plan, Shard
from fingerpost.lab.federated.network import Network, Training

ARMS = ("fedavg", "krum", "multi-krum", "median", "trimmed-mean", "fltrust")
DEFENCES = ARMS[1:]
FEATURES = ("encoded", "bits")
UNIT = 4096.0  # what one is in an encoded record
BITS_LENGTH = 4.0  # of a fingerprint of 1,024 bits as a row, about that of an encoded one
ROUNDS = 30
TRAINING = Training(rate=1.0, epochs=5, batch=32)


@cache
def table(name: str, features: str) -> np.ndarray:
    """Return all rows of a set (n, columns) in one form."""
    if features == "encoded":
        encoded: np.ndarray = data.load(name).encoded() / UNIT
        return encoded
    bits = np.unpackbits(prints(name), axis=1)
    signs: np.ndarray = (2.0 * bits - 1) * (BITS_LENGTH / np.sqrt(bits.shape[1]))
    return signs


def accuracies(world: World, claims: np.ndarray, liars: np.ndarray, *, features: str, honest: bool) -> dict[str, float]:
    """Return the accuracy of each arm on the rows held out: with everybody, or with the honest only."""
    rows, asked = table(world.name, features)[world.train], table(world.name, features)[world.test]
    nodes = [node for node in range(int(world.node.max()) + 1) if not honest or node not in liars]
    shards = [Shard(rows=rows[world.node == node], codes=claims[world.node == node]) for node in nodes]
    own = world.node == world.me
    plan = Plan(
        network=Network(inputs=rows.shape[1], hidden=0, levels=world.levels),
        training=TRAINING,
        rounds=ROUNDS,
        seed=world.seed,
        liars=0 if honest else len(liars),
    )
    happened = data.load(world.name).outcomes[world.test]
    found = {}
    for arm in ARMS:
        forecast = federated_forecast(arm, shards, asked, plan, root=Shard(rows=rows[own], codes=claims[own]))
        found[arm.replace("-", "_")] = float((forecast.probabilities.argmax(axis=1) == happened).mean())
    return found
