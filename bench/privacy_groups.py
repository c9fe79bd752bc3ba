"""What groups (k-anonymous) tell: how well questions are answered from them, and whom an attacker finds in them.

``k_anonymous_{set}_accuracy``      share of records that nobody emitted whose outcome is the answer's first
``k_anonymous_{set}_member_naming`` an attacker knows the situation and outcome of everybody, and names the likeliest
                                    member for each packet: how often it is the member that he is asked for (<= 1/10)
``k_anonymous_{set}_member_mia_auc``
                                    the same attacker says who is in any packet at all, by the nearest packet that tells
                                    of the record's outcome, less how near public records are (half is guessing)
``k_anonymous_{set}_unanimous``     share of groups of a single outcome: whoever is known to be in one has that outcome
``k_anonymous_{set}_accuracy_exact`` accuracy without merging small cells: what merging costs
``control_member_naming_{set}``     the naming attack on a fingerprint of each record (open): it has to succeed
``control_member_mia_{set}``        likewise

Names without ``member`` are those of ``bench.privacy_attacks``, by its attackers.
"""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import numpy as np

from bench._figures import Figure, is_quick, write_figures
from bench._privacy_sets import NODES, SETS, Thirds, auc, fingerprints, observations, over_seeds, thirds
from fingerpost.fingerprint import Fingerprinter, hamming
from fingerpost.node.forms import formed
from fingerpost.packet import Profile, Signer, payloads
from fingerpost.privacy import groups
from fingerpost.synthesis import Evidence, Query, Synthesizer
from fingerpost.system import SystemEntropy

TARGET = "privacy"
SEEDS = range(2 if is_quick() else 5)
DAY = 20_000


def main() -> None:
    """Measure both sets over all seeds."""
    figures: list[Figure] = []
    for name in SETS:
        found: dict[str, list[float]] = {}
        for seed in SEEDS:
            for key, value in measured(name, seed).items():
                found.setdefault(key, []).append(value)
        for key, values in found.items():
            control = key.startswith("control_")
            figure = f"{key}_{name}" if control else f"k_anonymous_{name}_{key}"
            figures.append(over_seeds(figure, values, "fraction", nodes=NODES))
    write_figures(TARGET, figures, seeds=list(SEEDS))


def measured(name: str, seed: int) -> dict[str, float]:
    """Return all figures of one split."""
    split = thirds(name, seed, Profile.K_ANONYMOUS)
    packets, members, unanimous, count = released(split)
    with patch.object(groups, "merge_small", lambda counts, _: counts):
        exact, _, _, _ = released(split)
    content = payloads(packets, split.template.summary_layout())
    known = fingerprints(split.template, split.members[0])
    strangers = fingerprints(split.template, split.others[0])
    return {
        "accuracy": accuracy(split, packets),
        "accuracy_exact": accuracy(split, exact),
        "member_naming": naming(content["fingerprint"], known, members),
        "member_mia_auc": membership(split, content["fingerprint"], content["outcome"]),
        "unanimous": unanimous / count,
        "control_member_naming": naming(known, known, [[row] for row in range(len(known))]),
        "control_member_mia": auc(
            -hamming(known, known).min(axis=1).astype(np.float64),
            -hamming(strangers, known).min(axis=1).astype(np.float64),
        ),
    }


def released(split: Thirds) -> tuple[Any, list[list[int]], int, int]:
    """Return the packets of all nodes, the members behind each, and how many groups are unanimous, of how many."""
    packets, members, unanimous, count = [], [], 0, 0
    for node in range(NODES):
        rows = np.flatnonzero(split.nodes == node)
        made = formed(
            split.template,
            Fingerprinter(split.template),
            observations(*split.members, rows),
            signer=Signer(bytes([node + 1]) * 32),
            day=DAY,
            entropy=SystemEntropy(),
        )
        if made.places is None:
            raise AssertionError("a group names its members to its own node")
        packets.append(made.packets)
        members += [rows[made.rows[made.places == place]].tolist() for place in range(len(made.packets))]
        unanimous, count = unanimous + made.unanimous, count + made.groups
    return np.concatenate(packets), members, unanimous, count


def accuracy(split: Thirds, packets: Any) -> float:
    """Return how often an answer's likeliest outcome is the right one, for records that nobody emitted."""
    synthesizer = Synthesizer(Evidence.from_packets(packets, split.template), split.template, day=DAY)
    questions = fingerprints(split.template, split.others[0])
    answers = synthesizer.ask_many([Query(fingerprint=row.tobytes()) for row in questions])
    levels = [str(level) for level in split.template.outcome.levels]  # type: ignore[union-attr]
    first = [max(levels, key=lambda level: answer.probabilities.get(level, 0.0)) for answer in answers]
    return float(np.mean(np.array([levels.index(level) for level in first]) == split.others[1]))


def naming(told: np.ndarray, known: np.ndarray, members: list[list[int]]) -> float:
    """Return how often the nearest candidate to a packet is the member that was asked for, over all members."""
    picks = hamming(told, known).argmin(axis=1)
    hits = sum(int(pick) in inside for pick, inside in zip(picks, members, strict=True))
    return hits / sum(len(inside) for inside in members)


def membership(split: Thirds, told: np.ndarray, counts: np.ndarray) -> float:
    """Return the area under the curve of an attacker who knows a record exactly, and the public third."""
    public = fingerprints(split.template, split.public[0])
    scores = []
    for encoded, outcomes in (split.members, split.others):
        prints = fingerprints(split.template, encoded)
        distance = hamming(prints, told).astype(np.float64)
        distance[counts[:, outcomes].T == 0] = np.inf
        usual = np.sort(hamming(prints, public), axis=1)[:, :10].mean(axis=1)
        scores.append(usual - np.minimum(distance.min(axis=1), 8.0 * prints.shape[1]))
    return auc(*scores)


if __name__ == "__main__":
    main()
