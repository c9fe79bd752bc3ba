"""What each privacy profile costs the four hospitals of the demo in accuracy, on the same patients.

Packets take the whole path but for sockets and ledgers: encoded, sealed or grouped or noised, signed, admitted as a
holder admits them, and answered from as a node answers.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fingerpost.fingerprint import Fingerprinter
from fingerpost.ids import node_id
from fingerpost.lab.assess.routing import SeededNoise, signer_of
from fingerpost.lab.exchange import DAY_OF_THE_DATA, SeededEntropy, answers_of, released_answers
from fingerpost.lab.heart import DISEASED, HOSPITALS, OUTCOME_COLUMN, Patient, columns_of, load_heart_template
from fingerpost.lab.scores import Scores, mean_scores, score
from fingerpost.limits import (
    DP_LIFETIME_EPSILON,
    DP_RELEASE_EPSILON,
    GROUP_SUBJECTS_MIN,
    LOCAL_LIFETIME_EPSILON,
    LOCAL_RELEASE_EPSILON,
)
from fingerpost.node.admission import Refusal, judge, judge_contents
from fingerpost.node.emission import build_packets, is_release, observations_of_table
from fingerpost.node.forms import formed
from fingerpost.packet import Profile, RootCache, packet_ids
from fingerpost.privacy.seal import KEY_SIZE_BYTES, Seals, passing_ring
from fingerpost.synthesis import Evidence, Query
from fingerpost.template import Template, profile_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fingerpost.lab.arms import Probabilities
    from fingerpost.node.emission import Observations

PROMISES = {
    Profile.OPEN: "anyone reads each patient's packet",
    Profile.CONSORTIUM: "only members read each patient's packet",
    Profile.K_ANONYMOUS: f"anyone reads groups of {GROUP_SUBJECTS_MIN} or more patients",
    Profile.DP_AGGREGATE: f"anyone reads counts with noise: epsilon {DP_RELEASE_EPSILON}",
    Profile.LOCAL_DP: f"anyone reads a randomised report a patient: epsilon {LOCAL_RELEASE_EPSILON:g}",
}
EXPLAINED = {
    Profile.OPEN: "Packets are in clear: a guess at a patient can be made from a fingerprint, and a sketch gives most"
    " findings away. That is for data that are no secret.",
    Profile.CONSORTIUM: "Fingerprint, findings and outcome are sealed: only who has the keys that the four share can"
    " read them. In clear are the day, the template, the cell and the emitter.",
    Profile.K_ANONYMOUS: f"A packet is in clear and tells of {GROUP_SUBJECTS_MIN} or more patients: the middle of their"
    " fingerprints, and how many had which outcome. No patient is in two groups that are live.",
    Profile.DP_AGGREGATE: "Packets are in clear and count patients by cell and outcome, each count with noise: whether"
    f" a given patient was counted changes nothing that anybody sees by more than a factor of e^{DP_RELEASE_EPSILON}."
    f" A ledger on the hospital's disk lets each patient be counted until epsilon {DP_LIFETIME_EPSILON} is spent.",
    Profile.LOCAL_DP: "Packets are in clear, one a patient, and each is a randomised report: whatever a patient's"
    f" findings and outcome are changes its chances by no more than a factor of e^{LOCAL_RELEASE_EPSILON:g}. A ledger"
    f" on the hospital's disk stops a patient's reports at epsilon {LOCAL_LIFETIME_EPSILON:g}.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileResult:
    """What newcomers without outcomes of their own reach under a profile, from the packets of the other three.

    ``packets`` are those of all four hospitals. ``scores`` maps each newcomer to its scores: means over ``draws`` of
    the noise. ``is_measured_in_nodes`` says that the packets are those of the demo's own nodes.
    """

    profile: Profile
    scores: dict[str, Scores]
    packets: int
    bytes: int
    draws: int
    is_measured_in_nodes: bool

    @property
    def mean(self) -> Scores:
        """The mean over the newcomers."""
        return mean_scores(list(self.scores.values()))

    def to_document(self) -> dict[str, Any]:
        """Return it as plain values; ``docs/reference/demo.md`` describes them."""
        return {
            "profile": profile_name(self.profile),
            "promise": PROMISES[self.profile],
            "packets": self.packets,
            "bytes": self.bytes,
            "draws": self.draws,
            "from_nodes": self.is_measured_in_nodes,
            "mean": asdict(self.mean),
            "newcomers": {name: asdict(scores) for name, scores in self.scores.items()},
        }


def profile_result(patients: Sequence[Patient], profile: Profile, *, seed: int, draws: int) -> ProfileResult:
    """Let the hospitals emit under a profile, and each ask about all its patients with the packets of the others.

    Only noise is drawn more than once, and only where there is some.
    """
    template = load_heart_template(profile)
    table = columns_of(patients) | {OUTCOME_COLUMN: [patient.outcome for patient in patients]}
    told, _ = observations_of_table(template, table, rows=len(patients))
    hospital = np.array([HOSPITALS.index(patient.hospital) for patient in patients])
    happened = np.array([patient.outcome == DISEASED for patient in patients])
    queries = _queries(template, told)
    times = draws if profile in {Profile.DP_AGGREGATE, Profile.LOCAL_DP} else 1
    by_newcomer: dict[str, list[Scores]] = {name: [] for name in HOSPITALS}
    packets = size = 0
    for drawn in range(times):
        emitted = [
            _emitted(template, told.part(np.flatnonzero(hospital == place)), place, seed=seed, drawn=drawn)
            for place in range(len(HOSPITALS))
        ]
        packets, size = sum(map(len, emitted)), sum(each.nbytes for each in emitted)
        for place, name in enumerate(HOSPITALS):
            heard = np.concatenate([each for other, each in enumerate(emitted) if other != place])
            asked = np.flatnonzero(hospital == place)
            said = _forecast(template, heard, [queries[row] for row in asked], place, seed=seed)
            by_newcomer[name].append(score(said, happened[asked]))
    return ProfileResult(
        profile=profile,
        scores={name: mean_scores(scores) for name, scores in by_newcomer.items()},
        packets=packets,
        bytes=size,
        draws=times,
        is_measured_in_nodes=False,
    )


def profile_verdict(results: Sequence[ProfileResult], chosen: Profile, central: float | None) -> str:
    """Say what the figures of the profiles are worth, in one sentence that is computed from them."""
    areas = {result.profile: result.mean.auc for result in results}
    others = sorted((area, profile_name(profile)) for profile, area in areas.items() if profile is not chosen)
    (lowest, lowest_name), (highest, highest_name) = others[0], others[-1]
    told = (
        f"Under {profile_name(chosen)} the mean AUC of a newcomer is {areas[chosen]:.3f}; the other profiles reach from"
        f" {lowest:.3f} ({lowest_name}) to {highest:.3f} ({highest_name})"
    )
    return f"{told}." if central is None else f"{told}, moving all rows {central:.3f}."


def _emitted(template: Template, told: Observations, place: int, *, seed: int, drawn: int) -> NDArray[np.void]:
    """Return the packets of a hospital that a holder admits."""
    entropy = SeededEntropy(seed, f"profile {template.profile} {place} {drawn}")
    signer, fingerprinter = signer_of(place, seed), Fingerprinter(template)
    if is_release(template):
        noise = SeededNoise((seed * 1_000 + drawn) * len(HOSPITALS) + place)
        packets = formed(
            template, fingerprinter, told, signer=signer, day=DAY_OF_THE_DATA, entropy=entropy, noise=noise
        ).packets
    else:
        packets, _ = build_packets(
            template,
            fingerprinter,
            told,
            signer=signer,
            day=DAY_OF_THE_DATA,
            entropy=entropy,
            seals=_seals(template, seed),
        )
    known = {bytes(template.template_id): template}
    found = judge(packets, packet_ids(packets), templates=known, day=DAY_OF_THE_DATA, roots=RootCache())
    welcome: NDArray[np.void] = packets[found == Refusal.WELCOME]
    return welcome


def _forecast(
    template: Template, heard: NDArray[np.void], queries: Sequence[Query], place: int, *, seed: int
) -> Probabilities:
    if is_release(template):
        asker = node_id(signer_of(place, seed).public_key)
        answers = released_answers(heard, template, queries, asker=asker, day=DAY_OF_THE_DATA)
    else:
        opened = _seals(template, seed).open(heard)
        fits = judge_contents(opened.packets, template) == Refusal.WELCOME
        ids = packet_ids(heard)[opened.rows[fits]]
        evidence = Evidence.from_packets(opened.packets[fits], template, packet_ids=ids)
        asker = node_id(signer_of(place, seed).public_key)
        answers = answers_of(asker, evidence, template, queries, day=DAY_OF_THE_DATA)
    return np.array([answer.probabilities[DISEASED] for answer in answers])


def _seals(template: Template, seed: int) -> Seals:
    """Return what the four hospitals share."""
    secret = SeededEntropy(seed, "consortium").read(KEY_SIZE_BYTES)
    return Seals(passing_ring(template.template_id, secret, day=DAY_OF_THE_DATA))


def _queries(template: Template, told: Observations) -> list[Query]:
    fingerprinter = Fingerprinter(template)
    prints = fingerprinter.fingerprints(told.encoded)
    sketches = fingerprinter.sketches(told.encoded) if template.sketch else None
    return [
        Query(fingerprint=one.tobytes(), sketch=None if sketches is None else sketches[row].tobytes())
        for row, one in enumerate(prints)
    ]
