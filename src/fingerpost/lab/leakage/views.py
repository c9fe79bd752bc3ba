"""What an attacker sees of a cohort under a privacy profile: a ``View``, and those of the profiles open and consortium.

A view is made from a cohort: the members' records leave their nodes through the real path (packets, signed; sealed;
noisy counts), and then it holds nothing but what an outsider to the table has. ``fingerpost.lab.leakage.registry``
lists the views of all profiles.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from fingerpost.fingerprint import Fingerprinter, cell_of
from fingerpost.lab.alignment import aligned_records, wire_view
from fingerpost.lab.exchange import SeededEntropy
from fingerpost.lab.leakage.fingerprints import Decoder, bits_of, sketch_columns
from fingerpost.node.emission import Observations, build_packets
from fingerpost.packet import Profile, Signer, payloads
from fingerpost.privacy.seal import Seals, passing_ring
from fingerpost.synthesis import Query
from fingerpost.synthesis.by_profile import read_evidence, synthesizer_of
from fingerpost.template import CategoryOutcomeField, DataClass, Template

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fingerpost.lab.leakage.records import Cohort

DAY = 20_000  # any day: nothing here grows old
MISREAD = 0.05  # how often an attacker with an approximate record expects a bit to differ from the packet's
OTHER_OUTCOME = -50.0  # log-likelihood of a packet whose outcome (or cell) is not the candidate's
CIPHERTEXT = 1e-3  # how much its likeness counts beside what is in clear


class View(Protocol):
    """What an attacker has. Members are numbered as in ``cohort.members``; n of them, k candidates.

    An attacker knows the template, public records, and all of a candidate's record and outcome. Where no packet belongs
    to one record, every member looks alike: ``likeness`` has equal rows then.
    """

    @property
    def packets(self) -> int:
        """How many packets left."""
        ...

    @property
    def epsilon(self) -> float | None:
        """What a record is promised by differential privacy, ``None`` where nothing; such views draw noise."""
        ...

    def likeness(self, encoded: NDArray[np.int16], outcomes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return (n, k): the log-likelihood that what is seen of each member is about each candidate (k, width)."""
        ...

    def own_likeness(
        self, numbers: NDArray[np.int64], encoded: NDArray[np.int16], outcomes: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Return (k,): the same for one candidate each, of the member with that number."""
        ...

    def presence(
        self, encoded: NDArray[np.int16], outcomes: NDArray[np.int64], nodes: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Return (k,) scores: the higher, the surer that this record is in what its node ``nodes`` (k,) let out."""
        ...

    def guesses(self) -> dict[str, NDArray[np.float64]]:
        """Return reconstructions (n, width) of the members' features, by attack."""
        ...

    def forecast(self, encoded: NDArray[np.int16]) -> NDArray[np.float64]:
        """Return the probabilities (q, levels) that a rightful asker gets for situations (q, width)."""
        ...


@runtime_checkable
class InformedView(View, Protocol):
    """A view that also models the attacker of the definition of differential privacy: it knows all other records."""

    def informed_presence(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return a score (k,) for rows of the cohort: the higher, the surer that they are among the records."""
        ...


class FingerprintView:
    """One packet for each record, with bits, outcome and cell as an attacker reads them; ``order`` is the members'."""

    epsilon: float | None = None

    def __init__(
        self,
        cohort: Cohort,
        template: Template,
        packets: NDArray[np.void],
        *,
        bits: NDArray[np.float64],
        seen: NDArray[np.float64],
        outcomes: NDArray[np.int64],
    ) -> None:
        self.cohort, self.template, self._packets = cohort, template, packets
        self._bits, self._seen, self._outcomes = bits, seen, outcomes
        self._cells = packets["cell"].astype(np.int64)
        self._fingerprinter = Fingerprinter(template)

    @property
    def packets(self) -> int:
        """How many packets left."""
        return len(self._packets)

    def likeness(self, encoded: NDArray[np.int16], outcomes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Compare fingerprints bit by bit; an outcome or a cell that differs rules a candidate out."""
        bits, cells = self._of(encoded)
        apart = (self._bits.shape[1] - self._bits @ bits.T) / 2
        other = (self._outcomes[:, None] != outcomes).astype(np.float64) + (self._cells[:, None] != cells)
        return np.asarray(apart * np.log(MISREAD / (1 - MISREAD)) + OTHER_OUTCOME * other, np.float64)

    def own_likeness(
        self, numbers: NDArray[np.int64], encoded: NDArray[np.int16], outcomes: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Compare each candidate with the packet of its own member."""
        bits, cells = self._of(encoded)
        apart = (self._bits.shape[1] - (self._bits[numbers] * bits).sum(axis=1)) / 2
        other = (self._outcomes[numbers] != outcomes).astype(np.float64) + (self._cells[numbers] != cells)
        return np.asarray(apart * np.log(MISREAD / (1 - MISREAD)) + OTHER_OUTCOME * other, np.float64)

    def presence(
        self, encoded: NDArray[np.int16], outcomes: NDArray[np.int64], nodes: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Score a record by the packet of its node that is most like it."""
        here = self.cohort.nodes[self.cohort.members]
        likeness = np.where(here[:, None] == nodes, self.likeness(encoded, outcomes), -np.inf)
        best = likeness.max(axis=0)
        return np.asarray(np.where(np.isfinite(best), best, -1e9), np.float64)

    def guesses(self) -> dict[str, NDArray[np.float64]]:
        """Decode fingerprints; the mean of the public records with the same outcome is the least that is known."""
        found = Decoder(self.cohort, self.template).guesses(self._seen)
        return found | {"outcome alone": self.cohort.means_by_outcome()[self._outcomes]}

    def forecast(self, encoded: NDArray[np.int16]) -> NDArray[np.float64]:
        """Ask the packets, read as those read them who may."""
        return forecast(self.template, self._readable, encoded)

    @property
    def _readable(self) -> NDArray[np.void]:
        return self._packets

    def _of(self, encoded: NDArray[np.int16]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        fingerprints = self._fingerprinter.fingerprints(encoded)
        return bits_of(fingerprints), cell_of(fingerprints, self.template).astype(np.int64)


class SealedView(FingerprintView):
    """Sealed packets as those see them who lack the keys: ciphertext stands where fingerprint and outcome would."""

    def __init__(self, cohort: Cohort, template: Template, packets: NDArray[np.void], opened: NDArray[np.void]) -> None:
        bits, outcomes = wire_view(packets, bits=template.fingerprint_bits, levels=cohort.levels)
        super().__init__(cohort, template, packets, bits=bits, seen=bits, outcomes=outcomes)
        self._opened = opened

    @property
    def _readable(self) -> NDArray[np.void]:
        return self._opened

    def likeness(self, encoded: NDArray[np.int16], outcomes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Go by the cell, which is in clear; among equals by ciphertext, read as a fingerprint and an outcome."""
        other = self._cells[:, None] != self._of(encoded)[1]
        return np.asarray(OTHER_OUTCOME * other + CIPHERTEXT * super().likeness(encoded, outcomes), np.float64)

    def own_likeness(
        self, numbers: NDArray[np.int64], encoded: NDArray[np.int16], outcomes: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Go by the cell, which is in clear: whoever trusts ciphertext infers fields worse than without it."""
        del outcomes
        return np.asarray(OTHER_OUTCOME * (self._cells[numbers] != self._of(encoded)[1]), np.float64)

    def guesses(self) -> dict[str, NDArray[np.float64]]:
        """Decode ciphertext as if it were a fingerprint, align it, and use what is in clear: the cell."""
        cohort = self.cohort
        plain = replace(self.template, sketch=False) if self.template.sketch else self.template
        found = {f"{name} on ciphertext": guess for name, guess in Decoder(cohort, plain).guesses(self._bits).items()}
        found["alignment on ciphertext"] = aligned(cohort, self._bits, self._outcomes)
        public = cohort.encoded[cohort.public]
        cells = self._of(public)[1]
        means = [
            cohort.features[cohort.public][cells == cell].mean(axis=0) if (cells == cell).any() else cohort.centre
            for cell in self._cells
        ]
        return found | {"cell alone": np.stack(means)}


def aligned(cohort: Cohort, bits: NDArray[np.float64], outcomes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return what the alignment attack makes of bits (n, m) under unknown planes, and of outcomes beside them."""
    known = cohort.outcomes[cohort.public]
    if not np.isin(outcomes, known).any():
        return np.tile(cohort.centre, (len(bits), 1))
    constant = np.full((len(cohort.public), 1), np.sqrt(cohort.encoded.shape[1]) / 2)
    public = np.hstack([cohort.encoded[cohort.public] / 4096.0, constant])
    found = aligned_records(bits, outcomes, public=public, public_outcomes=known)[:, :-1] * 4096.0
    low = cohort.encoded.min(axis=0)
    return np.asarray(np.clip((found - low) / np.maximum(cohort.encoded.max(axis=0) - low, 1), 0, 1), np.float64)


def open_view(cohort: Cohort, draw: int) -> View:
    """Let members' records leave under the profile open: what everybody sees."""
    template = under(cohort.template, Profile.OPEN)
    packets = emitted(cohort, template, draw)
    content = payloads(packets, template.observation_layout())
    bits = bits_of(np.ascontiguousarray(content["fingerprint"]))
    seen = np.hstack([bits, sketch_columns(np.ascontiguousarray(content["sketch"]))]) if template.sketch else bits
    outcomes = content["outcome"].astype(np.int64) - 1
    return FingerprintView(cohort, template, packets, bits=bits, seen=seen, outcomes=outcomes.reshape(-1))


def consortium_view(cohort: Cohort, draw: int) -> View:
    """Let members' records leave under the profile consortium: what holders and other outsiders see.

    Members of the consortium see what ``open_view`` shows.
    """
    template = under(cohort.template, Profile.CONSORTIUM)
    ring = passing_ring(template.template_id, SeededEntropy(cohort.seed, f"leakage keys {draw}").read(32), day=DAY)
    packets = emitted(cohort, template, draw, seals=Seals(ring))
    return SealedView(cohort, template, packets, Seals(ring).open(packets).packets)


def bits_and_outcomes(cohort: Cohort) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return fingerprints (n, m) of the members as -1 and 1, and their outcomes (n,): bare, as under open."""
    fingerprints = Fingerprinter(cohort.template).fingerprints(cohort.encoded[cohort.members])
    return bits_of(fingerprints), cohort.outcomes[cohort.members]


def under(template: Template, profile: Profile) -> Template:
    """Return the template under another profile, for this measurement only: nothing leaves this process."""
    data_class = DataClass.NON_PERSONAL if profile is Profile.OPEN else DataClass.PERSONAL
    return replace(template, profile=profile, data_class=data_class)


def emitted(cohort: Cohort, template: Template, draw: int, *, seals: Seals | None = None) -> NDArray[np.void]:
    """Return the signed packets of the members' records, in the order of the members."""
    found: NDArray[Any] | None = None
    fingerprinter = Fingerprinter(template)
    here = cohort.nodes[cohort.members]
    for node in np.unique(here):
        numbers = np.flatnonzero(here == node)
        entropy = SeededEntropy(cohort.seed, f"leakage {draw} {node}")
        packets, order = build_packets(
            template,
            fingerprinter,
            observations(cohort, cohort.members[numbers]),
            signer=Signer(entropy.read(32)),
            day=DAY,
            entropy=entropy,
            seals=seals,
        )
        if found is None:
            found = np.empty(len(here), packets.dtype)
        found[numbers[order]] = packets
    if found is None:
        raise AssertionError("a cohort has members")
    return found


def observations(cohort: Cohort, rows: NDArray[np.int64]) -> Observations:
    """Return records of a cohort as a node's emission takes them; actions and conditions are left out."""
    count = len(rows)
    return Observations(
        encoded=cohort.encoded[rows],
        outcomes=(cohort.outcomes[rows] + 1).astype(np.uint16),
        actions=np.zeros(count, np.uint16),
        conditions=np.zeros((count, len(cohort.template.conditions)), np.uint16),
        confidences=np.full(count, 255, np.uint8),
    )


def forecast(template: Template, packets: NDArray[np.void], encoded: NDArray[np.int16]) -> NDArray[np.float64]:
    """Return the probabilities (q, levels) that packets give for situations (q, width), as an asking node works."""
    fingerprinter = Fingerprinter(template)
    fingerprints = fingerprinter.fingerprints(encoded)
    sketches = fingerprinter.sketches(encoded) if template.sketch else None
    queries = [
        Query(fingerprint=each.tobytes(), sketch=None if sketches is None else sketches[row].tobytes())
        for row, each in enumerate(fingerprints)
    ]
    answers = synthesizer_of(read_evidence(packets, template), template, day=DAY).ask_many(queries)
    if not isinstance(template.outcome, CategoryOutcomeField):
        raise AssertionError("the outcome of an attacked table is a category")
    return np.array([[answer.probabilities.get(level, 0.0) for level in template.outcome.levels] for answer in answers])
