"""What the seal costs: emitting and verifying under the profile consortium beside the same in clear.

``encryption_emit_cost``: seconds from encoded records to signed packets (fingerprint, payload, seal, signature), sealed
÷ in clear. ``encryption_verify_cost``: seconds in which a holder judges what a peer hands over (structure, signatures,
and in clear also contents), sealed ÷ in clear; a holder opens nothing. ``encryption_read_cost``: seconds in which an
asker judges packets and turns them into evidence, which opens the sealed ones; only members pay that.

One thread, batches of 256, heart disease (256 bits and a sketch); each round times all in turn, ratios are per round.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

from typing import TYPE_CHECKING

import numpy as np

from bench._figures import interleaved_seconds, is_quick, median_figure, write_figures
from fingerpost.fingerprint import Fingerprinter
from fingerpost.lab.exchange import SeededEntropy
from fingerpost.lab.heart import OUTCOME_COLUMN, columns_of, load_heart_template, load_patients
from fingerpost.node.admission import Refusal, judge
from fingerpost.node.emission import build_packets, observations_of_table
from fingerpost.packet import Profile, RootCache, Signer, packet_ids
from fingerpost.privacy.seal import Seals, passing_ring
from fingerpost.synthesis.evidence import Evidence

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fingerpost.template import Template

TARGET = "privacy"
DAY = 20_000
SEED = 0


def main() -> None:
    """Measure and write the figures."""
    rounds, packets = (5, 4_096) if is_quick() else (15, 8_192)
    clear, sealed = (Way(load_heart_template(profile), packets) for profile in (Profile.OPEN, Profile.CONSORTIUM))
    figures = []
    for step in ("emit", "verify", "read"):
        taken = interleaved_seconds({"clear": getattr(clear, step), "sealed": getattr(sealed, step)}, rounds=rounds)
        ratios = [mine / theirs for mine, theirs in zip(taken["sealed"], taken["clear"], strict=True)]
        detail = {
            f"{name}_packets_per_second": round(packets / float(np.median(seconds))) for name, seconds in taken.items()
        }
        figures.append(median_figure(f"encryption_{step}_cost", ratios, unit="ratio", detail=detail))
        print(detail)
    write_figures(TARGET, figures, seeds=[SEED])


class Way:
    """The same records under one template, and what is timed."""

    def __init__(self, template: Template, count: int) -> None:
        self.template = template
        patients = load_patients()
        columns = columns_of(patients) | {OUTCOME_COLUMN: [patient.outcome for patient in patients]}
        every, problems = observations_of_table(template, columns, rows=len(patients))
        if problems:
            raise AssertionError(f"the table does not fit its template: {problems[0]}")
        self.observations = every.part(np.resize(np.arange(len(patients)), count))
        self.fingerprinter = Fingerprinter(template)
        self.entropy = SeededEntropy(SEED, "encryption")
        self.signer = Signer(self.entropy.read(32))
        self.ring = passing_ring(template.template_id, self.entropy.read(32), day=DAY)
        self.packets = self.emit()

    def emit(self) -> NDArray[np.void]:
        """Return signed packets."""
        packets, _ = build_packets(
            self.template,
            self.fingerprinter,
            self.observations,
            signer=self.signer,
            day=DAY,
            entropy=self.entropy,
            seals=Seals(self.ring),
        )
        return packets

    def verify(self) -> NDArray[np.uint8]:
        """Judge the packets as a holder that has seen none of their signatures, and return their ids."""
        ids = packet_ids(self.packets)
        templates = {bytes(self.template.template_id): self.template}
        refusals = judge(self.packets, ids, templates=templates, day=DAY, roots=RootCache())
        if (refusals != Refusal.WELCOME).any():
            raise AssertionError("a packet of the measurement is not welcome")
        return ids

    def read(self) -> Evidence:
        """Judge the packets and return what they say."""
        ids = self.verify()
        opened = Seals(self.ring).open(self.packets)
        evidence = Evidence.from_packets(opened.packets, self.template, packet_ids=ids[opened.rows])
        if len(evidence) != len(self.packets):
            raise AssertionError("a packet of the measurement was not read")
        return evidence


if __name__ == "__main__":
    main()
