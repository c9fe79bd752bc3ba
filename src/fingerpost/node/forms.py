"""What the records of one release become, by the profile of their template. None of it leaves before it is paid for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from fingerpost.fingerprint import Fingerprinter, cell_of
from fingerpost.packet import Profile, Signer, sign_bodies
from fingerpost.privacy.counts import count_records, counts_bodies, grid_of, noisy_counts, outcome_levels
from fingerpost.privacy.groups import ALONE, Records, group_records, summary_bodies
from fingerpost.privacy.local import entries_of, plan_of, randomised, report_bodies

if TYPE_CHECKING:
    from fingerpost.node.emission import Observations
    from fingerpost.ports import Entropy
    from fingerpost.privacy.noise import CountNoise
    from fingerpost.template import Template

Packets = npt.NDArray[np.void]
Rows = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True)
class Formed:
    """Signed packets, and the ``rows`` of the observations that went into them.

    ``places`` says for each of these rows which packet tells of it; None where all packets tell of all rows.
    """

    packets: Packets
    rows: Rows
    places: Rows | None = None
    groups: int = 0
    unanimous: int = 0
    ungrouped: int = 0


def formed(
    template: Template,
    fingerprinter: Fingerprinter,
    observations: Observations,
    *,
    signer: Signer,
    day: int,
    entropy: Entropy,
    noise: CountNoise | None = None,
) -> Formed:
    """Return what these observations, one of each subject, become under the profile of ``template``."""
    if template.profile is Profile.K_ANONYMOUS:
        return _groups(template, fingerprinter, observations, signer=signer, day=day, entropy=entropy)
    if template.profile is Profile.LOCAL_DP:
        return _reports(template, fingerprinter, observations, signer=signer, day=day, entropy=entropy)
    packets = noisy_packets(template, fingerprinter, observations, signer=signer, day=day, entropy=entropy, noise=noise)
    return Formed(packets=packets, rows=np.arange(len(observations)))


def noisy_packets(
    template: Template,
    fingerprinter: Fingerprinter,
    observations: Observations,
    *,
    signer: Signer,
    day: int,
    entropy: Entropy,
    noise: CountNoise | None = None,
) -> Packets:
    """Return the signed packets that count these records with fresh noise."""
    counts = count_records(
        grid_of(template),
        cells=cell_of(fingerprinter.fingerprints(observations.encoded), template),
        actions=observations.actions,
        levels=outcome_levels(template, observations.outcomes, entropy),
    )
    noisy = noisy_counts(counts, noise or _system_noise())
    bodies = counts_bodies(template, noisy, emitter=signer.public_key, day=day, entropy=entropy)
    return sign_bodies(bodies, signer)


def _groups(
    template: Template,
    fingerprinter: Fingerprinter,
    observations: Observations,
    *,
    signer: Signer,
    day: int,
    entropy: Entropy,
) -> Formed:
    records = Records(
        encoded=observations.encoded,
        outcomes=observations.outcomes,
        actions=observations.actions,
        conditions=observations.conditions,
    )
    grouping = group_records(records)
    made = summary_bodies(
        template, fingerprinter, records, grouping, emitter=signer.public_key, day=day, entropy=entropy
    )
    rows = np.flatnonzero(grouping.labels != ALONE)
    place_of_group = np.empty(len(grouping), np.intp)
    place_of_group[made.groups] = np.arange(len(grouping))
    return Formed(
        packets=sign_bodies(made.bodies, signer),
        rows=rows,
        places=place_of_group[grouping.labels[rows]],
        groups=len(grouping),
        unanimous=made.unanimous,
        ungrouped=len(observations) - len(rows),
    )


def _reports(
    template: Template,
    fingerprinter: Fingerprinter,
    observations: Observations,
    *,
    signer: Signer,
    day: int,
    entropy: Entropy,
) -> Formed:
    entries = entries_of(
        template,
        cells=cell_of(fingerprinter.fingerprints(observations.encoded), template),
        actions=observations.actions,
        levels=outcome_levels(template, observations.outcomes, entropy),
    )
    told = randomised(entries, plan_of(template), entropy)
    bodies = report_bodies(template, told, emitter=signer.public_key, day=day, entropy=entropy)
    order = np.lexsort(bodies["nonce"].T[::-1])
    rows = np.arange(len(observations))
    return Formed(packets=sign_bodies(bodies[order], signer), rows=order, places=rows)


def _system_noise() -> CountNoise:
    from fingerpost.node.noise import OpenDpNoise

    return OpenDpNoise()
