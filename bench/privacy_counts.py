"""What can be proved against the noise of counts packets, from their bytes alone.

``audit_epsilon_low_dp_aggregate``        a lower bound on epsilon, 99.9 % sure, from signed and encoded packets of two
                                          neighbouring tables: it must not exceed 1
``audit_epsilon_low_dp_aggregate_halved`` the same of a mechanism with half the noise: a mutant that must be caught

The event (a count at most t, or above it) is picked on one half of the draws and tested on the other: picked and tested
on the same draws, a correct mechanism would seem to leak too much (Clopper and Pearson 1934; Steinke et al. 2023).
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from scipy.stats import beta

from bench._figures import Figure, is_quick, write_figures
from fingerpost.lab import data
from fingerpost.node.noise import OpenDpNoise
from fingerpost.packet import CountsOutcome, Payload, Profile, Signer, decode, sign_bodies
from fingerpost.privacy.counts import count_records, counts_bodies, grid_of, noisy_counts
from fingerpost.system import SystemEntropy
from fingerpost.template import DataClass

TARGET = "privacy"
RELEASES = 400 if is_quick() else 4_000
RECORDS_BEFORE = 5  # in every entry: far from any edge at which clipping could hide or add anything
CONFIDENCE = 0.999
EVENTS = [(edge, sign) for edge in range(-20, 31) for sign in (1, -1)]


def main() -> None:
    """Audit the mechanism as it is shipped, and one whose noise is halved."""
    figures = []
    for name, epsilon in (("dp_aggregate", 1.0), ("dp_aggregate_halved", 2.0)):
        first, second = released(RECORDS_BEFORE, epsilon), released(RECORDS_BEFORE + 1, epsilon)
        low = epsilon_low(first, second)
        figures.append(
            Figure(name=f"audit_epsilon_low_{name}", value=low, unit="epsilon", detail={"draws": len(first)})
        )
    write_figures(TARGET, figures)


def released(records: int, epsilon: float) -> np.ndarray:
    """Return all counts that can be read from the bytes of releases in which every entry counts ``records`` records."""
    template = replace(
        data.load("breast_cancer").template(bits=256),
        cell_bits=5,
        data_class=DataClass.PERSONAL,
        profile=Profile.DP_AGGREGATE,
    )
    grid, signer, noise, entropy = grid_of(template), Signer(bytes(32)), OpenDpNoise(), SystemEntropy()
    cells = np.repeat(np.arange(grid.cells), records * grid.levels)
    levels = np.tile(np.repeat(np.arange(grid.levels), records), grid.cells)
    table = count_records(grid, cells=cells, actions=np.zeros_like(cells), levels=levels)
    found = []
    for _ in range(RELEASES):
        noisy = noisy_counts(table, noise, epsilon=epsilon)
        bodies = counts_bodies(template, noisy, emitter=signer.public_key, day=20_000, entropy=entropy)
        for packet in sign_bodies(bodies, signer)[:8]:  # decoding all would tell the same, more slowly
            payload = decode(packet.tobytes()).packet.payload
            if not isinstance(payload, Payload) or not isinstance(payload.outcome, CountsOutcome):
                raise AssertionError("a release is made of counts packets")
            found.append(payload.outcome.counts)
    return np.array(found).ravel()


def epsilon_low(first: np.ndarray, second: np.ndarray) -> float:
    """Return an epsilon that the mechanism exceeds with ``CONFIDENCE``, from outputs for two neighbouring inputs."""
    half = len(first) // 2
    choices = [(one, other, event) for one, other in ((first, second), (second, first)) for event in EVENTS]
    best = max(choices, key=lambda choice: _bound(choice[0][:half], choice[1][:half], *choice[2]))
    return _bound(best[0][half:], best[1][half:], *best[2])


def _bound(likely: np.ndarray, unlikely: np.ndarray, edge: int, sign: int) -> float:
    tail = (1 - CONFIDENCE) / 2
    a, b = int((sign * likely <= sign * edge).sum()), int((sign * unlikely <= sign * edge).sum())
    if not (a > 0 and b < len(unlikely)):
        return -math.inf
    least = beta.ppf(tail, a, len(likely) - a + 1)
    return float(np.log(least / beta.ppf(1 - tail, b + 1, len(unlikely) - b)))


if __name__ == "__main__":
    main()
