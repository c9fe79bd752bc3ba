"""What randomised reports (local-dp, epsilon 2 each) are worth, and what can be proved against them from their bytes.

``local_dp_{set}_accuracy_{count}``  share of records that nobody emitted whose outcome is the answer's first, from so
                                     many reports of members (beyond the set's own: drawn again with some jitter), with
                                     32 cells around central prototypes of the public third
``audit_epsilon_low_local_dp_{form}`` a lower bound on epsilon, 99.9 % sure, from signed and decoded packets of two
                                     records: it must not exceed 2. ``value``: one entry is told; ``bits``: one bit each
``audit_epsilon_low_local_dp_clear_confidence`` the same of a mutant that tells how sure it is of a record, beside it:
                                     it must be caught
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.stats import beta

from bench._figures import Figure, is_quick, write_figures
from bench._privacy_sets import SETS, Thirds, fingerprints, observations, over_seeds, thirds
from fingerpost.fingerprint import Fingerprinter
from fingerpost.fingerprint.codebook import make_central_codebook
from fingerpost.node.forms import formed
from fingerpost.packet import OutcomeForm, Payload, Profile, ReportBits, ReportValue, Signer, decode, sign_bodies
from fingerpost.privacy.local import plan_of, randomised, report_bodies
from fingerpost.synthesis import Query
from fingerpost.synthesis.by_profile import read_evidence, synthesizer_of
from fingerpost.system import SystemEntropy

TARGET = "privacy"
SEEDS = range(2 if is_quick() else 5)
COUNTS = (6_000,) if is_quick() else (6_000, 60_000)
CELL_BITS = 5
DRAWS = 4_000 if is_quick() else 40_000
CONFIDENCE = 0.999
DAY = 20_000


def main() -> None:
    """Measure accuracy, then audit both ways to report, and a mutant."""
    figures: list[Figure] = []
    for name in SETS:
        found: dict[str, list[float]] = {}
        for seed in SEEDS:
            split = with_codebook(thirds(name, seed, Profile.LOCAL_DP))
            for count in (len(split.members[1]), *COUNTS):
                whole = split if count == len(split.members[1]) else split.enlarged(count, seed)
                found.setdefault(f"local_dp_{name}_accuracy_{count}", []).append(accuracy(whole))
        figures += [over_seeds(key, values, "fraction", cells=1 << CELL_BITS) for key, values in found.items()]
    for form, bits in (("value", 2), ("bits", 5)):
        low = epsilon_low(*(told(bits, record) for record in (0, 1)))
        figures.append(Figure(name=f"audit_epsilon_low_local_dp_{form}", value=low, unit="epsilon"))
    clear = epsilon_low(*(told(2, record, clear_confidence=True) for record in (0, 1)))
    figures.append(Figure(name="audit_epsilon_low_local_dp_clear_confidence", value=clear, unit="epsilon"))
    write_figures(TARGET, figures, seeds=list(SEEDS))


def with_codebook(split: Thirds) -> Thirds:
    """Return the same with cells around central prototypes of the public third."""
    public = fingerprints(split.template, split.public[0])
    codebook = make_central_codebook(public, split.template, bits=CELL_BITS)
    return replace(split, template=replace(split.template, cell_bits=CELL_BITS, codebook=codebook))


def accuracy(split: Thirds) -> float:
    """Return how often an answer's likeliest outcome is the right one, for records that nobody emitted."""
    made = formed(
        split.template,
        Fingerprinter(split.template),
        observations(*split.members, slice(None)),
        signer=Signer(bytes(32)),
        day=DAY,
        entropy=SystemEntropy(),
    )
    synthesizer = synthesizer_of(read_evidence(made.packets, split.template), split.template, day=DAY)
    questions = fingerprints(split.template, split.others[0])
    answers = synthesizer.ask_many([Query(fingerprint=row.tobytes()) for row in questions])
    first = [int(np.argmax([level.probability for level in answer.levels])) for answer in answers]
    return float(np.mean(np.array(first) == split.others[1]))


def told(bits: int, record: int, *, clear_confidence: bool = False) -> np.ndarray:
    """Return what an attacker reads from the bytes of reports of one entry: (draws,) numbers of what they say.

    A value is read as it is. Of bits those of entries 0 and 1 are read: the others have the same chances either way.
    """
    template = thirds("breast_cancer", 0, Profile.LOCAL_DP, cell_bits=bits).template
    signer, entropy = Signer(bytes(32)), SystemEntropy()
    drawn = randomised(np.full(DRAWS, record), plan_of(template), entropy)
    bodies = report_bodies(template, drawn, emitter=signer.public_key, day=DAY, entropy=entropy)
    if clear_confidence:  # As sure as k-ary response could be of its own record, which it must not tell.
        chance = np.frombuffer(entropy.read(DRAWS), np.uint8) < 256 * (0.88 if record else 0.12)
        bodies["payload"][:, 5] = np.where(chance, 255, 128)
    return np.array([_read(packet) for packet in sign_bodies(bodies, signer)])


def _read(packet: Any) -> int:
    payload = decode(packet.tobytes()).packet.payload
    if not isinstance(payload, Payload):
        raise AssertionError("a report is plain")
    sure = 1_000 * (payload.confidence != 255)
    match payload.outcome:
        case ReportValue(value):
            return sure + value
        case ReportBits(packed):
            return sure + (packed[0] >> 6)
    raise AssertionError(f"{OutcomeForm(payload.outcome.form).name} is no report")


def epsilon_low(first: np.ndarray, second: np.ndarray) -> float:
    """Return an epsilon that the mechanism exceeds with ``CONFIDENCE``, from what is told of two records.

    The event is picked on one half of the draws and tested on the other.
    """
    half = len(first) // 2
    events = np.union1d(first, second)
    choices = [(one, other, event) for one, other in ((first, second), (second, first)) for event in events]
    best = max(choices, key=lambda choice: _bound(choice[0][:half], choice[1][:half], choice[2]))
    return _bound(best[0][half:], best[1][half:], best[2])


def _bound(likely: np.ndarray, unlikely: np.ndarray, event: int) -> float:
    tail = (1 - CONFIDENCE) / 2
    a, b = int((likely == event).sum()), int((unlikely == event).sum())
    if not (a > 0 and b < len(unlikely)):
        return -math.inf
    least = beta.ppf(tail, a, len(likely) - a + 1)
    return float(np.log(least / beta.ppf(1 - tail, b + 1, len(unlikely) - b)))


if __name__ == "__main__":
    main()
