"""Noisy counts under attack: what the profile dp-aggregate lets out of a cohort, and what it says about one record.

Two attackers are modelled. ``presence`` is one who knows the target's record, its node, and public records: it asks
whether the target's own entry holds more than the others make likely. ``informed_presence`` knows every other record of
the node as well, as the definition of differential privacy allows: only noise is between it and the answer.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import poisson

from fingerpost.fingerprint import Fingerprinter, cell_of
from fingerpost.fingerprint.codebook import make_codebook
from fingerpost.lab.exchange import SeededEntropy
from fingerpost.lab.leakage.views import DAY, forecast, observations, under
from fingerpost.limits import COUNTS_CELL_BITS_MAX, DP_RELEASE_EPSILON
from fingerpost.node.forms import formed
from fingerpost.packet import Profile, Signer
from fingerpost.synthesis.by_profile import read_evidence

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fingerpost.lab.leakage.records import Cohort
    from fingerpost.template import Template

CELL_BITS_DEFAULT = 5  # of a template that has no cells, or too many for counts
TAIL_DEVIATIONS = 10  # of a count beyond what is expected of it: more never happens
PRIOR = 0.5  # imagined public records in each entry, times the levels: no entry is impossible


class CountsView:
    """The noisy counts of every node of a cohort; no packet belongs to one record."""

    def __init__(self, cohort: Cohort, template: Template, releases: list[NDArray[np.void]]) -> None:
        self.cohort, self.template = cohort, template
        self._fingerprinter = Fingerprinter(template)
        self._releases = releases
        shape = (1 << template.cell_bits, cohort.levels)
        self.counts = np.zeros((len(releases), *shape))
        for node, packets in enumerate(releases):
            evidence = read_evidence(packets, template)
            np.add.at(self.counts[node], evidence.cells, evidence.counts)  # type: ignore[union-attr]
        public = np.zeros(shape)
        np.add.at(public, (self.cells(cohort.encoded[cohort.public]), cohort.outcomes[cohort.public]), 1)
        shares = (public + PRIOR / shape[0]) / (public.sum() + PRIOR * shape[1])
        self._sizes = np.bincount(cohort.nodes[cohort.members], minlength=len(releases))
        self._expected = shares[None] * self._sizes[:, None, None]

    epsilon: float | None = DP_RELEASE_EPSILON

    @property
    def packets(self) -> int:
        """How many packets left."""
        return sum(len(packets) for packets in self._releases)

    def cells(self, encoded: NDArray[np.int16]) -> NDArray[np.int64]:
        """Return the cell (k,) that each record is counted in."""
        return cell_of(self._fingerprinter.fingerprints(encoded), self.template).astype(np.int64)

    def likeness(self, encoded: NDArray[np.int16], outcomes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the same row for every member: who is likely to be in some release, wherever."""
        cells = self.cells(encoded)
        best = np.max([self._ratio(node, cells, outcomes) for node in range(len(self._releases))], axis=0)
        return np.tile(best, (len(self.cohort.members), 1))

    def own_likeness(
        self, numbers: NDArray[np.int64], encoded: NDArray[np.int16], outcomes: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Compare each candidate with the release of its member's node."""
        return self.presence(encoded, outcomes, self.cohort.nodes[self.cohort.members[numbers]])

    def presence(
        self, encoded: NDArray[np.int16], outcomes: NDArray[np.int64], nodes: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Return the log of how much likelier the noisy count of a record's entry is with than without it."""
        cells = self.cells(encoded)
        found = np.zeros(len(cells))
        for node in range(len(self._releases)):
            here = nodes == node
            found[here] = self._ratio(node, cells[here], outcomes[here])
        return found

    def informed_presence(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return for rows of the cohort what remains of their entry's count, less all other records at their node."""
        cohort = self.cohort
        exact = np.zeros_like(self.counts)
        cells = self.cells(cohort.encoded)
        members = cohort.members
        np.add.at(exact, (cohort.nodes[members], cells[members], cohort.outcomes[members]), 1)
        place = cohort.nodes[rows], cells[rows], cohort.outcomes[rows]
        return np.asarray(self.counts[place] - exact[place] + np.isin(rows, members), np.float64)

    def guesses(self) -> dict[str, NDArray[np.float64]]:
        """Guess for each member the mean public record of the cells where its outcome is counted most."""
        cohort = self.cohort
        outcomes = cohort.outcomes[cohort.members]
        public, known = cohort.features[cohort.public], cohort.outcomes[cohort.public]
        cells = self.cells(cohort.encoded[cohort.public])
        by_outcome = cohort.means_by_outcome()
        guess = np.zeros((self.counts.shape[0], cohort.levels, public.shape[1]))
        for node, table in enumerate(self.counts):
            for level in range(cohort.levels):
                weights = np.maximum(table[:, level], 0)
                means = [
                    public[(cells == cell) & (known == level)].mean(axis=0)
                    if ((cells == cell) & (known == level)).any()
                    else by_outcome[level]
                    for cell in range(len(table))
                ]
                whole = weights.sum()
                guess[node, level] = weights @ np.stack(means) / whole if whole else by_outcome[level]
        return {
            "cells of the outcome": guess[cohort.nodes[cohort.members], outcomes],
            "outcome alone": by_outcome[outcomes],
        }

    def forecast(self, encoded: NDArray[np.int16]) -> NDArray[np.float64]:
        """Ask the counts of all nodes together."""
        return forecast(self.template, np.concatenate(self._releases), encoded)

    def _ratio(self, node: int, cells: NDArray[np.int64], outcomes: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.asarray(self._ratios[node, cells, outcomes], np.float64)

    @cached_property
    def _ratios(self) -> NDArray[np.float64]:
        """For each entry, log P(noisy | one more record) - log P(noisy): records are Poisson, noise is what it is."""
        most = float(self._expected.max())
        true = np.arange(math.ceil(most + TAIL_DEVIATIONS * math.sqrt(most) + TAIL_DEVIATIONS))
        chance = poisson.pmf(true, self._expected.reshape(-1, 1))
        noisy = self.counts.reshape(-1, 1)
        without = (chance * _noise(noisy - true)).sum(axis=1)
        with_it = (chance * _noise(noisy - true - 1)).sum(axis=1)
        found = np.log(np.maximum(with_it, 1e-300)) - np.log(np.maximum(without, 1e-300))
        return np.asarray(found.reshape(self.counts.shape), np.float64)


def counts_view(cohort: Cohort, draw: int) -> CountsView:
    """Let members' records leave as counts, one release a node, with fresh noise of OpenDP: no seed repeats it."""
    return _released(cohort, counting(cohort.template), draw)


def codebook_view(cohort: Cohort, draw: int) -> CountsView:
    """Do the same with prototypes from the public records as cells, which cost nothing only where these are public."""
    template = replace(counting(cohort.template), cell_bits=CELL_BITS_DEFAULT, group_bits=0, codebook=b"")
    public = Fingerprinter(template).fingerprints(cohort.encoded[cohort.public])
    bits = min(CELL_BITS_DEFAULT, int(math.log2(len(np.unique(public, axis=0)))))
    if not bits:
        return counts_view(cohort, draw)
    template = replace(template, cell_bits=bits, codebook=make_codebook(public, template, bits=bits))
    return _released(cohort, template, draw)


def _released(cohort: Cohort, template: Template, draw: int) -> CountsView:
    fingerprinter, releases = Fingerprinter(template), []
    here = cohort.nodes[cohort.members]
    for node in range(int(cohort.nodes.max()) + 1):
        entropy = SeededEntropy(cohort.seed, f"leakage counts {draw} {node}")
        part = observations(cohort, cohort.members[here == node])
        made = formed(template, fingerprinter, part, signer=Signer(entropy.read(32)), day=DAY, entropy=entropy)
        releases.append(made.packets)
    return CountsView(cohort, template, releases)


def counting(template: Template) -> Template:
    """Return the template under dp-aggregate; without usable cells it gets ``CELL_BITS_DEFAULT`` data-free ones."""
    if not 0 < template.cell_bits <= COUNTS_CELL_BITS_MAX:
        template = replace(template, cell_bits=CELL_BITS_DEFAULT, group_bits=0, codebook=b"")
    return under(replace(template, sketch=False), Profile.DP_AGGREGATE)


def _noise(values: NDArray[np.float64]) -> NDArray[np.float64]:
    ratio = math.exp(-DP_RELEASE_EPSILON)
    return np.asarray((1 - ratio) / (1 + ratio) * np.exp(-DP_RELEASE_EPSILON * np.abs(values)), np.float64)
