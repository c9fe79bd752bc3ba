"""How well questions are answered from noisy counts (dp-aggregate, epsilon 1), by codebook and by who adds the noise.

``dp_aggregate_{set}_accuracy``                   six nodes, each with its noise; cells that depend on no data at all
``dp_aggregate_{set}_accuracy_secure_sum``        their secure sum, in which two of them add noise
``dp_aggregate_{set}_accuracy_{codebook}``        both again with other cells: ``drawn`` and ``central`` prototypes of
                                                  the public third (in distribution: it flatters), ``uniform``
                                                  situations over the template's ranges (no data, but a codebook);
                                                  32 cells each, and 64 around ``central64``
``dp_aggregate_{set}_accuracy_histograms``         both again without cells: a count for each half of a field's range
                                                  and outcome, and naive Bayes (no data; packets do not hold it)
``dp_aggregate_{set}_accuracy_exact_{codebook}``  without any noise: what counting by cell costs
``secure_sum_cost_bytes``                         what one of six nodes sends for one sum
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bench._figures import Figure, is_quick, write_figures
from bench._privacy_histograms import accuracies
from bench._privacy_sets import NODES, SETS, Thirds, fingerprints, over_seeds, thirds
from bench._privacy_sum import summed
from fingerpost.fingerprint import cell_of
from fingerpost.fingerprint.codebook import make_central_codebook, make_codebook
from fingerpost.node.noise import OpenDpNoise
from fingerpost.packet import Profile, Signer, sign_bodies
from fingerpost.privacy.counts import count_records, counts_bodies, grid_of, noisy_counts
from fingerpost.synthesis import Query
from fingerpost.synthesis.by_profile import read_evidence, synthesizer_of
from fingerpost.system import SystemEntropy
from fingerpost.template import SCALE

TARGET = "privacy"
SEEDS = range(2 if is_quick() else 10)
CELL_BITS = 5
UNIFORM_RECORDS = 4_000
DAY = 20_000
CODEBOOKS = {"": CELL_BITS, "uniform": CELL_BITS, "drawn": CELL_BITS, "central": CELL_BITS, "central64": 6}


def main() -> None:
    """Measure every set, codebook and way to add noise."""
    figures: list[Figure] = []
    sent = 0
    for name in SETS:
        found: dict[str, list[float]] = {}
        for seed in SEEDS:
            for kind, bits in CODEBOOKS.items():
                split = with_codebook(thirds(name, seed, Profile.DP_AGGREGATE, cell_bits=bits), kind, seed)
                values, sent = measured(split)
                for way, value in values.items():
                    found.setdefault("_".join(part for part in ("accuracy", way, kind) if part), []).append(value)
            for way, value in accuracies(thirds(name, seed, Profile.DP_AGGREGATE), seed).items():
                key = "_".join(part for part in ("accuracy", way, "histograms") if part)
                found.setdefault(key, []).append(value)
        for key, shares in found.items():
            figures.append(over_seeds(f"dp_aggregate_{name}_{key}", shares, "fraction", nodes=NODES, epsilon=1))
    figures.append(Figure(name="secure_sum_cost_bytes", value=sent, unit="bytes", detail={"nodes": NODES}))
    write_figures(TARGET, figures, seeds=list(SEEDS))


def with_codebook(split: Thirds, kind: str, seed: int) -> Thirds:
    """Return the same with other cells; without a ``kind`` they are the first bits of a fingerprint."""
    if not kind:
        return split
    template = split.template
    source = split.public[0]
    if kind == "uniform":
        chance = np.random.default_rng(seed)
        source = chance.integers(-SCALE, SCALE + 1, (UNIFORM_RECORDS, template.encoded_width)).astype(np.int16)
    make = make_central_codebook if kind.startswith("central") else make_codebook
    codebook = make(fingerprints(template, source), template, bits=template.cell_bits)
    return replace(split, template=replace(template, codebook=codebook))


def measured(split: Thirds) -> tuple[dict[str, float], int]:
    """Return the accuracy with noise of each node, of their sum, and without noise; and what a sum costs."""
    template, noise = split.template, OpenDpNoise()
    cells = cell_of(fingerprints(template, split.members[0]), template)
    tables = [
        count_records(
            grid_of(template),
            cells=cells[split.nodes == node],
            actions=np.zeros(int((split.nodes == node).sum()), np.int64),
            levels=split.members[1][split.nodes == node],
        )
        for node in range(NODES)
    ]
    total, sent = summed(tables, noise, epsilon=1.0)
    return {
        "": accuracy(split, [noisy_counts(table, noise) for table in tables]),
        "secure_sum": accuracy(split, [total], noises=2),
        "exact": accuracy(split, [np.sum(tables, axis=0)]),
    }, sent


def accuracy(split: Thirds, tables: list[np.ndarray], *, noises: int = 1) -> float:
    """Return how often an answer's likeliest outcome is right, from the signed packets of these tables."""
    template, packets = split.template, []
    for node, table in enumerate(tables):
        signer = Signer(bytes([node + 1]) * 32)
        bodies = counts_bodies(
            template, table, emitter=signer.public_key, day=DAY, entropy=SystemEntropy(), noises=noises
        )
        packets.append(sign_bodies(bodies, signer))
    synthesizer = synthesizer_of(read_evidence(np.concatenate(packets), template), template, day=DAY)
    answers = synthesizer.ask_many(
        [Query(fingerprint=row.tobytes()) for row in fingerprints(template, split.others[0])]
    )
    first = [int(np.argmax([level.probability for level in answer.levels])) for answer in answers]
    return float(np.mean(np.array(first) == split.others[1]))


if __name__ == "__main__":
    main()
