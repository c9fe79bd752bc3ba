"""What each federated arm reaches once it is tuned by a small grid of its own, on splits of three data sets.

Ten clients, even and skewed (Dirichlet 0.1); each arm's settings are chosen anew on every split by what its clients
hold back, never by what is asked. Prints ``arms_{set}_{arm}_{partition}_{accuracy,logloss,bytes}`` and, per run, what
was chosen. ``--sets``, ``--partitions`` and ``--arms`` measure some of them; those join what is in the results file.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter

import numpy as np

from bench._figures import Figure, is_quick, write_figures
from bench._lab_sets import ALPHAS, split_of
from fingerpost.lab.federated.arms import FEDERATED_ARMS, federated_forecast
from fingerpost.lab.federated.clients import Plan
from fingerpost.lab.federated.network import Network
from fingerpost.lab.federated.tuning import tuned
from fingerpost.lab.probabilities import accuracy, log_loss

TARGET = "lab"
SETS = ("digits", "heart", "breast_cancer")
HIDDEN = 32
ROUNDS, ROUNDS_QUICK = 20, 5


def main() -> None:
    """Measure and write the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", help="not used: these sets come with packages")
    parser.add_argument("--sets", nargs="+", default=list(SETS[1:2] if is_quick() else SETS), choices=SETS)
    parser.add_argument("--partitions", nargs="+", default=list(ALPHAS), choices=ALPHAS)
    parser.add_argument("--arms", nargs="+", default=list(FEDERATED_ARMS), choices=FEDERATED_ARMS)
    parser.add_argument("--seeds", type=int, default=1 if is_quick() else 2)
    options = parser.parse_args()
    seeds = list(range(options.seeds))
    for name in options.sets:
        for partition in options.partitions:
            for arm in options.arms:
                write_figures(TARGET, measure(name, arm, partition, seeds), seeds=seeds)


def measure(name: str, arm: str, partition: str, seeds: list[int]) -> list[Figure]:
    """Return the figures of one arm on one set under one partition."""
    right, losses, moved, chosen = [], [], [], Counter[str]()
    started = time.process_time()
    for seed in seeds:
        split = split_of(name, partition, seed=seed)
        network = Network(inputs=split.asked.shape[1], hidden=HIDDEN, levels=split.levels)
        plan = Plan(network=network, rounds=ROUNDS_QUICK if is_quick() else ROUNDS, seed=seed)
        best = tuned(arm, split.shards, plan, root=split.root).plan
        found = federated_forecast(arm, split.shards, split.asked, best, root=split.root)
        right.append(accuracy(found.probabilities.argmax(axis=1), split.codes))
        losses.append(log_loss(found.probabilities, split.codes))
        moved.append(found.bytes)
        chosen[f"rate {best.training.rate:g}, {best.rounds} rounds, {best.settings}"] += 1
    detail = {"seconds_cpu": round(time.process_time() - started, 1), "chosen": dict(chosen), "values": right}
    stem = f"arms_{name}_{arm.replace('-', '_')}_{partition}"
    return [
        Figure(name=f"{stem}_accuracy", value=float(np.mean(right)), unit="share", detail=detail),
        Figure(name=f"{stem}_logloss", value=float(np.mean(losses)), unit="nats"),
        Figure(name=f"{stem}_bytes", value=float(np.mean(moved)), unit="bytes"),
    ]


if __name__ == "__main__":
    main()
