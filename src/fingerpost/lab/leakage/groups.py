"""Groups under attack: what the profile k-anonymous lets out of a cohort, one summary for ten members or more."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fingerpost.fingerprint import Fingerprinter
from fingerpost.lab.exchange import SeededEntropy
from fingerpost.lab.leakage.fingerprints import Decoder, bits_of
from fingerpost.lab.leakage.views import DAY, FingerprintView, forecast, observations, under
from fingerpost.limits import GROUP_SUBJECTS_MIN
from fingerpost.node.forms import formed
from fingerpost.packet import Profile, Signer, payloads

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fingerpost.lab.leakage.records import Cohort
    from fingerpost.template import Template

APART = 0.25  # share of bits in which a member is expected to differ from the middle of its group
ABSENT_SHARE = 0.02  # of an outcome that a summary does not list: small counts are merged away


class GroupView(FingerprintView):
    """The summaries of every node; a member is seen through that of its group, or not at all."""

    def __init__(
        self, cohort: Cohort, template: Template, packets: NDArray[np.void], places: NDArray[np.int64]
    ) -> None:
        content = payloads(packets, template.summary_layout())
        bits = bits_of(np.ascontiguousarray(content["fingerprint"]))
        shares = content["outcome"].astype(np.float64).reshape(len(packets), -1)
        shares = np.maximum(shares / np.maximum(shares.sum(axis=1, keepdims=True), 1), ABSENT_SHARE)
        grouped = (places >= 0)[:, None]
        seen = np.where(grouped, bits[places], 0.0)
        outcomes = np.zeros(len(places), np.int64)
        super().__init__(cohort, template, packets[places], bits=seen, seen=seen, outcomes=outcomes)
        self._shares = np.where(grouped, shares[places], 1 / shares.shape[1])
        self._grouped = grouped[:, 0]
        self._summaries = packets

    @property
    def packets(self) -> int:
        """How many packets left."""
        return len(self._summaries)

    @property
    def _readable(self) -> NDArray[np.void]:
        return self._summaries

    def likeness(self, encoded: NDArray[np.int16], outcomes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Compare each candidate with the middle of each member's group, and its outcome with those of the group."""
        bits, _ = self._of(encoded)
        apart = (self._bits.shape[1] - self._bits @ bits.T) / 2
        told = np.log(self._shares)[:, outcomes]
        return np.asarray(np.where(self._grouped[:, None], apart * np.log(APART / (1 - APART)) + told, 0), np.float64)

    def own_likeness(
        self, numbers: NDArray[np.int64], encoded: NDArray[np.int16], outcomes: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Compare each candidate with the group of its own member.

        A group tells of one member in ten: what it says counts a tenth.
        """
        bits, _ = self._of(encoded)
        apart = (self._bits.shape[1] - (self._bits[numbers] * bits).sum(axis=1)) / 2
        told = np.log(self._shares)[numbers, outcomes]
        fit = (apart * np.log(APART / (1 - APART)) + told) / GROUP_SUBJECTS_MIN
        return np.asarray(np.where(self._grouped[numbers], fit, 0), np.float64)

    def presence(
        self, encoded: NDArray[np.int16], outcomes: NDArray[np.int64], nodes: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Score a record by the group of its node that is most like it."""
        here = (self.cohort.nodes[self.cohort.members][:, None] == nodes) & self._grouped[:, None]
        likeness = np.where(here, self.likeness(encoded, outcomes), -1e9)
        return np.asarray(likeness.max(axis=0), np.float64)

    def guesses(self) -> dict[str, NDArray[np.float64]]:
        """Decode the middle of each member's group, and weigh the outcomes that it lists."""
        cohort = self.cohort
        found = Decoder(cohort, replace(self.template, sketch=False)).guesses(self._seen)
        found = {name: np.where(self._grouped[:, None], guess, cohort.centre) for name, guess in found.items()}
        shares = self._shares / self._shares.sum(axis=1, keepdims=True)
        return found | {"outcomes of the group": shares @ cohort.means_by_outcome()}

    def forecast(self, encoded: NDArray[np.int16]) -> NDArray[np.float64]:
        """Ask the summaries of all nodes; where there are none, every outcome is as likely."""
        if not len(self._summaries):
            return np.full((len(encoded), self.cohort.levels), 1 / self.cohort.levels)
        return forecast(self.template, self._summaries, encoded)


def groups_view(cohort: Cohort, draw: int) -> GroupView:
    """Let members' records leave as summaries of groups, each node its own."""
    template = under(replace(cohort.template, sketch=False), Profile.K_ANONYMOUS)
    fingerprinter = Fingerprinter(template)
    here = cohort.nodes[cohort.members]
    places = np.full(len(here), -1, np.int64)
    parts, count = [], 0
    for node in np.unique(here):
        numbers = np.flatnonzero(here == node)
        entropy = SeededEntropy(cohort.seed, f"leakage groups {draw} {node}")
        made = formed(
            template,
            fingerprinter,
            observations(cohort, cohort.members[numbers]),
            signer=Signer(entropy.read(32)),
            day=DAY,
            entropy=entropy,
        )
        if made.places is not None:
            places[numbers[made.rows]] = made.places + count
        parts.append(made.packets)
        count += len(made.packets)
    return GroupView(cohort, template, np.concatenate(parts), places)
