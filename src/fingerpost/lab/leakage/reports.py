"""Randomised reports under attack: what the profile local-dp lets out of a cohort, one report for each member."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fingerpost.fingerprint import Fingerprinter, cell_of
from fingerpost.lab.exchange import SeededEntropy
from fingerpost.lab.leakage.counts import PRIOR, counting
from fingerpost.lab.leakage.views import DAY, forecast, observations, under
from fingerpost.node.forms import formed
from fingerpost.packet import OutcomeForm, Profile, Signer, payloads
from fingerpost.privacy.local import entries_of, plan_of, report_layout

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fingerpost.lab.leakage.records import Cohort
    from fingerpost.template import Template


class ReportsView:
    """The reports of every member; each says for every entry whether it speaks for it."""

    def __init__(self, cohort: Cohort, template: Template, packets: NDArray[np.void]) -> None:
        self.cohort, self.template, self._packets = cohort, template, packets
        self._fingerprinter = Fingerprinter(template)
        self._plan = plan_of(template)
        told = payloads(packets, report_layout(self._plan))["outcome"]
        if self._plan.form is OutcomeForm.REPORT_VALUE:
            self._speaks = told.reshape(-1, 1) == np.arange(self._plan.entries)
        else:
            bits = np.unpackbits(np.ascontiguousarray(told).reshape(len(packets), -1), axis=1)
            self._speaks = bits[:, : self._plan.entries].astype(np.bool_)
        p, q = self._plan.p, max(self._plan.q, 1e-12)
        silent = 0.0 if self._plan.form is OutcomeForm.REPORT_VALUE else np.log((1 - p) / (1 - q))
        self._ratios = np.where(self._speaks, np.log(p / q), silent)

    @property
    def packets(self) -> int:
        """How many packets left."""
        return len(self._packets)

    @property
    def epsilon(self) -> float | None:
        """The promise to each report."""
        return self._plan.epsilon

    def likeness(self, encoded: NDArray[np.int16], outcomes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return how much likelier each report is under each candidate's entry than under one that it is silent on."""
        return np.asarray(self._ratios[:, self._entries(encoded, outcomes)], np.float64)

    def own_likeness(
        self, numbers: NDArray[np.int64], encoded: NDArray[np.int16], outcomes: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Compare each candidate with the report of its own member."""
        return np.asarray(self._ratios[numbers, self._entries(encoded, outcomes)], np.float64)

    def presence(
        self, encoded: NDArray[np.int16], outcomes: NDArray[np.int64], nodes: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Score a record by how many more reports of its node speak for its entry than the public records expect."""
        entries = self._entries(encoded, outcomes)
        prior = self._prior()
        found = np.zeros(len(entries))
        for node in np.unique(nodes):
            here = self.cohort.nodes[self.cohort.members] == node
            chance = prior * self._plan.p + (1 - prior) * self._plan.q
            surplus = self._speaks[here].sum(axis=0) - here.sum() * chance
            spread = np.sqrt(np.maximum(here.sum() * chance * (1 - chance), 1e-9))
            found[nodes == node] = (surplus / spread)[entries[nodes == node]]
        return found

    def guesses(self) -> dict[str, NDArray[np.float64]]:
        """Guess the mean public record of every entry, by how likely the report makes it."""
        cohort = self.cohort
        odds = self._prior() * np.exp(self._ratios)
        shares = odds / odds.sum(axis=1, keepdims=True)
        entries = self._entries(cohort.encoded[cohort.public], cohort.outcomes[cohort.public])
        means = np.tile(cohort.centre, (self._plan.entries, 1))
        for entry in np.unique(entries):
            means[entry] = cohort.features[cohort.public][entries == entry].mean(axis=0)
        return {"likely entries": shares @ means}

    def forecast(self, encoded: NDArray[np.int16]) -> NDArray[np.float64]:
        """Ask all reports together."""
        return forecast(self.template, self._packets, encoded)

    def _prior(self) -> NDArray[np.float64]:
        cohort = self.cohort
        entries = self._entries(cohort.encoded[cohort.public], cohort.outcomes[cohort.public])
        counts = np.bincount(entries, minlength=self._plan.entries) + PRIOR / self._plan.entries
        return np.asarray(counts / counts.sum(), np.float64)

    def _entries(self, encoded: NDArray[np.int16], outcomes: NDArray[np.int64]) -> NDArray[np.int64]:
        cells = cell_of(self._fingerprinter.fingerprints(encoded), self.template)
        return entries_of(self.template, cells=cells, actions=np.zeros_like(outcomes), levels=outcomes)


def reports_view(cohort: Cohort, draw: int) -> ReportsView:
    """Let members' records leave as one randomised report each."""
    template = under(replace(counting(cohort.template), sketch=False), Profile.LOCAL_DP)
    fingerprinter = Fingerprinter(template)
    here = cohort.nodes[cohort.members]
    packets: NDArray[np.void] | None = None
    for node in np.unique(here):
        numbers = np.flatnonzero(here == node)
        entropy = SeededEntropy(cohort.seed, f"leakage reports {draw} {node}")
        made = formed(
            template,
            fingerprinter,
            observations(cohort, cohort.members[numbers]),
            signer=Signer(entropy.read(32)),
            day=DAY,
            entropy=entropy,
        )
        if made.places is None:
            raise AssertionError("a report tells of one record")
        if packets is None:
            packets = np.empty(len(here), made.packets.dtype)
        packets[numbers[made.rows]] = made.packets[made.places]
    if packets is None:
        raise AssertionError("a cohort has members")
    return ReportsView(cohort, template, packets)
