"""What it costs to count a situation once that a node tells again, where situations have few fields.

Heart patients as fingerprints of two, four or all columns of their records; nobody lies, 20 nodes.

``repeats_share_COLUMNS``          packets that tell again what their node has told
``hired_repeats_once_COLUMNS``     nodes hired as shipped: a repeated situation counts once
``hired_repeats_all_COLUMNS``      nodes hired if every packet counted
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from bench._figures import Figure, is_quick, write_figures
from bench._robustness import NODES, deal, keys
from bench._robustness_parts import mean_figure
from fingerpost.elections.hire import Elector
from fingerpost.ids import node_id
from fingerpost.lab import data
from fingerpost.synthesis.evidence import Evidence

TARGET = "robustness"
SEEDS = range(100, 102) if is_quick() else range(100, 110)
COLUMNS = (2, 4, None)
BITS = 512


class CountsAll(Elector):
    """The election without the rule."""

    def _note_repeats(self, *_: Any) -> None:
        """Take everything for new."""


def main() -> None:
    """Elect with and without the rule."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="not needed here: the other measurements of this target read it")
    parser.parse_args()
    found: dict[str, list[float]] = {}
    for columns in COLUMNS:
        for seed in SEEDS:
            for name, value in elected(columns, seed).items():
                found.setdefault(f"{name}_{columns or 'all'}", []).append(value)
    figures: list[Figure] = [mean_figure(name, values) for name, values in found.items()]
    write_figures(TARGET, figures, seeds=SEEDS)


def elected(columns: int | None, seed: int) -> dict[str, float]:
    """Return how many nodes are hired with the rule and without it, and what share of packets it touches."""
    heart, chance = data.load("heart"), np.random.default_rng(seed)
    records = heart.encoded().astype(np.float64)
    if columns is not None:
        widest = np.argsort(-records.std(axis=0), kind="stable")[:columns]
        records = records[:, widest]
    scale = 0.5 * np.abs(records).mean() * np.sqrt(records.shape[1])
    planes, offsets = chance.standard_normal((records.shape[1], BITS)), scale * chance.standard_normal(BITS)
    node = deal(heart.outcomes, NODES["heart"], dirichlet=None, chance=chance)
    evidence = Evidence.from_arrays(
        fingerprints=np.packbits(records @ planes + offsets > 0, axis=1),
        codes=heart.outcomes,
        counts=np.zeros((0, heart.levels), np.int64),
        emitters=keys(NODES["heart"])[node],
        packet_ids=chance.integers(0, 256, (len(node), 32), dtype=np.uint8),
    )
    asker = node_id(keys(1)[0].tobytes())
    shipped, without = Elector(asker=asker), CountsAll(asker=asker)
    once, every = shipped.read(evidence).count("hired"), without.read(evidence).count("hired")
    return {
        "repeats_share": len(shipped._repeats) / len(node),
        "hired_repeats_once": once,
        "hired_repeats_all": every,
    }


if __name__ == "__main__":
    main()
