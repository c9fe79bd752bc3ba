"""Is a secret projection encryption? Naming records from packets whose planes an outsider does not know.

Digits, a third public, a third emitted, a third for candidates besides. Nodes share a secret salt of 32 bits of the
template (the attack makes no use of how short it is). ``control_alignment_digits``: the share of emitted records named,
of all candidates, when fingerprints and outcomes are in clear: the attack works. ``control_shuffled_alignment_digits``:
the same with outcomes shuffled, which must fail. ``consortium_digits_alignment_naming``: the same attack on the bytes
of sealed packets, as the carrier moves them; ``high`` is the upper end of an exact 99 % interval, chance is 1 of the
candidates.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import beta

from bench._figures import Figure, bootstrap_interval, is_quick, write_figures
from fingerpost.fingerprint import Fingerprinter
from fingerpost.lab.alignment import aligned_records, share_named, wire_view
from fingerpost.lab.data import UNIT, DataSet, load
from fingerpost.lab.exchange import SeededEntropy
from fingerpost.node.emission import Observations, build_packets
from fingerpost.packet import Profile, Signer
from fingerpost.privacy.seal import Seals, passing_ring
from fingerpost.template import Template, encode_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

TARGET = "privacy"
BITS = 256
DAY = 20_000
LEVEL = 0.99


def main() -> None:
    """Measure and write the figures."""
    seeds = range(2 if is_quick() else 5)
    found = [attacked(load("digits"), seed) for seed in seeds]
    clear, shuffled, sealed = (np.array(column) for column in zip(*[row[:3] for row in found], strict=True))
    candidates, packets = found[0][3], sum(row[4] for row in found)
    low, high = bootstrap_interval(clear, statistic=np.mean)
    named = round(float(sealed.mean()) * packets)
    tail = (1 - LEVEL) / 2
    figures = [
        Figure(name="control_alignment_digits", value=float(clear.mean()), unit="share", low=low, high=high),
        Figure(name="control_shuffled_alignment_digits", value=float(shuffled.mean()), unit="share"),
        Figure(
            name="consortium_digits_alignment_naming",
            value=named / packets,
            unit="share",
            low=float(beta.ppf(tail, named, packets - named + 1)) if named else 0.0,
            high=float(beta.ppf(1 - tail, named + 1, packets - named)),
            detail={"chance": 1 / candidates, "candidates": candidates, "packets": packets},
        ),
    ]
    write_figures(TARGET, figures, seeds=list(seeds))


def attacked(data: DataSet, seed: int) -> tuple[float, float, float, int, int]:
    """Return the shares named in clear, with shuffled outcomes and sealed, then the candidates and the packets."""
    chance = np.random.default_rng(seed)
    template = data.template(bits=BITS, salt=int(chance.integers(1 << 32)))
    encoded, problems = encode_table(template, data.columns, rows=len(data))
    if problems:
        raise AssertionError(f"the set does not fit its template: {problems[0]}")
    order = chance.permutation(len(data))
    third = len(data) // 3
    public, members = order[:third], order[third : 2 * third]
    pool = order[third:]
    records = seen_by_planes(encoded)
    centre = records[public].mean(axis=0)
    names = np.arange(third)

    def guessed(bits: NDArray[np.float64], outcomes: NDArray[np.int64]) -> NDArray[np.float64]:
        known = data.outcomes[public]
        found = aligned_records(bits, outcomes, public=records[public], public_outcomes=known)
        return np.asarray(found - centre, np.float64)

    bits = np.unpackbits(Fingerprinter(template).fingerprints(encoded[members]), axis=1).astype(np.float64) * 2 - 1
    outcomes = data.outcomes[members]
    candidates = records[pool] - centre
    clear = share_named(guessed(bits, outcomes), candidates, names)
    mixed = share_named(guessed(bits, chance.permutation(outcomes)), candidates, names)
    wire_bits, wire_outcomes = wire_view(
        sealed_packets(template, encoded[members], outcomes, seed), bits=BITS, levels=data.levels
    )
    sealed = share_named(guessed(wire_bits, wire_outcomes), candidates, names)
    return clear, mixed, sealed, len(pool), len(members)


def seen_by_planes(encoded: NDArray[np.int16]) -> NDArray[np.float64]:
    """Return records (n, p) as vectors (n, p + 1) whose angles fingerprints keep.

    A plane's offset is as large as a weight times half the root of the width (``spec/fingerprint.md``, section 6), so
    it acts as one more coordinate that is the same in every record.
    """
    constant = np.full((len(encoded), 1), np.sqrt(encoded.shape[1]) / 2)
    return np.concatenate([encoded / UNIT, constant], axis=1)


def sealed_packets(
    template: Template, encoded: NDArray[np.int16], outcomes: NDArray[Any], seed: int
) -> NDArray[np.void]:
    """Return the packets of records as they leave a node under the profile consortium, in the order of the records."""
    template = replace(template, profile=Profile.CONSORTIUM)
    rows = len(encoded)
    observations = Observations(
        encoded=encoded,
        outcomes=(outcomes + 1).astype(np.uint16),
        actions=np.zeros(rows, np.uint16),
        conditions=np.zeros((rows, 0), np.uint16),
        confidences=np.full(rows, 255, np.uint8),
    )
    entropy = SeededEntropy(seed, "alignment")
    packets, order = build_packets(
        template,
        Fingerprinter(template),
        observations,
        signer=Signer(entropy.read(32)),
        day=DAY,
        entropy=entropy,
        seals=Seals(passing_ring(template.template_id, entropy.read(32), day=DAY)),
    )
    by_record = np.empty_like(packets)
    by_record[order] = packets
    return by_record


if __name__ == "__main__":
    main()
